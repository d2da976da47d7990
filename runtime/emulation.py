"""A link that is not here: a TCP proxy that gives every byte the rate and delay of a LinkProfile, both ways.

Needs no root. A byte leaves when the link is free and its predecessors have gone (rate), and arrives half a round
trip later (delay). Rate is shared by all connections, as on a real link. It runs as a process of its own, so that
its waiting takes no time from either half:

    python -m runtime.emulation LINK.json HOST PORT       prints the port it listens on; ends with its standard input
"""

import contextlib
import queue
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from profiles import artifact
from profiles.link import LinkProfile

CHUNK_BYTES = 16_384
#: A sleeping thread wakes up to half a millisecond late; the last stretch is waited for awake.
AWAKE_NS = 600_000
#: Bytes that may be under way before the sender is held back.
MOST_QUEUED_CHUNKS = 4096


@dataclass
class Direction:
    """One way of a link: rate in Mbps, delay in ms for every byte."""

    mbps: float
    delay_ms: float
    _free_ns: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arrival_ns(self, count: int, now_ns: int) -> float:
        """When `count` bytes handed over now have all arrived."""
        with self._lock:
            self._free_ns = max(self._free_ns, now_ns) + 8000 * count / self.mbps
            return self._free_ns + 1e6 * self.delay_ms


class EmulatedLink:
    """Listens on loopback, forwards to a target over the emulated link."""

    def __init__(self, link: LinkProfile, host: str, port: int) -> None:
        self._target = (host, port)
        delay_ms = link.rtt_ms / 2 + link.overhead_ms
        self._up, self._down = Direction(link.uplink_mbps, delay_ms), Direction(link.downlink_mbps, delay_ms)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Accept until the listener is closed."""
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target)
            except OSError:  # nobody there now; there may be for the next
                near.close()
                continue
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _carry(near, far, self._up)
            _carry(far, near, self._down)

    def close(self) -> None:
        self._listener.close()


def _carry(source: socket.socket, target: socket.socket, way: Direction) -> None:
    """Two threads: one stamps what comes with its arrival time, one hands it on at that time."""
    waiting: queue.Queue[tuple[float, bytes]] = queue.Queue(MOST_QUEUED_CHUNKS)
    threading.Thread(target=_read, args=(source, way, waiting), daemon=True).start()
    threading.Thread(target=_write, args=(target, source, waiting), daemon=True).start()


def _read(source: socket.socket, way: Direction, waiting: "queue.Queue[tuple[float, bytes]]") -> None:
    while True:
        try:
            data = source.recv(CHUNK_BYTES)
        except OSError:
            data = b""
        waiting.put((way.arrival_ns(len(data), time.monotonic_ns()), data))
        if not data:
            return


def _write(target: socket.socket, source: socket.socket, waiting: "queue.Queue[tuple[float, bytes]]") -> None:
    while True:
        arrival_ns, data = waiting.get()
        wait_until(arrival_ns)
        try:
            if not data:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(data)
        except OSError:
            with contextlib.suppress(OSError):
                source.shutdown(socket.SHUT_RD)
            return


def wait_until(deadline_ns: float) -> None:
    """Sleep, then stay awake until the monotonic clock shows the deadline."""
    while (left := deadline_ns - time.monotonic_ns()) > 0:
        # sleep(0) lets other threads of this process go on meanwhile.
        time.sleep(max(0.0, (left - AWAKE_NS) / 1e9))


def main() -> None:
    link_file, host, port = sys.argv[1:4]
    emulated = EmulatedLink(artifact.read(Path(link_file), LinkProfile), host, int(port))
    threading.Thread(target=emulated.serve, daemon=True).start()
    sys.stdout.write(f"{emulated.port}\n")
    sys.stdout.flush()
    # Whoever started this holds the other end of standard input; when they are gone, so is this.
    sys.stdin.read()


if __name__ == "__main__":
    main()
