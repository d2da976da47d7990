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
from runtime.connection import Connection
from runtime.connection_errors import ConnectionFailed, Dropped, Unreachable
from runtime.failures import failure, refusal
from runtime.guard import ClientSecurity, require_address
from runtime.http_reply import Response
from runtime.message_tensors import ProtocolError
from runtime.protocol import InferReply, InferRequest, ModelMetadata, ServerMetadata

Array = NDArray[Any]
#: How this project's server names itself.
OURS = "plan"
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
        self._token_given = security.token is not None
        self._timeout_s, self._retries = timeout_s, retries
        self._ids, self._prefix = count(), secrets.token_hex(3)
        self.retries_made = 0
        self._ended = Event()
        self._again = partial(CloudClient, url, model, security=security, timeout_s=timeout_s, retries=retries)
        #: What runs the model over there, as its metadata said.
        self.platform = ""

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
            found = protocol.decode_metadata(bytes(response.body))
        except ProtocolError as error:
            raise PeerError(f"{self.url} sent metadata that are not the protocol's: {error}") from error
        self.platform = found.platform
        return found

    @cached_property
    def server(self) -> ServerMetadata:
        """What the server says of itself; nothing where it says nothing. Raises PeerError: no answer."""
        return self._told_of_itself(self._deadline())

    def _told_of_itself(self, deadline: float) -> ServerMetadata:
        response, _ = self._call("GET", f"{self._base}/v2", deadline=deadline)
        if response.status == 401 or response.status >= 500:
            raise self._refusal("refused to talk", response)
        return protocol.decode_server(bytes(response.body))

    @cached_property
    def binary(self) -> bool:
        """Whether the server takes tensors as bytes; else they go as JSON."""
        return protocol.BINARY in self.server.extensions

    def ping_ms(self, *, timeout_s: float | None = None) -> float:
        """The round trip of the smallest message, milliseconds. timeout_s: no more than the client's.

        Raises PeerError.
        """
        start_ns = time.monotonic_ns()
        deadline = min(self._deadline(), time.monotonic() + (timeout_s or self._timeout_s))
        self._call("GET", f"{self._base}/v2/health/live", deadline=deadline)
        return (time.monotonic_ns() - start_ns) / 1e6

    def infer(
        self,
        tensors: Mapping[str, Array],
        *,
        parameters: Mapping[str, Any] | None = None,
        ours: Mapping[str, Any] | None = None,
        awaiting: Callable[[], None] | None = None,
    ) -> Exchange:
        """One inference. ours: parameters that only a server of this project knows, and no other is sent. awaiting:
        called once when all is sent and the reply is awaited.

        Raises PeerError, naming the server, where it refuses, fails or does not answer.
        """
        deadline = self._deadline()
        request = self.request(tensors, parameters=parameters, ours=ours, deadline=deadline)
        return self.send(self.encoded(request), request_id=request.id, awaiting=awaiting, deadline=deadline)

    def request(
        self,
        tensors: Mapping[str, Array],
        *,
        parameters: Mapping[str, Any] | None = None,
        ours: Mapping[str, Any] | None = None,
        deadline: float | None = None,
    ) -> InferRequest:
        """A request under an id of its own. ours: as of `infer`. Raises PeerError where the server has to be asked
        what it is and does not answer by the deadline."""
        parameters = dict(parameters or {})
        if (ours or "binary" not in self.__dict__) and self._asked(deadline or self._deadline()).name == OURS:
            parameters |= ours or {}
        return InferRequest(tensors, id=f"{self._prefix}-{next(self._ids)}", parameters=parameters)

    def encoded(self, request: InferRequest) -> protocol.Message:
        """As this server takes it. Raises PeerError where it has to be asked and does not answer."""
        return protocol.encode_request(request, binary=self.binary)

    def sibling(self) -> "CloudClient":
        """Another connection to the same server, on the same terms."""
        return self._again()

    def _asked(self, deadline: float) -> ServerMetadata:
        """What the server says of itself, asked within a request's own time where it is not known yet."""
        if "server" not in self.__dict__:
            self.__dict__["server"] = self._told_of_itself(deadline)  # where cached_property keeps it
        return self.server

    def send(
        self,
        message: protocol.Message,
        *,
        request_id: str = "",
        awaiting: Callable[[], None] | None = None,
        deadline: float | None = None,
    ) -> Exchange:
        """One inference of a message that is ready; as `infer`. request_id: what the reply must be to. deadline: of
        the monotonic clock, seconds. Raises PeerError where no answer comes in time, or one that is none."""
        up, down = self._connection.sent, self._connection.received
        before, start_ns = self.retries_made, time.monotonic_ns()
        response, sent_ns = self._call("POST", f"{self._path}/infer", message, awaiting, deadline)
        end_ns = time.monotonic_ns()
        if response.status != 200:
            raise self._refusal("refused the inference", response, half_as_json=message.half_as_json)
        try:
            reply = protocol.decode_reply(
                memoryview(response.body), response.headers.get(protocol.HEADER_LENGTH.lower())
            )
        except ProtocolError as error:
            raise PeerError(f"{self.url} sent a reply that is not the protocol's: {error}") from error
        if request_id and reply.id not in ("", request_id):
            self.close()
            raise PeerError(f"{self.url} answered another request ({reply.id[:40]!r}) than was sent")
        up, down = self._connection.sent - up, self._connection.received - down
        return Exchange(reply, start_ns, sent_ns, end_ns, up, down, self.retries_made - before)

    def _deadline(self) -> float:
        return time.monotonic() + self._timeout_s

    def _refusal(self, what: str, response: Response, *, half_as_json: bool = False) -> PeerError:
        return refusal(self.url, what, response, token_given=self._token_given, half_as_json=half_as_json)

    def _call(
        self,
        method: str,
        path: str,
        message: protocol.Message | None = None,
        awaiting: Callable[[], None] | None = None,
        deadline: float | None = None,
    ) -> tuple[Response, int]:
        """The reply, and when all was sent. deadline: with all that is sent again."""
        request = [self._head(method, path, message), *(message.parts if message else ())]
        deadline = deadline or self._deadline()
        sent_ns = 0

        def sent() -> None:
            nonlocal sent_ns
            first = not sent_ns
            sent_ns = time.monotonic_ns()
            if awaiting is not None and first:  # however often the bytes are sent again
                awaiting()

        # A connection that stood may have been closed over there meanwhile, which is nobody's fault.
        retries = self._retries + self._connection.open
        for attempt in count():
            try:
                response = self._connection.exchange(request, deadline=deadline, awaiting=sent)
                wait_s = _asked_to_wait(response)
                if wait_s is None or attempt >= retries or time.monotonic() + wait_s >= deadline:
                    return response, sent_ns
            except (Unreachable, Dropped) as error:
                if attempt >= retries:
                    raise failure(self.url, error, timeout_s=self._timeout_s) from error
                wait_s = BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)]
            except ConnectionFailed as error:
                raise failure(self.url, error, timeout_s=self._timeout_s) from error
            self.retries_made += 1
            self._ended.wait(max(0.0, min(wait_s, deadline - time.monotonic())))
        raise AssertionError("unreachable")

    def _head(self, method: str, path: str, message: protocol.Message | None) -> bytes:
        fields = ""
        if message is not None:
            fields = "".join(f"{name}: {value}\r\n" for name, value in message.headers.items())
            fields += f"Content-Length: {message.size}\r\n"
        return f"{method} {path} HTTP/1.1\r\n{self._fixed}{fields}\r\n".encode("latin1")

    def close(self) -> None:
        """Close the connection."""
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
    """Seconds that a busy server asks to wait, or one that gave up reading (408, 429); None where it answered."""
    if response.status not in (408, 429, 503):
        return None
    asked = response.headers.get("retry-after", "1")
    return float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 1.0


def _address(url: str) -> tuple[str, int, bool]:
    """Host, port, and whether TLS is meant, of an address that is one."""
    parts = urlsplit(url)
    secured = parts.scheme == "https"
    return parts.hostname or "", parts.port or (443 if secured else 80), secured
