"""One kept-alive HTTP/1.1 connection: a socket, TLS where it is asked for, responses read by httptools. No torch.

A message leaves in one piece, header and body, so that a small one is one packet; every byte that passes the socket
is counted, TLS records and all; every wait ends at a deadline. httpx and its transport take 0.2 to 0.3 ms of Python
for an exchange, as long as a small network takes, which is why this is here.
"""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import httptools

#: Limits on what a server may send: header fields and their bytes, bytes of a body.
MOST_FIELDS, MOST_HEADER_BYTES, MOST_BODY_BYTES = 100, 65_536, 256 * 2**20
READ_BYTES = 262_144
#: Buffers that one call of sendmsg takes on every system.
MOST_BUFFERS = 16

Buffer = bytes | memoryview


class ConnectionFailed(Exception):
    """The exchange did not come to its end; whether it may be tried again is for the caller to say."""


class Unreachable(ConnectionFailed):
    """No connection could be made."""


class Dropped(ConnectionFailed):
    """The connection ended before the reply did."""


class DeadlinePassed(ConnectionFailed):
    """The deadline came first."""


class Ended(ConnectionFailed):
    """This side gave it up (`Connection.abort`)."""


class Distrusted(ConnectionFailed):
    """TLS failed: a certificate, on either side, or no TLS over there."""


class NotHttp(ConnectionFailed):
    """The peer does not speak HTTP/1.1, or sends more than is taken."""


@dataclass(frozen=True)
class Response:
    """A whole reply; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """Connects when first used and again after it was dropped. One exchange at a time; `abort` from any thread."""

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self._address, self._tls = (host, port), tls
        self._channel: _Plain | _Tls | None = None
        self._socket: socket.socket | None = None  # also while it connects
        self._ended = False
        self._buffer = bytearray(READ_BYTES)
        #: Bytes that passed the socket, on all connections so far.
        self.sent = self.received = 0

    @property
    def open(self) -> bool:
        """Whether a connection stands, as far as this side knows."""
        return self._channel is not None

    def exchange(
        self, request: Sequence[Buffer], *, deadline: float, awaiting: Callable[[], None] | None = None
    ) -> Response:
        """Send a request, headers first, and read the reply.

        deadline: of the monotonic clock, seconds. awaiting: called once when all is sent.
        Raises ConnectionFailed; the connection is then closed.
        """
        try:
            self._require_wanted()
            channel = self._channel or self._connect(deadline)
            channel.send(request, deadline)
            if awaiting is not None:
                awaiting()
            return self._read(channel, deadline)
        except TimeoutError:
            self.close()
            raise DeadlinePassed("no answer in time") from None
        except ssl.SSLError as error:
            self.close()
            raise Distrusted(_reason(error)) from error
        except OSError as error:
            self.close()
            raise Dropped(error.strerror or type(error).__name__) from error
        except BaseException:
            self.close()  # what is left of the reply would be taken for the next one's
            raise

    def _connect(self, deadline: float) -> "_Plain | _Tls":
        try:
            found = self._reach(deadline)
        except TimeoutError:
            raise
        except OSError as error:
            self._require_wanted()
            raise Unreachable(error.strerror or str(error) or type(error).__name__) from error
        self._require_wanted()
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is None:
            self._channel = _Plain(found, self)
        else:
            secured = _Tls(found, self, self._tls, self._address[0])
            self._channel = secured
            secured.handshake(deadline)
        return self._channel

    def _read(self, channel: "_Plain | _Tls", deadline: float) -> Response:
        reader = _Reader()
        view = memoryview(self._buffer)
        while not reader.done:
            count = channel.receive_into(self._buffer, deadline)
            if not count:
                if reader.ends_with_connection:
                    break
                raise Dropped("the connection was closed before the reply's end")
            reader.feed(view[:count])
        if not reader.keep_alive:
            self.close()
        return reader.response()

    def _reach(self, deadline: float) -> socket.socket:
        """As `socket.create_connection`; but an attempt that waits can be ended by `abort`."""
        failure: OSError | None = None
        for family, kind, number, _, address in socket.getaddrinfo(*self._address, type=socket.SOCK_STREAM):
            found = socket.socket(family, kind, number)
            self._socket = found
            try:
                self._require_wanted()
                found.settimeout(_left(deadline))
                found.connect(address)
                return found
            except OSError as error:
                found.close()
                failure = error
            except BaseException:
                found.close()
                raise
        raise failure or OSError("the name has no address")

    def _require_wanted(self) -> None:
        if self._ended:
            raise Ended("given up")

    def abort(self) -> None:
        """End for good, from any thread: what is under way raises Ended there, now or when next tried."""
        self._ended = True
        # Closing would not wake a thread that waits on the socket; shutting it down does.
        if (waited_on := self._socket) is not None:
            with contextlib.suppress(OSError):
                waited_on.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close; the next exchange connects anew."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        elif self._socket is not None:
            self._socket.close()
        self._socket = None


class _Reader:
    """A response as httptools reads it; the limits on it."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._header_bytes = self._body_bytes = 0
        self.done = self._headed = self.keep_alive = False

    def feed(self, data: memoryview) -> None:
        if not self._headed:
            self._header_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            cause = error.__context__
            raise cause if isinstance(cause, NotHttp) else NotHttp(f"its reply is not HTTP/1.1 ({error})") from error
        if not self._headed and self._header_bytes > MOST_HEADER_BYTES:
            raise NotHttp(f"its reply's headers are longer than {MOST_HEADER_BYTES} bytes")

    # What httptools calls.
    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self._headers) >= MOST_FIELDS:
            raise NotHttp(f"its reply has more than {MOST_FIELDS} header fields")
        self._headers[name.decode("latin1").lower()] = value.decode("latin1")

    def on_headers_complete(self) -> None:
        # An interim reply (100 Continue) is followed by the one that counts.
        self._headed = self._parser.get_status_code() >= 200
        if not self._headed:
            self._headers.clear()

    def on_body(self, part: bytes) -> None:
        self._body_bytes += len(part)
        if self._body_bytes > MOST_BODY_BYTES:
            raise NotHttp(f"its reply is longer than {MOST_BODY_BYTES} bytes")
        self._parts.append(part)

    def on_message_complete(self) -> None:
        self.done = self._headed
        self.keep_alive = bool(self._parser.should_keep_alive())  # only in here does it know

    @property
    def ends_with_connection(self) -> bool:
        """Whether the body has no length of its own, so that the connection's end is its end."""
        return self._headed and not {"content-length", "transfer-encoding"} & self._headers.keys()

    def response(self) -> Response:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        return Response(self._parser.get_status_code(), self._headers, body)


