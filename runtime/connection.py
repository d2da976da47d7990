"""One kept-alive HTTP/1.1 connection: a socket, TLS where it is asked for, responses read by httptools. No torch.

A message leaves in one piece, header and body, so that a small one is one packet; every byte that passes the socket
is counted, TLS records and all; every wait ends at a deadline. httpx and its transport take 0.2 to 0.3 ms of Python
for an exchange, as long as a small network takes, which is why this is here.
"""

import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence

from runtime.channels import READ_BYTES, Buffer, Plain, Tls
from runtime.connection_errors import (
    ConnectionFailed,
    Dropped,
    Ended,
    NotHttp,
    Unreachable,
    failure,
)
from runtime.dialling import dial
from runtime.http_reply import NotHttpError, ReplyReader, Response


class Connection:
    """Connects when first used and again after it was dropped. One exchange at a time; `abort` from any thread."""

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self._address, self._tls = (host, port), tls
        self._channel: Plain | Tls | None = None
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
            raise failure(error, deadline) from error
        except BaseException:
            self.close()  # what is left of the reply would be taken for the next one's
            raise

    def _standing(self) -> "Plain | Tls | None":
        """The connection, unless it was closed over there or holds what nobody asked for: the end of an exchange
        that is over, which would be taken for the next one's reply."""
        if self._channel is not None and self._channel.stirs():
            self.close()
        return self._channel

    def _connect(self, deadline: float) -> "Plain | Tls":
        try:
            found = dial(*self._address, deadline=deadline, holds=self._holds)
        except TimeoutError:
            raise
        except OSError as error:
            self._require_wanted()
            raise Unreachable(error.strerror or str(error) or type(error).__name__) from error
        self._require_wanted()
        if self._tls is None:
            self._channel = Plain(found, self)
        else:
            try:
                secured = Tls(found, self, self._tls, self._address[0])
            except BaseException:
                found.close()
                raise
            self._channel = secured
            secured.handshake(deadline)
        return self._channel

    def _refusal(self, channel: "Plain | Tls", deadline: float, error: OSError) -> Response:
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

    def _read(self, channel: "Plain | Tls", deadline: float) -> Response:
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
