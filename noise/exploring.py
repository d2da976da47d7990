"""Explores a network's cuts: noise is learned at each and attacked, and the folder says what was found (`explored`).

Every cut is a task of its own (`work`), and what it makes lies in its own folder, so that a killed exploration goes
on where it was. A folder may be explored further: with more cuts, other kinds, other profiles. Noise that stands is
kept, and prices are always those of the last profiles.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec

from noise import auditing, prepared, work
from noise.exploring_cut import CutTask, Outcome, explore_cut
from noise.learning_options import options_for
from noise.preparing import Described, loaded
from planner import explored
from planner.constraints import Constraints
from planner.dominance import unbeaten_cuts
from planner.explored import Explored, ExploredCut, LeftOut
from planner.linear import linear_cuts
from planner.objectives import value
from planner.plan import Candidate, Objective
from planner.planning import cost_model, cut, planned
from planner.search import Search
from profiles import artifact
from profiles.device import DeviceProfile
from profiles.errors import ArtifactError, CutError, InfeasibleError
from profiles.link import LinkProfile

#: Distributions of `laplace`.
COUNT = 20
EDGE, CLOUD, LINK = "edge.json", "cloud.json", "link.json"
#: By folder and kind.
Found = dict[tuple[str, str], Outcome]


@dataclass(frozen=True)
class Question:
    """What is explored. count: of the best legal cuts that send one tensor. deeper: of those beyond the deepest of
    these. at: the user's own cuts. kinds: of noise, one after the other at each cut. effort: of attacks; None: none.
    learning: of each cut; kind and options are set for each kind. steps: of learning."""

    learning: Described
    kinds: tuple[str, ...]
    count: int = 5
    deeper: int = 0
    at: tuple[str, ...] = ()
    objective: Objective = "latency"
    wire: str = "float32"
    public_inputs: frozenset[str] = frozenset()
    effort: auditing.Effort | None = auditing.QUICK
    steps: int | None = None

    def described(self, kind: str) -> Described:
        """What is learned with noise of a kind."""
        options = options_for(kind, count=COUNT, steps=self.steps)
        return replace(self.learning, kind=kind, options=options)


@dataclass(frozen=True)
class Measured:
    """Profiles of both devices and the link, which cuts are priced with."""

    edge: DeviceProfile
    cloud: DeviceProfile
    link: LinkProfile


def explore(
    folder: Path,
    given: Measured,
    question: Question,
    *,
    on: str | None = None,
    jobs: int | None = None,
    watch: work.Watch = work.unwatched,
) -> Iterator[tuple[Outcome, int, int]]:
    """What was found at each cut with each kind as it comes, how many of them are done, and of how many.

    on, jobs, watch: as `work.each` has them. The folder's record is written after each.
    Raises ArtifactError (something else is in the folder), CutError (no such cut), and what learning raises;
    InfeasibleError where no noise keeps the budget at any cut.
    """
    search = _search(given, question)
    before = _require_place(folder, given, question)
    chosen = chosen_cuts(search, question)
    for name, one in ((EDGE, given.edge), (CLOUD, given.cloud), (LINK, given.link)):
        artifact.write(folder / name, one)
    found = _kept(before, search, folder)
    explored.write(folder, _record(given, question, found, complete=False))  # first: with it the folder is ours
    tasks = _tasks(folder, given, question, chosen)
    for name, place in {(one.name, one.folder) for one in found.values() if isinstance(one, ExploredCut)}:
        _write_plan(folder / place, given, question, name)
    refused = [task for task in tasks if _is_refused(found.get(_key(task)), task)]
    for done, task in enumerate(refused, start=1):
        yield found[_key(task)], done, len(tasks)
    asked = [task for task in tasks if task not in refused]
    results = work.each(asked, partial(explore_cut, question.effort), on=on, jobs=jobs, watch=watch)
    for done, (task, outcome) in enumerate(results, start=len(refused) + 1):
        made = _priced(outcome, search) if isinstance(outcome, ExploredCut) else outcome
        found[_key(task)] = made
        explored.write(folder, _record(given, question, found, complete=done == len(tasks)))
        yield made, done, len(tasks)
    explored.write(folder, _record(given, question, found, complete=True))
    if not any(isinstance(one, ExploredCut) for one in found.values()):
        raise InfeasibleError(
            f"at none of {len(chosen)} cuts noise keeps {question.learning.budget_points:g} points; raise --budget, "
            "or allow deeper cuts with --deeper or --at"
        )


def chosen_cuts(search: Search, question: Question) -> list[Candidate]:
    """The best, the deeper ones and the user's own, each once, from shallow to deep. Raises CutError where there are
    none, or one is no legal cut."""
    best = sorted(search.linear, key=lambda one: value(search.objective, one.predicted))[: question.count]
    nodes = linear_cuts(search.rules).nodes
    last = max((nodes.index(one.name) for one in best if one.name in nodes), default=-1)
    beyond = [search.candidate(search.rules.closure(name)) for name in nodes[last + 1 :][: question.deeper]]
    own = [search.at(name) for name in question.at]
    if odd := [one.name for one in own if one.name in ("edge-only", "cloud-only")]:
        raise CutError(f"--at {odd[0]}: no tensor of a layer crosses there; name a cut or a node")
    legal = [one for one in (*best, *beyond, *own) if search.rules.objection(frozenset(one.edge_nodes)) is None]
    if not legal:
        raise CutError("no legal cut that sends one tensor; name one of several with --at")
    return sorted({one.edge_nodes: one for one in legal}.values(), key=lambda one: len(one.edge_nodes))


def _search(given: Measured, question: Question) -> Search:
    """Cuts priced with the first kind of noise."""
    constraints = Constraints(public_inputs=question.public_inputs)
    cost = cost_model(
        given.edge,
        given.cloud,
        given.link,
        objective=question.objective,
        wire=question.wire,
        noise=question.kinds[0],
    )
    return Search(constraints.rules(given.edge.graph), cost, question.objective)


def _write_plan(place: Path, given: Measured, question: Question, name: str) -> None:
    plan = cut(
        given.edge,
        given.cloud,
        given.link,
        objective=question.objective,
        at=name,
        constraints=Constraints(public_inputs=question.public_inputs),
        wire=question.wire,
        noise=question.kinds[0],
    )
    artifact.write(place / prepared.PLAN, plan)


def _tasks(folder: Path, given: Measured, question: Question, chosen: Sequence[Candidate]) -> list[CutTask]:
    """Of each cut a folder with its plan, numbered by the layers on the edge, which no price changes."""
    tasks = []
    for one in chosen:
        layers = sum(given.edge.graph.by_id[name].computational for name in one.edge_nodes)
        place = prepared.place(folder.resolve(), layers, one.name)
        _write_plan(place, given, question, one.name)
        tasks += [CutTask(place, question.described(kind)) for kind in question.kinds]
    return tasks


def _is_refused(outcome: Outcome | None, task: CutTask) -> bool:
    """Whether just this was looked for before, and not found."""
    if not isinstance(outcome, LeftOut):
        return False
    return outcome.asked in (None, task.learning.wanted().asked)


def _key(task: CutTask) -> tuple[str, str]:
    return task.folder.name, task.learning.kind


def _require_place(folder: Path, given: Measured, question: Question) -> Explored | None:
    """What was explored there before. Raises ArtifactError where that was something else."""
    if (folder / explored.FILE).is_file():
        before = explored.read(folder)
        if not before.cuts and not before.left_out:
            return before  # nothing was found yet that something else could be mixed with
        asked = question.learning
        for what, theirs, ours in (
            ("the network", before.model.architecture, given.edge.model.architecture),
            ("weights", before.model.weights, given.edge.model.weights),
            ("data", before.data, loaded(asked.data).name),
            ("a budget of", before.budget_points, asked.budget_points),
            ("wire", before.wire, question.wire),
        ):
            if theirs != ours:
                raise ArtifactError(
                    f"{folder}: explored for {what} {theirs}, asked for is {ours}; choose a new folder with --out"
                )
        return before
    require_unused(folder, but=(EDGE, CLOUD, LINK))
    for name, one in ((EDGE, given.edge), (CLOUD, given.cloud), (LINK, given.link)):
        place = folder / name
        if place.is_file() and place.read_bytes().strip() != artifact.encode(one).strip():
            raise ArtifactError(f"{place}: another file is there and would be written over; choose a new folder")
    return None


def require_unused(folder: Path, *, but: Sequence[str] = ()) -> None:
    """Raises ArtifactError where the folder holds anything but these names and is no exploration's."""
    if folder.is_dir() and not (folder / explored.FILE).is_file() and {one.name for one in folder.iterdir()} - {*but}:
        raise ArtifactError(f"{folder}: holds something else than an exploration; choose a new or an empty folder")


