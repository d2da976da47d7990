"""The far end of a handling measurement: an ASGI application that does with a message what a cloud half does.

It reads the body, decodes the JSON header, makes an array, waits as long as a pause, so that the client goes to sleep
as it does for a network, and replies with a JSON header and bytes. What is short is computed in the event loop, so no
thread is here. Readings of the clock that all processes of a machine share go into the reply.

    python -m profiles.handling_server PAUSE_MS      prints the port it listens on; ends with its standard input
"""

import asyncio
import contextlib
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import numpy as np
import uvicorn

from profiles.handling_message import HEADER_LENGTH, decoded, encoded

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


#: A half that computes lets other things go cold: as much memory is gone through instead.
COOLED_BYTES = 4 * 2**20


class Echo:
    """Answers every request with ten numbers. The reply's `sent_ns` is of the reply before it, as a reply cannot
    say when it was sent."""

    def __init__(self, pause_ms: float) -> None:
        self._pause_s, self._sent_ns = pause_ms / 1000, 0
        self._memory = np.zeros(COOLED_BYTES // 8)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        parts, more = [], True
        while more:
            event = await receive()
            parts.append(event.get("body", b""))
            more = event.get("more_body", False)
        request = decoded(b"".join(parts), int(headers[HEADER_LENGTH.lower().encode()]))
        rows = len(next(iter(request.values())))
        received_ns = time.monotonic_ns()
        await asyncio.sleep(self._pause_s)
        self._memory += 1.0
        outputs = {"fc2": np.zeros((rows, 10), dtype=np.float32)}
        replied_ns = time.monotonic_ns()
        parameters = {"received_ns": received_ns, "replied_ns": replied_ns, "sent_ns": self._sent_ns}
        head, body = encoded(outputs, parameters, model="lenet")
        fields = [
            (b"content-type", b"application/octet-stream"),
            (HEADER_LENGTH.lower().encode(), str(len(head)).encode()),
            (b"content-length", str(len(head) + len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": head + body})
        self._sent_ns = time.monotonic_ns()


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    settings = uvicorn.Config(
        Echo(float(sys.argv[1])),
        log_level="critical",
        access_log=False,
        lifespan="off",
        date_header=False,
        server_header=False,
        interface="asgi3",
    )
    server = uvicorn.Server(settings)

    def until_eof() -> None:
        with contextlib.suppress(OSError):
            sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=until_eof, daemon=True).start()
    # The system queues a connection from here on.
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    asyncio.run(server.serve(sockets=[listener]))


if __name__ == "__main__":
    main()
