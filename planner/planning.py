"""Two profiles and a link → a plan."""

import msgspec

from planner.breakpoints import Line, breakpoints
from planner.cost import CostModel
from planner.legality import CutRules
from planner.plan import Breakpoint, Candidate, Cut, Plan, PlannedDevice, References, Settings
from planner.search import Search
from profiles.artifact import digest, encode
from profiles.codec import WIRE_ITEMSIZE
from profiles.device import DeviceProfile, require_same_network
from profiles.errors import CutError
from profiles.link import LinkProfile


def cut(
    edge: DeviceProfile,
    cloud: DeviceProfile,
    link: LinkProfile,
    *,
    at: str | None = None,
    public_inputs: frozenset[str] = frozenset(),
    wire: str = "float32",
    noise: str | None = None,
) -> Plan:
    """The cut of least latency over all legal ones, or the user's own (`at`), with what else was considered.

    Raises ProfileError (two networks), CutError (`at`, or an input that is none), InfeasibleError (no legal cut).
    """
    require_same_network(edge, cloud)
    if wire not in WIRE_ITEMSIZE:
        raise CutError(f"--wire {wire}: expected one of {', '.join(WIRE_ITEMSIZE)}")
    rules = CutRules(edge.graph, public_inputs)
    cost = CostModel(edge, cloud, link, wire=wire, noise=noise)
    search = Search(rules, cost)
    chosen = search.candidates[0] if at is None else search.at(at)
    return Plan(
        model=edge.model,
        objective="latency",
        edge=_planned(edge),
        cloud=_planned(cloud),
        link=link,
        cut=Cut(chosen.name, chosen.edge_nodes, chosen.crossing),
        predicted=chosen.predicted,
        references=References(cost.cloud_only(), cost.edge_only()),
        candidates=search.shown(chosen),
        breakpoints=_breakpoints(search, link),
        settings=Settings(
            wire=wire,
            noise=noise,
            batch=edge.batch,
            at=at,
            public_inputs=tuple(sorted(public_inputs)),
            legal_cuts=len(search.candidates),
        ),
    )


def _planned(profile: DeviceProfile) -> PlannedDevice:
    return PlannedDevice(**msgspec.structs.asdict(profile.device), profile=digest(encode(profile)))


def _breakpoints(search: Search, link: LinkProfile) -> tuple[Breakpoint, ...]:
    def line(candidate: Candidate) -> Line:
        slope = 8 * candidate.predicted.upload_bytes / 1000
        return Line(candidate.name, candidate.predicted.total_ms - slope / link.uplink_mbps, slope)

    lines = [line(candidate) for candidate in search.candidates]

    def best_at(mbps: float) -> Line:
        return min(lines, key=lambda one: one.at(1 / mbps))

    return breakpoints(best_at)
