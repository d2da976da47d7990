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
from profiles.trace import TracedNetwork, is_tensor

Array = NDArray[Any]

#: Largest difference between halves and whole, relative to the largest value, in one engine and across engines.
SAME_ENGINE_TOLERANCE, CROSS_ENGINE_TOLERANCE = 1e-5, 1e-4


@dataclass(frozen=True)
class Halves:
    """crossing: node ids in graph order; the edge returns their tensors, the cloud takes them, in that order."""

    edge: fx.GraphModule
    cloud: fx.GraphModule
    crossing: tuple[str, ...]


def split(network: TracedNetwork, edge_nodes: Iterable[str]) -> Halves:
    """The two halves of a legal cut; `edge_nodes`: ids on the edge, closed under what they need."""
    on_edge = frozenset(edge_nodes)
    graph = network.graph
    crossing = tuple(
        node.id
        for node in graph.nodes
        if node.id in on_edge and any(user not in on_edge for user in graph.consumers[node.id])
    )
    inputs = [node.id for node in graph.inputs]
    outputs = [node.id for node in graph.outputs]
    return Halves(part(network, inputs, crossing), part(network, crossing, outputs), crossing)


def whole(network: TracedNetwork) -> fx.GraphModule:
    """The uncut network: inputs in graph order → tuple of outputs."""
    graph = network.graph
    return part(network, [node.id for node in graph.inputs], [node.id for node in graph.outputs])


def part(network: TracedNetwork, given: Sequence[str], wanted: Sequence[str]) -> fx.GraphModule:
    """The operators between given tensors and wanted ones: a module from the ones to a tuple of the others.

    Only the weights that these operators use are in it.
    """
    made = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for index, name in enumerate(given):
        original = network.fx_nodes[name]
        copies[original] = made.placeholder(f"given_{index}")
        copies[original].meta = dict(original.meta)
    batch = _batch_of(made, [network.fx_nodes[name] for name in given], copies) if network.dynamic_batch else None

    def copy(node: fx.Node) -> fx.Node:
        if node in copies:
            return copies[node]
        if batch is not None and _is_batch(node):
            copies[node] = batch
        elif node.op == "placeholder":
            raise ValueError(f"{node.name} is needed but not given: the cut is not closed")
        else:
            copies[node] = made.node_copy(node, copy)
        return copies[node]

    wanted_nodes = [network.fx_nodes[name] for name in wanted]
    # In graph order, so that Python's recursion stays shallow however deep the network is.
    needed = _needs(wanted_nodes, stop=set(copies))
    for node in network.module.graph.nodes:
        if node in needed:
            copy(node)
    made.output(tuple(copy(node) for node in wanted_nodes))
    made.lint()
    return fx.GraphModule(network.module, made)


def _needs(wanted: Iterable[fx.Node], *, stop: set[fx.Node]) -> set[fx.Node]:
    needed: set[fx.Node] = set()
    waiting = list(wanted)
    while waiting:
        node = waiting.pop()
        if node in needed or node in stop:
            continue
        needed.add(node)
        # The batch's size is read anew from what is given, not from the network's input.
        waiting.extend([] if _is_batch(node) else node.all_input_nodes)
    return needed


def _is_batch(node: fx.Node) -> bool:
    """Whether an operator reads the size of the batch."""
    value = node.meta.get("val")
    return isinstance(value, torch.SymInt) and value.node.expr.is_Symbol


def _batch_of(made: fx.Graph, given: Sequence[fx.Node], copies: dict[fx.Node, fx.Node]) -> fx.Node | None:
    for node in given:
        value = node.meta["val"]
        if (
            is_tensor(node)
            and value.ndim
            and isinstance(value.shape[0], torch.SymInt)
            and value.shape[0].node.expr.is_Symbol
        ):
            return made.call_function(torch.ops.aten.sym_size.int, (copies[node], 0))
    return None


def require_equal(
    whole_outputs: Sequence[Array],
    split_outputs: Sequence[Array],
    *,
    tolerance: float = SAME_ENGINE_TOLERANCE,
) -> float:
    """The largest difference relative to the largest value. Raises EqualityError beyond the tolerance."""
    worst = max(
        float(np.abs(one - other).max() / max(float(np.abs(one).max()), 1e-30))
        for one, other in zip(whole_outputs, split_outputs, strict=True)
    )
    if not worst <= tolerance:
        raise EqualityError(
            f"the two halves differ from the whole by {worst:.1e} of the largest value, expected at most "
            f"{tolerance:.0e}; is the model in eval mode and free of randomness?"
        )
    return worst
