"""What the two ends of a link measurement say to each other: lines of ASCII on one TCP connection.

    client            server
    plan-link/1       plan-link/1   or   busy            one client at a time
    ping              pong                               a round trip of an (all but) empty message
    iperf3            iperf3 PORT   or   failed REASON   an iperf3 server waits there for one test

The measurement is over when the connection closes. The rates themselves are measured by the `iperf3` program, run as
a child: libiperf inside this process would take over its standard output and end it at some errors, and could not be
stopped when the other end falls silent.
"""

import shutil
import socket
import time

from profiles.errors import LinkError

GREETING = "plan-link/1"
BUSY = "busy"
PING, PONG = "ping", "pong"
IPERF3, FAILED = "iperf3", "failed"

#: The measuring port. iperf3 takes the next one, which by default is its own well-known port, 5201.
PORT = 5200
#: Two ports are needed, so the first is at most the last but one.
LAST_PORT = 65_534
#: The longest test of one direction; the server's patience with a silent client goes beyond it.
MOST_SECONDS = 60
MOST_LINE_BYTES = 256


class Conversation:
    """Lines over a socket, each with a limit of length and of time. Closes the socket when left."""

    def __init__(self, connection: socket.socket) -> None:
        # Without NODELAY a small message may wait for the acknowledgement of the one before.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        self._rest = b""

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @property
    def here(self) -> str:
        """The address of this machine that the other end has called."""
        return str(self._connection.getsockname()[0])

    @property
    def there(self) -> str:
        """The address of the other end."""
        return str(self._connection.getpeername()[0])

    def say(self, line: str) -> None:
        """Raises OSError where the other end is gone."""
        self._connection.sendall(line.encode("ascii", "replace")[: MOST_LINE_BYTES - 1] + b"\n")

    def hear(self, *, timeout_s: float) -> str:
        """The next line.

        Raises TimeoutError where it does not come in time, EOFError where the other end is gone, ValueError where
        what comes is no such line (its beginning is the message). OSError otherwise.
        """
        end = time.monotonic() + timeout_s
        while b"\n" not in self._rest:
            if len(self._rest) > MOST_LINE_BYTES:
                raise ValueError(_shown(self._rest))
            # The deadline is the line's, not the piece's: one byte at a time buys no more of it.
            self._connection.settimeout(max(end - time.monotonic(), 0.001))
            piece = self._connection.recv(MOST_LINE_BYTES)
            if not piece:
                if self._rest:
                    raise ValueError(_shown(self._rest))
                raise EOFError
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        if not line.isascii():
            raise ValueError(_shown(line))
        return line.decode("ascii").rstrip("\r")


def _shown(data: bytes) -> str:
    """The beginning of foreign bytes, safe to print on a terminal."""
    return ascii(data[:40].decode("ascii", "replace"))


def iperf3() -> str:
    """Path of the `iperf3` program. Raises LinkError with the package to install."""
    found = shutil.which("iperf3")
    if found is None:
        raise LinkError(
            "measuring a link needs iperf3, which is not installed here: apt-get install iperf3 (brings libiperf0), "
            "dnf install iperf3 or brew install iperf3"
        )
    return found
