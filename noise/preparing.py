"""Learning noise into a file, and for all cuts at a plan's breakpoints into a folder (`prepared`)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import msgspec

from noise import collection, learning, prepared, work
from noise.datasets import catalog
from noise.datasets.private_labels import private_labels
from noise.datasets.records import Dataset, Labels
from noise.learned import LearnResult
from noise.learning_log import LearningLog
from noise.learning_options import Options
from noise.task import Progress
from planner import plan as plans
from planner.alternatives import at_cut, breakpoint_cuts
from planner.plan import Plan
from profiles import artifact
from profiles.errors import ArtifactError, InfeasibleError, PlanError


@dataclass(frozen=True)
class Wanted:
    """What to learn, whatever the cut; fields as `learning.learn` has them."""

    data: Dataset
    kind: str
    budget_points: float
    confident: bool = False
    seed: int | None = None
    private: Labels | None = None
    options: Options | None = None

    @property
    def asked(self) -> str:
        """How it is looked for, in a word that two of them share only where nothing differs."""
        return learning.asked_for(self.options, confident=self.confident, private=self.private)


@dataclass(frozen=True)
class Described:
    """What to learn, by names: small enough to be sent to another process or machine, which loads the data itself.

    private: name of the private labels. Fields else as `Wanted`.
    """

    data: str
    kind: str
    budget_points: float
    confident: bool = False
    seed: int | None = None
    private: str | None = None
    options: Options | None = None

    def wanted(self) -> Wanted:
        """Raises DataError where the data, or such labels, are not there."""
        data = loaded(self.data)
        private = None if self.private is None else private_labels(data, self.private)[0]
        return Wanted(data, self.kind, self.budget_points, self.confident, self.seed, private, self.options)


@lru_cache(maxsize=1)
def loaded(data: str) -> Dataset:
    """The data set, loaded once in a process that learns at several cuts."""
    return catalog.load_dataset(data)


def load_anew(data: str) -> Dataset:
    """The data set as it is now, which `loaded` then gives."""
    loaded.cache_clear()
    return loaded(data)


class PreparedCut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One cut of a prepared folder. learned: None where its noise was there already, or there is none; left_out: why
    there is none."""

    cut: str
    folder: str
    learned: LearnResult | None = None
    left_out: str | None = None


def learn_into(
    out: Path,
    plan: Plan,
    wanted: Wanted,
    *,
    log: LearningLog | None = None,
    progress: Progress = lambda done, of: None,
) -> LearnResult:
    """Learn noise for a plan's cut and write it. Killed, the same call goes on where it was. Raises as
    `learning.learn`."""
    # A device or a pipe has no place beside it.
    keep = None if out.exists() and not out.is_file() else out.with_name(f".{out.name}.learning")
    learned = learning.learn(
        plan,
        wanted.data,
        kind=wanted.kind,
        budget_points=wanted.budget_points,
        confident=wanted.confident,
        seed=wanted.seed,
        private=wanted.private,
        options=wanted.options,
        keep=keep,
        log=log,
        progress=progress,
    )
    learned.write(out)
    if keep is not None:
        keep.unlink(missing_ok=True)
    return learned.result()


@dataclass(frozen=True)
class _Cut:
    """One cut of a folder. own: whether it is the plan's own, without which the folder is of no use."""

    plan: Plan
    place: Path
    own: bool


def prepare(
    plan: Plan,
    wanted: Wanted | Described,
    folder: Path,
    *,
    watch: work.Watch = work.unwatched,
    on: str | None = None,
    jobs: int | None = 1,
) -> Iterator[PreparedCut]:
    """The folder, cut by cut. What was learned before stays, where the same was asked for.

    on, jobs, watch: as `work.each` has them; watch is told the cut's name. Other processes take a `Described`.
    A cut for which no noise keeps the budget is left out; where it is the plan's own, InfeasibleError is raised.
    Raises CutError where the plan does not hold one of the cuts; ArtifactError where something else is in the folder.
    """
    _require_place(folder, plan)
    cuts = [at_cut(plan, name) for name in breakpoint_cuts(plan)]
    artifact.write(folder / prepared.PLAN, plan)
    tasks = [
        _Cut(one, prepared.place(folder.resolve(), number, one.cut.name), one.cut.name == plan.cut.name)
        for number, one in enumerate(cuts, start=1)
    ]
    results = work.each(
        tasks, partial(_prepare_cut, wanted), on=on, jobs=jobs, watch=lambda task: watch(task.plan.cut.name)
    )
    for task, made in results:
        yield msgspec.structs.replace(made, folder=str(folder / task.place.name))


def _prepare_cut(wanted: Wanted | Described, task: _Cut, progress: Progress) -> PreparedCut:
    """What the process or worker does that a cut is given to."""
    wanted = wanted.wanted() if isinstance(wanted, Described) else wanted
    out, name = task.place / prepared.NOISE, task.plan.cut.name
    learned = None
    if not stands(out, task.plan, wanted):
        try:
            learned = learn_into(out, task.plan, wanted, progress=progress)
        except InfeasibleError as error:
            if task.own:
                raise
            return PreparedCut(cut=name, folder=str(task.place), left_out=str(error))
    artifact.write(task.place / prepared.PLAN, task.plan)  # last: with it the cut is one of the folder's
    return PreparedCut(cut=name, folder=str(task.place), learned=learned)


def _require_place(folder: Path, plan: Plan) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not prepared.is_prepared(folder):
        raise ArtifactError(f"{folder}: holds something else than prepared cuts; choose a new or an empty folder")
    before = plans.read(folder / prepared.PLAN)
    if before != plan:
        raise ArtifactError(f"{folder}: prepared for another plan; choose a new folder")


def stands(out: Path, plan: Plan, wanted: Wanted) -> bool:
    """Whether this very noise is there."""
    if not out.is_file():
        return False
    try:
        _, facts = collection.read(out)
        collection.require_match(facts, plan, origin=str(out))
    except PlanError:
        return False
    asked = (wanted.kind, wanted.data.name, wanted.budget_points)
    found = (facts.kind, facts.data, facts.budget_points)
    # A file that does not say how its noise was looked for is older than that word.
    alike = facts.settings.get("asked", wanted.asked) == wanted.asked
    return found == asked and alike and wanted.seed in (None, facts.settings.get("seed"))