def _kept(before: Explored | None, search: Search, folder: Path) -> Found:
    """What was found before, at the prices of now. A cut whose files are gone is forgotten."""
    if before is None:
        return {}
    found: Found = {(one.folder, one.noise): one for one in before.left_out}
    for one in before.cuts:
        edge = frozenset(one.edge_nodes)
        stands = (folder / one.folder / one.noise_file).is_file()
        if stands and search.rules.objection(edge) is None:
            found[(one.folder, one.noise)] = _priced(one, search)
    return found


def _priced(one: ExploredCut, search: Search) -> ExploredCut:
    """At its own kind's price."""
    priced = replace(search, cost=one.cost(search.cost)).candidate(one.edge_nodes)
    return msgspec.structs.replace(one, predicted=priced.predicted)


def _record(given: Measured, question: Question, found: Found, *, complete: bool) -> Explored:
    """Cuts from shallow to deep, with those marked that no other beats."""
    cuts = sorted(
        (one for one in found.values() if isinstance(one, ExploredCut)),
        key=lambda one: (len(one.edge_nodes), one.noise),
    )
    front = unbeaten_cuts(cuts)
    return Explored(
        model=given.edge.model,
        data=loaded(question.learning.data).name,
        budget_points=question.learning.budget_points,
        edge=planned(given.edge),
        cloud=planned(given.cloud),
        link=given.link,
        wire=question.wire,
        cuts=tuple(msgspec.structs.replace(one, unbeaten=mark) for one, mark in zip(cuts, front, strict=True)),
        left_out=tuple(one for one in found.values() if isinstance(one, LeftOut)),
        complete=complete,
    )
