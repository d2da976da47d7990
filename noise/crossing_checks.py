"""Whether noise can be learned for what a plan sends: a legal cut of this network, and tensors that take noise."""

from planner.legality import CutRules
from planner.plan import CrossingTensor, Plan
from profiles import codec
from profiles.errors import NoiseError
from profiles.trace import TracedNetwork


def takes_noise(tensor: CrossingTensor, plan: Plan, network: TracedNetwork) -> bool:
    """Whether a crossing tensor gets noise: integers cannot, and what public inputs alone decide need not."""
    if not codec.is_float(tensor.dtype):
        return False
    private = {node.id for node in network.graph.inputs} - set(plan.settings.public_inputs)
    return not private.isdisjoint(network.graph.with_needs([tensor.node]))


def require_legal(plan: Plan, network: TracedNetwork) -> None:
    """A plan's file may have been changed by hand: nothing but a legal cut may be run, or the input could cross.

    Raises NoiseError with what is not legal.
    """
    rules = CutRules(network.graph, frozenset(plan.settings.public_inputs))
    unknown = [name for name in plan.cut.edge_nodes if name not in network.graph]
    if unknown:
        raise NoiseError(f"plan: cut.edge_nodes names {unknown[0]!r}, which is no node of the network; cut it again")
    if (objection := rules.objection(plan.cut.edge_nodes)) is not None:
        raise NoiseError(f"plan: cut.edge_nodes is no legal cut, {objection}; cut it again with `plan cut`")
    crossing = tuple((node.id, node.shape, node.dtype) for node in rules.crossing(plan.cut.edge_nodes))
    if crossing != tuple((one.node, one.shape, one.dtype) for one in plan.cut.crossing):
        raise NoiseError("plan: cut.crossing is not what cut.edge_nodes sends; cut it again with `plan cut`")


def require_noisy(plan: Plan, network: TracedNetwork) -> None:
    """What crosses must be whole shares; what takes noise must be floats, and decide the first output.

    Raises NoiseError with the tensor that is not so.
    """
    for one in plan.cut.crossing:
        if takes_noise(one, plan, network) and not one.dtype.startswith("float"):
            raise NoiseError(
                f"{one.node} crosses and holds {one.dtype}; noise is for float16, float32 and float64: "
                "cut elsewhere, or convert the model with .float()"
            )
        if network.batch > 1 and not network.rowwise(one.node):
            raise NoiseError(
                f"{one.node} crosses at {list(one.shape)}, whose first dimension is not the batch of "
                f"{network.batch}; profile at --batch 1 or cut elsewhere"
            )
    if network.graph.outputs[0].id in plan.cut.edge_nodes:
        raise NoiseError("the first output is computed on the edge: what crosses does not decide it; cut earlier")
