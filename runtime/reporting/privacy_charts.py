"""What is lost and what is told: accuracy, trade-off, reconstruction, explored cuts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from noise.audit.record import Attempt, Audit
from noise.auditing.tables import KINDS, columns
from noise.collection import Accuracy, NoiseFacts
from planner.picture import BLUE, GREEN, ORANGE, PURPLE, RED
from planner.tables import figure
from runtime.record import RunRecord
from runtime.reporting.charts import GRID, INK, MUTED, PAPER, Chart, Key, Table, chart, key, named_rows
from runtime.reporting.gathering import Kept

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Height of a row with its name above, in CSS pixels.
ROW = 42
#: In the order of an audit's columns: what crosses clean, then the kinds of noise.
LOOKS = ((BLUE, "o"), (RED, "s"), (PURPLE, "D"), (GREEN, "^"), (ORANGE, "P"))
SHAPE_NAMES = {"o": "dot", "s": "square", "D": "diamond", "^": "triangle", "P": "plus"}


def accuracy(noises: Sequence[Kept[NoiseFacts]], runs: Sequence[Kept[RunRecord]], id: str) -> Chart | None:
    """Accuracy lost with its 95 % interval, when learned and when run, beside the budget."""
    made: list[tuple[str, Accuracy]] = [(f"{one.record.kind}, learned", one.record.accuracy) for one in noises]
    made += [(f"{one.record.noise}, run over the link", one.record.accuracy) for one in runs]
    shown = [(label, one) for label, one in made if one.loss_points is not None]
    if not shown:
        return None
    budgets = sorted({one.record.budget_points for one in noises})

    def draw(axes: "Axes") -> None:
        for place, (label, one) in enumerate(shown):
            assert one.loss_points is not None
            if one.interval_points is not None:
                axes.plot(one.interval_points, [place, place], color=BLUE, linewidth=2.4, solid_capstyle="butt")
            axes.plot([one.loss_points], [place], marker="o", color=BLUE, markersize=7, markeredgecolor=PAPER)
            axes.text(0.0, place - 0.28, label, transform=axes.get_yaxis_transform(), va="bottom")
        for budget in budgets:
            axes.axvline(budget, color=RED, linewidth=1.4, linestyle=(0, (4, 3)))
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, 0.0), max(high, *budgets, 0.0) * 1.04 if budgets else high)
        _rows(axes, len(shown), "accuracy lost, percentage points")

    rows = [
        (
            label,
            _percent(one.clean),
            _percent(one.noisy),
            figure_signed(one.loss_points),
            _interval(one.interval_points),
            f"{one.n:,}",
        )
        for label, one in made
    ]
    told = "; ".join(
        f"{label} {figure_signed(one.loss_points)} points ({_interval(one.interval_points)})" for label, one in shown
    )
    allowed = " and ".join(f"{one:g}" for one in budgets)
    keys = [key(BLUE, "loss on test inputs and its 95 % interval", "dot")]
    keys += [key(RED, f"budget, {allowed} points", "dash")] if budgets else []
    return chart(
        id,
        "Accuracy lost, measured",
        draw,
        height=ROW * len(shown) + 54,
        alternative=f"Dots with intervals: {told}. Budget: {allowed or 'unknown'} points.",
        figures=Table(("noise", "clean, %", "noisy, %", "lost, points", "95 % interval", "test inputs"), rows),
        keys=keys,
    )


def figure_signed(value: float | None) -> str:
    return "-" if value is None else f"{value + 0.0:.2f}".replace("-", "−")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _interval(pair: tuple[float, float] | None, digits: int = 2) -> str:
    return "-" if pair is None else f"{pair[0]:.{digits}f} to {pair[1]:.{digits}f}".replace("-", "−")


def trade_off(noises: Sequence[Kept[NoiseFacts]], id: str) -> list[Chart]:
    """Figure 7: what is lost against how strong the noise is, and against the bound where there is one."""
    curved = [one.record for one in noises if one.record.curve]
    made = []
    for field, title, axis in (
        ("snr_inverse", "Trade-off: noise against accuracy", "noise over signal, 1/SNR"),
        ("bound_bits", "Trade-off: proven bound against accuracy", "bound, bits (lower tells less)"),
    ):
        points = {
            one.kind: [
                (each.loss_points, getattr(each, field))
                for each in sorted(one.curve, key=lambda each: each.loss_points)
            ]
            for one in curved
        }
        points = {kind: [pair for pair in pairs if pair[1] is not None] for kind, pairs in points.items()}
        points = {kind: pairs for kind, pairs in points.items() if pairs}
        if points:
            own = {one.kind: (one.accuracy.loss_points, _strength(one, field)) for one in curved}
            made.append(_curve(f"{id}-{field.partition('_')[0]}", title, axis, points, own))
    return made


def _strength(one: NoiseFacts, field: str) -> float | None:
    if field == "snr_inverse":
        return one.snr_inverse
    return one.bound.bits if one.bound else None


def _curve(
    id: str,
    title: str,
    axis: str,
    points: dict[str, list[tuple[float, float]]],
    own: dict[str, tuple[float | None, float | None]],
) -> Chart:
    looks = {kind: look(kind) for kind in points}

    def draw(axes: "Axes") -> None:
        for kind, pairs in points.items():
            colour, shape = looks[kind]
            axes.plot(*zip(*pairs, strict=True), color=colour, linewidth=1.6, marker=shape, markersize=5.5)
            lost, value = own[kind]
            if lost is not None and value is not None:
                axes.plot(
                    [lost],
                    [value],
                    color=INK,
                    marker=shape,
                    markersize=10,
                    markerfacecolor="none",
                    markeredgecolor=INK,
                    markeredgewidth=1.4,
                )
        axes.set_xlabel("accuracy lost, percentage points")
        axes.set_ylabel(axis)
        axes.set_ylim(bottom=0)
        axes.grid(color=GRID, linewidth=0.7)

    rows = [
        (f"{kind}", figure_signed(lost), figure(value)) for kind, pairs in points.items() for lost, value in pairs
    ]
    return chart(
        id,
        title,
        draw,
        height=250,
        alternative=f"{axis} over accuracy lost, for {', '.join(points)}; {len(rows)} points, in the table.",
        figures=Table(("noise", "lost, points", axis), rows),
        keys=[
            *(key(looks[kind][0], f"{kind}, on held-out data", SHAPE_NAMES[looks[kind][1]]) for kind in points),
            Key("ink", "the noise of the file, on test inputs", "ring"),
        ],
    )


def reconstruction(audit: Audit, id: str) -> Chart | None:
    """Decibels of every attack, between what the class alone gives and what the clean tensor gives."""
    if audit.floors.reconstruction is None:
        return None
    floors = audit.floors.reconstruction.attempts
    floor = audit.floors.reconstruction.psnr_db
    tried = [
        (name, attempt)
        for name, one in columns(audit)
        if name != "floors" and one.reconstruction
        for attempt in one.reconstruction.attempts
    ]
    rows = sorted(dict.fromkeys(_row_of(one) for _, one in tried), key=lambda row: row[0])
    if not rows:
        return None

    def draw(axes: "Axes") -> None:
        for place, row in enumerate(rows):
            axes.text(0.0, place - 0.28, row[1], transform=axes.get_yaxis_transform(), va="bottom")
            axes.plot([floor, floor], [place - 0.24, place + 0.24], color=MUTED, linewidth=1.6)
            for name, one in tried:
                if _row_of(one) == row:
                    colour, shape = look(name)
                    if one.psnr_interval_db:
                        ends = one.psnr_interval_db
                        axes.plot(ends, [place, place], color=colour, linewidth=2, solid_capstyle="butt")
                    axes.plot(
                        [one.psnr_db], [place], marker=shape, color=colour, markersize=7.5, markeredgecolor=PAPER
                    )
        _rows(axes, len(rows), "PSNR, dB (right: closer to the original)")

    figures = [
        (
            f"{name}: {_named(one.attack, one.queries)}",
            f"{one.psnr_db:.2f}",
            _interval(one.psnr_interval_db),
            figure(one.ssim),
            f"{one.images:,}",
        )
        for name, one in (*tried, *(("floor", each) for each in floors))
    ]
    names = list(dict.fromkeys(name for name, _ in tried))
    best = {name: max(one.psnr_db for each, one in tried if each == name and one.queries == 1) for name in names}
    told = "; ".join(f"{name} {decibels:.1f} dB" for name, decibels in best.items())
    keys = [key(look(name)[0], name, SHAPE_NAMES[look(name)[1]]) for name in names]
    return chart(
        id,
        "Reconstruction, attacked",
        draw,
        height=ROW * len(rows) + 54,
        alternative=f"Best from one inference: {told}. The class alone gives {floor:.1f} dB.",
        figures=Table(("what: attack", "dB", "95 % interval", "SSIM", "images"), figures),
        keys=[*keys, key(MUTED, "the class alone", "tick")],
    )


def look(name: str) -> tuple[str, str]:
    """Colour and shape of what crosses, the same in every chart."""
    place = KINDS.index(name) if name in KINDS else 4
    return LOOKS[place]


def _row_of(one: Attempt) -> tuple[int, str]:
    return one.queries, one.attack if one.queries == 1 else f"the strongest, from {one.queries} inferences"


def _named(attack: str, queries: int) -> str:
    return attack if queries == 1 else f"{attack}, {queries} inferences"


def _rows(axes: "Axes", count: int, label: str) -> None:
    axes.set_ylim(count - 0.5, -0.8)
    named_rows(axes, label)