class _Plain:
    """A socket as it is."""

    def __init__(self, inner: socket.socket, counted: Connection) -> None:
        self._inner, self._counted = inner, counted

    def send(self, parts: Sequence[Buffer], deadline: float) -> None:
        waiting = [memoryview(part) for part in parts if len(part)]
        while waiting:
            self._inner.settimeout(_left(deadline))
            count = self._send_some(waiting[:MOST_BUFFERS])
            self._counted.sent += count
            while waiting and count >= len(waiting[0]):
                count -= len(waiting.pop(0))
            if count:
                waiting[0] = waiting[0][count:]

    def _send_some(self, parts: Sequence[memoryview]) -> int:
        if hasattr(self._inner, "sendmsg"):
            return self._inner.sendmsg(parts)
        return self._inner.send(b"".join(parts))  # Windows

    def receive_into(self, buffer: bytearray, deadline: float) -> int:
        self._inner.settimeout(_left(deadline))
        count = self._inner.recv_into(buffer)
        self._counted.received += count
        return count

    def close(self) -> None:
        self._inner.close()


class _Tls:
    """TLS between two buffers in memory, so that what passes the socket can be counted and deadlines hold."""

    def __init__(self, inner: socket.socket, counted: Connection, context: ssl.SSLContext, host: str) -> None:
        self._plain, self._inner = _Plain(inner, counted), inner
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._scratch = bytearray(READ_BYTES)

    def handshake(self, deadline: float) -> None:
        while True:
            try:
                self._object.do_handshake()
                self._flush(deadline)
                return
            except ssl.SSLWantReadError:
                self._flush(deadline)
                if not self._fill(deadline):
                    raise Dropped("the connection was closed in the TLS handshake") from None
            except ssl.SSLError:
                self._tell()
                raise

    def send(self, parts: Sequence[Buffer], deadline: float) -> None:
        for part in parts:
            view = memoryview(part)
            for start in range(0, len(view), READ_BYTES):
                self._object.write(view[start : start + READ_BYTES])
                if self._outgoing.pending >= READ_BYTES:
                    self._flush(deadline)
        self._flush(deadline)

    def receive_into(self, buffer: bytearray, deadline: float) -> int:
        while True:
            try:
                return cast(int, self._object.read(len(buffer), buffer))  # with a buffer it counts
            except ssl.SSLWantReadError:
                if not self._fill(deadline):
                    return 0
            except ssl.SSLZeroReturnError:
                return 0
            except ssl.SSLEOFError:
                return 0

    def _flush(self, deadline: float) -> None:
        if self._outgoing.pending:
            self._plain.send([self._outgoing.read()], deadline)

    def _tell(self) -> None:
        """Why this side ends the handshake, for the other side's log."""
        if self._outgoing.pending:
            self._inner.settimeout(1.0)
            try:
                self._inner.sendall(self._outgoing.read())
            except OSError:
                return

    def _fill(self, deadline: float) -> int:
        count = self._plain.receive_into(self._scratch, deadline)
        if count:
            self._incoming.write(memoryview(self._scratch)[:count])
        else:
            self._incoming.write_eof()
        return count

    def close(self) -> None:
        self._plain.close()


def _left(deadline: float) -> float:
    """Seconds until the deadline. Raises TimeoutError where none are left."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _reason(error: ssl.SSLError) -> str:
    return getattr(error, "verify_message", "") or (error.reason or str(error)).replace("_", " ").lower()
