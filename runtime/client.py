"""The client's side of the wire: one connection to a server of the Open Inference Protocol. No torch here."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import count
from threading import Event
from typing import Any
from urllib.parse import quote, urlsplit

from numpy.typing import NDArray

from profiles.errors import PeerError
from runtime import protocol, tls
from runtime.connection import (
    Connection,
    ConnectionFailed,
    DeadlinePassed,
    Distrusted,
    Dropped,
    Ended,
    NotHttp,
    Response,
    Unreachable,
)
from runtime.guard import ClientSecurity, require_address
from runtime.protocol import InferReply, InferRequest, ModelMetadata, ProtocolError, ServerMetadata

Array = NDArray[Any]
#: Waits before a request is sent again, seconds; the last one goes on.
BACKOFF_S = (0.0, 0.05, 0.2, 0.5)


@dataclass(frozen=True)
class Exchange:
    """One request and its reply. start_ns, end_ns: this side's monotonic clock. bytes: all that passed the socket.
    sent_ns: when the last byte was handed to the system. retries: how often the same bytes were sent again."""

    reply: InferReply
    start_ns: int
    sent_ns: int
    end_ns: int
    bytes_up: int
    bytes_down: int
    retries: int = 0


class CloudClient:
    """One kept-alive connection to a server of the Open Inference Protocol.

    An inference changes nothing over there, so a request that failed is sent again, the identical bytes: a second
    draw of noise for one input would average out.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        security: ClientSecurity | None = None,
        timeout_s: float = 30.0,
        retries: int = 2,
    ) -> None:
        """timeout_s: from the first byte sent to the last one received, with all that is sent again.

        security: how the server is verified, and what it is shown; None: as the system verifies, no token.

        Raises UrlError where the URL is not http://host:port or https://host:port, SecurityError where a token would
        cross in plain.
        """
        require_address(url)
        security = security or ClientSecurity()
        security.require_safe(url)
        host, port, secured = _address(url)
        self.url, self._model = url.rstrip("/"), model
        base = urlsplit(self.url).path
        self._path = f"{base}/v2/models/{quote(model, safe='')}"
        self._base = base
        context = (security.tls or tls.client_context()) if secured else None
        self._connection = Connection(host, port, tls=context)
        name = f"[{host}]" if ":" in host else host
        fixed = {"Host": f"{name}:{port}", **security.headers}
        self._fixed = "".join(f"{key}: {value}\r\n" for key, value in fixed.items())
        self._token = security.token is not None
        self._timeout_s, self._retries = timeout_s, retries
        self._ids, self._prefix = count(), secrets.token_hex(3)
        self.retries_made = 0
        self._ended = Event()
        self._again = partial(CloudClient, url, model, security=security, timeout_s=timeout_s, retries=retries)

    @property
    def bytes_sent(self) -> int:
        """All that has passed the socket on the way up."""
        return self._connection.sent

    def metadata(self) -> ModelMetadata:
        """What the server says of the model. Raises PeerError: no answer, or no such model there."""
        response, _ = self._call("GET", self._path)
        if response.status != 200:
            raise self._refusal(f"serves no model {self._model!r}", response)
        try:
            return protocol.decode_metadata(response.body)
        except ProtocolError as error:
            raise PeerError(f"{self.url} sent metadata that are not the protocol's: {error}") from error

    @cached_property
    def server(self) -> ServerMetadata:
        """What the server says of itself; nothing where it says nothing. Raises PeerError: no answer."""
        response, _ = self._call("GET", f"{self._base}/v2")
        if response.status == 401:
            raise self._refusal("refused to talk", response)
        return protocol.decode_server(response.body)

    @cached_property
    def binary(self) -> bool:
        """Whether the server takes tensors as bytes; else they go as JSON."""
        return protocol.BINARY in self.server.extensions

    def ping_ms(self) -> float:
        """The round trip of the smallest message, milliseconds. Raises PeerError."""
        start_ns = time.monotonic_ns()
        self._call("GET", f"{self._base}/v2/health/live")
        return (time.monotonic_ns() - start_ns) / 1e6

    def infer(
        self,
        tensors: Mapping[str, Array],
        *,
        parameters: Mapping[str, Any] | None = None,
        awaiting: Callable[[], None] | None = None,
    ) -> Exchange:
        """One inference. awaiting: called once when all is sent and the reply is awaited.

        Raises PeerError, naming the server, where it refuses, fails or does not answer.
        """
        return self.send(self.encoded(self.request(tensors, parameters=parameters)), awaiting=awaiting)

    def request(self, tensors: Mapping[str, Array], *, parameters: Mapping[str, Any] | None = None) -> InferRequest:
        """A request under an id of its own."""
        return InferRequest(tensors, id=f"{self._prefix}-{next(self._ids)}", parameters=parameters or {})

    def encoded(self, request: InferRequest) -> protocol.Message:
        """As this server takes it. Raises PeerError where it has to be asked and does not answer."""
        return protocol.encode_request(request, binary=self.binary)

    def sibling(self) -> "CloudClient":
        """Another connection to the same server, on the same terms."""
        return self._again()

    def send(self, message: protocol.Message, *, awaiting: Callable[[], None] | None = None) -> Exchange:
        """One inference of a message that is ready; as `infer`."""
        up, down = self._connection.sent, self._connection.received
        before, start_ns = self.retries_made, time.monotonic_ns()
        response, sent_ns = self._call("POST", f"{self._path}/infer", message, awaiting)
        end_ns = time.monotonic_ns()
        if response.status != 200:
            raise self._refusal("refused the inference", response)
        try:
            reply = protocol.decode_reply(response.body, response.headers.get(protocol.HEADER_LENGTH.lower()))
        except ProtocolError as error:
            raise PeerError(f"{self.url} sent a reply that is not the protocol's: {error}") from error
        up, down = self._connection.sent - up, self._connection.received - down
        return Exchange(reply, start_ns, sent_ns, end_ns, up, down, self.retries_made - before)

    def _refusal(self, what: str, response: Response) -> PeerError:
        if response.status == 401:
            return PeerError(f"{self.url} {self._token_objection()}")
        return PeerError(f"{self.url} {what} (status {response.status}): {protocol.decode_error(response.body)}")

    def _token_objection(self) -> str:
        if self._token:
            return "does not accept this token; give a file whose first token is one of its own as --token-file"
        return "asks for a token; give a file with one of its own as --token-file"

    def _call(
        self,
        method: str,
        path: str,
        message: protocol.Message | None = None,
        awaiting: Callable[[], None] | None = None,
    ) -> tuple[Response, int]:
        """The reply, and when all was sent."""
        request = [self._head(method, path, message), *(message.parts if message else ())]
        deadline = time.monotonic() + self._timeout_s
        sent_ns = 0

        def sent() -> None:
            nonlocal sent_ns
            first = not sent_ns
            sent_ns = time.monotonic_ns()
            if awaiting is not None and first:  # however often the bytes are sent again
                awaiting()

        for attempt in count():
            stale = self._connection.open  # it may have been closed over there meanwhile, which is nobody's fault
            try:
                response = self._connection.exchange(request, deadline=deadline, awaiting=sent)
                wait_s = _asked_to_wait(response)
                if wait_s is None or attempt >= self._retries or time.monotonic() + wait_s >= deadline:
                    return response, sent_ns
            except (Unreachable, Dropped) as error:
                if attempt >= self._retries + stale:
                    raise self._failure(error) from error
                wait_s = BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)]
            except ConnectionFailed as error:
                raise self._failure(error) from error
            self.retries_made += 1
            self._ended.wait(max(0.0, min(wait_s, deadline - time.monotonic())))
        raise AssertionError("unreachable")

    def _head(self, method: str, path: str, message: protocol.Message | None) -> bytes:
        fields = ""
        if message is not None:
            fields = "".join(f"{name}: {value}\r\n" for name, value in message.headers.items())
            fields += f"Content-Length: {message.size}\r\n"
        return f"{method} {path} HTTP/1.1\r\n{self._fixed}{fields}\r\n".encode("latin1")

    def _failure(self, error: ConnectionFailed) -> PeerError:
        secured = self.url.startswith("https")
        match error:
            case DeadlinePassed():
                return PeerError(f"{self.url} did not answer in time ({self._timeout_s:g} s); is the link that slow?")
            case Distrusted():
                return PeerError(f"{self.url} {tls.objection(error) or f'broke off TLS ({error})'}")
            case Ended():
                return PeerError(f"{self.url}: the exchange was given up here")
            case NotHttp():
                return PeerError(f"{self.url} does not speak HTTP as expected: {error}")
        if secured and not isinstance(error, Unreachable):
            return PeerError(f"{self.url} {tls.CLOSED_WITHOUT_A_WORD}")
        way = "with" if secured else "without"
        return PeerError(f"{self.url} cannot be reached ({error}); is `plan serve` running there, {way} TLS?")

    def close(self) -> None:
        self._connection.close()

    def abort(self) -> None:
        """From another thread: end for good what is sent or awaited here; it raises PeerError there."""
        self._ended.set()
        self._connection.abort()

    def __enter__(self) -> "CloudClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _asked_to_wait(response: Response) -> float | None:
    """Seconds that a busy server asks to wait, None where it answered."""
    if response.status != 503:
        return None
    asked = response.headers.get("retry-after", "1")
    return float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 1.0


def _address(url: str) -> tuple[str, int, bool]:
    """Host, port, and whether TLS is meant, of an address that is one."""
    parts = urlsplit(url)
    secured = parts.scheme == "https"
    return parts.hostname or "", parts.port or (443 if secured else 80), secured
