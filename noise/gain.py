"""How strong noise may be: the gain that spends a budget."""

from collections.abc import Callable

#: A gain that leaves less of the budget than this unspent is good enough.
SPENT = 0.85
#: What is aimed at, and how the loss is taken to grow with the gain where nothing better is known.
AIM, POWER = 0.92, 2.5


def strongest(
    needed: Callable[[float], float],
    *,
    budget: float,
    start: float = 1.0,
    lowest: float,
    highest: float,
    tries: int = 10,
) -> float | None:
    """The largest gain found in lowest … highest whose `needed(gain)`, in points, is within the budget.

    needed grows with the gain, by and large. It stops where SPENT of the budget is spent, or after `tries`; None
    where not even the lowest keeps the budget.
    """
    within: tuple[float, float] | None = None
    beyond: tuple[float, float] | None = None
    gain = min(max(start, lowest), highest)
    for _ in range(tries):
        points = needed(gain)
        if points <= budget:
            within = gain, points
            if points >= SPENT * budget or gain >= highest:
                break
        else:
            beyond = gain, points
            if gain <= lowest:
                break
        gain = min(max(_next(within, beyond, AIM * budget), lowest), highest)
    if within is None and beyond is not None and beyond[0] > lowest and needed(lowest) <= budget:
        return lowest
    return None if within is None else within[0]


def _next(within: tuple[float, float] | None, beyond: tuple[float, float] | None, aim: float) -> float:
    """By the loss as a power of the gain, kept inside of what is known, for the loss is noisy."""
    if within is not None and beyond is not None:
        (low, few), (high, many) = within, beyond
        share = (aim - few) / (many - few)
        return float(low * (high / low) ** min(max(share, 0.15), 0.85))
    known = within or beyond
    assert known is not None
    gain, points = known
    factor = (aim / points) ** (1 / POWER) if points > 0 else 2.0
    return gain * (min(max(factor, 1.04), 2.0) if beyond is None else min(max(factor, 0.25), 0.96))
