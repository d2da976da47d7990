"""Learning noise into a file, and for all cuts at a plan's breakpoints into a folder (`prepared`)."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from noise import collection, learning, prepared
from noise.datasets.records import Dataset, Labels
from noise.learned import LearnResult
from noise.learning import Options
from noise.learning_log import LearningLog
from noise.task import Progress
from planner import plan as plans
from planner.alternatives import at_cut, breakpoint_cuts
from planner.plan import Plan
from profiles import artifact
from profiles.errors import ArtifactError, InfeasibleError, PlanError

#: Cut → what is told how far its learning is.
Watch = Callable[[str], AbstractContextManager[Progress]]


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
    collection.write(out, learned.noise, learned.facts)
    if keep is not None:
        keep.unlink(missing_ok=True)
    return learned.result()


def prepare(plan: Plan, wanted: Wanted, folder: Path, *, watch: Watch) -> Iterator[PreparedCut]:
    """The folder, cut by cut. What was learned before, for the same data, kind and budget, stays.

    A cut for which no noise keeps the budget is left out; where it is the plan's own, InfeasibleError is raised.
    Raises CutError where the plan does not hold one of the cuts; ArtifactError where something else is in the folder.
    """
    _require_place(folder, plan)
    cuts = [at_cut(plan, name) for name in breakpoint_cuts(plan)]
    artifact.write(folder / prepared.PLAN, plan)
    for number, one in enumerate(cuts, start=1):
        name, place = one.cut.name, prepared.place(folder, number, one.cut.name)
        out = place / prepared.NOISE
        if _stands(out, one, wanted):
            artifact.write(place / prepared.PLAN, one)
            yield PreparedCut(cut=name, folder=str(place))
            continue
        try:
            with watch(name) as progress:
                learned = learn_into(out, one, wanted, progress=progress)
        except InfeasibleError as error:
            if name == plan.cut.name:
                raise
            yield PreparedCut(cut=name, folder=str(place), left_out=str(error))
            continue
        artifact.write(place / prepared.PLAN, one)  # last: with it the cut is one of the folder's
        yield PreparedCut(cut=name, folder=str(place), learned=learned)


def _require_place(folder: Path, plan: Plan) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not prepared.is_prepared(folder):
        raise ArtifactError(f"{folder}: holds something else than prepared cuts; choose a new or an empty folder")
    before = plans.read(folder / prepared.PLAN)
    if before != plan:
        raise ArtifactError(f"{folder}: prepared for another plan; choose a new folder")


def _stands(out: Path, plan: Plan, wanted: Wanted) -> bool:
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
    return found == asked and wanted.seed in (None, facts.settings.get("seed"))
