"""Candidates as a picture: latency stacked by part, the references beside them. Needs matplotlib (extra `plot`)."""

import importlib.util
import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from planner.plan import Plan, Predicted
from planner.tables import elided, figure, is_chosen, short, worth_showing
from profiles.artifact import write_bytes
from profiles.errors import PlanError
from profiles.installing import extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".svg", ".png", ".pdf")
#: Okabe and Ito's palette, told apart by colour-blind readers and in grey.
BLUE, PURPLE, ORANGE, GREEN, SKY, RED = "#0072B2", "#CC79A7", "#E69F00", "#009E73", "#56B4E9", "#D55E00"
#: Part, label, colour.
PARTS = (
    ("edge_ms", "edge", BLUE),
    ("noise_ms", "noise", PURPLE),
    ("uplink_ms", "uplink", ORANGE),
    ("cloud_ms", "cloud", GREEN),
    ("downlink_ms", "downlink", SKY),
)
MOST_BARS = 24
#: Bars longer than this many times what matters are cut off, their figure beside them.
LONGEST = 12.0


def require(path: Path) -> None:
    """Raises PlanError where the suffix is no picture's, or matplotlib is not installed."""
    if path.suffix.lower() not in FORMATS:
        raise PlanError(f"--plot {path}: expected a name that ends in {', '.join(FORMATS)}")
    if importlib.util.find_spec("matplotlib") is None:
        raise PlanError(f"--plot needs matplotlib, which is not installed; {extra('plot')}")


def write(path: Path, plan: Plan) -> None:
    """Draw a plan's candidates; the same plan gives the same file."""
    require(path)
    write_bytes(path, drawn(plan, path.suffix.lower().removeprefix(".")))


def drawn(plan: Plan, kind: str) -> bytes:
    """The picture as `svg`, `png` or `pdf`: a bar for each candidate in graph order, then the references."""
    import matplotlib
    from matplotlib.figure import Figure

    bars = bars_of(plan)
    # No date, no random ids: pictures can be compared and kept under version control.
    settings: Any = {"svg.hashsalt": "plan", "svg.fonttype": "none", "font.size": 9.0, "font.family": "DejaVu Sans"}
    dates: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}[kind]
    with matplotlib.rc_context(settings):
        canvas = Figure(figsize=(8.0, 1.9 + 0.27 * len(bars)), layout="constrained")
        axes = canvas.add_subplot()
        _draw(axes, plan, bars)
        canvas.legend(loc="outside lower center", ncols=len(PARTS), frameon=False)
        made = BytesIO()
        canvas.savefig(made, format=kind, metadata=dates, dpi=150)
    return made.getvalue()


class Bar(NamedTuple):
    label: str
    price: Predicted
    chosen: bool


def bars_of(plan: Plan, *, most: int = MOST_BARS, width: int = 36) -> list[Bar]:
    """At most so many candidates in graph order, then the references; names in at most `width` characters."""
    made = [
        Bar(short(one.name, width), one.predicted, is_chosen(plan, one)) for one in worth_showing(plan, most=most)
    ]
    for name, price in (("cloud-only", plan.references.cloud_only), ("edge-only", plan.references.edge_only)):
        made.append(Bar(name, price, plan.cut.name == name))
    return made


def longest_ms(plan: Plan, bars: Sequence[Bar]) -> float:
    """Where bars that are much longer than what matters are cut off."""
    totals = [bar.price.total_ms for bar in bars]
    matters = max(plan.predicted.total_ms, min(totals))
    return min(max(totals), LONGEST * matters) or 1.0


def stacked(axes: "Axes", places: Sequence[float], parts: Sequence[Mapping[str, float]], **how: Any) -> None:
    """Bars of parts in milliseconds; `longest` cuts them off. parts: a bar each, field of PARTS → ms."""
    longest, done = how.pop("longest", math.inf), [0.0] * len(places)
    for field, label, colour in PARTS:
        found = [one.get(field, 0.0) for one in parts]
        if any(found):
            shown = [max(min(part, longest - before), 0.0) for before, part in zip(done, found, strict=True)]
            axes.barh(places, shown, left=done, color=colour, label=label, linewidth=0, **how)
            done = [before + part for before, part in zip(done, found, strict=True)]


def parts_of(price: Predicted) -> dict[str, float]:
    return {field: getattr(price, field) for field, _, _ in PARTS}


def _draw(axes: "Axes", plan: Plan, bars: list[Bar]) -> None:
    # The references stand apart, half a bar below the candidates.
    places = [index + (0.6 if index >= len(bars) - 2 else 0.0) for index in range(len(bars))]
    totals = [price.total_ms for _, price, _ in bars]
    longest = longest_ms(plan, bars)
    stacked(axes, places, [parts_of(bar.price) for bar in bars], height=0.72, longest=longest)
    for place, total, (_, _, chosen) in zip(places, totals, bars, strict=True):
        text = (
            f"{figure(total)} ms" + ("  ← chosen" if chosen else "") + ("  (bar cut off)" if total > longest else "")
        )
        axes.text(
            min(total, longest) + 0.01 * longest, place, text, va="center", weight="bold" if chosen else "normal"
        )
    axes.set_yticks(places, [label for label, _, _ in bars])
    for tick, (_, _, chosen) in zip(axes.get_yticklabels(), bars, strict=True):
        tick.set_fontweight("bold" if chosen else "normal")
    axes.set_xlim(0, 1.28 * longest)
    axes.set_ylim(places[-1] + 0.6, -0.6)
    axes.set_xlabel("predicted latency of one inference, ms")
    axes.set_ylabel("cut after")
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_title(_title(plan), loc="left", fontsize=9)


def _title(plan: Plan) -> str:
    left_out = len(plan.candidates) - min(len(plan.candidates), MOST_BARS)
    more = f" ({left_out} candidates left out)" if left_out else ""
    wire = f", {plan.settings.wire} on the wire" if plan.settings.wire != "float32" else ""
    link = f"{plan.link.name} ({plan.link.provenance}), {plan.link.uplink_mbps:g} Mbps up"
    devices = f"edge: {elided(plan.edge.label, 90)}\ncloud: {elided(plan.cloud.label, 90)}"
    return f"{plan.model.name}{wire}{more}\n{devices}\nlink: {link}"
