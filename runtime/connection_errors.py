"""How an exchange over a connection can fail, and which of an operating system's errors is which."""

import ssl
import time


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


def failure(error: OSError, deadline: float) -> ConnectionFailed:
    if isinstance(error, TimeoutError) and time.monotonic() >= deadline - 1e-3:  # else the system gave up by itself
        return DeadlinePassed("no answer in time")
    if isinstance(error, ssl.SSLError):
        return Distrusted(_reason(error))
    return Dropped(error.strerror or str(error) or type(error).__name__)


def _reason(error: ssl.SSLError) -> str:
    return getattr(error, "verify_message", "") or (error.reason or str(error)).replace("_", " ").lower()
