"""Where the milliseconds go: candidates, runs, and the best cut by bandwidth."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from planner import picture
from planner.curve import latency_ms
from planner.picture import PARTS
from planner.plan import Plan
from planner.tables import figure, is_chosen, letters, short
from profiles.terminal import size
from runtime.record import MeasuredParts, RunRecord
from runtime.reporting.charts import COLOURS, GRID, INK, MUTED, PAPER, Chart, Key, Table, chart, key, named_rows
from runtime.reporting.gathering import Kept

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Bars that a chart holds; the table below has all.
MOST_BARS = 12
#: Height of a bar with its name above, in CSS pixels.
BAR = 42
LABEL_WIDTH = 42
PART_NAMES = [label for _, label, _ in PARTS]


def candidates(plan: Plan, id: str) -> Chart:
    """Latency stacked by part: candidates in graph order, then the references."""
    bars = picture.bars_of(plan, most=MOST_BARS, width=LABEL_WIDTH)
    longest = picture.longest_ms(plan, bars)
    parts = [picture.parts_of(bar.price) for bar in bars]

    def draw(axes: "Axes") -> None:
        labels = [(bar.label, bar.price.total_ms, bar.chosen) for bar in bars]
        _bars(axes, labels, parts, longest=longest)

    rows = [
        (_chosen(one.name, is_chosen(plan, one)), size(one.predicted.upload_bytes), *_figures(one.predicted))
        for one in plan.candidates
    ]
    for name, price in (("cloud-only", plan.references.cloud_only), ("edge-only", plan.references.edge_only)):
        rows.append((_chosen(name, plan.cut.name == name), size(price.upload_bytes), *_figures(price)))
    best = plan.predicted.total_ms
    left_out = len(plan.candidates) - (len(bars) - 2)
    missing = f"{left_out} slower candidates are in the table alone." if left_out > 0 else ""
    shortened = "→: the bar is cut off." if any(bar.price.total_ms > longest for bar in bars) else ""
    return chart(
        id,
        "Latency by cut, predicted",
        draw,
        height=BAR * len(bars) + 34,
        alternative=f"Stacked bars of {len(bars)} cuts and references. The chosen one, {short(plan.cut.name)}, takes "
        f"{figure(best)} ms. The table below has the figures.",
        figures=Table(("cut after", "sends", *(f"{name}, ms" for name in (*PART_NAMES, "total"))), rows),
        keys=_keys(parts),
        note=" ".join(filter(None, (shortened, missing))),
    )


def _chosen(name: str, chosen: bool) -> str:
    return f"{name} (chosen)" if chosen else name


def _figures(price: object) -> list[str]:
    return [figure(getattr(price, field)) for field in (*(field for field, _, _ in PARTS), "total_ms")]


def runs(records: Sequence[Kept[RunRecord]], id: str) -> Chart:
    """Predicted beside measured, run by run; a line reaches from the median to the 95th percentile."""
    labels: list[tuple[str, float, bool]] = []
    parts: list[dict[str, float]] = []
    ends: list[float | None] = []
    rows: list[tuple[str, ...]] = []
    for run in (one.record for one in records):
        predicted = {field: getattr(run.predicted_ms, name) for field, name, _ in PARTS}
        measured = _medians(run.latency_ms)
        labels += [(f"{run.noise}, predicted", run.predicted_ms.total, False)]
        labels += [(f"{run.noise}, measured", run.latency_ms.total.p50, True)]
        parts += [predicted, measured]
        ends += [None, run.latency_ms.total.p95]
        rows.append((f"{run.noise}, predicted", *map(figure, predicted.values()), figure(run.predicted_ms.total)))
        rows.append((f"{run.noise}, measured, p50", *_quantiles(run, "p50")))
        rows.append((f"{run.noise}, measured, p95", *_quantiles(run, "p95")))
    reference = records[0].record
    same = all(one.record.cloud_only_provenance == "measured" for one in records)
    longest = max([end or 0.0 for end in ends] + [total for _, total, _ in labels])

    def draw(axes: "Axes") -> None:
        _bars(axes, labels, parts, longest=longest, ends=ends)

    told = "; ".join(
        f"{one.record.noise} noise: predicted {figure(one.record.predicted_ms.total)} ms, measured "
        f"{figure(one.record.latency_ms.total.p50)} ms (p95 {figure(one.record.latency_ms.total.p95)})"
        for one in records
    )
    rows += [
        (
            f"{one.record.noise}: cloud-only, {one.record.cloud_only_provenance}",
            *[""] * len(PARTS),
            figure(one.record.cloud_only_ms),
        )
        for one in records
    ]
    emulated = "The link is emulated. " if reference.emulated else ""
    beside = f"Sending the input itself took {figure(reference.cloud_only_ms)} ms on the same link." if same else ""
    return chart(
        id,
        "Predicted beside measured",
        draw,
        height=BAR * len(labels) + 34,
        alternative=f"Stacked bars in pairs. {told}.",
        figures=Table(("run", *(f"{name}, ms" for name in (*PART_NAMES, "total"))), rows),
        keys=[*_keys(parts), Key("ink", "median to 95th percentile", "line")],
        note=f"{emulated}Bars stack the medians of the parts, which need not add up to the median. {beside}",
    )


def _medians(measured: MeasuredParts) -> dict[str, float]:
    found = {field: getattr(measured, name) for field, name, _ in PARTS}
    return {field: one.p50 if one else 0.0 for field, one in found.items()}


def _quantiles(run: RunRecord, name: str) -> list[str]:
    parts = [getattr(run.latency_ms, part) for part in (*PART_NAMES, "total")]
    return [figure(getattr(one, name)) if one else "unknown" for one in parts]


def bandwidth(plan: Plan, id: str) -> Chart | None:
    """Latency of the best cut against uplink bandwidth; None where the plan holds no latencies."""
    if any(one.latency_ms_from is None or one.latency_ms_to is None for one in plan.breakpoints):
        return None
    stretches = list(zip(letters(len(plan.breakpoints)), plan.breakpoints, strict=True))
    if not stretches or max(one.latency_ms_from or 0.0 for _, one in stretches) <= 0:
        return None
    names = list(dict.fromkeys(one.cut for _, one in stretches))
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    here, total = plan.link.uplink_mbps, plan.predicted.total_ms

    def draw(axes: "Axes") -> None:
        for letter, one in stretches:
            steps = 24
            ratio = one.uplink_mbps_to / one.uplink_mbps_from
            places = [one.uplink_mbps_from * ratio ** (step / steps) for step in range(steps + 1)]
            times = [latency_ms(one, mbps) for mbps in places]
            axes.plot(places, times, color=colours[one.cut], linewidth=2.4, solid_capstyle="butt")
            middle = math.sqrt(one.uplink_mbps_from * one.uplink_mbps_to)
            if ratio > 1.6:
                axes.annotate(
                    letter,
                    (middle, latency_ms(one, middle)),
                    (0, 6),
                    textcoords="offset points",
                    ha="center",
                    weight="bold",
                )
        for _, one in stretches[1:]:
            axes.axvline(one.uplink_mbps_from, color=GRID, linewidth=0.8, zorder=0)
        axes.set_xscale("log")
        axes.set_yscale("log")
        edge_only = plan.references.edge_only.total_ms
        if edge_only > 0:
            axes.axhline(edge_only, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
            axes.annotate(
                "edge-only",
                (1, edge_only),
                (-2, 5),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                color=MUTED,
            )
        first, last = stretches[0][1].uplink_mbps_from, stretches[-1][1].uplink_mbps_to
        if first <= here <= last:
            axes.plot([here], [total], marker="D", color=INK, markersize=6, markeredgecolor=PAPER, zorder=5)
        axes.set_xlim(first, last)
        _decades(axes)
        axes.set_xlabel("uplink, Mbps (downlink held fixed)")
        axes.set_ylabel("latency, ms")
        axes.margins(y=0.18)

    rows = [
        (
            f"{letter}: {one.cut}",
            f"{one.uplink_mbps_from:.4g}",
            f"{one.uplink_mbps_to:.4g}",
            figure(one.latency_ms_from),
            figure(one.latency_ms_to),
        )
        for letter, one in stretches
    ]
    told = "; ".join(
        f"{short(one.cut)} from {one.uplink_mbps_from:.4g} to {one.uplink_mbps_to:.4g} Mbps"
        for _, one in stretches[:12]
    )
    by_name: dict[str, list[str]] = {}
    for letter, one in stretches:
        by_name.setdefault(one.cut, []).append(letter)
    keys = [key(colours[name], f"{', '.join(by_name[name])}: {short(name, 40)}", "line") for name in names[:12]]
    return chart(
        id,
        "Fastest cut by bandwidth, predicted",
        draw,
        height=250,
        alternative=f"Latency of the best cut against uplink bandwidth, both logarithmic. Best: {told}.",
        figures=Table(("best cut after", "from Mbps", "to Mbps", "ms at from", "ms at to"), rows),
        keys=[*keys, Key("ink", f"this plan's link, {plan.link.name}, {here:g} Mbps", "diamond")],
    )


def _decades(axes: "Axes") -> None:
    """Plain numbers on logarithmic axes, 0.1 rather than a power."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        dense = low > 0 and math.log10(high / low) < 1.5
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if dense else (1,)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _keys(parts: Sequence[dict[str, float]]) -> list[Key]:
    return [key(colour, label) for field, label, colour in PARTS if any(one.get(field) for one in parts)]


def _bars(
    axes: "Axes",
    labels: Sequence[tuple[str, float, bool]],
    parts: Sequence[dict[str, float]],
    *,
    longest: float,
    ends: Sequence[float | None] = (),
) -> None:
    """Bars with their names above and their totals behind."""
    places = [float(index) for index in range(len(labels))]
    picture.stacked(axes, places, parts, height=0.44, longest=longest)
    for place, (label, total, strong), end in zip(places, labels, ends or [None] * len(labels), strict=True):
        weight = "bold" if strong else "normal"
        axes.text(0, place - 0.32, label, va="bottom", ha="left", weight=weight)
        cut_off = total > longest
        shown = min(max(total, end or 0.0), longest)
        if end is not None:
            axes.plot([total, end], [place, place], color=INK, linewidth=1.2)
            axes.plot([end], [place], color=INK, marker="|", markersize=8)
        text = f"{figure(total)}{' →' if cut_off else ''}"
        axes.text(shown + 0.015 * longest, place, text, va="center", weight=weight)
    axes.set_xlim(0, 1.16 * longest)
    axes.set_ylim(len(labels) - 0.6, -0.85)
    named_rows(axes, "milliseconds")
