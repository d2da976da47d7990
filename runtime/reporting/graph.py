"""The graph around the cut, as lists: what the edge computes, what crosses, what the cloud computes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from planner.legality import CutRules
from planner.neighbourhood import MOST_NODES, require_profile_of, sent_bytes
from planner.plan import Plan
from planner.tables import elided, figure
from profiles import codec
from profiles.device import DeviceProfile
from profiles.graph import LayerGraph
from profiles.terminal import size

#: Groups of glued nodes that are all shown; of larger graphs the neighbourhood of the cut.
WHOLE = 24
#: Names in a list, and tensors that cross: of more, how many more.
FEW, MOST_CROSSING = 4, 8
#: Characters of a name that is told by the way.
LONGEST = 34


@dataclass(frozen=True)
class Step:
    """A node and those that are glued to it. takes: where it is not simply the step before. share: of the slowest
    step's time, percent."""

    name: str
    kind: str = ""
    glued: Sequence[str] = ()
    shape: str = ""
    ms: str = ""
    share: float = 0.0
    takes: Sequence[str] = ()
    crosses: bool = False


@dataclass(frozen=True)
class Side:
    """more: steps that are not shown, before the edge's or after the cloud's."""

    device: str
    provenance: str
    summary: str
    steps: Sequence[Step]
    more: int = 0


@dataclass(frozen=True)
class Crossing:
    name: str
    shape: str
    sent: str
    users: Sequence[str] = field(default=())


@dataclass(frozen=True)
class GraphView:
    edge: Side
    crossing: Sequence[Crossing]
    cloud: Side
    timed: bool
    more: int = 0


def view(plan: Plan, edge: DeviceProfile | None, cloud: DeviceProfile | None) -> GraphView:
    """Kinds, shapes and times come from the profiles, where they are there and of this network."""
    known = edge or cloud
    graph = require_profile_of(plan, known, origin="the profile") if known else None
    inside = frozenset(plan.cut.edge_nodes)
    here, there = _steps(graph, inside, edge, cloud) if graph else ([Step(name) for name in plan.cut.edge_nodes], [])
    total, sent = len(graph) if graph else None, len(plan.cut.crossing)
    on_edge = f"{_count(len(inside), total)}, {figure(plan.predicted.edge_ms)} ms predicted"
    on_cloud = f"{_count(None if total is None else total - len(inside), total)}, "
    on_cloud += f"{figure(plan.predicted.cloud_ms)} ms predicted"
    whole = len(here) + len(there) <= WHOLE
    few_here = here if whole else here[-MOST_NODES:]
    few_there = there if whole else there[:MOST_NODES]
    return GraphView(
        edge=Side(plan.edge.name, plan.edge.provenance, on_edge, few_here, len(here) - len(few_here)),
        crossing=[_crossing(plan, graph, index, inside) for index in range(min(sent, MOST_CROSSING))],
        more=max(0, sent - MOST_CROSSING),
        cloud=Side(plan.cloud.name, plan.cloud.provenance, on_cloud, few_there, len(there) - len(few_there)),
        timed=any(step.ms for step in (*few_here, *few_there)),
    )


def _count(number: int | None, total: int | None) -> str:
    if number is None:
        return "the rest"
    of = f" of {total}" if total else ""
    return f"{number:,}{of} node{'' if number == 1 and not of else 's'}"


def _crossing(plan: Plan, graph: LayerGraph | None, index: int, inside: frozenset[str]) -> Crossing:
    tensor = plan.cut.crossing[index]
    users = [] if graph is None else [one for one in graph.consumers[tensor.node] if one not in inside]
    wire = size(sent_bytes(tensor, plan)) + (f" as {plan.settings.wire}" if codec.is_float(tensor.dtype) else "")
    return Crossing(tensor.node, f"{_shape(tensor.shape)} {tensor.dtype}", wire, _few(users, tensor.node))


def _few(names: Sequence[str], beside: str) -> list[str]:
    """Some of many names."""
    shown = [_near(one, beside) for one in names]
    return shown if len(shown) <= FEW else [*shown[: FEW - 1], f"{len(shown) - FEW + 1} more"]


def _near(name: str, beside: str) -> str:
    """A node's name beside another's: of the same module its end is enough."""
    module = beside.rpartition(".")[0] + "."
    return f"…{name.removeprefix(module)}" if len(module) > 1 and name.startswith(module) else elided(name, LONGEST)


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "scalar"


def _steps(
    graph: LayerGraph, inside: frozenset[str], edge: DeviceProfile | None, cloud: DeviceProfile | None
) -> tuple[list[Step], list[Step]]:
    """Steps of either side in graph order, a glued group each; times are of the side's own device."""
    rules = CutRules(graph)
    sides: tuple[list[Step], list[Step]] = ([], [])
    times = [{} if one is None else one.time_ms for one in (edge, cloud)]
    groups = [(head, [one for one in members if (one in inside) == on_edge], on_edge)
              for head, members in rules.members.items() for on_edge in (True, False)]  # fmt: skip
    groups = [one for one in groups if one[1]]
    took = {
        (head, on_edge): sum(times[not on_edge].get(one, 0.0) for one in nodes) for head, nodes, on_edge in groups
    }
    slowest = max(took.values(), default=0.0)  # of both sides: their bars compare
    before: dict[bool, str | None] = {True: None, False: None}
    crossing = {node.id for node in graph.crossing(inside)}
    for head, nodes, on_edge in groups:
        first, last = graph.by_id[nodes[0]], graph.by_id[nodes[-1]]
        ms = took[head, on_edge]
        follows = before[on_edge]
        takes = () if list(first.inputs) in ([], [follows]) else first.inputs
        if follows is None and len(first.inputs) == 1 and first.inputs[0] in crossing:
            takes = ()
        sides[not on_edge].append(
            Step(
                name=first.id,
                kind=first.kind,
                glued=[_near(one, first.id) for one in nodes[1:]],
                shape=_shape(last.shape),
                ms=figure(ms) if times[not on_edge] else "",
                share=round(100 * ms / slowest, 1) if slowest else 0.0,
                takes=_few(takes, first.id),
                crosses=any(one in crossing for one in nodes),
            )
        )
        before[on_edge] = last.id
    return sides
