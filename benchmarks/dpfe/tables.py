"""The rows of results.csv as tables in Markdown, one for each data set; means over seeds, with their range."""

from collections import defaultdict
from pathlib import Path
from statistics import mean

from plots import LABELS, Entry, read

COLUMNS = {
    "primary_percent": "primary, %",
    "private_percent": "private read, knows the noise, %",
    "unaware_percent": "learned without noise, %",
    "ite_nats": "estimate, nats",
    "bound_nats": "proven, nats",
}
DIGITS = {"ite_nats": 0}


def tables(results: Path) -> str:
    entries = read(results)
    return "\n\n".join(table([one for one in entries if one["data"] == name]) for name in names(entries))


def names(entries: list[Entry]) -> list[str]:
    return list(dict.fromkeys(one["data"] for one in entries))


def table(entries: list[Entry]) -> str:
    """By budget, then by method."""
    grouped: dict[tuple[float, str], list[Entry]] = defaultdict(list)
    for one in entries:
        label = LABELS.get(one["method"], one["method"]).format(float(one["value"]))
        grouped[float(one["budget_points"]), label].append(one)
    lines = [f"| {entries[0]['data']} | points | {' | '.join(COLUMNS.values())} |", "|---" * (2 + len(COLUMNS)) + "|"]
    for (budget, label), group in sorted(grouped.items()):
        shown = [spread([one[name] for one in group if one[name]], DIGITS.get(name, 1)) for name in COLUMNS]
        lines.append(f"| {label} | {budget:g} | {' | '.join(shown)} |")
    return "\n".join(lines)


def spread(values: list[str], digits: int) -> str:
    """The mean; of several seeds with the smallest and the largest."""
    if not values:
        return ""
    numbers = [float(one) for one in values]
    middle = f"{mean(numbers):.{digits}f}"
    return middle if len(numbers) == 1 else f"{middle} ({min(numbers):.{digits}f}–{max(numbers):.{digits}f})"
