"""uvicorn's HTTP with two short cuts for inferences; everything else is uvicorn's own.

A POST whose body came with its headers is handed to the application where it stands: no task, no second turn of the
event loop, unless the application has to wait. A larger body is read by the operating system straight into one
buffer, in which the first tensor lies aligned: none of the five copies that parsing it in pieces makes.

The application is any ASGI application and sees nothing of this but the body as one message.
"""

import asyncio
from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any

import httptools
import numpy as np
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from runtime import eager, protocol

#: Bytes read at one time until a body's own buffer stands; below the size at which uvicorn stops to read.
SCRATCH_BYTES = HIGH_WATER_LIMIT // 2
#: Where the first tensor's bytes begin in memory is a multiple of this: a cache line, and enough for any instruction.
ALIGNMENT = 64
#: ASGI extension: the body is there already, `receive` gives it without waiting, and there may be no current task.
WHOLE_BODY = "plan.whole_body"
_HEADER_LENGTH = protocol.HEADER_LENGTH.lower().encode()

Message = MutableMapping[str, Any]


class LeanProtocol(asyncio.BufferedProtocol):
    """One connection's bytes, into whatever buffer they belong. For `uvicorn.Config(http=LeanProtocol)`.

    It holds uvicorn's protocol and is not one: an event loop reads into no buffer of an `asyncio.Protocol`.
    """

    def __init__(self, *args: Any, make: "Callable[..., LeanHttp] | None" = None, **kwargs: Any) -> None:
        """make: what holds the connection, a `LeanHttp` or one that adds to it; it gets the other arguments."""
        self._http = http = (make or LeanHttp)(*args, **kwargs)
        self._scratch = memoryview(bytearray(SCRATCH_BYTES))
        self.connection_made = http.connection_made  # type: ignore[method-assign, assignment]
        self.connection_lost = http.connection_lost  # type: ignore[method-assign]
        self.pause_writing = http.pause_writing  # type: ignore[method-assign]
        self.resume_writing = http.resume_writing  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:
        body = self._http.body
        return self._scratch if body is None else body.rest()

    def buffer_updated(self, nbytes: int) -> None:
        if self._http.body is None:
            self._http.parse(bytes(self._scratch[:nbytes]))
        else:
            self._http.body_arrived(nbytes)


class LeanHttp(HttpToolsProtocol):
    """uvicorn's protocol with the two short cuts.

    A class that adds to it sees the bytes of large bodies in `body_arrived` alone, all others in `data_received`, and
    the end of either in `on_message_complete`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held: _Held | None = None  # a request whose body is not whole yet, not begun
        self.body: _Body | None = None  # a body that is read into a buffer of its own

    def parse(self, data: bytes) -> None:
        self.data_received(data)
        if self._held is not None:  # the rest is still on its way
            held, self._held = self._held, None
            self.flow.pause_reading()  # nothing more is read until the application asks
            super()._start_asgi_task(held.cycle, held.reading)

    def forget(self) -> None:
        """Neither begin what is held nor fill a body: the connection is being given up."""
        self._held = self.body = None

    def read_into(self, body: "_Body") -> None:
        self.body = body
        self.flow.resume_reading()

    def body_arrived(self, count: int) -> None:
        self._unset_keepalive_if_required()
        assert self.body is not None
        if self.body.arrived(count):
            self.body = None
            self.parser = httptools.HttpRequestParser(self)  # the old one still waits for the body
            self.on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        waits = cycle is self.cycle and cycle.more_body  # not one that was pipelined and is whole
        length = _plain_length(cycle) if waits else None
        if length is None or self.body is not None:
            super()._start_asgi_task(cycle, app)
        else:
            self._held = _Held(self, cycle, app, length)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._held is not None:
            held, self._held = self._held, None
            held.cycle.scope["extensions"] = {WHOLE_BODY: {}}
            eager.begin(held.cycle.run_asgi(held.app), self._spawn)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(coroutine)
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_response_complete(self) -> None:
        if self.body is not None:  # answered before all had come: where the next request begins is not known
            self.body = None
            self.transport.close()
        super().on_response_complete()


class _Held:
    """A request that waits for its body."""

    def __init__(self, connection: LeanHttp, cycle: RequestResponseCycle, app: Any, length: int) -> None:
        self.cycle, self.app = cycle, app
        self._connection, self._length = connection, length

    async def reading(self, scope: Any, receive: Any, send: Any) -> None:
        """The application, while the body is on its way."""
        body: _Body | None = None

        async def whole() -> Message:
            nonlocal body
            cycle = self.cycle
            if body is not None or cycle.response_complete or cycle.disconnected or not cycle.more_body:
                message: Message = await receive()
                return message
            body = _Body(cycle, self._length)
            cycle.message_event.clear()  # set when the first part came
            self._connection.read_into(body)
            await cycle.message_event.wait()
            cycle.message_event.clear()
            if not body.complete:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": body.view, "more_body": False}

        await self.app(scope, whole, send)


class _Body:
    """A body of known length in one buffer, of which the first part is there."""

    def __init__(self, cycle: RequestResponseCycle, length: int) -> None:
        header = _number(cycle, _HEADER_LENGTH) or 0
        room = np.empty(length + ALIGNMENT, np.uint8)  # not touched before it is filled
        start = -(room.ctypes.data + header) % ALIGNMENT
        self.view = memoryview(room)[start : start + length]  # type: ignore[arg-type]
        first, cycle.body = cycle.body, bytearray()
        self.view[: len(first)] = first
        self._filled = len(first)

    @property
    def complete(self) -> bool:
        return self._filled == len(self.view)

    def rest(self) -> memoryview:
        return self.view[self._filled :]

    def arrived(self, count: int) -> bool:
        self._filled += count
        return self.complete


def _number(cycle: RequestResponseCycle, wanted: bytes) -> int | None:
    """A header's number, None where it is not there once, or is none."""
    found = [value for name, value in cycle.scope["headers"] if name == wanted]
    return int(found[0]) if len(found) == 1 and found[0].isdigit() and len(found[0]) <= 18 else None


def _plain_length(cycle: RequestResponseCycle) -> int | None:
    """The length of a POST's body where it is told and nothing special is asked for."""
    if cycle.scope["method"] != "POST" or cycle.waiting_for_100_continue:
        return None
    return _number(cycle, b"content-length")
