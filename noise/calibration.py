"""How strong noise may be: the largest gain whose loss of accuracy on held-out data is within the budget."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from noise.mechanism import GaussianMechanism
from noise.task import Task

#: Gains are looked for in this range, by bisection on the logarithm, until two differ by this factor.
WEAKEST, STRONGEST, PRECISION = 2.0**-7, 2.0**7, 1.01


@dataclass(frozen=True)
class Calibrated:
    """noise: None where not even the weakest keeps the budget. needed: points that it, or the weakest, needs."""

    noise: GaussianMechanism | None
    gain: float
    needed: float


def sufficient(points: float) -> str:
    """A budget as a message names it: rounded up, so that who gives it is not told the same again."""
    return f"{max(0.01, math.ceil(100 * points) / 100):.2f}"


def calibrated(
    task: Task, noise: GaussianMechanism, *, points: float | None = None, precision: float = PRECISION
) -> Calibrated:
    """The noise at the largest gain that keeps the budget (points: another than the task's), to a factor."""
    target = task.budget.points if points is None else points
    tried: dict[float, float] = {}

    def keeps(gain: float) -> bool:
        tried[gain] = task.needed_points(noise.scaled(gain))
        return tried[gain] <= target

    low, high = _bracket(keeps)
    if low is None:
        return Calibrated(None, WEAKEST, tried[WEAKEST])
    while high / low > precision:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if keeps(middle) else (low, middle)
    return Calibrated(noise.scaled(low), low, tried[low])


def _bracket(keeps: Callable[[float], bool]) -> tuple[float | None, float]:
    """A gain that keeps the budget and one that does not, found from 1 by growing steps; None where none keeps it."""
    step = 1.25
    if keeps(1.0):
        low = 1.0
        while low < STRONGEST:
            high = min(STRONGEST, low * step)
            if not keeps(high):
                return low, high
            low, step = high, step**2
        return low, low
    high = 1.0
    while high > WEAKEST:
        low = max(WEAKEST, high / step)
        if keeps(low):
            return low, high
        high, step = low, step**2
    return None, WEAKEST
