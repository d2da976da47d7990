"""How pictures of the page are drawn: no date, no random ids, text as text, a white ground in dark themes too; one
palette, and marks that tell lines apart without colour."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from planner.picture import PARTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SETTINGS: Any = {
    "svg.hashsalt": "plan",
    "svg.fonttype": "none",
    "font.size": 9.5,
    "font.family": ["DejaVu Sans", "sans-serif"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
}
#: Of the parts of an inference, by their labels: edge, noise, uplink, cloud, downlink.
COLOURS = {label: colour for _, label, colour in PARTS}
GREY = "#555555"
#: Inches; at 96 to the inch no wider than the page's text.
WIDTH = 7.2
#: Of a panel's height, inches.
PANEL = 2.7


@contextmanager
def drawing(height: float) -> Iterator["Figure"]:
    """A figure of the page's width, under the settings all of it is drawn by."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS):
        yield Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")


def svg(figure: "Figure") -> bytes:
    """The same figure gives the same bytes. To be called while it is being drawn."""
    made = BytesIO()
    figure.savefig(made, format="svg", metadata={"Date": None}, facecolor="white")
    return made.getvalue()


def drawn(rows: int, columns: int, draw: Callable[["Figure", list["Axes"]], None], *, height: float = PANEL) -> bytes:
    """Panels from left to right, row by row, as SVG. A figure's legend goes below all of them where `draw` asks for
    one."""
    with drawing(0.5 + height * rows) as figure:
        panels = [figure.add_subplot(rows, columns, index + 1) for index in range(rows * columns)]
        draw(figure, panels)
        for one in panels:
            one.grid(color="#dddddd", linewidth=0.6)
            one.set_axisbelow(True)
        return svg(figure)


def legend_below(figure: "Figure", panels: list["Axes"], *, columns: int = 3) -> None:
    """One legend of all that is drawn in any panel, each label once."""
    handles = {label: one for axes in panels for one, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns, frameon=False)
