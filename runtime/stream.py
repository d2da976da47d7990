"""Many inferences at once: while some are on their way, the next ones compute. Answers keep their order. No torch.

The caller's thread takes inputs and gives answers. A thread of its own computes the edge half and adds the noise, so
that an `EdgeHalf` still has one caller and every input its own draw. What is ready to be sent goes to threads of
which each has a connection; there, round trips overlap. Sending and waiting release the interpreter's lock, as the
engines do.

A message costs three processes about a millisecond, however small it is. Inputs that wait anyway, for the edge or
for a connection, therefore share one (micro-batching, as of NVIDIA Triton's dynamic batcher with no delay); one that
finds nobody before it goes alone and at once.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Condition, Thread
from time import monotonic_ns
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from runtime.client import CloudClient
from runtime.edge import EdgeHalf, Inference, Prepared
from runtime.pace import Pace
from runtime.sides import Agreement

Array = NDArray[Any]
#: Messages that wait beyond those in flight: a connection that has its answer finds the next one ready.
AHEAD = 4


class _Pending:
    """An inference whose answer, or failure, is to come."""

    # As the sampler's: a queue in C where a future's locks are Python.
    def __init__(self, inputs: Sequence[Array]) -> None:
        self.inputs, self.rows, self.taken_ns = inputs, len(inputs[0]), monotonic_ns()
        self._came = SimpleQueue[Inference | BaseException]()

    def come(self, what: Inference | BaseException) -> None:
        self._came.put(what)

    @property
    def done(self) -> bool:
        return not self._came.empty()

    def result(self) -> Inference:
        """Wait for it; once."""
        came = self._came.get()
        if isinstance(came, BaseException):
            raise came
        return came


@dataclass(frozen=True)
class _Message:
    """Inferences that go together. They come, or fail, together."""

    prepared: Prepared
    of: Sequence[_Pending]

    def run(self, edge: EdgeHalf, client: CloudClient) -> None:
        prepared = self.prepared
        try:
            done = edge.finish(prepared, client.send(prepared.message, request_id=prepared.request_id))
            answers = done.apart([one.rows for one in self.of], [one.taken_ns for one in self.of])
        except BaseException as error:
            _fail(self.of, error)
            return
        for one, answer in zip(self.of, answers, strict=True):
            one.come(answer)


def _fail(together: Sequence[_Pending], error: BaseException) -> None:
    for one in together:
        one.come(error)


def _joined(together: Sequence[_Pending]) -> Sequence[Array]:
    """One batch of each input."""
    if len(together) == 1:
        return together[0].inputs
    return [np.concatenate(parts) for parts in zip(*(one.inputs for one in together), strict=True)]


@dataclass(frozen=True)
class Streaming:
    """How inferences are overlapped. in_flight: exchanges at any time, None for as many as keep the link busy."""

    in_flight: int | None = None


class Stream:
    """Overlapped inferences over several connections. To be closed: it holds threads, and the edge half until then.

    In memory are at most `in_flight` + AHEAD messages of `pack` inferences, from what is taken to what has been
    answered and not yet been given.
    """

    def __init__(self, edge: EdgeHalf, client: CloudClient, *, in_flight: int, pack: int = 1) -> None:
        """client: the edge half's own; its first connection, and the terms of the others. in_flight: the most
        exchanges at any time. pack: the most inferences in one of them; more than 1 only where both halves take any
        number of rows."""
        self._edge, self.in_flight, self.pack = edge, in_flight, pack
        self._clients = [client, *(client.sibling() for _ in range(in_flight - 1))]
        self._messages = SimpleQueue[_Message | None]()
        self._under_way = deque[_Pending]()
        # What the three kinds of threads share, to be touched with the lock held.
        self._change = Condition()
        self._taken = deque[_Pending]()
        self._unsent, self._closed = 0, False
        self._threads = [
            Thread(target=self._compute, name="stream edge", daemon=True),
            *(Thread(target=self._exchange, args=(one,), name="exchange", daemon=True) for one in self._clients),
        ]
        for one in self._threads:
            one.start()

    @classmethod
    def paced(
        cls, edge: EdgeHalf, client: CloudClient, *, pace: Pace, agreed: Agreement, in_flight: int | None = None
    ) -> Self:
        """As many inferences in a message, and messages on their way, as the parts' times ask for. in_flight: the
        latter given."""
        pack = pace.pack(batch=agreed.batch) if agreed.any_rows else 1
        return cls(edge, client, in_flight=in_flight or pace.packed(pack).in_flight, pack=pack)

    def infer(self, batches: Iterable[Sequence[Array]]) -> Iterator[Inference]:
        """Answers in the order of what they answer. batches: arrays [rows, ...], one for each input, taken as there
        is room; they must not be written to until they are answered.

        Raises what `EdgeHalf.infer` does, in the failed one's place, which is that of the first in its message; the
        stream is then closed, and those behind it are given up. RuntimeError where it was closed before.
        """
        waiting = self._under_way
        most = (self.in_flight + AHEAD) * self.pack
        try:
            for inputs in batches:
                while waiting and (waiting[0].done or len(waiting) >= most):
                    yield waiting.popleft().result()
                waiting.append(self._begun(inputs))
            while waiting:
                yield waiting.popleft().result()
        except BaseException:  # a caller that lost interest, too
            self.close()
            raise

    @property
    def retries(self) -> int:
        """How often bytes were sent again, on all connections."""
        return sum(one.retries_made for one in self._clients)

    def _begun(self, inputs: Sequence[Array]) -> _Pending:
        pending = _Pending(inputs)
        with self._change:
            if self._closed:
                raise RuntimeError("the stream is closed")
            self._taken.append(pending)
            if self._due():
                self._change.notify()
        return pending

    def _due(self) -> bool:
        """Whether something is to be computed. Where a message waits for a connection, one more would only queue
        behind it: what it would hold waits for more of its kind."""
        return len(self._taken) >= self.pack or (bool(self._taken) and not self._unsent)

    def _compute(self) -> None:
        """What the edge's thread does."""
        while together := self._next():
            try:
                message = _Message(self._edge.prepare(_joined(together)), together)
            except BaseException as error:
                _fail(together, error)
                continue
            with self._change:
                if self._closed:
                    return
                self._unsent += 1
            self._messages.put(message)

    def _next(self) -> Sequence[_Pending]:
        """Wait for what is due; nothing where the stream is closed."""
        with self._change:
            self._change.wait_for(lambda: self._closed or self._due())
            if self._closed:
                return ()
            return [self._taken.popleft() for _ in range(min(self.pack, len(self._taken)))]

    def _exchange(self, client: CloudClient) -> None:
        """What each connection's thread does."""
        while (message := self._messages.get()) is not None:
            with self._change:
                self._unsent -= 1
                if self._due():
                    self._change.notify()
            message.run(self._edge, client)

    def close(self) -> None:
        """Give up what is under way, end the threads and the connections; from the thread that takes the answers.

        The edge half is the caller's again, and so is its connection, which serves no more where something was under
        way.
        """
        with self._change:
            self._closed = True
            self._taken.clear()
            self._change.notify()
        if any(not one.done for one in self._under_way):
            for client in self._clients:
                client.abort()
        self._under_way.clear()
        for _ in self._clients:
            self._messages.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        for client in self._clients[1:]:
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
