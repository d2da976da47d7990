"""An audit's pieces, each a function of seed and settings alone, kept once done: a killed audit goes on."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from noise.checkpoint import Checkpoint
from noise.task import Progress

Array = NDArray[Any]


@dataclass(frozen=True)
class Result:
    """facts: what JSON can hold. arrays: pictures. seconds: that it took, whenever it ran."""

    facts: Mapping[str, Any]
    arrays: Mapping[str, Array] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Stage:
    """One attack, estimate or bound on one thing that crosses, from one seed."""

    subject: str
    work: str
    seed: int
    run: Callable[[], Result]

    @property
    def name(self) -> str:
        return f"{self.subject}:{self.work}:{self.seed}"


@dataclass(frozen=True)
class Done:
    """What stages found."""

    results: Mapping[str, Result]

    def of(self, subject: str, work: str) -> list[Result]:
        """In the order of seeds; none where it was not part of the audit."""
        start = f"{subject}:{work}:"
        return [one for name, one in self.results.items() if name.startswith(start)]

    def part(self, subject: str, work: str, name: str) -> list[Result]:
        """What stages found by the way: facts and arrays of that name."""
        return [
            Result(one.facts[name], {"pictures": one.arrays[name]})
            for one in self.of(subject, work)
            if name in one.facts
        ]

    def facts(self, subject: str, work: str) -> Mapping[str, Any]:
        """Of the first seed."""
        found = self.of(subject, work)
        return found[0].facts if found else {}

    @property
    def seconds(self) -> float:
        return sum(one.seconds for one in self.results.values())


def run(stages: list[Stage], checkpoint: Checkpoint, progress: Progress) -> Done:
    """Those that the checkpoint lacks run, and are kept one by one."""
    results: dict[str, Result] = {}
    progress(0, len(stages))
    for number, stage in enumerate(stages, start=1):
        if (kept := checkpoint.get(stage.name)) is not None:
            arrays, facts = kept
            results[stage.name] = Result(facts["found"], arrays, facts["seconds"])
        else:
            start = time.perf_counter()
            found = stage.run()
            made = Result(found.facts, found.arrays, time.perf_counter() - start)
            checkpoint.put(stage.name, made.arrays, found=dict(made.facts), seconds=made.seconds)
            results[stage.name] = made
        progress(number, len(stages))
    return Done(results)
