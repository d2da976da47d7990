"""Bodies of requests, read within limits: how large one may be, how many are read at once, what all of them hold."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.served import ServedModel
from runtime.server import Receive

Body = bytes | memoryview

#: A body of many rows is no larger.
MOST_BODY_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Limits:
    """most_rows: of one request. most_bytes: of a body; derived from the models where None. most_bodies: read at one
    time. most_held_bytes: of all bodies that are read or wait. body_s: how long one may take to arrive, seconds."""

    most_rows: int = 512
    most_bytes: int | None = None
    most_bodies: int = 64
    most_held_bytes: int = 2**30
    body_s: float = 60.0

    def body_bytes(self, models: Sequence[ServedModel]) -> int:
        if self.most_bytes is not None:
            return self.most_bytes
        largest = max(model.row_bytes for model in models)
        # One row always goes, also as JSON, whose numbers take up to some 25 characters; many as far as memory lasts.
        return 65_536 + max(25 * largest, min(self.most_rows * largest, MOST_BODY_BYTES))


class RefusedError(Exception):
    """What a client is told instead of an answer. reason: one word, for metrics and logs."""

    def __init__(self, status: int, reason: str, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.reason, self.retry_after_s = status, reason, retry_after_s


class GoneError(Exception):
    """The client has closed the connection."""


class Bodies:
    """All bodies of one application. most_bytes: of one."""

    def __init__(self, limits: Limits, *, most_bytes: int) -> None:
        self.limits, self.most_bytes = limits, most_bytes
        self._open, self._held_bytes = 0, 0

    def admit(self, length: int | None) -> "HeldBody":
        """Count a body of this length, where it is told; to be released. Raises RefusedError for what is not worth
        reading."""
        if length is not None and length > self.most_bytes:
            raise _too_large()
        if self._open >= self.limits.most_bodies:
            busy = f"busy: {self.limits.most_bodies} requests are being read, try again"
            raise RefusedError(503, "bodies", busy, retry_after_s=1)
        held = HeldBody(self)
        held.hold(length or 0)
        return held

    def hold(self, more_bytes: int) -> None:
        """Raises RefusedError where they do not fit beside what is held."""
        if self._held_bytes + more_bytes > max(self.limits.most_held_bytes, self.most_bytes):
            raise RefusedError(503, "memory", "busy: requests that wait fill the memory, try again", retry_after_s=1)
        self._held_bytes += more_bytes

    def release(self, held_bytes: int) -> None:
        self._held_bytes -= held_bytes

    async def read(self, receive: Receive, held: "HeldBody", *, whole: bool) -> Body:
        """The body; never more than the limit is held. whole: it is there already. Raises RefusedError, GoneError."""
        if whole:
            body: Body = (await receive())["body"]
            return body
        self._open += 1
        try:
            async with asyncio.timeout(self.limits.body_s):
                return await self._parts(receive, held)
        except TimeoutError:
            late = f"the body did not arrive within {self.limits.body_s:g} s"
            raise RefusedError(408, "late", late) from None
        finally:
            self._open -= 1

    async def _parts(self, receive: Receive, held: "HeldBody") -> Body:
        parts: list[Body] = []
        total = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise GoneError
            part = message.get("body", b"")
            total += len(part)
            if total > self.most_bytes:
                raise _too_large()
            if (untold := total - held.count) > 0:  # in chunks, whose length nobody tells before
                held.hold(untold)
            parts.append(part)
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)


class HeldBody:
    """What one request's body counts for among all that are held."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies, self.count = bodies, 0

    def hold(self, more_bytes: int) -> None:
        self._bodies.hold(more_bytes)
        self.count += more_bytes

    def release(self) -> None:
        self._bodies.release(self.count)


def _too_large() -> RefusedError:
    return RefusedError(413, "size", "the body is larger than this server takes")
