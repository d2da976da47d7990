"""What carries a connection's bytes: a socket as it is, or TLS over one.

Every byte that passes the socket is counted, TLS records and all; every wait ends at a deadline."""

import socket
import ssl
from collections.abc import Sequence
from typing import Protocol, cast

from runtime.connection_errors import Dropped
from runtime.dialling import left

READ_BYTES = 262_144
#: Buffers that one call of sendmsg takes on every system.
MOST_BUFFERS = 16

Buffer = bytes | memoryview


class Counts(Protocol):
    """Bytes that passed the socket."""

    sent: int
    received: int


class Plain:
    """A socket as it is."""

    def __init__(self, inner: socket.socket, counted: Counts) -> None:
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


class Tls:
    """TLS between two buffers in memory, so that what passes the socket can be counted and deadlines hold."""

    def __init__(self, inner: socket.socket, counted: Counts, context: ssl.SSLContext, host: str) -> None:
        self._plain, self._inner = Plain(inner, counted), inner
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
