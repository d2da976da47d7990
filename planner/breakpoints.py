"""The best cut as a function of uplink bandwidth.

A cut's latency is linear in s = 1 / bandwidth: what does not depend on the uplink, plus 8 · bytes / 1000 · s. The
best over all cuts is the lower envelope of these lines. Between two bandwidths whose best lines are known it can
change only where they meet; a solver asked there either returns a lower line, and both halves are searched in turn,
or proves the meeting point a breakpoint. Exact, with two questions to the solver a segment, and no sampling.
"""

from collections.abc import Callable
from dataclasses import dataclass

from planner.plan import Breakpoint

LOWEST_MBPS, HIGHEST_MBPS = 0.1, 1000.0


@dataclass(frozen=True)
class Line:
    """A cut's latency in milliseconds at s = 1 / Mbps: fixed_ms + slope · s."""

    cut: str
    fixed_ms: float
    slope: float

    def at(self, s: float) -> float:
        return self.fixed_ms + self.slope * s


def breakpoints(
    best_at: Callable[[float], Line], *, lowest_mbps: float = LOWEST_MBPS, highest_mbps: float = HIGHEST_MBPS
) -> tuple[Breakpoint, ...]:
    """Segments from the lowest to the highest bandwidth without a gap.

    best_at: the best cut's line at a bandwidth in Mbps.
    """
    fast, slow = 1 / highest_mbps, 1 / lowest_mbps
    lines = _envelope(best_at, fast, best_at(highest_mbps), slow, best_at(lowest_mbps))
    # `lines` run from small s, which is high bandwidth; the segments run from low bandwidth to high.
    ends = [highest_mbps, *(1 / until for _, until in lines[:-1]), lowest_mbps]
    return tuple(
        _segment(line, ends[index + 1], ends[index]) for index, (line, _) in reversed(list(enumerate(lines)))
    )


def _segment(line: Line, from_mbps: float, to_mbps: float) -> Breakpoint:
    return Breakpoint(from_mbps, to_mbps, line.cut, max(line.at(1 / from_mbps), 0.0), max(line.at(1 / to_mbps), 0.0))


def _envelope(
    best_at: Callable[[float], Line], fast: float, at_fast: Line, slow: float, at_slow: Line
) -> list[tuple[Line, float]]:
    """Lines with the s up to which each is lowest, from small s to large."""
    if at_fast.cut == at_slow.cut or at_fast.slope <= at_slow.slope:
        return [(at_fast, slow)]
    meeting = (at_slow.fixed_ms - at_fast.fixed_ms) / (at_fast.slope - at_slow.slope)
    if not fast < meeting < slow:
        return [(at_slow if meeting <= fast else at_fast, slow)]
    between = best_at(1 / meeting)
    lowest = at_fast.at(meeting)
    if between.cut in (at_fast.cut, at_slow.cut) or between.at(meeting) >= lowest * (1 - 1e-12):
        return [(at_fast, meeting), (at_slow, slow)]
    left = _envelope(best_at, fast, at_fast, meeting, between)
    right = _envelope(best_at, meeting, between, slow, at_slow)
    return left[:-1] + right if left[-1][0].cut == right[0][0].cut else left + right
