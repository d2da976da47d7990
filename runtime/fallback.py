"""`plan run --fallback edge`: where the cloud does not answer, the whole network on the edge does. No torch here.

A cloud that failed is left alone for a while that doubles from failure to failure (a circuit breaker), so that not
every inference waits for it; before it is sent anything again, it is asked whether it is there. An input whose
exchange failed is answered here and never sent again: a second draw for it would average out.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from profiles.engine import Engine
from profiles.errors import PeerError
from runtime.client import CloudClient
from runtime.edge import EdgeHalf, Inference

Array = NDArray[Any]
#: How long a cloud that failed is left alone, seconds: at first, and at most.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
#: How long a cloud that failed may take to say that it is there, before it is sent anything, seconds.
PROBE_S = 2.0


@dataclass(frozen=True)
class LocalAnswer:
    """An inference that the edge made alone. start_ns, end_ns: waiting for the cloud included."""

    outputs: list[Array]
    start_ns: int
    end_ns: int

    @property
    def total_ms(self) -> float:
        return (self.end_ns - self.start_ns) / 1e6


class Breaker:
    """Whether the cloud is to be tried: always while it answers, after a failure not before a pause has passed."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause_s = self._until_s = 0.0

    @property
    def open(self) -> bool:
        """Whether a pause is under way."""
        return self._clock() < self._until_s

    @property
    def doubtful(self) -> bool:
        """Whether the last try failed."""
        return self._pause_s > 0

    def failed(self) -> None:
        self._pause_s = min(max(FIRST_PAUSE_S, 2 * self._pause_s), LONGEST_PAUSE_S)
        self._until_s = self._clock() + self._pause_s

    def succeeded(self) -> None:
        self._pause_s = self._until_s = 0.0


class StandbyEdge:
    """An edge half that has the whole network beside it: every inference is answered."""

    def __init__(
        self,
        half: EdgeHalf,
        client: CloudClient,
        whole: Engine,
        *,
        absent: Sequence[PeerError] = (),
        breaker: Breaker | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        """whole: all inputs of the network → all its outputs. absent: how the cloud failed already. tell: a line when
        it fails, and when it is back."""
        self._half, self._client, self._whole, self._tell = half, client, whole, tell
        self._breaker = breaker or Breaker()
        #: Inferences answered here; exchanges that failed, each after all its retries.
        self.fallbacks = self.errors = 0
        for error in absent:
            self._failed(error)

    def infer(self, inputs: Sequence[Array]) -> Inference | LocalAnswer:
        """As `EdgeHalf.infer`; a PeerError becomes an answer of the edge's own."""
        start_ns = time.monotonic_ns()
        if self._there():
            try:
                done = self._half.infer(inputs)
            except PeerError as error:
                self.errors += 1
                self._failed(error)
            else:
                self._answered()
                return done
        self.fallbacks += 1
        return LocalAnswer(self._whole.run(inputs), start_ns, time.monotonic_ns())

    @property
    def answered(self) -> bool:
        """Whether the cloud answered when it was last tried."""
        return not self._breaker.doubtful

    def _there(self) -> bool:
        """Whether an exchange is worth its time."""
        if self._breaker.open:
            return False
        if not self._breaker.doubtful:
            return True
        try:
            self._client.ping_ms(timeout_s=PROBE_S)
        except PeerError as error:
            self._failed(error)
            return False
        return True

    def _failed(self, error: PeerError) -> None:
        if not self._breaker.doubtful:
            self._tell(f"{error} (answering on the edge meanwhile)")
        self._breaker.failed()

    def _answered(self) -> None:
        if self._breaker.doubtful:
            self._tell(f"{self._client.url} answers again")
        self._breaker.succeeded()
