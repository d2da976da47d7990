"""DPFE against Shredder's Equations 4 and 5 and `channel`, on data with two labels: Figure 9, and Table 3's last row.

    OMP_NUM_THREADS=1 python benchmarks/dpfe/run.py [--data mnist elpv] [--seeds N] [--quick]
    OMP_NUM_THREADS=1 python benchmarks/dpfe/run.py --parameters

Needs the data (`plan data fetch mnist`, `elpv`) and the network for elpv (`plan models train elpv`). Each row goes
into results.csv as soon as it is there; rows that are there are not made again. Then the two plots are drawn.
"""

import argparse
import csv
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from autoencoder import FEATURES
from bench import SETTINGS, Bench
from methods import SWEPT, Point, points
from plots import draw
from tables import tables

from profiles.errors import PlanError
from profiles.zoo.catalog import ZOO

HERE = Path(__file__).parent
#: "Shredder's Learnable Params over DPFE", Table 3.
PRINTED_PERCENT = {"lenet": 0.19, "cifar10": 0.65, "svhn": 0.04, "alexnet": 0.02, "vgg16": 0.01, "newsgroups": 0.05}


@dataclass(frozen=True)
class Row:
    """value: the method's weight or γ. budget_points: of primary accuracy, percentage points below `clean`'s.
    primary_percent: the network's accuracy as it crosses. private_percent: the informed adversary's; unaware_percent:
    of one who learned from tensors without noise. ite_nats: the paper's estimate at the cut, of DPFE behind its
    decoder; ite_sent_nats: of what crosses. bound_nats: proven. seconds: by the clock.
    Empty: does not apply, or no noise keeps the budget. Of the test set, all."""

    data: str
    method: str
    value: float
    budget_points: float
    seed: int
    effort: str
    primary_percent: float | None = None
    private_percent: float | None = None
    unaware_percent: float | None = None
    ite_nats: float | None = None
    ite_sent_nats: float | None = None
    bound_nats: float | None = None
    parameters: int | None = None
    elements: int | None = None
    seconds: float | None = None

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(str(getattr(self, one)) for one in KEY)


KEY = ("data", "method", "value", "budget_points", "seed", "effort")
COLUMNS = tuple(one.name for one in fields(Row))


def done(path: Path) -> set[tuple[str, ...]]:
    if not path.exists():
        return set()
    with path.open(newline="") as file:
        return {tuple(one[name] for name in KEY) for one in csv.DictReader(file)}


def keep(path: Path, row: Row) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        shown = {name: f"{one:.6g}" if isinstance(one, float) else one for name, one in asdict(row).items()}
        writer.writerow(shown | dict(zip(KEY, row.key, strict=True)))


def rows(
    bench: Bench,
    methods: Sequence[str],
    seed: int,
    effort: str,
    have: set[tuple[str, ...]],
    only: Sequence[float] | None = None,
) -> Iterator[Row]:
    """What is not there yet."""
    name, quick = bench.data.name, effort == "quick"
    budgets = bench.setting.budgets[1:2] if quick else bench.setting.budgets
    budgets = tuple(one for one in budgets if only is None or one in only)

    def row(method: str, value: float, budget: float) -> Row:
        return Row(name, method, value, budget, seed, effort)

    if row("clean", 0.0, 0.0).key not in have:
        sent = bench.under(None, seed=seed)
        read, nats = bench.private_percent(sent, seed=seed), bench.nats(sent.test(), seed=seed)
        base = replace(row("clean", 0.0, 0.0), primary_percent=bench.clean_percent, private_percent=read)
        yield replace(base, unaware_percent=read, ite_nats=nats, ite_sent_nats=nats, elements=bench.cut.elements)
        guess = bench.floor_percent
        yield replace(
            base, method="floor", private_percent=guess, unaware_percent=guess, ite_nats=0.0, bound_nats=0.0
        )
    for method in methods:
        for value in SWEPT[method][-1:] if quick else SWEPT[method]:
            left = [one for one in budgets if row(method, value, one).key not in have]
            start = time.perf_counter()
            for point in points(bench, method, value, left, seed=seed, quick=quick) if left else ():
                yield replace(judged(bench, row(method, value, point.budget_points), point), seconds=_since(start))
                start = time.perf_counter()


def judged(bench: Bench, row: Row, point: Point) -> Row:
    """The row with all that an adversary gets of the point."""
    lost, sent = point.reached_points, point.sent
    row = replace(row, parameters=point.parameters or None, elements=point.elements, bound_nats=point.bound_nats)
    row = replace(row, primary_percent=None if lost is None else bench.clean_percent - lost)
    if sent is None:
        return row
    decoded = bench.nats(sent.decoded(), seed=row.seed)
    return replace(
        row,
        private_percent=bench.private_percent(sent, seed=row.seed),
        unaware_percent=bench.unaware_percent(sent, seed=row.seed),
        ite_nats=decoded,
        ite_sent_nats=bench.nats(sent.test(), seed=row.seed) if row.method == "dpfe" else decoded,
    )


def _since(start: float) -> float:
    return time.perf_counter() - start


def share_percent(elements: int, parameters: int, *, features: int = 0) -> float:
    """Table 3's last row: a noise tensor's elements over all that DPFE trains. The printed figures leave out the
    auto-encoder (features: elements of the private feature)."""
    return 100 * elements / (parameters + features * (elements + 1) + (features > 0) * elements * (features + 1))


def parameters() -> None:
    print("network      noise      network  share %  with auto-encoder %  printed %")
    for name, printed in PRINTED_PERCENT.items():
        elements, whole = ZOO[name].paper_elements or 0, ZOO[name].parameters
        shares = share_percent(elements, whole), share_percent(elements, whole, features=FEATURES)
        print(f"{name:10} {elements:7,} {whole:12,} {shares[0]:8.3f} {shares[1]:20.3f} {printed:10.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--methods", nargs="+", choices=SWEPT, default=list(SWEPT))
    parser.add_argument("--budgets", nargs="+", type=float, help="these of the data set's alone")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one budget, a tenth of the steps: that it runs")
    parser.add_argument("--out", type=Path, help="where the rows go (default: beside this file; quick: ./quick.csv)")
    parser.add_argument("--parameters", action="store_true", help="Table 3's last row alone")
    chosen = parser.parse_args()
    if chosen.parameters:
        parameters()
        return
    effort = "quick" if chosen.quick else "full"
    out = chosen.out or (Path("quick.csv") if chosen.quick else HERE / "results.csv")
    try:
        for name in chosen.data:
            bench = Bench.of(name)
            for seed in range(chosen.seeds):
                for row in rows(bench, chosen.methods, seed, effort, done(out), chosen.budgets):
                    keep(out, row)
                    print(row, flush=True)
    except PlanError as error:
        raise SystemExit(str(error)) from error
    draw(out, out.parent)
    print(tables(out))


if __name__ == "__main__":
    main()
