"""LayerGraph: what the planner knows of a network. No torch.

Terms: a *node* is one operator of the traced graph; its *tensor* is what it puts out (one producer, many consumers).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal

import msgspec
import networkx

from profiles.artifact import Count
from profiles.errors import ProfileError

Kind = Literal[
    "input",
    "convolution",
    "linear",
    "matmul",
    "embedding",
    "normalisation",
    "activation",
    "pooling",
    "reshape",
    "join",
    "other",
    "output",
]

#: Kinds that count as layers: a cut needs one on either side.
COMPUTATIONAL: frozenset[str] = frozenset({"convolution", "linear", "matmul"})


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One operator and the tensor it puts out.

    shape: of the output, batch first. bytes: of the output at float32, or at its own integer type.
    encoded_bytes: of an input only: what a real client would send (8-bit pixels, token ids).
    flops: 2 a multiply-add; None where no formula is known, never zero for that reason.
    dtype "tuple" marks an operator that puts out several tensors: it never crosses, its items do.
    """

    id: str
    kind: Kind
    inputs: tuple[str, ...]
    shape: tuple[Count, ...]
    dtype: str
    bytes: Count
    encoded_bytes: Count | None = None
    op: str | None = None
    module: str | None = None
    flops: Count | None = None
    parameter_bytes: Count | None = None

    @property
    def computational(self) -> bool:
        """Whether it is a convolution, a linear layer or a product of matrices."""
        return self.kind in COMPUTATIONAL

    @property
    def elements(self) -> int:
        """Numbers in its tensor."""
        return prod(self.shape)


@dataclass(frozen=True)
class LayerGraph:
    """Nodes in an order in which every input stands before its consumer."""

    nodes: tuple[Node, ...]

    @classmethod
    def of(cls, nodes: Iterable[Node]) -> "LayerGraph":
        """Check and order nodes.

        Raises ProfileError: no nodes, an id twice, an input that is not there, a cycle.
        """
        given = tuple(nodes)
        if not given:
            raise ProfileError("the graph has no nodes, expected at least an input, a layer and an output")
        position = {node.id: index for index, node in enumerate(given)}
        if len(position) < len(given):
            twice = next(node.id for index, node in enumerate(given) if position[node.id] != index)
            raise ProfileError(f"node {twice!r} stands twice, expected every id once")
        for node in given:
            for name in node.inputs:
                if name not in position:
                    raise ProfileError(f"node {node.id!r} takes {name!r}, which is not a node of this file")
        if all(position[name] < index for index, node in enumerate(given) for name in node.inputs):
            return cls(given)
        arrows = networkx.DiGraph()
        arrows.add_nodes_from(position)
        arrows.add_edges_from((name, node.id) for node in given for name in node.inputs)
        try:
            order = list(networkx.lexicographical_topological_sort(arrows, key=position.__getitem__))
        except networkx.NetworkXUnfeasible:
            cycle = " → ".join(edge[0] for edge in networkx.find_cycle(arrows))
            raise ProfileError(
                f"the graph has a cycle ({cycle}), expected each node to need earlier ones only"
            ) from None
        return cls(tuple(given[position[name]] for name in order))

    @cached_property
    def by_id(self) -> dict[str, Node]:
        """Nodes by their ids."""
        return {node.id: node for node in self.nodes}

    @cached_property
    def consumers(self) -> dict[str, tuple[str, ...]]:
        """Who uses a node's tensor, each consumer once."""
        users: dict[str, list[str]] = {node.id: [] for node in self.nodes}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                users[name].append(node.id)
        return {name: tuple(found) for name, found in users.items()}

    @cached_property
    def inputs(self) -> tuple[Node, ...]:
        """The network's inputs, in order."""
        return tuple(node for node in self.nodes if node.kind == "input")

    @cached_property
    def outputs(self) -> tuple[Node, ...]:
        """The network's outputs, in order."""
        return tuple(node for node in self.nodes if node.kind == "output")

    @cached_property
    def bottlenecks(self) -> tuple[int, ...]:
        """Places in the order behind which one tensor is still needed, that of the node there, and no other.

        Tensors that depend on no input do not count: either side makes them itself.
        """
        waiting = {name: len(users) for name, users in self.consumers.items()}
        from_input, needed, found = set[str](), set[str](), list[int]()
        for index, node in enumerate(self.nodes):
            if node.kind == "input" or not from_input.isdisjoint(node.inputs):
                from_input.add(node.id)
            for name in set(node.inputs):
                waiting[name] -= 1
                if not waiting[name]:
                    needed.discard(name)
            if waiting[node.id] and node.id in from_input:
                needed.add(node.id)
            if needed == {node.id}:
                found.append(index)
        return tuple(found)

    def crossing(self, edge: Iterable[str]) -> tuple[Node, ...]:
        """The nodes of a set whose tensors are used outside it, in graph order."""
        inside = frozenset(edge)
        return tuple(
            node
            for node in self.nodes
            if node.id in inside and any(user not in inside for user in self.consumers[node.id])
        )

    def with_needs(self, names: Iterable[str]) -> frozenset[str]:
        """The given nodes and all they need, directly or not."""
        needed: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in needed:
                needed.add(name)
                waiting.extend(self.by_id[name].inputs)
        return frozenset(needed)

    def __contains__(self, name: object) -> bool:
        return name in self.by_id

    def __len__(self) -> int:
        return len(self.nodes)
