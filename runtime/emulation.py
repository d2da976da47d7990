"""A link that is not here: a TCP proxy that gives every byte the rate and delay of a LinkProfile, both ways.

Needs no root. A byte leaves when the link is free and its predecessors have gone (rate), and arrives half a round
trip later (delay). Rate is shared by all connections, as on a real link. It runs as a process of its own, so that
its waiting takes no time from either half:

    python -m runtime.emulation LINK.json HOST PORT       prints the port it listens on; ends with its standard input

Orders on standard input, one JSON object a line, change the link while it runs, and break it: see `Order`.
"""

import heapq
import selectors
import socket
import struct
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Literal

import msgspec

from profiles import artifact
from profiles.link import LinkProfile

CHUNK_BYTES = 16_384
#: A sleeping thread wakes up to half a millisecond late; the last stretch is waited for awake.
AWAKE_NS = 600_000
#: Linux: stamp what is received. A timespec of two longs comes beside the data.
SO_TIMESTAMPNS, TIMESPEC = 35, struct.Struct("@ll")
STAMP_BYTES = 64
#: A stamp older than this is no measure of waking; the sender's pace would be forgotten.
MOST_LATE_NS = 50_000_000
#: Bytes under way on one connection before its sender is held back.
MOST_QUEUED_BYTES = 64 * 2**20


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """What shall be otherwise from now on.

    link: its rates and delay. state: `up`; `stalled`, nothing passes and nothing is lost; `cut`, connections are
    reset and new ones end at once. reply_bytes: the next reply breaks off after so many.
    """

    link: LinkProfile | None = None
    state: Literal["up", "stalled", "cut"] | None = None
    reply_bytes: int | None = None


@dataclass
class Direction:
    """One way of a link: rate in Mbps, delay in ms for every byte."""

    mbps: float
    delay_ms: float
    _free_ns: float = 0.0

    def arrival_ns(self, count: int, now_ns: int) -> float:
        """When `count` bytes handed over now have all arrived."""
        self._free_ns = max(self._free_ns, now_ns) + 8000 * count / self.mbps
        return self._free_ns + 1e6 * self.delay_ms


