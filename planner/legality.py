"""Which cuts are legal (Shredder, Section 2, made exact for graphs).

A cut is the set of nodes on the edge, closed under "needs the output of". It is legal when
1. at least one computational node lies on either side;
2. no input crosses, nor a tensor that carries one past no computational node, unless the input is public;
3. glued nodes lie together: a node that is not computational, takes one tensor and is its only consumer stays with
   its producer, so that on a chain the cloud begins with a convolution or a linear layer.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from profiles.errors import CutError
from profiles.graph import LayerGraph, Node


@dataclass(frozen=True)
class CutRules:
    """The legal cuts of one graph; `public_inputs`: ids of inputs that may cross as they are."""

    graph: LayerGraph
    public_inputs: frozenset[str] = frozenset()
    pin_edge: frozenset[str] = frozenset()
    pin_cloud: frozenset[str] = frozenset()
    forbidden: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for option, names in (
            ("--pin-edge", self.pin_edge),
            ("--pin-cloud", self.pin_cloud),
            ("--forbid", self.forbidden),
        ):
            for name in sorted(names):
                require_node(self.graph, name, option=option)
        unknown = self.public_inputs - {node.id for node in self.graph.inputs}
        if unknown:
            known = ", ".join(node.id for node in self.graph.inputs)
            raise CutError(f"{sorted(unknown)[0]!r} is not an input; the inputs are: {known}")

    @cached_property
    def group(self) -> dict[str, str]:
        """Node → the head of its glued group (the first node of it)."""
        heads: dict[str, str] = {}
        for node in self.graph.nodes:
            producers = set(node.inputs)
            if not node.computational and len(producers) == 1:
                (producer,) = producers
                if len(self.graph.consumers[producer]) == 1:
                    heads[node.id] = heads[producer]
                    continue
            heads[node.id] = node.id
        return heads

    @cached_property
    def members(self) -> dict[str, tuple[str, ...]]:
        """Head → the nodes of its group, in graph order."""
        groups: dict[str, list[str]] = {}
        for name, head in self.group.items():
            groups.setdefault(head, []).append(name)
        return {head: tuple(names) for head, names in groups.items()}

    @cached_property
    def private(self) -> frozenset[str]:
        """Tensors that never cross: private inputs, what carries them past no layer, and tuples of tensors."""
        carrying: set[str] = set()
        for node in self.graph.nodes:
            if node.kind == "input":
                carries = node.id not in self.public_inputs
            else:
                carries = not node.computational and not carrying.isdisjoint(node.inputs)
            if carries:
                carrying.add(node.id)
        tuples = {node.id for node in self.graph.nodes if node.dtype == "tuple"}
        return frozenset(carrying | tuples | self.forbidden)

    @cached_property
    def forced_edge(self) -> frozenset[str]:
        """Nodes that every legal cut has on the edge: inputs, pins, and what follows from them."""
        inside = {node.id for node in self.graph.inputs} | self.pin_edge
        waiting = list(inside)
        inside = set()
        while waiting:
            name = waiting.pop()
            if name in inside:
                continue
            inside.add(name)
            waiting.extend(self.graph.by_id[name].inputs)
            waiting.extend(self.members[self.group[name]])
            if name in self.private:
                waiting.extend(self.graph.consumers[name])
        return frozenset(inside)

    @cached_property
    def forced_cloud(self) -> frozenset[str]:
        """Nodes that every legal cut has on the cloud: pins, and what follows from them."""
        outside: set[str] = set()
        waiting = list(self.pin_cloud)
        while waiting:
            name = waiting.pop()
            if name in outside:
                continue
            outside.add(name)
            waiting.extend(self.graph.consumers[name])
            waiting.extend(self.members[self.group[name]])
            waiting.extend(one for one in self.graph.by_id[name].inputs if one in self.private)
        return frozenset(outside)

    @cached_property
    def first_layers(self) -> tuple[str, ...]:
        """Computational nodes that need no other: one of them is on the edge of every legal cut."""
        after: set[str] = set()
        first = []
        for node in self.graph.nodes:
            if not after.isdisjoint(node.inputs):
                after.add(node.id)
            elif node.computational:
                first.append(node.id)
                after.add(node.id)
        return tuple(first)

    @cached_property
    def last_layers(self) -> tuple[str, ...]:
        """Computational nodes that no other needs: one of them is on the cloud of every legal cut."""
        before: set[str] = set()
        last = []
        for node in reversed(self.graph.nodes):
            if not before.isdisjoint(self.graph.consumers[node.id]):
                before.add(node.id)
            elif node.computational:
                last.append(node.id)
                before.add(node.id)
        return tuple(reversed(last))

    def crossing(self, edge: Iterable[str]) -> tuple[Node, ...]:
        """The tensors that a cut sends, in graph order."""
        return self.graph.crossing(edge)

    def objection(self, edge: Iterable[str]) -> str | None:
        """Why a set of edge nodes is no legal cut, or None where it is one."""
        inside = frozenset(edge)
        for node in self.graph.nodes:
            if node.id in inside and not inside.issuperset(node.inputs):
                return f"{node.id} is on the edge, and what it needs is not"
            if (node.id in inside) != (self.group[node.id] in inside):
                return f"{node.id} is glued to {self.group[node.id]}"
            if node.kind == "input" and node.id not in inside:
                return f"input {node.id} is not on the edge"
        if not self.pin_edge <= inside:
            return f"{sorted(self.pin_edge - inside)[0]} is pinned to the edge"
        if self.pin_cloud & inside:
            return f"{sorted(self.pin_cloud & inside)[0]} is pinned to the cloud"
        if not any(node.computational and node.id in inside for node in self.graph.nodes):
            return "no convolution, linear layer or product is on the edge"
        if not any(node.computational and node.id not in inside for node in self.graph.nodes):
            return "no convolution, linear layer or product is on the cloud"
        for node in self.crossing(inside):
            if node.id in self.forbidden:
                return f"{node.id} may not cross"
            if node.id in self.private:
                return f"{node.id} carries the input past no layer, or is no single tensor, and would cross"
        return None

    def closure(self, name: str) -> frozenset[str]:
        """The smallest set that holds a node, all it needs, what is glued to these, and what every cut holds."""
        inside = set(self.forced_edge)
        waiting = [name]
        while waiting:
            one = waiting.pop()
            if one not in inside:
                inside.add(one)
                waiting.extend(self.graph.by_id[one].inputs)
                waiting.extend(self.members[self.group[one]])
        return frozenset(inside)


def require_node(graph: LayerGraph, name: str, *, option: str) -> None:
    """Raises CutError for a node that is not there; the nearest names are offered."""
    if name not in graph:
        near = difflib.get_close_matches(name, graph.by_id, n=3) or [node.id for node in graph.nodes[:3]]
        raise CutError(f"{option} {name}: no such node; nearest: {', '.join(near)}")
