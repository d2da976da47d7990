"""A chart: an inline SVG that takes its colours from the page, and its figures as a table. Needs matplotlib.

Drawn at the width of a phone, so that its text can be read there; wide screens lay several side by side. Text stays
text. The same figures give the same bytes, and ids are unique on a page that inlines several charts.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

from planner.picture import BLUE, GREEN, ORANGE, PURPLE, RED, SKY
from profiles.errors import PlanError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Of a chart, in CSS pixels; 72 of them are an inch to matplotlib.
WIDTH = 380
#: Drawn with these, shown with the page's own colours.
INK, MUTED, GRID, PAPER = "#010203", "#010204", "#010205", "#010206"
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    PAPER: "paper",
    BLUE: "blue",
    PURPLE: "purple",
    ORANGE: "orange",
    GREEN: "green",
    SKY: "sky",
    RED: "red",
}
#: For lines that are told apart by colour.
COLOURS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)

Draw = Callable[["Axes"], None]


@dataclass(frozen=True)
class Table:
    """Figures as text. The first column heads its rows."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Key:
    """A line of a legend. variable: of the colour."""

    variable: str
    text: str
    shape: str = "box"


@dataclass(frozen=True)
class Chart:
    """svg: markup, safe as it is. alternative: what the chart says, in words; figures: what it is drawn from."""

    id: str
    title: str
    svg: str
    figures: Table
    keys: Sequence[Key] = ()
    note: str = ""


def chart(
    id: str,
    title: str,
    draw: Draw,
    *,
    height: int,
    alternative: str,
    figures: Table,
    keys: Sequence[Key] = (),
    note: str = "",
) -> Chart:
    """Draw on axes WIDTH wide and `height` high, in CSS pixels. alternative: in words, for who does not see it.

    Raises PlanError for figures that no axis can hold.
    """
    try:
        svg = _svg(id, title, alternative, draw, height)
    except (ValueError, ArithmeticError) as error:
        raise PlanError(
            f"the chart “{title}” cannot be drawn ({error}); a file has a figure that cannot be, take it out"
        ) from error
    return Chart(id, title, svg, figures, keys, note)


def key(colour: str, text: str, shape: str = "box") -> Key:
    return Key(VARIABLES[colour], text, shape)


def named_rows(axes: "Axes", label: str) -> None:
    """Rows whose names stand in the chart: no axis on the left, a grid from above. label: of the axis below."""
    axes.set_yticks([])
    axes.set_xlabel(label)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GRID, linewidth=0.7)


def _svg(id: str, title: str, alternative: str, draw: Draw, height: int) -> str:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    settings: Any = {
        "svg.hashsalt": id,
        "svg.fonttype": "none",
        "font.family": "DejaVu Sans",
        "font.size": 12.5,
        "text.parse_math": False,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": MUTED,
        "axes.linewidth": 0.8,
        "text.color": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "axes.facecolor": "none",
        "axes.axisbelow": True,
        "path.simplify": False,
    }
    with matplotlib.rc_context(settings):
        layout = ConstrainedLayoutEngine(w_pad=2 / 72, h_pad=2 / 72)
        canvas = Figure(figsize=(WIDTH / 72, height / 72), layout=layout, facecolor="none")
        axes = canvas.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=3)
        draw(axes)
        made = BytesIO()
        canvas.savefig(made, format="svg", metadata={"Date": None})
    return _inlined(made.getvalue().decode(), id, title, alternative)


def _inlined(text: str, id: str, title: str, alternative: str) -> str:
    """Matplotlib's file as a piece of a page."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    box = re.search(r'viewBox="([^"]*)"', text)
    assert box is not None
    head = (
        f'<svg viewBox="{box[1]}" role="img" aria-labelledby="{id}-title {id}-desc">'
        f'<title id="{id}-title">{escape(title)}</title><desc id="{id}-desc">{escape(alternative)}</desc>'
    )
    text = head + text[text.index(">") + 1 :]
    wanted = set(re.findall(r'<[^>]*(?:href="#|url\(#)([^")]+)', text))
    # Tags alone: what stands between them is as the user named it.
    text = re.sub(r"<[^>]+>", lambda found: _tag(found[0], id, wanted), text)
    return re.sub(r">\s+<", "><", text).strip()


def _tag(text: str, id: str, wanted: set[str]) -> str:
    """Ids that are this chart's own, colours that are the page's, the page's font."""
    text = re.sub(r"\s*\n\s*", " ", text).replace("xlink:href=", "href=")
    text = re.sub(r' id="([^"]*)"', lambda found: _id(found[0], found[1], id, wanted), text)
    text = re.sub(r'(href="#|url\(#)([^")]+)', rf"\g<1>{id}-\g<2>", text)
    for colour, variable in VARIABLES.items():
        text = re.sub(colour, f"var(--{variable})", text, flags=re.IGNORECASE)
    # Older matplotlib says it all in one property, newer in three.
    text = re.sub(r"font: ((?:\w+ )*?)([\d.]+)px [^;\"]*", _font, text)
    return re.sub(r"font-family: [^;\"]*;? ?", "", text)


def _font(found: "re.Match[str]") -> str:
    bold = "; font-weight: 600" if "bold" in found[1] or "700" in found[1] else ""
    return f"font-size: {found[2]}px{bold}"


def _id(whole: str, name: str, id: str, wanted: set[str]) -> str:
    if name.startswith(f"{id}-"):
        return whole
    return f' id="{id}-{name}"' if name in wanted else ""
