"""Figure 9: DPFE against Shredder's Equations 4 and 5, and `channel`: benchmarks/dpfe, run again in part."""

import csv
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.picture import BLUE, GREEN, ORANGE, RED, SKY
from profiles.errors import PlanError
from reproduction.part import Found, Pictures, Verdict
from reproduction.picture import GREY, drawn, legend_below
from reproduction.prose import bullets, paragraph
from reproduction.step import Step
from reproduction.table import table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME, TITLE = "figure9", "Figure 9: DPFE and private labels"
ROOT = Path(__file__).resolve().parent.parent
BENCHMARK = ROOT / "benchmarks" / "dpfe"
#: The rest (0.5 points; elpv, all of it) is in the benchmark's own table.
DATA, BUDGETS = "mnist", (1.5, 5.0, 10.0)
METHODS = ("equation-4", "equation-5", "channel", "dpfe")
QUICK_METHODS = ("equation-4", "channel", "dpfe")
#: method → colour; its settings are told apart by the mark.
COLOURS = {"equation-4": BLUE, "equation-5": SKY, "channel": GREEN, "dpfe": ORANGE}
MARKS: dict[tuple[str, float], tuple[str, str]] = {
    ("equation-4", 0.0): ("o", "Eq. 4"),
    ("equation-5", 0.01): ("s", "Eq. 5, γ = 0.01"),
    ("equation-5", 0.1): ("P", "Eq. 5, γ = 0.1"),
    ("channel", 10.0): ("D", "channel, γ = 10"),
    ("dpfe", 0.0): ("v", "DPFE, weight 0"),
    ("dpfe", 0.01): ("<", "DPFE, weight 0.01"),
    ("dpfe", 0.1): (">", "DPFE, weight 0.1"),
    ("dpfe", 1.0): ("^", "DPFE, weight 1"),
}
Row = Mapping[str, str]


def steps(*, quick: bool) -> Sequence[Step]:
    groups = [QUICK_METHODS] if quick else [(one,) for one in METHODS]
    return [_step(group, quick=quick) for group in groups]


def _step(methods: Sequence[str], *, quick: bool) -> Step:
    asked = ["--data", DATA, "--methods", *methods]
    asked += ["--quick"] if quick else ["--budgets", *(f"{one:g}" for one in BUDGETS)]
    name = "figure9-quick" if quick else f"figure9-{methods[0]}"
    command = f"OMP_NUM_THREADS=1 python benchmarks/dpfe/run.py {' '.join(asked)}"
    return Step(name, partial(_work, asked), "stand-in", {"arguments": asked}, command)


