"""The cheapest explored cut that keeps a promise, priced with the profiles and the link at hand."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from planner import explored as records
from planner.breakpoints import Line, breakpoints
from planner.constraints import Constraints
from planner.explored import Explored, ExploredCut
from planner.objectives import value
from planner.plan import Candidate, Objective, Plan
from planner.planning import NO_CONSTRAINTS, assembled, cost_model, settings_of
from planner.promises import Promise, better, nearest, reaches
from planner.search import Search
from profiles.device import DeviceProfile, require_same_network
from profiles.errors import CutError, InfeasibleError
from profiles.link import LinkProfile


@dataclass(frozen=True)
class Priced:
    """An explored cut with its price here. objection: why the rules or another constraint do not allow it."""

    explored: ExploredCut
    candidate: Candidate
    search: Search
    objection: str | None
    kept: bool

    @property
    def allowed(self) -> bool:
        return self.objection is None and self.kept


@dataclass(frozen=True)
class Promised:
    """The plan, the explored cut that it is of, and all that were looked at."""

    plan: Plan
    chosen: ExploredCut
    rows: tuple[Priced, ...]


def cut(
    edge: DeviceProfile,
    cloud: DeviceProfile,
    link: LinkProfile,
    *,
    explored: Explored,
    promise: Promise,
    objective: Objective = "latency",
    at: str | None = None,
    constraints: Constraints = NO_CONSTRAINTS,
    wire: str = "float32",
    noise: str | None = None,
    top: int = 1,
) -> Promised:
    """The best explored cut by an objective that keeps the promise and the constraints, or the user's own (`at`).

    noise: take noise of this kind alone. Each cut is priced with its own kind; of several that keep the promise at
    one cut the one that tells least is taken. The plan's breakpoints are of the cuts that keep it.
    Raises ProfileError (two networks), CutError (not what was explored), InfeasibleError (no explored cut keeps it;
    the nearest is named with what it reaches).
    """
    require_same_network(edge, cloud)
    records.require_network(explored, edge, wire=wire)
    kinds = _kinds(explored, noise)
    searches = {}
    for kind in kinds:
        cost = cost_model(edge, cloud, link, objective=objective, wire=wire, noise=kind)
        searches[kind] = Search(constraints.rules(edge.graph), cost, objective, constraints.limits(cost))
    rows = tuple(
        _priced(one, _of_its_noise(one, searches[one.noise], constraints), promise)
        for one in explored.cuts
        if one.noise in searches
    )
    if at is not None:
        wanted = replace(searches[kinds[0]], limits=()).at(at)
        looked_at = [one for one in rows if frozenset(one.explored.edge_nodes) == frozenset(wanted.edge_nodes)]
        if not looked_at:
            raise CutError(
                f"--at {at}: was not explored; noise is known of {_names(rows)}; explore it with `plan explore --at "
                f"{wanted.name}`"
            )
    else:
        looked_at = list(rows)
    kept = _best_noise([one for one in looked_at if one.allowed])
    if not kept:
        raise _infeasible(looked_at, promise, at=at)
    ranked = sorted(kept, key=lambda one: value(objective, one.candidate.predicted))
    chosen = ranked[0]
    lines = [one.search.line(one.candidate, link.uplink_mbps) for one in kept]
    plan = assembled(
        chosen.search,
        chosen.candidate,
        breakpoints(lambda mbps: _fastest(lines, mbps)),
        constraints={
            **settings_of(constraints),
            **promise.settings(),
            "explored": {"data": explored.data, "budget_points": explored.budget_points},
        },
        at=at,
        others=tuple(one.candidate for one in ranked[:top]) if top > 1 else (),
        shown=tuple(one.candidate for one in ranked),
    )
    return Promised(plan, chosen.explored, rows)


def _kinds(explored: Explored, noise: str | None) -> list[str]:
    """The kinds of noise to choose among. Raises InfeasibleError (there is none), CutError (none of that kind)."""
    if not explored.cuts:
        raise InfeasibleError(
            f"--explored: at none of its cuts noise keeps {explored.budget_points:g} points; explore with a larger "
            "--budget, or deeper cuts"
        )
    every = sorted({one.noise for one in explored.cuts})
    if noise is not None and noise not in every:
        raise CutError(f"--noise {noise}: explored was {', '.join(every)}; leave --noise out or explore with it")
    return [kind for kind in every if noise in (None, kind)]


def repriced(rows: Sequence[Priced]) -> tuple[ExploredCut, ...]:
    """The explored cuts at the prices here."""
    return tuple(msgspec.structs.replace(one.explored, predicted=one.candidate.predicted) for one in rows)


def _of_its_noise(one: ExploredCut, search: Search, constraints: Constraints) -> Search:
    """The search at the price of the noise that was learned, which a wider map raises."""
    cost = one.cost(search.cost)
    return search if cost == search.cost else replace(search, cost=cost, limits=constraints.limits(cost))


def _priced(one: ExploredCut, search: Search, promise: Promise) -> Priced:
    edge = frozenset(one.edge_nodes)
    unknown = edge - search.rules.graph.by_id.keys()
    if unknown:
        raise CutError(f"--explored: {one.name} has {min(unknown)} on the edge, which the profiles have not")
    objection = search.rules.objection(edge) or search.broken(edge)
    return Priced(one, search.candidate(edge), search, objection, promise.kept_by(one))


def _best_noise(rows: Sequence[Priced]) -> list[Priced]:
    """One row for each cut: of several noises the better."""
    cuts: dict[frozenset[str], list[Priced]] = {}
    for one in rows:
        cuts.setdefault(frozenset(one.explored.edge_nodes), []).append(one)
    chosen = [better(one.explored for one in those) for those in cuts.values()]
    return [one for one in rows if any(one.explored is best for best in chosen)]


def _fastest(lines: Sequence[Line], mbps: float) -> Line:
    return min(lines, key=lambda line: line.at(1 / mbps))


def _infeasible(rows: Sequence[Priced], promise: Promise, *, at: str | None) -> InfeasibleError:
    """Names the nearest: of those that the other constraints allow, else of all, with what is in its way."""
    within = [one for one in rows if one.objection is None]
    first = nearest([one.explored for one in within or rows], promise)
    if not within:
        why = next(one.objection for one in rows if one.explored is first)
        return InfeasibleError(
            f"{_none(at)} meets the other constraints; {reaches(first)}, {why}; relax one or explore other cuts"
        )
    beyond = [one for one in rows if one.kept and one.objection is not None]
    other = f"; {beyond[0].explored.name} would, but {beyond[0].objection}" if beyond else ""
    return InfeasibleError(
        f"{_none(at)} keeps {promise.options}; the nearest is {reaches(first)}{other}; relax it, explore deeper cuts "
        "(plan explore --deeper 2) or allow a larger --budget there"
    )


def _names(rows: Sequence[Priced]) -> str:
    return ", ".join(dict.fromkeys(one.explored.name for one in rows))


def _none(at: str | None) -> str:
    return "no explored cut" if at is None else f"no noise that was explored at {at}"
