"""A bound socket, and uvicorn on it."""

import functools
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

from profiles.errors import ListenError
from runtime.connections import GuardedConnection
from runtime.doors import ConnectionLimits, Doors
from runtime.guard import ServerSecurity
from runtime.lean_http import LeanProtocol

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises ListenError: the port is taken, or the address is not this machine's."""
    if not host:
        raise ListenError("no address to listen on; give --host 127.0.0.1, or 0.0.0.0 for every interface")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        found.bind((host, port))
        found.listen(128)
    except (OSError, OverflowError) as error:
        found.close()
        raise ListenError(
            f"cannot listen on {host}:{port} ({getattr(error, 'strerror', None) or error}); "
            "choose another with --port (0 takes a free one)"
        ) from error
    return found


class Server(uvicorn.Server):
    """uvicorn on a socket that is already bound; no lines of its own on the terminal."""

    def __init__(
        self,
        app: Application,
        *,
        security: ServerSecurity | None = None,
        limits: ConnectionLimits | None = None,
        keep_alive_s: int = 75,
    ) -> None:
        """app: a `CloudApp`, or what stands in front of one. security: who is let in, and TLS; None: everyone, in
        plain. limits: of connections and of how requests arrive."""
        security = security or ServerSecurity()
        connection = functools.partial(GuardedConnection, doors=Doors(limits or ConnectionLimits()))
        settings = uvicorn.Config(
            security.guarded(app),
            # It is made and used as an asyncio.Protocol is.
            http=functools.partial(LeanProtocol, make=connection),  # type: ignore[arg-type]
            ws="none",
            interface="asgi3",
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            lifespan="on",
            date_header=False,
            server_header=False,
            timeout_keep_alive=keep_alive_s,
            timeout_graceful_shutdown=2,
        )
        settings.load()
        settings.ssl = security.tls  # a context that is made already has no other way in
        super().__init__(settings)
