"""Latency of the best cut against uplink bandwidth, drawn in characters on two logarithmic axes."""

import math
from collections.abc import Mapping

from planner.breakpoints import HIGHEST_MBPS, LOWEST_MBPS
from planner.plan import Breakpoint, Plan
from planner.tables import figure, letters

COLUMNS, ROWS, MARGIN = 69, 12, 8
#: Presets whose place is shown below the axis.
PRESETS = ("cat1", "3g", "lte", "wifi")


def drawn(plan: Plan, presets: Mapping[str, float]) -> list[str]:
    """Lines of at most 80 columns; none where the plan does not hold latencies. presets: name → uplink Mbps.

    Each stretch is drawn with its letter, as in the table of breakpoints. Where one column holds more than one
    stretch the one at its middle is drawn.
    """
    if any(one.latency_ms_from is None or one.latency_ms_to is None for one in plan.breakpoints):
        return []
    names = letters(len(plan.breakpoints))
    points = []
    for column in range(COLUMNS):
        mbps = LOWEST_MBPS * (HIGHEST_MBPS / LOWEST_MBPS) ** (column / (COLUMNS - 1))
        index = next((i for i, one in enumerate(plan.breakpoints) if mbps < one.uplink_mbps_to), len(names) - 1)
        points.append((names[index], latency_ms(plan.breakpoints[index], mbps)))
    highest = max(time for _, time in points)
    if highest <= 0:
        return []
    lowest = max(min(time for _, time in points), highest * 1e-6)
    # Flat curves stay flat: at least a factor of two from bottom to top.
    span = max(math.log(highest / lowest), math.log(2))
    grid = [[" "] * COLUMNS for _ in range(ROWS)]
    for column, (letter, time) in enumerate(points):
        row = round((ROWS - 1) * (math.log(highest / max(time, lowest))) / span)
        grid[row][column] = letter
    lines = []
    for row, cells in enumerate(grid):
        label = figure(highest * math.exp(-span * row / (ROWS - 1))) if row % 4 == 0 or row == ROWS - 1 else ""
        lines.append(f"{label:>{MARGIN - 2}} {'┤' if label else '│'}{''.join(cells)}".rstrip())
    return [f"{'ms':>{MARGIN - 2}}", *lines, *_axis(), *_marks(plan, presets)]


def latency_ms(segment: Breakpoint, mbps: float) -> float:
    """A fixed part and 8 · bytes / (1000 · mbps), from the latencies at both ends."""
    assert segment.latency_ms_from is not None
    assert segment.latency_ms_to is not None
    slow, fast = 1 / segment.uplink_mbps_from, 1 / segment.uplink_mbps_to
    share = (1 / mbps - fast) / (slow - fast) if slow > fast else 0.0
    return segment.latency_ms_to + share * (segment.latency_ms_from - segment.latency_ms_to)


def _column(mbps: float) -> int:
    place = math.log(mbps / LOWEST_MBPS) / math.log(HIGHEST_MBPS / LOWEST_MBPS)
    return min(max(round(place * (COLUMNS - 1)), 0), COLUMNS - 1)


def _axis() -> list[str]:
    ticks = (0.1, 1, 10, 100, 1000)
    places = {_column(tick): f"{tick:g}" for tick in ticks}
    rule = "".join("┴" if column in places else "─" for column in range(COLUMNS))
    labels = _written(list(places.items()))
    return [" " * (MARGIN - 1) + "└" + rule, *labels]


def _marks(plan: Plan, presets: Mapping[str, float]) -> list[str]:
    """Where links lie: the presets and, with a diamond, the plan's own."""
    shown = {name: presets[name] for name in PRESETS if name in presets and name != plan.link.name}
    marks = [(_column(mbps), f"▲{name}") for name, mbps in shown.items()]
    own = plan.link.uplink_mbps
    if LOWEST_MBPS <= own <= HIGHEST_MBPS:
        marks.append((_column(own), f"◆{plan.link.name[:20]}"))
    return _written(sorted(marks), centred=False)


def _written(texts: list[tuple[int, str]], *, centred: bool = True) -> list[str]:
    """Texts at their columns, on as many lines as they need so that none hides another."""
    lines: list[str] = []
    for column, text in texts:
        start = MARGIN + column - (len(text) // 2 if centred else 0)
        start = min(start, MARGIN + COLUMNS + 3 - len(text)) if centred else start
        if start + len(text) > 80:
            start, text = MARGIN + column - len(text) + 1, text[1:] + text[0]
        for index, line in enumerate(lines):
            if len(line) < start:
                lines[index] = line.ljust(start) + text
                break
        else:
            lines.append(" " * start + text)
    return lines
