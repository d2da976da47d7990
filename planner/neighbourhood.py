"""The graph around a plan's cut, as a tree: the edge's last nodes, what crosses, who uses it on the cloud.

A plan holds the edge's node ids and the crossing tensors; kinds, producers and consumers come from a profile's graph,
where one is given.
"""

from dataclasses import dataclass, field

from planner.legality import CutRules
from planner.plan import CrossingTensor, Plan
from planner.tables import elided, figure, short
from profiles import codec
from profiles.device import DeviceProfile
from profiles.errors import ProfileError
from profiles.graph import LayerGraph
from profiles.terminal import size

#: Nodes drawn on either side, and consumers of one tensor.
MOST_NODES, MOST_CONSUMERS = 6, 8


@dataclass
class Branch:
    """A line and what hangs from it."""

    text: str
    branches: list["Branch"] = field(default_factory=list)

    def add(self, text: str) -> "Branch":
        self.branches.append(Branch(text))
        return self.branches[-1]


def require_profile_of(plan: Plan, profile: DeviceProfile, *, origin: str) -> LayerGraph:
    """The profile's graph. Raises ProfileError where it is not the network that was planned."""
    if profile.model.architecture != plan.model.architecture:
        raise ProfileError(
            f"{origin} profiles {profile.model.name} ({profile.model.architecture[:19]}), the plan is for "
            f"{plan.model.name} ({plan.model.architecture[:19]}); give a profile that the plan was made from"
        )
    crossing = [tensor.node for tensor in plan.cut.crossing]
    unknown = [name for name in (*plan.cut.edge_nodes, *crossing) if name not in profile.graph]
    if unknown:
        raise ProfileError(
            f"{origin} has no node {unknown[0]!r}, which the plan has; give the profile it was made from"
        )
    return profile.graph


def tree(plan: Plan, graph: LayerGraph | None = None) -> Branch:
    """The cut in three branches: edge, crossing tensors, cloud. graph: of a profile, for kinds and neighbours."""
    rules = None if graph is None else CutRules(graph)
    root = Branch(f"{plan.model.name}, cut after {short(plan.cut.name)}")
    _edge(plan, rules, root)
    _crossing(plan, rules, root)
    _cloud(plan, rules, root)
    return root


def sent_bytes(tensor: CrossingTensor, plan: Plan) -> int:
    """What a crossing tensor weighs as it is sent."""
    sent = codec.sent_bytes(tensor.dtype, tensor.shape, wire=plan.settings.wire)
    return tensor.bytes if sent is None else sent


def _edge(plan: Plan, rules: CutRules | None, root: Branch) -> None:
    names = plan.cut.edge_nodes
    branch = root.add(f"edge, {plan.edge.label}: {_count(len(names), 'node')}, {figure(plan.predicted.edge_ms)} ms")
    if len(names) > MOST_NODES:
        branch.add(f"… {_count(len(names) - MOST_NODES, 'node')} before these")
    for name in names[-MOST_NODES:]:
        branch.add(elided(name, 60) if rules is None else described(name, rules))


def _crossing(plan: Plan, rules: CutRules | None, root: Branch) -> None:
    tensors = plan.cut.crossing
    if not tensors:
        root.add("nothing crosses")
        return
    wire = f"sent as {plan.settings.wire}"
    full = sum(tensor.bytes for tensor in tensors)
    branch = root.add(
        f"crossing, {_count(len(tensors), 'tensor')}: {size(full)}, {size(plan.predicted.upload_bytes)} {wire}, "
        f"{figure(plan.predicted.uplink_ms)} ms"
    )
    inside = frozenset(plan.cut.edge_nodes)
    for tensor in tensors:
        shape = "×".join(map(str, tensor.shape)) or "scalar"
        one = branch.add(elided(tensor.node, 60))
        one.add(f"{shape} {tensor.dtype}, {size(tensor.bytes)}; sent {size(sent_bytes(tensor, plan))}")
        if rules is not None:
            _users(rules, inside, tensor.node, one)


def _users(rules: CutRules, inside: frozenset[str], name: str, branch: Branch) -> None:
    """Who uses a crossing tensor: on the cloud, with what else it takes and what is glued to it; and on the edge."""
    graph = rules.graph
    users = [user for user in graph.consumers[name] if user not in inside]
    for user in users[:MOST_CONSUMERS]:
        one = branch.add(f"→ {described(user, rules)}")
        for other in dict.fromkeys(graph.by_id[user].inputs):
            if other != name:
                one.add(f"with {elided(other, 40)}, {'crosses too' if other in inside else 'from the cloud'}")
    if len(users) > MOST_CONSUMERS:
        branch.add(f"→ {len(users) - MOST_CONSUMERS} more on the cloud")
    both = [user for user in graph.consumers[name] if user in inside]
    if both:
        branch.add(f"also used on the edge by {short('+'.join(both), 40)}")


def _cloud(plan: Plan, rules: CutRules | None, root: Branch) -> None:
    took = f"{figure(plan.predicted.cloud_ms)} ms"
    if rules is None:
        root.add(f"cloud, {plan.cloud.label}: the rest, {took}")
        return
    inside = frozenset(plan.cut.edge_nodes)
    rest = [node.id for node in rules.graph.nodes if node.id not in inside]
    branch = root.add(f"cloud, {plan.cloud.label}: {_count(len(rest), 'node')}, {took}")
    for name in rest[:MOST_NODES]:
        branch.add(described(name, rules))
    if len(rest) > MOST_NODES:
        branch.add(f"… {_count(len(rest) - MOST_NODES, 'node')} after these")


def described(name: str, rules: CutRules) -> str:
    """A node with its kind and, where it is glued, to what."""
    head = rules.group[name]
    glued = f", glued to {elided(head.rpartition('.')[2], 15)}" if head != name else ""
    return f"{elided(name, 30)}  {rules.graph.by_id[name].kind}{glued}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
