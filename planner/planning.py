"""Two profiles and a link → a plan."""

from typing import cast

import msgspec

from planner.breakpoints import breakpoints
from planner.constraints import Constraints, explain
from planner.cost import CostModel
from planner.plan import (
    Breakpoint,
    Candidate,
    Cut,
    Objective,
    ParetoFront,
    Plan,
    PlannedDevice,
    References,
    Settings,
    Wire,
)
from planner.search import Search
from profiles.artifact import digest, encode
from profiles.codec import WIRE_ITEMSIZE
from profiles.device import DeviceProfile, require_same_network
from profiles.errors import CutError, InfeasibleError
from profiles.link import LinkProfile

NO_CONSTRAINTS = Constraints()


def cut(
    edge: DeviceProfile,
    cloud: DeviceProfile,
    link: LinkProfile,
    *,
    objective: Objective = "latency",
    at: str | None = None,
    constraints: Constraints = NO_CONSTRAINTS,
    wire: str = "float32",
    noise: str | None = None,
    top: int = 1,
    pareto: bool = False,
) -> Plan:
    """The best legal cut by an objective within the constraints, or the user's own (`at`), and what else there is.

    top: how many of the best different cuts the plan's candidates hold. pareto: also the cuts that no other beats.
    Raises ProfileError (two networks), CutError (a name or limit that cannot be), InfeasibleError (nothing legal
    meets the constraints; it says which single one is in the way).
    """
    cost = cost_model(edge, cloud, link, objective=objective, wire=wire, noise=noise)
    search = Search(constraints.rules(edge.graph), cost, objective, constraints.limits(cost))
    own = None if at is None else search.at(at)
    try:
        chosen = own or search.best
        segments = breakpoints(lambda mbps: search.line_at(mbps))
    except InfeasibleError:
        raise explain(constraints, cost) from None
    others = search.top(top) if top > 1 else ()
    front, whole = search.pareto() if pareto else ((), True)
    return assembled(
        search,
        chosen,
        segments,
        constraints=settings_of(constraints),
        at=at,
        others=others,
        front=ParetoFront(tuple(one.name for one in front), whole) if pareto else None,
        shown=(*others, *front),
    )


def cost_model(
    edge: DeviceProfile,
    cloud: DeviceProfile,
    link: LinkProfile,
    *,
    objective: Objective = "latency",
    wire: str = "float32",
    noise: str | None = None,
) -> CostModel:
    """Prices for an objective. Raises ProfileError (two networks), CutError (what cannot be priced)."""
    require_same_network(edge, cloud)
    if wire not in WIRE_ITEMSIZE:
        raise CutError(f"--wire {wire}: expected one of {', '.join(WIRE_ITEMSIZE)}")
    cost = CostModel(edge, cloud, link, wire=wire, noise=noise)
    cost.require_comparable()
    if objective == "energy":
        cost.powers()
    return cost


def assembled(
    search: Search,
    chosen: Candidate,
    segments: tuple[Breakpoint, ...],
    *,
    constraints: dict[str, object],
    at: str | None,
    others: tuple[Candidate, ...] = (),
    front: ParetoFront | None = None,
    shown: tuple[Candidate, ...] = (),
) -> Plan:
    """The plan of a chosen cut. others: the best, as asked for. shown: candidates beside the linear cuts."""
    cost = search.cost
    return Plan(
        model=cost.edge.model,
        objective=search.objective,
        edge=planned(cost.edge),
        cloud=planned(cost.cloud),
        link=cost.link,
        cut=Cut(chosen.name, chosen.edge_nodes, chosen.crossing),
        predicted=chosen.predicted,
        references=References(cost.cloud_only(), cost.edge_only()),
        candidates=search.shown(chosen, shown),
        breakpoints=segments,
        settings=Settings(
            wire=cast(Wire, cost.wire),
            noise=cost.noise,
            noise_share=cost.noise_share(chosen),
            batch=cost.edge.batch,
            at=at,
            public_inputs=tuple(sorted(search.rules.public_inputs)),
            constraints=constraints,
            top=tuple(one.name for one in others),
            pareto=front,
            gap=search.gap if at is None else None,
        ),
    )


def settings_of(constraints: Constraints) -> dict[str, object]:
    """What was constrained, as the plan notes it."""
    return {name: _plain(wish) for name, wish in vars(constraints).items() if wish}


def _plain(wish: object) -> object:
    return sorted(wish) if isinstance(wish, frozenset) else wish


def planned(profile: DeviceProfile) -> PlannedDevice:
    """A device of the plan."""
    return PlannedDevice(**msgspec.structs.asdict(profile.device), profile=digest(encode(profile)))
