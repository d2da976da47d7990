"""How pictures of the page are drawn: no date, no random ids, text as text, a white ground in dark themes too."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from planner.picture import PARTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETTINGS: Any = {
    "svg.hashsalt": "plan",
    "svg.fonttype": "none",
    "font.size": 9.5,
    "font.family": ["DejaVu Sans", "sans-serif"],
    "axes.spines.top": False,
    "axes.spines.right": False,
}
#: Of the parts of an inference, by their labels: edge, noise, uplink, cloud, downlink.
COLOURS = {label: colour for _, label, colour in PARTS}
#: Inches; at 96 to the inch no wider than the page's text.
WIDTH = 7.2


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
