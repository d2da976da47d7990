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
from typing import cast

from runtime.dialling import dial, left
from runtime.http_reply import NotHttpError, ReplyReader, Response

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
            channel = self._standing() or self._connect(deadline)
            try:
                channel.send(request, deadline)
            except OSError as error:
                self._require_wanted()
                return self._refusal(channel, deadline, error)
            if awaiting is not None:
                awaiting()
            return self._read(channel, deadline)
        except OSError as error:
            self.close()
            raise _failure(error, deadline) from error
        except BaseException:
            self.close()  # what is left of the reply would be taken for the next one's
            raise

    def _standing(self) -> "_Plain | _Tls | None":
        """The connection, unless it was closed over there or holds what nobody asked for: the end of an exchange
        that is over, which would be taken for the next one's reply."""
        if self._channel is not None and self._channel.stirs():
            self.close()
        return self._channel

    def _connect(self, deadline: float) -> "_Plain | _Tls":
        try:
            found = dial(*self._address, deadline=deadline, holds=self._holds)
        except TimeoutError:
            raise
        except OSError as error:
            self._require_wanted()
            raise Unreachable(error.strerror or str(error) or type(error).__name__) from error
        self._require_wanted()
        if self._tls is None:
            self._channel = _Plain(found, self)
        else:
            try:
                secured = _Tls(found, self, self._tls, self._address[0])
            except BaseException:
                found.close()
                raise
            self._channel = secured
            secured.handshake(deadline)
        return self._channel

    def _refusal(self, channel: "_Plain | _Tls", deadline: float, error: OSError) -> Response:
        """What a server said that closed the connection before it had the whole request: 401, 413, an alert of TLS.

        error: what sending raised, and what is raised where the server said nothing.
        """
        try:
            response = self._read(channel, deadline)
        except ssl.SSLError:
            raise
        except (OSError, ConnectionFailed):
            raise error from None
        self.close()
        if response.status < 400:  # an answer to half a request is none
            raise error
        return response

    def _read(self, channel: "_Plain | _Tls", deadline: float) -> Response:
        reader = ReplyReader()
        view = memoryview(self._buffer)
        while not reader.done:
            count = channel.receive_into(self._buffer, deadline)
            if not count:
                if reader.ends_with_connection:
                    break
                raise Dropped("the connection was closed before the reply's end")
            try:
                reader.feed(view[:count])
            except NotHttpError as error:
                raise NotHttp(str(error)) from error
        if not reader.keep_alive:
            self.close()
        return reader.response()

    def _holds(self, made: socket.socket) -> None:
        self._socket = made
        self._require_wanted()

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


class _Plain:
    """A socket as it is."""

    def __init__(self, inner: socket.socket, counted: Connection) -> None:
        self._inner, self._counted = inner, counted

    def send(self, parts: Sequence[Buffer], deadline: float) -> None:
        waiting = [memoryview(part) for part in parts if len(part)]
        while waiting:
            self._inner.settimeout(left(deadline))
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
        self._inner.settimeout(left(deadline))
        count = self._inner.recv_into(buffer)
        self._counted.received += count
        return count

    def stirs(self) -> bool:
        """Whether something came, or the end, though nothing was asked."""
        try:
            self._inner.settimeout(0)
            self._inner.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

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
                # The end of TCP without that of TLS: anyone on the way can do that, so it ends no body. Python's
                # contexts take the one for the other (OP_IGNORE_UNEXPECTED_EOF).
                if not self._fill(deadline):
                    raise Dropped("the connection was closed before the reply's end") from None
            except ssl.SSLZeroReturnError:
                return 0

    def _flush(self, deadline: float) -> None:
        if self._outgoing.pending:
            self._plain.send([self._outgoing.read()], deadline)

    def stirs(self) -> bool:
        return bool(self._incoming.pending) or self._plain.stirs()

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


def _failure(error: OSError, deadline: float) -> ConnectionFailed:
    if isinstance(error, TimeoutError) and time.monotonic() >= deadline - 1e-3:  # else the system gave up by itself
        return DeadlinePassed("no answer in time")
    if isinstance(error, ssl.SSLError):
        return Distrusted(_reason(error))
    return Dropped(error.strerror or str(error) or type(error).__name__)


def _reason(error: ssl.SSLError) -> str:
    return getattr(error, "verify_message", "") or (error.reason or str(error)).replace("_", " ").lower()