class EmulatedLink:
    """Listens on loopback, forwards to a target over the emulated link. One thread carries all."""

    def __init__(self, link: LinkProfile, host: str, port: int) -> None:
        self._target = (host, port)
        self._up, self._down = Direction(1.0, 0.0), Direction(1.0, 0.0)
        self._set(link)
        self._state = "up"
        self._reply_bytes: int | None = None
        self._closed = False
        self._ends: set[_End] = set()
        self._under_way: list[tuple[float, int, _End, bytes]] = []
        self._turn = count()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        # `select` alone waits by microseconds; epoll's milliseconds would be too coarse.
        self._selector = selectors.SelectSelector()
        self._told, self._tell = socket.socketpair()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._told, selectors.EVENT_READ)

    def order(self, order: Order) -> None:
        """Change the link; from any thread."""
        self._tell.sendall(msgspec.json.encode(order) + b"\n")

    def close(self) -> None:
        """End `serve`; from any thread."""
        self._tell.close()

    def serve(self) -> None:
        """Carry bytes until closed."""
        while not self._closed:
            for key, events in self._selector.select(self._wait_s()):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._told:
                    self._obey()
                elif key.data in self._ends:  # else it was closed in this round
                    self._carry(key.data, events)
            if self._state != "stalled":
                self._deliver()
        for end in list(self._ends):
            self._drop(end)
        self._listener.close()
        self._told.close()
        self._selector.close()

    def _wait_s(self) -> float | None:
        """How long to sleep; 0, awake, in the last stretch before something arrives."""
        if not self._under_way or self._state == "stalled":
            return None
        return max(0.0, (self._under_way[0][0] - time.monotonic_ns() - AWAKE_NS) / 1e9)

    def _set(self, link: LinkProfile) -> None:
        delay_ms = link.rtt_ms / 2 + link.overhead_ms
        self._up.mbps, self._up.delay_ms = link.uplink_mbps, delay_ms
        self._down.mbps, self._down.delay_ms = link.downlink_mbps, delay_ms

    def _obey(self) -> None:
        data = self._told.recv(65_536)
        self._closed = not data
        for line in data.splitlines():
            order = msgspec.json.decode(line, type=Order)
            if order.link is not None:
                self._set(order.link)
            self._state = order.state or self._state
            self._reply_bytes = self._reply_bytes if order.reply_bytes is None else order.reply_bytes
        if self._state == "cut":
            for end in list(self._ends):
                self._drop(end)

    def _accept(self) -> None:
        try:
            near, _ = self._listener.accept()
        except OSError:
            return
        try:
            if self._state == "cut":
                raise ConnectionError
            far = socket.create_connection(self._target)
        except OSError:  # nobody there now; there may be for the next
            near.close()
            return
        edge, cloud = _End(near, self._up), _End(far, self._down)
        edge.other, cloud.other = cloud, edge
        for end in (edge, cloud):
            end.socket.setblocking(False)
            end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if sys.platform == "linux":
                end.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self._ends.add(end)
            self._selector.register(end.socket, selectors.EVENT_READ, end)

    def _carry(self, end: "_End", events: int) -> None:
        if events & selectors.EVENT_READ:
            self._read(end)
        if events & selectors.EVENT_WRITE and end in self._ends:
            self._write(end)

    def _read(self, end: "_End") -> None:
        """Stamp what comes from one end with its arrival at the other."""
        try:
            data, sent_ns = _received(end.socket)
        except BlockingIOError:
            return
        except OSError:
            data, sent_ns = b"", time.monotonic_ns()
        arrival_ns = end.way.arrival_ns(len(data), sent_ns)
        end.ended = not data
        end.under_way_bytes += len(data)
        heapq.heappush(self._under_way, (arrival_ns, next(self._turn), end, data))
        self._listen(end)

    def _deliver(self) -> None:
        """Hand on what has arrived."""
        while self._under_way and self._under_way[0][0] <= time.monotonic_ns():
            _, _, source, data = heapq.heappop(self._under_way)
            if source.other in self._ends:
                breaks_off = source.way is self._down and self._reply_bytes is not None
                source.other.due.append(memoryview(data[: self._reply_bytes] if breaks_off else data))
                self._write(source.other)
                if breaks_off:
                    self._reply_bytes = None
                    self._drop(source)

    def _write(self, end: "_End") -> None:
        """Give an end what is due to it, as far as it takes it."""
        source = end.other
        try:
            while end.due:
                if not len(end.due[0]):  # the other end has said all
                    end.due.popleft()
                    end.socket.shutdown(socket.SHUT_WR)
                    end.shut = True
                    continue
                taken = end.socket.send(end.due[0])
                source.under_way_bytes -= taken
                end.due[0] = end.due[0][taken:]
                if not len(end.due[0]):
                    end.due.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._drop(end)
            return
        if end.shut and source.shut:
            self._drop(end)
            return
        self._listen(end)
        self._listen(source)

    def _listen(self, end: "_End") -> None:
        """Ask for what an end can do next: be read from unless too much is under way, written to where it is due."""
        if end not in self._ends:
            return
        reads = not end.ended and end.under_way_bytes < MOST_QUEUED_BYTES
        wanted = (selectors.EVENT_READ if reads else 0) | (selectors.EVENT_WRITE if end.due else 0)
        if wanted == end.asked:
            return
        if wanted and end.asked:
            self._selector.modify(end.socket, wanted, end)
        elif wanted:
            self._selector.register(end.socket, wanted, end)
        else:
            self._selector.unregister(end.socket)
        end.asked = wanted

    def _drop(self, end: "_End") -> None:
        """Close both ends of a connection."""
        for one in (end, end.other):
            if one in self._ends:
                self._ends.discard(one)
                if one.asked:
                    self._selector.unregister(one.socket)
                one.socket.close()


@dataclass(eq=False)
class _End:
    """One end of a carried connection. way: of what it sends. due: what has arrived for it and was not taken yet.

    under_way_bytes: read from it and not yet taken by the other end. asked: events waited for.
    """

    socket: socket.socket
    way: Direction
    under_way_bytes: int = 0
    due: deque[memoryview] = field(default_factory=deque)
    ended: bool = False
    shut: bool = False
    asked: int = selectors.EVENT_READ
    other: "_End" = field(init=False)


def _received(source: socket.socket) -> tuple[bytes, int]:
    """What has come, and when: on Linux by the kernel's own stamp, so that what this process needs to wake is no part
    of the link. Monotonic clock, ns."""
    if sys.platform != "linux":
        return source.recv(CHUNK_BYTES), time.monotonic_ns()
    data, more, _, _ = source.recvmsg(CHUNK_BYTES, STAMP_BYTES)
    now_ns = time.monotonic_ns()
    for level, kind, stamp in more:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(stamp) == TIMESPEC.size:
            seconds, nanoseconds = TIMESPEC.unpack(stamp)
            late_ns = time.time_ns() - (seconds * 10**9 + nanoseconds)
            # The stamp is of the wall clock, which may be set at any time.
            if 0 <= late_ns < MOST_LATE_NS:
                return data, now_ns - late_ns
    return data, now_ns


def main() -> None:
    link_file, host, port = sys.argv[1:4]
    emulated = EmulatedLink(artifact.read(Path(link_file), LinkProfile), host, int(port))
    threading.Thread(target=emulated.serve, daemon=True).start()
    sys.stdout.write(f"{emulated.port}\n")
    sys.stdout.flush()
    # Whoever started this holds the other end of standard input; when they are gone, so is this.
    for line in sys.stdin.buffer:
        emulated.order(msgspec.json.decode(line, type=Order))


if __name__ == "__main__":
    main()
