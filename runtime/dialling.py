"""A TCP connection by a deadline: names looked up, addresses tried in turn. No torch here."""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

#: What getaddrinfo gives: family, type, protocol, canonical name, address.
Found = tuple[int, int, int, str, Any]


def dial(
    host: str, port: int, *, deadline: float, holds: Callable[[socket.socket], None] = lambda made: None
) -> socket.socket:
    """A connected socket. deadline: of the monotonic clock, seconds. holds: is told of each socket first.

    An address that does not answer takes its share of the time alone, so that the next one has a chance.
    Raises TimeoutError: the deadline came first. Other OSError: no such name, or nobody at any address.
    """
    found = _addresses(host, port, deadline)
    failure: OSError = OSError("the name has no address")
    for index, one in enumerate(found):
        try:
            return _connected(one, left(deadline) / (len(found) - index), holds)
        except OSError as error:
            failure = error
    if isinstance(failure, TimeoutError) and time.monotonic() < deadline:  # the system gave up by itself
        raise OSError("nobody answers at its address") from failure
    raise failure


def left(deadline: float) -> float:
    """Seconds until the deadline. Raises TimeoutError where none are left."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _connected(found: Found, timeout_s: float, holds: Callable[[socket.socket], None]) -> socket.socket:
    family, kind, protocol, _, address = found
    made = socket.socket(family, kind, protocol)
    try:
        holds(made)
        made.settimeout(timeout_s)
        made.connect(address)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        made.close()
        raise
    return made


def _addresses(host: str, port: int, deadline: float) -> Sequence[Found]:
    """Raises TimeoutError, OSError as `dial`."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        pass  # a name, then
    # The system's resolver takes no deadline; a thread that it holds up is left behind.
    answers: SimpleQueue[Sequence[Found] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=left(deadline))
    except Empty:
        raise TimeoutError("its name was not resolved in time") from None
    if isinstance(answer, UnicodeError):
        raise OSError("no such name can be")
    if isinstance(answer, Exception):
        raise answer
    return answer
