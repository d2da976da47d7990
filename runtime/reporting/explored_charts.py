"""Explored cuts: what each costs against what is proven of it, and against what attacks got."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from planner.explored import Explored, ExploredCut
from planner.tables import figure, short
from runtime.reporting.charts import GRID, MUTED, PAPER, Chart, Table, chart, key
from runtime.reporting.privacy_charts import SHAPE_NAMES, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def explored(found: Explored, id: str) -> list[Chart]:
    """Cost against what is proven, and against what attacks got."""
    made = []
    for name, title, axis, value in (
        ("bound", "Cost against the proven bound", "proven bound, bits", _bound),
        ("attack", "Cost against the best attack", "reconstruction, dB", _decibels),
    ):
        points = [
            (number, one, told) for number, one in enumerate(found.cuts, start=1) if (told := value(one)) is not None
        ]
        if points:
            made.append(_cost_chart(found, f"{id}-{name}", title, axis, points))
    return made


def _bound(one: ExploredCut) -> float | None:
    return min((each for each in (one.bound_bits, one.mixture_bound_bits) if each is not None), default=None)


def _decibels(one: ExploredCut) -> float | None:
    return one.attacked.psnr_db if one.attacked else None


def _cost_chart(
    found: Explored, id: str, title: str, axis: str, points: Sequence[tuple[int, ExploredCut, float]]
) -> Chart:
    kinds = list(dict.fromkeys(one.noise for one in found.cuts))
    looks = {kind: look(kind) for kind in kinds}
    known = [one.attacked.floor_psnr_db for _, one, _ in points if one.attacked] if "dB" in axis else []
    floors = {one for one in known if one is not None}

    def draw(axes: "Axes") -> None:
        for number, one, told in points:
            colour, shape = looks[one.noise]
            axes.plot(
                [one.predicted.total_ms], [told], marker=shape, color=colour, markersize=8.5, markeredgecolor=PAPER
            )
            axes.annotate(
                str(number),
                (one.predicted.total_ms, told),
                (7, 5),
                textcoords="offset points",
                weight="bold" if one.unbeaten else "normal",
            )
        for floor in floors:
            axes.axhline(floor, color=MUTED, linewidth=1.4, linestyle=(0, (4, 3)))
        axes.margins(0.16)
        axes.set_xlabel("one inference, predicted, ms")
        axes.set_ylabel(axis)
        axes.grid(color=GRID, linewidth=0.7)

    rows = [
        (f"{number}: {one.name}, {one.noise}", figure(one.predicted.total_ms), f"{told:.2f}")
        for number, one, told in points
    ]
    keys = [key(looks[kind][0], kind, SHAPE_NAMES[looks[kind][1]]) for kind in kinds]
    keys += [key(MUTED, "the class alone", "dash")] if floors else []
    return chart(
        id,
        title,
        draw,
        height=250,
        alternative="; ".join(
            f"{number}, {short(one.name)}: {figure(one.predicted.total_ms)} ms, {told:.2f}"
            for number, one, told in points[:20]
        ),
        figures=Table(("cut after, noise", "total, ms", axis), rows),
        keys=keys,
        note="Numbers are those of the table of explored cuts; bold ones are beaten by none in everything at once.",
    )
