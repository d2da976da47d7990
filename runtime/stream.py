"""Many inferences at once: while one is on its way, the next ones compute. Answers keep their order. No torch here.

The caller's own thread computes the edge half and adds the noise, one inference after the other, so that an
`EdgeHalf` still has one caller and every inference its own draw. What is ready to be sent goes to threads of which
each has a connection; there, round trips overlap. Sending and waiting release the interpreter's lock, as the engines
do.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Any, Self

from numpy.typing import NDArray

from runtime.client import CloudClient
from runtime.edge import EdgeHalf, Inference, Prepared

Array = NDArray[Any]
#: Messages that wait beyond those in flight: a connection that has its answer finds the next one ready.
AHEAD = 4


class _Pending:
    """An inference whose answer, or failure, is to come."""

    # As the sampler's: a queue in C where a future's locks are Python.
    def __init__(self, prepared: Prepared | None = None) -> None:
        self._prepared, self._came = prepared, SimpleQueue[Inference | BaseException]()

    @classmethod
    def failed(cls, error: Exception) -> Self:
        made = cls()
        made._came.put(error)
        return made

    def run(self, edge: EdgeHalf, client: CloudClient) -> None:
        prepared, self._prepared = self._prepared, None
        assert prepared is not None
        try:
            self._came.put(edge.finish(prepared, client.send(prepared.message, request_id=prepared.request_id)))
        except BaseException as error:
            self._came.put(error)

    @property
    def done(self) -> bool:
        return not self._came.empty()

    def result(self) -> Inference:
        """Wait for it; once."""
        came = self._came.get()
        if isinstance(came, BaseException):
            raise came
        return came


def _work(jobs: "SimpleQueue[_Pending | None]", edge: EdgeHalf, client: CloudClient) -> None:
    while (job := jobs.get()) is not None:
        job.run(edge, client)


class Stream:
    """Overlapped inferences over several connections. To be closed: it holds threads.

    In memory are at most `in_flight` + AHEAD inferences, from what is prepared to what has been answered and not
    yet been taken.
    """

    def __init__(self, edge: EdgeHalf, client: CloudClient, *, in_flight: int) -> None:
        """client: the edge half's own; its first connection, and the terms of the others. in_flight: the most
        exchanges at any time."""
        self._edge, self.in_flight = edge, in_flight
        self._clients = [client, *(client.sibling() for _ in range(in_flight - 1))]
        self._jobs = SimpleQueue[_Pending | None]()
        self._under_way = deque[_Pending]()
        self._threads = [
            Thread(target=_work, args=(self._jobs, edge, one), name="exchange", daemon=True) for one in self._clients
        ]
        for one in self._threads:
            one.start()

    def infer(self, batches: Iterable[Sequence[Array]]) -> Iterator[Inference]:
        """Answers in the order of what they answer. batches: arrays [rows, ...], one for each input, taken as there
        is room; they must not be written to until they are answered.

        Raises what `EdgeHalf.infer` does, in the failed one's place; the stream is then closed, and those behind it
        are given up. RuntimeError where it was closed before.
        """
        waiting = self._under_way
        try:
            for inputs in batches:
                while waiting and (waiting[0].done or len(waiting) >= self.in_flight + AHEAD):
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
        """Computed here, on its way; or failed already, which is for its turn to tell."""
        if not self._threads:
            raise RuntimeError("the stream is closed")
        try:
            pending = _Pending(self._edge.prepare(inputs))
        except Exception as error:
            return _Pending.failed(error)
        self._jobs.put(pending)
        return pending

    def close(self) -> None:
        """Give up what is under way, end the threads and the connections. The edge half is the caller's, and so is
        its connection, which serves no more where something was under way."""
        if any(not one.done for one in self._under_way):
            for client in self._clients:
                client.abort()
        self._under_way.clear()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        for client in self._clients[1:]:
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
