"""One inference at a time over all models; requests that wait for one model become one batch.

Two inferences side by side would share the cores and both come later. A request that finds the engine idle and whose
model is known to be fast is computed where it stands, in the event loop: a thread costs as much as such an inference.
Whatever arrives in the same turn of the loop, or while the engine works, waits and is computed as one batch.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.served import ServedModel

Array = NDArray[Any]

#: An inference that is expected to take longer leaves the event loop, which must answer others meanwhile.
MOST_INLINE_NS = 2_000_000
#: Weight of the newest inference in what one is expected to take.
NEWEST = 0.2


class BusyError(Exception):
    """More requests wait than may. retry_after_s: when there may be room, whole seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


class EngineError(Exception):
    """The engine failed on a request, alone as well as among others."""


@dataclass(frozen=True)
class Batching:
    """most_rows: of a batch made of several requests; 1: none is made. delay_ms: how long a request waits for others
    where the engine is free. most_waiting: requests, beyond the one that is computed."""

    most_rows: int = 32
    delay_ms: float = 0.0
    most_waiting: int = 128


@dataclass(frozen=True)
class Computed:
    """outputs: a request's own rows. start_ns, end_ns: the engine's, on the monotonic clock. requests, rows: of the
    batch in which they were computed."""

    outputs: Sequence[Array]
    start_ns: int
    end_ns: int
    requests: int
    rows: int


@dataclass(eq=False)
class _Job:
    model: ServedModel
    inputs: Sequence[Array]
    rows: int
    until: float  # the loop's time up to which it waits for others
    done: "asyncio.Future[Computed]"


@dataclass
class _Expected:
    """What an inference of a model takes, by the number of its rows to the next power of two."""

    typical_ns: dict[int, float] = field(default_factory=dict)

    def of(self, rows: int) -> float:
        """Rows together take no longer than one by one."""
        size = rows.bit_length()
        found = [self.typical_ns.get(smaller, math.inf) * (1 << (size - smaller)) for smaller in range(1, size + 1)]
        return min(found)

    def took(self, rows: int, duration_ns: int) -> None:
        """A faster one is believed at once: a slower one may have waited for the interpreter's lock in its thread."""
        size = rows.bit_length()
        known = self.typical_ns.get(size, float(duration_ns))
        self.typical_ns[size] = min(duration_ns, known + NEWEST * (duration_ns - known))


