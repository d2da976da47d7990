"""Traced network + cut → edge half and cloud half; and whether the two compute what the whole does.

Both halves are the network's own operators and weights, copied operator by operator; nothing is added or changed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from profiles.errors import EqualityError
from profiles.trace import TracedNetwork

Array = NDArray[Any]

#: Largest difference between halves and whole, relative to the largest value, in one engine and across engines.
SAME_ENGINE_TOLERANCE, CROSS_ENGINE_TOLERANCE = 1e-5, 1e-4
#: How many steps of float16, coarser than that tolerance, engines may differ by.
HALF_PRECISION_STEPS = 8


@dataclass(frozen=True)
class Halves:
    """Both halves of a cut.

    edge: the network's inputs → the crossing tensors, then those outputs of the network that lie on the edge.
    cloud: the crossing tensors → the other outputs. crossing: node ids in graph order. outputs: ids of all outputs;
    on_cloud: of those that the cloud computes. any_rows: whether the halves run any number of rows; else the batch
    that was traced, no other, since a crossing tensor's first dimension is not the batch.
    """

    edge: fx.GraphModule
    cloud: fx.GraphModule
    crossing: tuple[str, ...]
    outputs: tuple[str, ...]
    on_cloud: tuple[str, ...]
    any_rows: bool

    def joined(self, from_edge: Sequence[Any], from_cloud: Sequence[Any]) -> list[Any]:
        """The network's outputs in order. from_edge: what the edge half returned, crossing tensors first."""
        own = iter(from_edge[len(self.crossing) :])
        theirs = iter(from_cloud)
        return [next(theirs if name in self.on_cloud else own) for name in self.outputs]


def split(network: TracedNetwork, edge_nodes: Iterable[str]) -> Halves:
    """The two halves of a legal cut; `edge_nodes`: ids on the edge, closed under what they need."""
    on_edge = frozenset(edge_nodes)
    graph = network.graph
    crossing = tuple(node.id for node in graph.crossing(on_edge))
    inputs = [node.id for node in graph.inputs]
    outputs = tuple(node.id for node in graph.outputs)
    kept = [name for name in outputs if name in on_edge]
    sent = tuple(name for name in outputs if name not in on_edge)
    any_rows = network.dynamic_batch and all(map(network.rowwise, crossing))
    return Halves(
        edge=part(network, inputs, [*crossing, *kept]),
        cloud=part(network, crossing, sent, any_rows=any_rows),
        crossing=crossing,
        outputs=outputs,
        on_cloud=sent,
        any_rows=any_rows,
    )


def whole(network: TracedNetwork) -> fx.GraphModule:
    """The uncut network: inputs in graph order → tuple of outputs."""
    graph = network.graph
    return part(network, [node.id for node in graph.inputs], [node.id for node in graph.outputs])


def part(
    network: TracedNetwork, given: Sequence[str], wanted: Sequence[str], *, any_rows: bool = True
) -> fx.GraphModule:
    """The operators between given tensors and wanted ones: a module from the ones to a tuple of the others.

    Only the weights that these operators use are in it. any_rows: read the batch's size from what is given; else it
    is the traced one.
    """
    made = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for index, name in enumerate(given):
        original = network.fx_nodes[name]
        copies[original] = made.placeholder(f"given_{index}")
        copies[original].meta = dict(original.meta)
    batch: fx.Node | int = network.batch
    if any_rows and (first := next(filter(network.rowwise, given), None)) is not None and network.dynamic_batch:
        batch = made.call_function(torch.ops.aten.sym_size.int, (copies[network.fx_nodes[first]], 0))

    def copy(node: fx.Node) -> Any:
        if node in copies:
            return copies[node]
        if _is_batch(network, node):
            return batch
        if node.op == "placeholder":
            raise ValueError(f"{node.name} is needed but not given: the cut is not closed")
        copies[node] = made.node_copy(node, copy)
        return copies[node]

    wanted_nodes = [network.fx_nodes[name] for name in wanted]
    # In graph order, so that Python's recursion stays shallow however deep the network is.
    needed = _needs(network, wanted_nodes, stop=set(copies))
    for node in network.module.graph.nodes:
        if node in needed:
            copy(node)
    made.output(tuple(copy(node) for node in wanted_nodes))
    made.lint()
    return fx.GraphModule(network.module, made)


def _needs(network: TracedNetwork, wanted: Iterable[fx.Node], *, stop: set[fx.Node]) -> set[fx.Node]:
    needed: set[fx.Node] = set()
    waiting = list(wanted)
    while waiting:
        node = waiting.pop()
        if node in needed or node in stop:
            continue
        needed.add(node)
        # The batch's size is read anew from what is given, not from the network's input.
        waiting.extend([] if _is_batch(network, node) else node.all_input_nodes)
    return needed


def _is_batch(network: TracedNetwork, node: fx.Node) -> bool:
    """Whether an operator reads the size of the batch."""
    return network.dynamic_batch and network.is_batch(node.meta.get("val"))


def require_equal(
    whole_outputs: Sequence[Array],
    split_outputs: Sequence[Array],
    *,
    tolerance: float = SAME_ENGINE_TOLERANCE,
) -> float:
    """The largest difference relative to the largest value. Raises EqualityError beyond the tolerance."""
    worst = max(
        (_difference(one, other) for one, other in zip(whole_outputs, split_outputs, strict=True)), default=0.0
    )
    if not worst <= tolerance:
        raise EqualityError(
            f"the two halves differ from the whole by {worst:.1e} of the largest value, expected at most "
            f"{tolerance:.0e}; is the model in eval mode and free of randomness?"
        )
    return worst


def tolerance_across_engines(outputs: Sequence[Array]) -> float:
    """`CROSS_ENGINE_TOLERANCE`, or some steps of the coarsest float among the outputs where those are larger."""
    coarsest = max((float(np.finfo(one.dtype).eps) for one in outputs if one.dtype.kind == "f"), default=0.0)
    return max(CROSS_ENGINE_TOLERANCE, HALF_PRECISION_STEPS * coarsest)


def _difference(one: Array, other: Array) -> float:
    """Largest difference relative to the largest finite value; equal infinities do not differ, NaN always does."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return float("inf")
    exact, theirs = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(invalid="ignore"):
        gaps = np.where(exact == theirs, 0.0, np.abs(exact - theirs))
    size = np.abs(exact[np.isfinite(exact)]).max(initial=1e-30)
    return float(np.nan_to_num(gaps, nan=np.inf).max(initial=0.0) / size)