def _work(asked: Sequence[str], scratch: Path) -> Mapping[str, Any]:
    """The benchmark's rows; those that an earlier run left are not made again."""
    rows = scratch / "rows.csv"
    ours = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    made = subprocess.run(
        [sys.executable, str(BENCHMARK / "run.py"), *asked, "--out", str(rows)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": ours},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        last = made.stderr.strip().splitlines()[-1:] or ["nothing"]
        raise PlanError(f"benchmarks/dpfe/run.py {' '.join(asked)} said: {last[0]}")
    return {"rows": read(rows)}


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def rows_of(found: Found) -> list[Row]:
    """Of all steps; what each repeats (clean, floor) once."""
    every = [row for one in found.values() if one.step.startswith("figure9-") for row in one.figures["rows"]]
    return list({(row["method"], row["value"], row["budget_points"]): row for row in every}.values())


def lines(rows: Sequence[Row], column: str) -> dict[tuple[str, float], list[tuple[float, float]]]:
    """(method, its setting) → (primary accuracy, figure), falling accuracy; rows without the figure are left out."""
    found: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for row in rows:
        key = row["method"], float(row["value"])
        if key in MARKS and row[column] and row["primary_percent"]:
            found.setdefault(key, []).append((float(row["primary_percent"]), float(row[column])))
    return {
        key: sorted(line, reverse=True)
        for key, line in sorted(found.items(), key=lambda one: list(MARKS).index(one[0]))
    }


def at_budget(rows: Sequence[Row], method: str, column: str, budget: float) -> list[float]:
    """The figure of each of a method's settings at a budget."""
    return [
        float(one[column])
        for one in rows
        if one["method"] == method and float(one["budget_points"]) == budget and one[column]
    ]


def misreads_more(rows: Sequence[Row], column: str, budget: float) -> bool | None:
    """Whether Equation 4 hides the private label better than DPFE at its best; None where either is missing."""
    ours, rival = (at_budget(rows, method, column, budget) for method in ("equation-4", "dpfe"))
    return min(ours) < min(rival) if ours and rival else None


def verdict(found: Found) -> Verdict:
    rows = rows_of(found)
    budget = BUDGETS[0]
    unaware, informed = (misreads_more(rows, one, budget) for one in ("unaware_percent", "private_percent"))
    if unaware is None or informed is None:
        return Verdict("not made", "the rivals' rows are missing")
    if unaware and not informed:
        return Verdict(
            "on a stand-in",
            f"at {budget:g} points Equation 4 hides more than DPFE from a classifier that learned without noise, as "
            "printed; from one that learned with it, less: the printed order is turned round",
        )
    order = "Equation 4 hides more than DPFE from either classifier" if unaware and informed else "the order differs"
    return Verdict("on a stand-in" if unaware else "differs", f"at {budget:g} points {order}")


def section(found: Found, pictures: Pictures, *, quick: bool) -> str:
    rows = rows_of(found)
    text = (
        "Private label misread against primary accuracy, for an adversary who learned with the noise and one who did "
        "not, and information lost by the estimate: Equation 4, Equation 5, DPFE and channel"
    )
    picture = pictures.svg("figure9", picture_of(rows), text=text)
    return "\n\n".join([_introduction(rows, quick=quick), picture, _table(rows), _differences(rows, quick=quick)])


def picture_of(rows: Sequence[Row]) -> bytes:
    clean, floor = (next(one for one in rows if one["method"] == kind) for kind in ("clean", "floor"))
    before = float(clean["ite_nats"])
    panels_of = (
        ("private_percent", "(a) the adversary learned with noise", "private label misread, %"),
        ("unaware_percent", "(a) learned without noise", "private label misread, %"),
        ("ite_nats", "(b) the estimate", "information lost, %"),
    )

    primaries = [
        float(one["primary_percent"])
        for one in rows
        if (one["method"], float(one["value"])) in MARKS and one["primary_percent"]
    ]
    read = [float(one[column]) for one in rows for column in ("private_percent", "unaware_percent") if one[column]]
    top = 1.1 * (100 - min(read))

    def shown(column: str, value: float) -> float:
        return 100 * (1 - value / before) if column == "ite_nats" else 100 - value

    def draw(figure: "Figure", panels: list["Axes"]) -> None:
        for axes, (column, title, label) in zip(panels, panels_of, strict=True):
            for (method, setting), line in lines(rows, column).items():
                mark, name = MARKS[method, setting]
                pairs = [(primary, shown(column, value)) for primary, value in line]
                axes.plot(*zip(*pairs, strict=True), color=COLOURS[method], marker=mark, label=name)
            if column != "ite_nats":
                for row, words, colour in ((clean, "no noise", GREY), (floor, "guessed from the class", RED)):
                    axes.axhline(shown(column, float(row[column])), color=colour, linestyle=":", label=words)
            axes.set(title=title, xlabel="primary accuracy, %", ylabel=label)
            axes.title.set_fontsize(8.5)
            axes.set_ylim(0, 105 if column == "ite_nats" else top)
            axes.set_xlim(min(primaries) - 0.5, max(primaries) + 0.5)
        legend_below(figure, panels, columns=3)

    return drawn(1, 3, draw, height=2.9)


def _introduction(rows: Sequence[Row], *, quick: bool) -> str:
    clean = next(one for one in rows if one["method"] == "clean")
    less = " Learned and trained with a tenth of the steps (quick): the order, not the figures." if quick else ""
    return paragraph(
        f"""The paper's VGG-16 with its two labels (gender; identity of 24) cannot be had. Here (*stand-in*) LeNet
        on mnist, the class primary, the slant of the digit private, cut where the paper cuts it,
        {clean["elements"]} elements; DPFE is the auto-encoder and the three terms of its authors' code, everything
        retrained ([benchmarks/dpfe](../benchmarks/dpfe/README.md) says what was chosen where the paper is silent).
        All are brought to the same loss of primary accuracy on the test set. *Learned with noise*: an adversary
        who knows network and noise and trains on noisy tensors, fresh noise at every step. *Learned without*: the
        same classifier trained on clean tensors, as the paper's text reads. One seed; by the test rows alone
        at most ±1 point at 95 %.{less}"""
    )


def _table(rows: Sequence[Row]) -> str:
    clean = next(one for one in rows if one["method"] == "clean")
    floor = next(one for one in rows if one["method"] == "floor")
    made = [["no noise", "0", *_cells(clean)], ["guessed from the class", "–", *_cells(floor)]]
    for budget in BUDGETS:
        for (method, setting), (_, name) in MARKS.items():
            for row in rows:
                if (row["method"], float(row["value"]), float(row["budget_points"])) == (method, setting, budget):
                    made.append([name, f"{budget:g}", *_cells(row)])
    columns = [
        "",
        "points lost",
        "read, learned with noise, %",
        "without, %",
        "estimate, nats",
        "proven ≤, nats",
        "learned numbers",
    ]
    return table(columns, made)


def _cells(row: Row) -> list[str]:
    def figure(column: str, digits: int) -> str:
        return f"{round(float(row[column]), digits) + 0.0:,.{digits}f}" if row[column] else "–"

    percents = [figure(one, 1) for one in ("private_percent", "unaware_percent")]
    return [*percents, figure("ite_nats", 0), figure("bound_nats", 1), figure("parameters", 0)]


def _differences(rows: Sequence[Row], *, quick: bool) -> str:
    budget = BUDGETS[0]
    clean, floor = (
        float(next(one for one in rows if one["method"] == kind)["private_percent"]) for kind in ("clean", "floor")
    )
    told = [at_budget(rows, one, "private_percent", budget) for one in ("equation-4", "dpfe", "channel")]
    ours, rival, channel = (f"{min(one):.1f} %" if one else "–" for one in told)
    unaware = [at_budget(rows, one, "unaware_percent", budget) for one in ("equation-4", "dpfe")]
    blind, blind_rival = (f"{min(one):.1f}" if one else "–" for one in unaware)
    order = misreads_more(rows, "unaware_percent", budget)
    return "### Where Figure 9 differs\n\n" + bullets(
        f"""*Figure 9a*: its order at high accuracy (Shredder over DPFE) {"holds" if order else "does not hold"} at
        {budget:g} points for a classifier that learned without noise: {blind} % against {blind_rival} %. One that
        knows the noise reads the label from Equation 4 in {ours} of cases ({clean:.1f} % without noise,
        {floor:.1f} % by guessing from the class), from DPFE at its best in {rival}, from `channel` in {channel}.
        Nothing keeps the noise from it: the paper's own adversary is unbounded, queries at will and knows the edge
        half.""",
        _estimated(rows),
        _equation_5(rows, quick=quick),
        """*Two private classes*, not 24: DPFE's pair terms need ten times its authors' weight to work here.""",
        """The rest, 0.5 points and a second data set (elpv: defects of solar cells, the module type private), is
        in the [benchmark's table](../benchmarks/dpfe/README.md), *measured* on the same kind of machine in another
        run: there the order turns round for the adversary who knows the noise.""",
    )


def _estimated(rows: Sequence[Row]) -> str:
    """Figure 9b, and whether the estimate keeps to what is proven."""
    budget = BUDGETS[0]
    ours, rival = (at_budget(rows, one, "ite_nats", budget) for one in ("equation-4", "dpfe"))
    bound = at_budget(rows, "dpfe", "bound_nats", budget)
    if not (ours and rival and bound):
        return ""
    order = "loses more information than DPFE" if max(ours) < min(rival) else "does not lose more than DPFE"
    printed = ", as printed" if max(ours) < min(rival) else ""
    over = (
        f"""It misranks: of DPFE it says {min(rival):.0f} nats or more where at most {max(bound):.0f} are proven to
        cross (its noise is Gaussian; Equations 4 and 5 have no such bound)."""
        if min(rival) > max(bound)
        else ""
    )
    return f"*Figure 9b*: by the estimate, Equation 4 {order} at {budget:g} points{printed}. {over}"


def _equation_5(rows: Sequence[Row], *, quick: bool) -> str:
    if quick:
        return "*Equation 5* is left out of the quick run."
    budget = BUDGETS[0]
    told, ours = (at_budget(rows, one, "private_percent", budget) for one in ("equation-5", "equation-4"))
    missing = any(one["method"] == "equation-5" and not one["private_percent"] for one in rows)
    gap = f"{min(ours) - min(told):.1f} points of the attack at {budget:g} points lost" if told and ours else "–"
    why = (
        "No Laplace fits its tensors where no figure stands: its private term has no lower bound." if missing else ""
    )
    return f"*Equation 5* over Equation 4, for the adversary who knows the noise: {gap}. {why}"
