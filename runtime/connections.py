"""Connections to the server, each within bounds: uvicorn's HTTP protocol with the limits that it lacks.

uvicorn (with httptools) bounds neither the size of a request's head nor how long head and body may take, nor how many
connections or half-sent requests one client holds (`doors`).
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from runtime import protocol
from runtime.doors import Doors, peer_of
from runtime.lean_http import LeanHttp

#: After an answer that ends a connection, what still comes is thrown away for so long: closing at once would make the
#: system reset the connection, and the peer would lose the answer.
LINGER_S = 1.0


class GuardedConnection(LeanHttp):
    """One connection. `doors` is the server's."""

    def __init__(self, *, doors: Doors, **rest: Any) -> None:
        super().__init__(**rest)
        self.peer = ""
        self._doors, self._limits = doors, doors.limits
        self._inside = False
        self._lingering = False  # turned away: what still comes is thrown away
        # Of the message that is coming: whether any byte came, whether its head is whole, and what it weighs.
        self._begun, self._in_head = False, True
        self._raw = self._head = self._fields = self._arrived = 0
        self._heads = 0  # that began in one piece of data
        self._since = self.loop.time()
        self._due: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._refusal: tuple[int, str] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.peer = peer_of(self.client[0] if self.client else "")
        self._inside = True
        self._since = self.loop.time()
        if self._doors.enter(self.peer):
            self._wait()
        else:
            self.turn_away(503, "too many connections, try again", linger_s=0)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._inside:
            self._inside = False
            self._doors.leave(self.peer)
        self._doors.end(self)
        self._stop_waiting()
        self._cancel_unread()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingering or self.transport.is_closing():
            return
        alone = not self._begun or self._in_head
        self._heads = 0
        super().data_received(data)
        if self._lingering or self.transport.is_closing():
            return
        if alone and self._begun and self._in_head and self._heads <= 1:  # all of it was of this one head
            self._raw += len(data)  # of a field that never ends nothing reaches `on_header`
            if self._raw > self._limits.head_bytes:
                self.turn_away(431, "the request's header fields are larger than this server takes")
                return
        self._watch()

    # The parser's callbacks

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun = self._in_head = True
        self._heads += 1
        self._raw = self._head = self._fields = self._arrived = 0
        self._since = self.loop.time()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self._limits.url_bytes:
            self._refuse(414, "the URL is longer than this server takes")

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come here too, after the body.
        self._head += len(name) + len(value)
        self._fields += 1
        if self._head > self._limits.head_bytes or self._fields > self._limits.head_fields:
            self._refuse(431, "the request's header fields are larger than this server takes")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._since = self.loop.time()
        super().on_headers_complete()
        if len(self.pipeline) > self._limits.most_pipelined:
            self._refuse(429, "too many requests were sent ahead of their answers")

    def on_body(self, body: bytes) -> None:
        self._arrived += len(body)
        if self.cycle.response_complete and self._arrived > self._limits.drained_bytes:
            self._refuse(413, "the body is larger than this server takes")
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._begun = False
        super().on_message_complete()

    def body_arrived(self, count: int) -> None:
        self._arrived += count
        super().body_arrived(count)
        if not self._lingering and not self.transport.is_closing():
            self._watch()

    def _refuse(self, status: int, message: str) -> None:
        """Stop the parser from within one of its callbacks; it then calls `send_400_response`."""
        self._refusal = status, message
        raise ValueError(message)

    def send_400_response(self, msg: str) -> None:
        self.turn_away(*(self._refusal or (400, "this is not HTTP/1.1 as it should be")))

    def _unsupported_upgrade_warning(self) -> None:
        # What follows would be of another protocol; the parser reads no further.
        if self.cycle is not None:
            self.cycle.keep_alive = False

    # Time

    def _watch(self) -> None:
        """After every piece of data: a request of which a part is missing has a place to take and a clock to beat."""
        if not self._begun:
            self._doors.end(self)
            if self._is_idle:  # what came was blank lines, which begin nothing; a connection is not held open by them
                if self._due is None:
                    self._since, self._in_head = self.loop.time(), True
                self._wait()
            else:
                self._stop_waiting()
            return
        if not self._in_head and self not in self._doors.half_sent and not self._doors.begin(self):
            self.turn_away(503, "busy: too many requests are half sent, try again")
            return
        self._wait()

    @property
    def _is_idle(self) -> bool:
        return (self.cycle is None or self.cycle.response_complete) and self.timeout_keep_alive_task is None

    def _wait(self) -> None:
        if self._due is None:
            tick = min(1.0, self._limits.head_s / 4, self._limits.body_s / 4)
            self._due = self.loop.call_later(tick, self._tick, tick)

    def _stop_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _tick(self, tick: float) -> None:
        self._due = None
        if self._lingering or self.transport.is_closing():
            return
        if self.flow.read_paused:  # it is we who do not read
            self._since += tick
        took = self.loop.time() - self._since
        if not self._begun and took > self._limits.head_s:
            self.transport.close()
        elif self._in_head and took > self._limits.head_s:
            self.turn_away(408, f"the request did not arrive within {self._limits.head_s:g} s")
        elif not self._in_head and (
            took > self._limits.body_s
            or self._arrived < (took - self._limits.grace_s) * self._limits.least_bytes_per_s
        ):
            self.turn_away(408, f"the body did not arrive within {took:.0f} s")
        else:
            self._wait()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self._limits.reply_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel_unread()

    def _cancel_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    # The end

    def turn_away(self, status: int, message: str, *, linger_s: float = LINGER_S) -> None:
        """Answer with an error, where an answer has its place, and end the connection."""
        if self._lingering or self.transport.is_closing():
            return
        self._lingering = True
        self.forget()
        self._doors.end(self)
        self._stop_waiting()
        cycle = self.cycle
        owed = cycle is not None and not cycle.response_complete
        # Where an earlier request of this connection waits for its answer, this one would be taken for it; and what
        # was answered before its body had come gets no second answer.
        answered = self._begun and not self._in_head and cycle is not None and cycle.response_complete
        if not self.pipeline and not answered and not (owed and (cycle.response_started or self._in_head)):
            self.transport.write(_answer(status, message))
        if owed:
            cycle.disconnected = True
            cycle.message_event.set()
        self.flow.resume_reading()
        self._unset_keepalive_if_required()
        self.loop.call_later(linger_s, self.transport.close)

    def shutdown(self) -> None:
        if self._lingering:
            self.transport.close()
        else:
            super().shutdown()


def _answer(status: int, message: str) -> bytes:
    body = protocol.encode_error(message)
    again = b"retry-after: 1\r\n" if status in (429, 503) else b""
    head = b"content-type: application/json\r\ncontent-length: %d\r\n%sconnection: close\r\n\r\n"
    return STATUS_LINE[status] + head % (len(body), again) + body
