"""Figure 9's two plots, for each data set: (a) how often the private label is misread, (b) information lost."""

import csv
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

LABELS = {
    "equation-4": "Eq. 4",
    "equation-5": "Eq. 5, γ = {:g}",
    "channel": "channel, γ = {:g}",
    "dpfe": "DPFE, weight {:g}",
}
WORDS = {
    "private_percent": "private label misread, %: knows the noise",
    "unaware_percent": "private label misread, %: learned without noise",
    "ite_nats": "information lost, % (k-NN estimate)",
}
MARKS = "osDv^Px*<>h"
Entry = dict[str, str]


def read(path: Path) -> list[Entry]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def curves(
    entries: list[Entry], value: Callable[[Entry], float | None]
) -> dict[tuple[str, float], list[tuple[float, float]]]:
    """(method, its setting) → (primary accuracy, value), the means over seeds of each budget."""
    found: dict[tuple[str, float, float], list[tuple[float, float]]] = defaultdict(list)
    for one in entries:
        if one["method"] in LABELS and (shown := value(one)) is not None:
            key = one["method"], float(one["value"]), float(one["budget_points"])
            found[key].append((float(one["primary_percent"]), shown))
    lines: dict[tuple[str, float], list[tuple[float, float]]] = defaultdict(list)
    for (method, setting, _), values in sorted(found.items()):
        lines[method, setting].append((mean(one for one, _ in values), mean(one for _, one in values)))
    return lines


def misread_percent(entry: Entry, column: str) -> float | None:
    return 100 - float(entry[column]) if entry[column] else None


def lost_percent(entry: Entry, clean_nats: float) -> float | None:
    """Of the estimate at the cut without noise."""
    return 100 * (1 - float(entry["ite_nats"]) / clean_nats) if entry["ite_nats"] else None


def draw(results: Path, folder: Path) -> None:
    """figure9a.svg, a row for each adversary, and figure9b.svg; a column for each data set."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    entries = read(results)
    names = list(dict.fromkeys(one["data"] for one in entries))
    kinds = sorted({(one["method"], float(one["value"])) for one in entries if one["method"] in LABELS})
    styles = {one: {"marker": MARKS[index], "color": f"C{index}"} for index, one in enumerate(kinds)}
    with matplotlib.rc_context({"svg.hashsalt": "plan", "svg.fonttype": "none", "font.size": 8.0}):
        for part, columns in (("a", ("private_percent", "unaware_percent")), ("b", ("ite_nats",))):
            size = 4.2 * len(names), 0.8 + 3.0 * len(columns)
            figure, grid = pyplot.subplots(
                len(columns), len(names), figsize=size, layout="constrained", squeeze=False
            )
            for row, column in zip(grid, columns, strict=True):
                for axes, name in zip(row, names, strict=True):
                    panel(axes, [one for one in entries if one["data"] == name], column, styles)
            lines = {line.get_label(): line for axes in grid.flat for line in axes.get_lines()}
            shown = {label: line for label, line in lines.items() if not str(label).startswith("_")}
            figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=4)
            figure.savefig(folder / f"figure9{part}.svg", metadata={"Date": None})
            pyplot.close(figure)


def panel(axes: Any, entries: list[Entry], column: str, styles: dict[tuple[str, float], dict[str, str]]) -> None:
    """One data set. Dotted: what crosses without noise, and the guess from the true class alone."""
    clean, floor = (next(one for one in entries if one["method"] == kind) for kind in ("clean", "floor"))

    def value(entry: Entry) -> float | None:
        if column == "ite_nats":
            return lost_percent(entry, float(clean["ite_nats"]))
        return misread_percent(entry, column)

    for entry, words in ((clean, "clean"), (floor, "class alone")):
        level = value(entry)
        axes.axhline(level, color="0.6", linestyle=":", linewidth=1)
        if column != "ite_nats":
            axes.annotate(words, (0.01, level), xycoords=("axes fraction", "data"), va="bottom", color="0.4")
    for (method, setting), line in curves(entries, value).items():
        label = LABELS[method].format(setting)
        axes.plot(*zip(*sorted(line), strict=True), markersize=4, linewidth=1, label=label, **styles[method, setting])
    axes.set(title=f"{entries[0]['data']}, {clean['elements']} elements", xlabel="primary accuracy, %")
    axes.set(ylabel=WORDS[column])
