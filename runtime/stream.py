"""Many inferences at once: while one is on its way, the next ones compute. Answers keep their order. No torch here.

The caller's own thread computes the edge half and adds the noise, one inference after the other, so that an
`EdgeHalf` still has one caller and every inference its own draw. What is ready to be sent goes to a pool of threads,
each exchange on a connection of its own; there, round trips overlap. Sending and waiting release the interpreter's
lock, as the engines do.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

from numpy.typing import NDArray

from runtime.client import CloudClient
from runtime.edge import EdgeHalf, Inference, Prepared

Array = NDArray[Any]
#: Messages that wait beyond those in flight: a connection that has its answer finds the next one ready.
AHEAD = 4


class Stream:
    """Overlapped inferences over several connections. To be closed: it holds threads.

    In memory are at most `in_flight` + AHEAD inferences, from what is prepared to what has been answered and not
    yet been taken.
    """

    def __init__(self, edge: EdgeHalf, client: CloudClient, *, in_flight: int) -> None:
        """client: the edge half's own; its first connection, and the terms of the others. in_flight: the most
        exchanges at any time."""
        self._edge, self.in_flight = edge, in_flight
        self._others = [client.sibling() for _ in range(in_flight - 1)]
        # To pop is to take. The last one used is taken first: few connections where few are needed.
        self._idle = [*self._others, client]
        self._client = client
        self._pool = ThreadPoolExecutor(in_flight, thread_name_prefix="exchange")
        self._under_way = deque[Future[Inference]]()

    def infer(self, batches: Iterable[Sequence[Array]]) -> Iterator[Inference]:
        """Answers in the order of what they answer. batches: arrays [rows, ...], one for each input, taken as there
        is room; they must not be written to until they are answered.

        Raises what `EdgeHalf.infer` does, in the failed one's place; the stream is then closed, and those behind it
        are given up.
        """
        waiting = self._under_way
        try:
            for inputs in batches:
                while waiting and (waiting[0].done() or len(waiting) >= self.in_flight + AHEAD):
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
        return self._client.retries_made + sum(one.retries_made for one in self._others)

    def _begun(self, inputs: Sequence[Array]) -> "Future[Inference]":
        """Computed here, on its way; or failed already, which is for its turn to tell."""
        try:
            prepared = self._edge.prepare(inputs)
            self._edge.draw_ahead(prepared.rows)
        except Exception as error:
            failed = Future[Inference]()
            failed.set_exception(error)
            return failed
        return self._pool.submit(self._exchange, prepared)

    def _exchange(self, prepared: Prepared) -> Inference:
        client = self._idle.pop()
        try:
            return self._edge.finish(prepared, client.send(prepared.message, request_id=prepared.request_id))
        finally:
            self._idle.append(client)

    def close(self) -> None:
        """Give up what is under way, end the threads and the connections. The edge half is the caller's, and so is
        its connection, which serves no more where it was in use."""
        if any(not one.done() for one in self._under_way):
            for one in (*self._others, self._client):
                one.abort()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._under_way.clear()
        for one in self._others:
            one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
