"""Stacked bars in the manner of Figure 6: edge, communication and cloud, over the cloud-only total beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reproduction.picture import COLOURS, drawing, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS = (("edge", COLOURS["edge"]), ("communication", COLOURS["uplink"]), ("cloud", COLOURS["cloud"]))
#: Longer bars are cut off, their length beside them.
LONGEST = 2.0


@dataclass(frozen=True)
class Bar:
    """parts: edge, communication and cloud, of the cloud-only total."""

    label: str
    parts: tuple[float, float, float]


def stacked(groups: Mapping[str, Sequence[Bar]], *, title: str) -> bytes:
    """groups: a network's title → its bars."""
    rows = sum(map(len, groups.values()))
    with drawing(1.0 + 0.185 * rows + 0.2 * len(groups)) as figure:
        axes = figure.add_subplot()
        place, places = 0.0, dict[float, Bar]()
        for network, bars in groups.items():
            axes.text(-0.02, place, network, weight="bold", ha="right", va="center")
            for bar in bars:
                place += 1
                places[place] = bar
                _say(axes, place, bar)
            place += 1.3
        _draw(axes, places)
        axes.axvline(1, color="0.2", linewidth=0.9)
        axes.text(1, -0.9, "cloud-only", ha="center", va="bottom")
        axes.set_yticks([])
        axes.set(xlim=(0, LONGEST * 1.22), ylim=(place - 0.3, -0.8), xlabel=title)
        axes.spines["left"].set_visible(False)
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
        return svg(figure)


def _draw(axes: "Axes", bars: Mapping[float, Bar]) -> None:
    """All bars by their places; one path a part, a fraction of the bytes of as many patches."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    for index, (part, colour) in enumerate(PARTS):
        boxes = []
        for place, bar in bars.items():
            left, right = (min(sum(bar.parts[:end]), LONGEST) for end in (index, index + 1))
            corners = [(left, place - 0.4), (right, place - 0.4), (right, place + 0.4), (left, place + 0.4)]
            boxes.append(Path([*corners, corners[0]], closed=True))
        axes.add_patch(PathPatch(Path.make_compound_path(*boxes), facecolor=colour, linewidth=0, label=part))


def _say(axes: "Axes", place: float, bar: Bar) -> None:
    """What a bar is, and its speed-up."""
    axes.text(-0.02, place, bar.label, ha="right", va="center")
    total = sum(bar.parts)
    cut_off = " (bar cut off)" if total > LONGEST else ""
    # A white ground where the line of cloud-only would run through.
    ground = {"facecolor": "white", "linewidth": 0, "pad": 0.6} if 0.85 < total < 1 else None
    at = min(total, LONGEST) + 0.015
    axes.text(at, place, f"{1 / total:.2f}×{cut_off}", va="center", fontsize=8.5, bbox=ground)
