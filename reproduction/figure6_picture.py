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
        place, ticks, labels = 0.0, [], []
        for network, bars in groups.items():
            axes.text(
                -0.02, place, network, weight="bold", ha="right", va="center", transform=axes.get_yaxis_transform()
            )
            place += 1
            for bar in bars:
                _draw(axes, place, bar)
                ticks.append(place)
                labels.append(bar.label)
                place += 1
            place += 0.3
        axes.axvline(1, color="0.2", linewidth=0.9)
        axes.text(1, -0.9, "cloud-only", ha="center", va="bottom")
        axes.set_yticks(ticks, labels)
        axes.tick_params(axis="y", length=0)
        axes.set(xlim=(0, LONGEST * 1.22), ylim=(place - 0.3, -0.8), xlabel=title)
        axes.spines["left"].set_visible(False)
        for label, colour in PARTS:
            axes.barh([0], [0], color=colour, label=label)
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
        return svg(figure)


def _draw(axes: "Axes", place: float, bar: Bar) -> None:
    done = 0.0
    for part, (_, colour) in zip(bar.parts, PARTS, strict=True):
        shown = max(0.0, min(part, LONGEST - done))
        axes.barh([place], [shown], left=done, height=0.8, color=colour, linewidth=0)
        done += shown
    total = sum(bar.parts)
    cut_off = " (bar cut off)" if total > LONGEST else ""
    ground = {"facecolor": "white", "linewidth": 0, "pad": 0.6}  # the line of cloud-only would run through it
    axes.text(done + 0.015, place, f"{1 / total:.2f}×{cut_off}", va="center", fontsize=8.5, bbox=ground)
