"""Malformed requests without end against a live server, over real sockets, and what came back."""

import multiprocessing
import socket
from collections import Counter
from dataclasses import dataclass, field

from malformed import ABANDONED, ANSWERED, Target, cases

#: What a server that answers at all needs no longer for; more is taken for a hang.
PATIENCE_S = 20.0
#: Words no answer may hold: files, code, libraries.
TELLTALE = (
    b"Traceback",
    b".py",
    b"site-packages",
    b"numpy",
    b"uvicorn",
    b"starlette",
    b"msgspec",
    b"torch",
    b"httptools",
)


@dataclass
class Tally:
    """What came back, by status; 0: the connection was closed without an answer. wrong: what must not be."""

    statuses: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.statuses += other.statuses
        self.kinds += other.kinds
        self.wrong += other.wrong


class Wire:
    """One connection after another to the server; reads answers as strictly as a client should."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._socket: socket.socket | None = None
        self._rest = b""

    def exchange(self, data: bytes, *, answers: int, abandon: bool) -> list[tuple[int, bytes]]:
        """(status, body) of each answer. Raises TimeoutError: a hang."""
        if self._socket is None:
            self._socket = socket.create_connection((self._target.host, self._target.port), timeout=PATIENCE_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._rest = b""
        found: list[tuple[int, bytes]] = []
        try:
            self._socket.sendall(data)
            if abandon:
                self._socket.shutdown(socket.SHUT_WR)
            while abandon or len(found) < answers:
                answer = self._answer()
                if answer is None:
                    self.close()
                    break
                if answer[0] >= 200:
                    found.append(answer)
        except ConnectionError:
            self.close()
        except TimeoutError:
            self.close()
            raise
        return found

    def _answer(self) -> tuple[int, bytes] | None:
        while b"\r\n\r\n" not in self._rest:
            if not self._more():
                return None
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        status = int(lines[0].split(b" ")[1])
        fields = dict(line.split(b": ", 1) for line in lines[1:])
        length = int(fields.get(b"content-length", b"0"))
        while len(self._rest) < length:
            if not self._more():
                return None
        body, self._rest = self._rest[:length], self._rest[length:]
        return status, body

    def _more(self) -> bool:
        assert self._socket is not None
        data = self._socket.recv(65_536)
        self._rest += data
        return bool(data)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def fuzz(target: Target, *, seed: int, count: int) -> Tally:
    """Send them; what must not be is noted with seed and place: a hang, 5xx but 503, 200, or a telling word."""
    tally, wire = Tally(), Wire(target)
    for place, (kind, framing, messages) in enumerate(cases(seed, target, count)):
        at = f"seed {seed}, case {place}, {kind}: {b''.join(messages)[:300]!r}"
        try:
            answers = wire.exchange(b"".join(messages), answers=len(messages), abandon=framing == ABANDONED)
        except TimeoutError:
            tally.wrong.append(f"no answer within {PATIENCE_S:g} s to {at}")
            continue
        tally.kinds[kind] += len(messages)
        for status, body in answers:
            tally.statuses[status] += 1
            allowed = 400 <= status < 500 or status == 503 or (status == 200 and framing != ANSWERED)
            if not allowed or (status != 200 and any(word in body for word in TELLTALE)):
                tally.wrong.append(f"{status} {body[:200]!r} to {at}")
        tally.statuses[0] += max(0, len(messages) - len(answers))
    wire.close()
    return tally


def fuzz_in_processes(target: Target, *, seed: int, count: int, processes: int) -> Tally:
    """The same, from several processes at once."""
    total = Tally()
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        jobs = [
            pool.apply_async(fuzz, (target,), {"seed": seed + index, "count": count // processes})
            for index in range(processes)
        ]
        for job in jobs:
            total.add(job.get())
    return total


def resident_bytes(process: int) -> int:
    """What a process holds in memory now (Linux)."""
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[1]) * 4096
