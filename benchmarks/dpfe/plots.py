"""Figure 9's two plots, for each data set: (a) how often the private label is misread, (b) information lost."""

import csv
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import mean

LABELS = {
    "equation-4": "Eq. 4",
    "equation-5": "Eq. 5, γ = {:g}",
    "channel": "channel, γ = {:g}",
    "dpfe": "DPFE, weight {:g}",
}
MARKS = "osDv^Px*"
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


def misread_percent(entry: Entry) -> float | None:
    return 100 - float(entry["private_percent"]) if entry["private_percent"] else None


def lost_percent(entry: Entry, clean_nats: float) -> float | None:
    """Of the estimate at the cut without noise."""
    return 100 * (1 - float(entry["ite_nats"]) / clean_nats) if entry["ite_nats"] else None


def draw(results: Path, folder: Path) -> None:
    """figure9a.svg and figure9b.svg."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    entries = read(results)
    names = list(dict.fromkeys(one["data"] for one in entries))
    settings = {"svg.hashsalt": "plan", "svg.fonttype": "none", "font.size": 8.0}
    with matplotlib.rc_context(settings):
        for part in ("a", "b"):
            figure, grid = pyplot.subplots(1, len(names), figsize=(4.6 * len(names), 3.6), layout="constrained")
            for axes, name in zip([grid] if len(names) == 1 else grid, names, strict=True):
                here = [one for one in entries if one["data"] == name]
                clean, floor = (next(one for one in here if one["method"] == kind) for kind in ("clean", "floor"))
                nats = float(clean["ite_nats"])
                shown = misread_percent if part == "a" else lambda one, nats=nats: lost_percent(one, nats)
                for mark, ((method, setting), line) in zip(MARKS, curves(here, shown).items(), strict=False):
                    label = LABELS[method].format(setting)
                    axes.plot(*zip(*sorted(line), strict=True), marker=mark, markersize=4, linewidth=1, label=label)
                if part == "a":
                    for entry, words in ((clean, "clean"), (floor, "class alone")):
                        axes.axhline(misread_percent(entry), color="0.6", linestyle=":", linewidth=1)
                        axes.annotate(words, (0.01, misread_percent(entry)), xycoords=("axes fraction", "data"))
                axes.set(title=f"{name}, {clean['elements']} elements", xlabel="primary accuracy, %")
                axes.set(ylabel="private label misread, %" if part == "a" else "information lost, % (k-NN estimate)")
                axes.legend(fontsize=7)
            figure.savefig(folder / f"figure9{part}.svg", metadata={"Date": None})
            pyplot.close(figure)
