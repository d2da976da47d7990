"""The clock: warm-up, repeats, median and spread."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from profiles.board import SHORT_MS


@dataclass(frozen=True)
class Sample:
    """Times of one thing over the repeats."""

    median_ms: float
    iqr_ms: float
    repeats: int


def summary(times_ns: ArrayLike) -> Sample:
    """Median and interquartile range, in milliseconds, of times in nanoseconds [repeats]."""
    times_ms = np.asarray(times_ns, dtype=float) / 1e6
    low, middle, high = np.percentile(times_ms, [25, 50, 75])
    return Sample(float(middle), float(high - low), len(times_ms))


def time_ns(
    action: Callable[[], object],
    synchronise: Callable[[], None],
    *,
    pause_ms: float = 0.0,
    after_itself: bool = False,
) -> int:
    """One timed call after a pause; on a GPU the clock stops when the work has, not when it was queued.

    after_itself: call it untimed before the pause, so that what ran before it is itself, as in a half that runs
    inference after inference; what short calls take depends on that by a fifth and more.
    """
    if after_itself:
        action()
    time.sleep(pause_ms / 1000)
    synchronise()
    start = time.perf_counter_ns()
    action()
    synchronise()
    return time.perf_counter_ns() - start


def is_short(once_ns: float) -> bool:
    """Whether a call is to be timed after itself: where that costs little and matters."""
    return once_ns <= 1e6 * SHORT_MS


def repeats_for(once_ns: float, *, budget_s: float, least: int, most: int) -> int:
    """How often fits into the budget."""
    return int(min(most, max(least, budget_s * 1e9 / max(once_ns, 1))))
