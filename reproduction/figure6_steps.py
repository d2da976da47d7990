"""Figure 6's steps: sizes, the modelled boards, and a network on a link with this machine's halves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproduction import figure6_modelled
from reproduction.printed import TABLE_2
from reproduction.step import Step, of_network

LINKS = ("wifi", "lte")
QUICK = ("lenet", "cifar10")


@dataclass(frozen=True)
class Measure:
    """A measured step's work. profile_s, budget_s: seconds of profiling, and of inferences a cut."""

    name: str
    link: str
    profile_s: float
    budget_s: float

    def __call__(self, _: Path) -> dict[str, Any]:
        from reproduction.figure6_measured import measured  # torch and a server: a page alone needs neither

        return measured(self.name, self.link, profile_s=self.profile_s, budget_s=self.budget_s)


def steps(*, quick: bool) -> Sequence[Step]:
    """quick: measured for the two smallest networks alone, with fewer repeats."""
    made = []
    for name in TABLE_2:
        made.append(Step(f"figure6-sizes-{name}", of_network(figure6_modelled.sizes, name), "exact"))
        made.append(Step(f"figure6-modelled-{name}", of_network(figure6_modelled.modelled, name), "modelled"))
    profile_s, budget_s = (3.0, 2.5) if quick else (6.0, 4.0)
    for name in QUICK if quick else TABLE_2:
        for link in LINKS:
            settings = {"profile_s": profile_s, "budget_s": budget_s}
            work = Measure(name, link, profile_s, budget_s)
            made.append(Step(f"figure6-measured-{name}-{link}", work, "measured", settings))
    return made
