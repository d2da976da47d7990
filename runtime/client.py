"""The client's side of the wire: one connection to a server of the Open Inference Protocol. No torch here.

Every byte that passes the socket is counted on the seam that httpcore offers, headers and all.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpcore
from numpy.typing import NDArray

from profiles.errors import PeerError
from runtime import protocol, tls
from runtime.guard import ClientSecurity, require_address
from runtime.protocol import InferReply, InferRequest, ModelMetadata, ProtocolError

Array = NDArray[Any]
MOST_REPLY_BYTES = 256 * 2**20
#: For a whole body; a peer that drips bytes would otherwise be waited for without end.
MOST_REPLY_S = 120.0


@dataclass(frozen=True)
class Exchange:
    """One request and its reply. start_ns, end_ns: this side's monotonic clock. bytes: all that passed the socket."""

    reply: InferReply
    start_ns: int
    end_ns: int
    bytes_up: int
    bytes_down: int


class CloudClient:
    """One kept-alive connection to a server of the Open Inference Protocol."""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        timeout_s: float = 30.0,
        retries: int = 1,
        security: ClientSecurity | None = None,
    ) -> None:
        """security: how the server is verified, and what it is shown; None: as the system verifies, no token.

        Raises UrlError where the URL is not http://host:port, SecurityError where a token would cross in plain.
        """
        require_address(url)
        security = security or ClientSecurity()
        security.require_safe(url)
        self._base, self._model = url.rstrip("/"), model
        self._headers = security.headers
        self._path = f"{self._base}/v2/models/{quote(model, safe='')}"
        self._wire = _CountingBackend()
        context = None
        if urlsplit(url).scheme == "https":
            context = security.tls or tls.client_context()
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, max_connections=1, network_backend=self._wire, retries=0
        )
        self._timeout = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout_s)}
        self._retries = retries
        self.retries_made = 0

    def metadata(self) -> ModelMetadata:
        """What the server says of the model. Raises PeerError: no answer, or no such model there."""
        status, _, body = self._call("GET", self._path, None)
        if status != 200:
            raise PeerError(f"{self._base} serves no model {self._model!r} ({protocol.decode_error(body)})")
        try:
            return protocol.decode_metadata(body)
        except ProtocolError as error:
            raise PeerError(f"{self._base} sent metadata that are not the protocol's: {error}") from error

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
        message = protocol.encode_request(InferRequest(tensors, parameters=parameters or {}))
        return self.send(message, awaiting=awaiting)

    def send(self, message: protocol.Message, *, awaiting: Callable[[], None] | None = None) -> Exchange:
        up, down = self._wire.sent, self._wire.received
        self._wire.awaiting = awaiting
        start_ns = time.monotonic_ns()
        status, headers, body = self._call("POST", f"{self._path}/infer", message)
        end_ns = time.monotonic_ns()
        if status != 200:
            raise PeerError(f"{self._base} refused the inference (status {status}): {protocol.decode_error(body)}")
        try:
            reply = protocol.decode_reply(body, headers.get(protocol.HEADER_LENGTH.lower()))
        except ProtocolError as error:
            raise PeerError(f"{self._base} sent a reply that is not the protocol's: {error}") from error
        return Exchange(reply, start_ns, end_ns, self._wire.sent - up, self._wire.received - down)

    def _call(self, method: str, url: str, message: protocol.Message | None) -> tuple[int, dict[str, str], bytes]:
        headers = [*self._headers.items(), *(message.headers.items() if message else ())]
        content = message.body if message else None
        for attempt in range(self._retries + 1):
            try:
                with self._pool.stream(
                    method, url, headers=headers, content=content, extensions=self._timeout
                ) as response:
                    answer = response.status, _plain(response.headers), self._read(response)
                if answer[0] == 401:
                    raise PeerError(f"{self._base} {self._token_objection()}")
                return answer
            except httpcore.TimeoutException as error:
                raise PeerError(f"{self._base} did not answer in time ({type(error).__name__})") from error
            except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
                if (objection := tls.objection(error)) is not None:
                    raise PeerError(f"{self._base} {objection}") from error
                if attempt == self._retries:
                    if self._base.startswith("https:") and not isinstance(error, httpcore.ConnectError):
                        raise PeerError(f"{self._base} {tls.CLOSED_WITHOUT_A_WORD}") from error
                    reason = str(error) or type(error).__name__
                    raise PeerError(
                        f"{self._base} cannot be reached ({reason}); is `plan serve` running there, "
                        f"with{'' if self._base.startswith('https') else 'out'} TLS?"
                    ) from error
                self.retries_made += 1
            except httpcore.ProtocolError as error:
                raise PeerError(f"{self._base} does not speak HTTP as expected ({error})") from error
        raise AssertionError("unreachable")

    def _token_objection(self) -> str:
        if "Authorization" in self._headers:
            return "does not accept this token; give a file whose first token is one of its own as --token-file"
        return "asks for a token; give a file with one of its own as --token-file"

    def _read(self, response: httpcore.Response) -> bytes:
        parts, total = [], 0
        end = time.monotonic() + MOST_REPLY_S
        for part in response.iter_stream():
            total += len(part)
            if time.monotonic() > end:
                raise PeerError(f"{self._base} did not send its whole answer within {MOST_REPLY_S:g} s")
            if total > MOST_REPLY_BYTES:
                raise PeerError(f"{self._base} sent more than {MOST_REPLY_BYTES} bytes, expected an answer")
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        self._pool.close()

    def __enter__(self) -> "CloudClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _plain(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin1").lower(): value.decode("latin1") for name, value in headers}


class _CountingStream(httpcore.NetworkStream):
    """Counts what passes a socket, headers and all."""

    def __init__(self, inner: httpcore.NetworkStream, backend: "_CountingBackend") -> None:
        self._inner, self._backend = inner, backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if (awaiting := self._backend.awaiting) is not None:
            self._backend.awaiting = None
            awaiting()
        data = self._inner.read(max_bytes, timeout)
        self._backend.received += len(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)
        self._backend.sent += len(buffer)

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return _CountingStream(self._inner.start_tls(*args, **kwargs), self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _CountingBackend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()
        self.sent = self.received = 0
        self.awaiting: Callable[[], None] | None = None

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return _CountingStream(stream, self)
