"""A plan as rows for people: candidates with every objective, breakpoints, long names made short. Prints nothing."""

import textwrap
from collections.abc import Iterable, Sequence

from planner.plan import Candidate, Plan, Predicted
from profiles.terminal import Row, size

#: Columns of a terminal, and candidates that a screen holds.
WIDTH, MOST_SHOWN = 80, 20
#: Lines that one cut's name may take in a table.
NAME_LINES = 3


def figure(value: float | None) -> str:
    """Three figures in at most six characters; unknown is a dash."""
    if value is None:
        return "-"
    if value >= 99_999.5 or 1e-9 <= value < 0.0005:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    decimals = 0 if value >= 99.95 or value < 1e-9 else 1 if value >= 9.995 else 2 if value >= 0.9995 else 3
    return f"{value:.{decimals}f}"


def elided(name: str, width: int) -> str:
    """A name in at most `width` characters: what is left out, from the middle, is an ellipsis.

    Two thirds of what stays are the end, where deep module paths differ.
    """
    if len(name) <= width:
        return name
    head = (width - 1) // 3
    return f"{name[:head]}…{name[len(name) - (width - 1 - head) :]}"


def folded(name: str, width: int, *, lines: int = NAME_LINES) -> str:
    """A cut's name over several lines, broken at `+`; beyond `lines`, how many tensors more."""
    parts = [elided(part, width - 1) for part in name.split("+")]
    made: list[list[str]] = []
    for part in parts:
        if made and len("+".join([*made[-1], part])) < width:
            made[-1].append(part)
        else:
            made.append([part])
    if len(made) > lines:
        left_out = sum(map(len, made[lines - 1 :]))
        made = [*made[: lines - 1], [f"and {left_out} more"]]
        return "+\n".join("+".join(line) for line in made[:-1]) + f"\n{made[-1][0]}"
    return "+\n".join("+".join(line) for line in made)


def short(name: str, width: int = 48) -> str:
    """A cut's name on one line."""
    parts = name.split("+")
    if len(name) <= width or len(parts) == 1:
        return elided(name, width)
    more = f" and {len(parts) - 1} more"
    return elided(parts[0], width - len(more)) + more


def wrapped(line: str) -> list[str]:
    """A sentence in lines of at most 80 columns."""
    return textwrap.wrap(line, WIDTH, break_on_hyphens=False, subsequent_indent="  ")


def worth_showing(plan: Plan, most: int = MOST_SHOWN) -> tuple[Candidate, ...]:
    """At most `most` candidates in graph order: the chosen one, those asked for by name, and the best of the rest."""
    from planner.objectives import value

    front = plan.settings.pareto.cuts if plan.settings.pareto else ()
    wanted = {*plan.settings.top, *front}

    def rank(one: Candidate) -> tuple[bool, bool, float]:
        return not is_chosen(plan, one), one.name not in wanted, value(plan.objective, one.predicted)

    kept = sorted(plan.candidates, key=rank)[:most]
    names = {id(one) for one in kept}
    return tuple(one for one in plan.candidates if id(one) in names)


def is_chosen(plan: Plan, one: Candidate) -> bool:
    return one.edge_nodes == plan.cut.edge_nodes and one.name == plan.cut.name


def candidates(plan: Plan, shown: Sequence[Candidate]) -> tuple[tuple[str, ...], list[Row]]:
    """Columns and rows: each candidate and both references with every objective, in at most 80 columns.

    Marks: → the chosen one, * on the Pareto front, a number its rank among the best that were asked for. Energy is a
    dash where powers are unknown; the column `noise` is there where noise is priced.
    """
    front = plan.settings.pareto.cuts if plan.settings.pareto else ()
    ranks = {name: str(rank) for rank, name in enumerate(plan.settings.top, start=1)}
    priced = []
    for one in shown:
        chosen = "→" if is_chosen(plan, one) else ""
        mark = f"{chosen}{'*' if one.name in front else ''}{ranks.get(one.name, '')}"
        priced.append((mark, one.name, one.predicted))
    for name, cost in (("cloud-only", plan.references.cloud_only), ("edge-only", plan.references.edge_only)):
        priced.append(("→" if plan.cut.name == name else "", name, cost))
    noisy = any(cost.noise_ms for _, _, cost in priced)
    columns = ["", "cut after", "sends", "edge", *(["noise"] if noisy else []), "uplink", "cloud", "down"]
    columns += ["total", "mJ", "per s"]
    figures = [_figures(cost, noisy=noisy) for _, _, cost in priced]
    widths = [max(map(len, column)) for column in zip(columns[2:], *figures, strict=True)]
    # A space between columns and one at either end of the rule.
    room = WIDTH - max(len(mark) for mark, _, _ in priced) - sum(widths) - len(columns) - 1
    rows = [
        Row((mark, folded(name, room), *cells), mark="→" in mark)
        for (mark, name, _), cells in zip(priced, figures, strict=True)
    ]
    return tuple(columns), rows


def _figures(cost: Predicted, *, noisy: bool) -> tuple[str, ...]:
    noise = (cost.noise_ms,) if noisy else ()
    parts = (cost.edge_ms, *noise, cost.uplink_ms, cost.cloud_ms, cost.downlink_ms, cost.total_ms)
    return (size(cost.upload_bytes), *map(figure, parts), figure(cost.energy_mj), figure(cost.throughput_per_s))


def letters(count: int) -> str:
    """A letter for each stretch of bandwidth, as the table and the plot have them."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return (alphabet * (count // len(alphabet) + 1))[:count]


def breakpoints(plan: Plan) -> tuple[tuple[str, ...], list[Row]]:
    """Columns and rows: stretches of uplink bandwidth, the best cut there and its latency at both ends."""
    here = plan.link.uplink_mbps
    rows = []
    for letter, one in zip(letters(len(plan.breakpoints)), plan.breakpoints, strict=True):
        cells = (
            letter,
            folded(one.cut, 29),
            f"{one.uplink_mbps_from:.4g}",
            f"{one.uplink_mbps_to:.4g}",
            figure(one.latency_ms_from),
            figure(one.latency_ms_to),
        )
        rows.append(Row(cells, mark=one.uplink_mbps_from <= here < one.uplink_mbps_to))
    return ("", "best cut after", "from Mbps", "to Mbps", "ms at from", "ms at to"), rows


def paragraphs(lines: Iterable[str]) -> list[str]:
    """Sentences, each in lines of at most 80 columns."""
    return [part for line in lines for part in wrapped(line)]