class Scheduler:
    """Runs inferences; used from one event loop alone."""

    def __init__(self, batching: Batching, *, batched: Callable[[ServedModel, int, int], None] | None = None) -> None:
        """batched: told of every batch, once its replies are on their way: its model, requests and rows."""
        self.batching = batching
        self._batched = batched or (lambda model, requests, rows: None)
        self._made: deque[tuple[ServedModel, int, int]] = deque()
        self._waiting: deque[_Job] = deque()
        self._worker = ThreadPoolExecutor(1, "infer")
        self._expected: dict[str, _Expected] = {}
        self._busy = False
        self._turn_comes = False  # when all has been read that this turn of the loop brings
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def soon(self) -> bool:
        """Whether what is submitted now is computed within the next turns of the event loop."""
        return not self._busy and not self.batching.delay_ms and len(self._waiting) < self.batching.most_rows

    def expected_ms(self, model: ServedModel, rows: int = 1) -> float:
        """What an inference is expected to take; infinite where none was timed."""
        return self._of(model).of(rows) / 1e6

    async def warm_up(self, model: ServedModel, *, times: int = 3) -> None:
        """Inferences on zeros. Raises EngineError."""
        await self._queued(model, model.example(), 1, waits=False)
        self._of(model).typical_ns.clear()  # the first takes longer than any after it and is no measure
        for _ in range(times):
            await self._queued(model, model.example(), 1, waits=False)

    def run_now(self, model: ServedModel, inputs: Sequence[Array], rows: int) -> Computed | None:
        """The answer at once, where nothing waits and none will wait long for it; else None. Raises EngineError."""
        free = not (self._busy or self._waiting or self._turn_comes)
        if not free or self.batching.delay_ms or self._of(model).of(rows) > MOST_INLINE_NS:
            return None
        self._wake(asyncio.get_running_loop())
        return self._alone(model, inputs, rows)

    def submit(self, model: ServedModel, inputs: Sequence[Array], rows: int) -> "asyncio.Future[Computed]":
        """The answer, in its turn, or EngineError. Cancel it and it is dropped, if it has not begun.

        Raises BusyError where too many wait.
        """
        if len(self._waiting) >= self.batching.most_waiting:
            raise BusyError(self._retry_after_s())
        return self._queued(model, inputs, rows)

    def close(self) -> None:
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _queued(
        self, model: ServedModel, inputs: Sequence[Array], rows: int, *, waits: bool = True
    ) -> "asyncio.Future[Computed]":
        """waits: for others, as long as requests may."""
        loop = asyncio.get_running_loop()
        delay_s = self.batching.delay_ms / 1e3 if waits else 0.0
        job = _Job(model, inputs, rows, loop.time() + delay_s, loop.create_future())
        self._waiting.append(job)
        self._wake(loop)
        return job.done

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """See what can be begun once this turn of the loop has brought all it has."""
        if not self._busy and not self._turn_comes:
            self._turn_comes = True
            loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Begin what can be begun: batches in the event loop while they are short together, or one in a thread."""
        self._turn_comes = False
        while self._made:
            self._batched(*self._made.popleft())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        end_ns = time.monotonic_ns() + MOST_INLINE_NS
        while time.monotonic_ns() < end_ns and not self._busy and self._begin_oldest():
            pass
        if self._made or (self._waiting and self._timer is None):
            self._wake(asyncio.get_running_loop())

    def _begin_oldest(self) -> bool:
        """Begin the batch of the oldest request; whether there was one that need not wait for others."""
        while self._waiting and self._waiting[0].done.done():  # its client has gone
            self._waiting.popleft()
        if not self._waiting:
            return False
        loop = asyncio.get_running_loop()
        jobs = self._batch(self._waiting[0])
        left = jobs[0].until - loop.time()
        model, rows = jobs[0].model, sum(one.rows for one in jobs)
        if left > 0 and model.any_rows and rows < self.batching.most_rows:
            self._timer = loop.call_later(left, self._turn)
            return False
        for one in jobs:
            self._waiting.remove(one)
        self._begin(model, jobs, rows, loop)
        return True

    def _batch(self, first: _Job) -> list[_Job]:
        """The oldest request, and those for the same model that fit beside it, in their order."""
        jobs, rows = [first], first.rows
        if not first.model.any_rows:
            return jobs
        for one in list(self._waiting)[1:]:
            if one.model is first.model and not one.done.done() and rows + one.rows <= self.batching.most_rows:
                jobs.append(one)
                rows += one.rows
        return jobs

    def _begin(self, model: ServedModel, jobs: Sequence[_Job], rows: int, loop: asyncio.AbstractEventLoop) -> None:
        if self._of(model).of(rows) <= MOST_INLINE_NS:
            self._finish(jobs, self._together(model, jobs, rows))
            return
        self._busy = True
        working = loop.run_in_executor(self._worker, self._together, model, jobs, rows)
        working.add_done_callback(lambda done: self._worked(jobs, done, loop))

    def _worked(self, jobs: Sequence[_Job], done: "asyncio.Future[Any]", loop: asyncio.AbstractEventLoop) -> None:
        self._busy = False
        if not done.cancelled():
            self._finish(jobs, done.result())
        self._wake(loop)

    def _finish(self, jobs: Sequence[_Job], results: Sequence[Computed | EngineError]) -> None:
        for job, result in zip(jobs, results, strict=True):
            if job.done.done():
                continue
            if isinstance(result, EngineError):
                job.done.set_exception(result)
            else:
                job.done.set_result(result)

    def _together(self, model: ServedModel, jobs: Sequence[_Job], rows: int) -> list[Computed | EngineError]:
        """Every request's own rows of one batch; where that fails, each alone: no neighbour pays for an odd one."""
        if len(jobs) > 1:
            try:
                return list(self._split(model, jobs, rows))
            except Exception:  # no memory for all together, an output without rows: whatever it is, each is answered
                pass
        results: list[Computed | EngineError] = []
        for one in jobs:
            try:
                results.append(self._alone(model, one.inputs, one.rows))
            except EngineError as error:
                results.append(error)
        return results

    def _split(self, model: ServedModel, jobs: Sequence[_Job], rows: int) -> list[Computed]:
        joined = [np.concatenate(parts) for parts in zip(*(one.inputs for one in jobs), strict=True)]
        whole = self._alone(model, joined, rows, requests=len(jobs))
        if any(len(output) != rows for output in whole.outputs):
            raise EngineError("outputs are not one a row")
        results, at = [], 0
        for one in jobs:
            own = [output[at : at + one.rows] for output in whole.outputs]
            results.append(Computed(own, whole.start_ns, whole.end_ns, whole.requests, rows))
            at += one.rows
        return results

    def _alone(self, model: ServedModel, inputs: Sequence[Array], rows: int, *, requests: int = 1) -> Computed:
        start_ns = time.monotonic_ns()
        try:
            outputs = model.engine.run(inputs)
        except Exception as error:  # whatever an engine raises, the server lives on
            raise EngineError(type(error).__name__) from error
        end_ns = time.monotonic_ns()
        self._of(model).took(rows, end_ns - start_ns)
        self._made.append((model, requests, rows))
        return Computed(outputs, start_ns, end_ns, requests, rows)

    def _of(self, model: ServedModel) -> _Expected:
        return self._expected.setdefault(model.name, _Expected())

    def _retry_after_s(self) -> int:
        """Until half of what waits is done, if all goes as before; at least a second, at most a minute."""
        each = [self._of(one.model).of(one.rows) for one in self._waiting]
        known_s = sum(one for one in each if math.isfinite(one)) / 1e9
        return min(60, max(1, math.ceil(known_s / 2)))
