"""How the page's charts look: one palette, marks that tell lines apart without colour, text that stays text."""

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's, as the plan's picture has them; a mark for each, so that nothing hangs on colour.
BLUE, ORANGE, GREEN, PURPLE, SKY, RED, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#555555",
)
WIDTH = 7.4
#: Of a panel's height, inches.
PANEL = 2.7


def drawn(rows: int, columns: int, draw: Callable[["Figure", list["Axes"]], None], *, height: float = PANEL) -> bytes:
    """Panels from left to right, row by row, as SVG; the same figures give the same bytes.

    A figure's legend goes below all of them where `draw` asks for one.
    """
    import matplotlib
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.hashsalt": "plan",
        "svg.fonttype": "none",
        "font.size": 9.0,
        "font.family": "DejaVu Sans",
        "lines.linewidth": 1.4,
        "lines.markersize": 4.5,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(WIDTH, 0.5 + height * rows), layout="constrained", facecolor="white")
        panels = [figure.add_subplot(rows, columns, index + 1) for index in range(rows * columns)]
        draw(figure, panels)
        for one in panels:
            one.spines[["top", "right"]].set_visible(False)
            one.grid(color="#dddddd", linewidth=0.6)
            one.set_axisbelow(True)
        made = BytesIO()
        figure.savefig(made, format="svg", metadata={"Date": None})
    return made.getvalue()


def legend_below(figure: "Figure", panels: list["Axes"], *, columns: int = 3) -> None:
    """One legend of all that is drawn in any panel, each label once."""
    handles = {label: one for axes in panels for one, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns, frameon=False)
