"""The exact cut of a graph: a minimum s–t cut.

Source side = edge. Arc s→v costs v's cloud time (v not on the source side pays it), v→t its edge time. A tensor with
several consumers gets a vertex of its own, so that it is paid once: producer → tensor costs sending it, tensor →
consumer is infinite. Infinite arcs consumer → producer keep the edge side closed; infinite arcs producer → consumer
keep a tensor from crossing. Glued nodes are one vertex. "A layer on the cloud" is a disjunction: where
the least cut of all has none there, one minimum cut for each last layer, pinned to the cloud, and the best of them;
likewise for the edge where nothing forces one there.

SciPy's capacities are 32-bit, and a larger one silently gives nonsense: costs are scaled so that the best known cost
is about 2^30, what exceeds it is clipped, and the answer is priced anew in floating point. Rounding moves a cut's
cost by at most (arcs / 2^31) of the best known one. Among equal cuts the deepest is taken.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from planner.legality import CutRules

Floats = NDArray[np.float64]
#: Twice this still fits 32 bits: a residual is the capacity of an arc and of its opposite together.
LARGEST_CAPACITY = 2**30 - 1
#: A cut below this part of the best known cost is looked for again, on its own scale.
COARSE = 2**-10
#: Stands for no cost at all; its inverse is still a number.
TINY = 1e-200


@dataclass(frozen=True)
class Terms:
    """A cost that adds up: for each node of the graph, in its order, what it costs on either side and to send.

    constant: what every cut costs.
    """

    edge: Floats
    cloud: Floats
    cross: Floats
    constant: float = 0.0


@dataclass(frozen=True)
class FlowNetwork:
    """The vertices and arcs of one graph under its rules; costs come with each question."""

    rules: CutRules

    @cached_property
    def _position(self) -> dict[str, int]:
        return {node.id: index for index, node in enumerate(self.rules.graph.nodes)}

    @cached_property
    def group_of(self) -> NDArray[np.int64]:
        """Node index → vertex of its glued group."""
        heads = {head: index for index, head in enumerate(self.rules.members)}
        return np.array([heads[self.rules.group[node.id]] for node in self.rules.graph.nodes], dtype=np.int64)

    @cached_property
    def _shape(self) -> "_Arcs":
        return _arcs(self.rules, self._position, self.group_of)

    def best(self, terms: Terms, *, known: float) -> frozenset[str] | None:
        """The legal cut of least cost, or None where no legal cut costs at most `known` (plus rounding).

        known: the cost of some legal cut, or any bound above the best; the tighter, the finer the scale.
        """
        best: tuple[float, int, frozenset[str]] | None = None
        waiting = [(_only(self.rules.first_layers), _only(self.rules.last_layers))]
        while waiting:
            first, last = waiting.pop()
            found = self._least(terms, known, first, last)
            if found is None:
                continue
            # Without the pins that are still to come a cut only costs less: none below can be better than this.
            ranked = (self.cost(terms, found), -len(found), found)
            if best is not None and ranked[0] > best[0]:
                continue
            if first is None and found.isdisjoint(self._layers):
                waiting += [(one, last) for one in self.rules.first_layers]
            elif last is None and found.issuperset(self._layers):
                waiting += [(first, one) for one in self.rules.last_layers]
            elif best is None or ranked[:2] < best[:2]:
                best, known = ranked, min(known, ranked[0])
        return None if best is None else best[2]

    def _least(self, terms: Terms, known: float, first: str | None, last: str | None) -> frozenset[str] | None:
        """The least cut under these pins; asked again at a finer scale where it proves far below what was known."""
        found = self._solve(terms, known, first, last)
        while found is not None:
            settled = terms.constant + float(self._settled(terms).sum())
            cost = self.cost(terms, found)
            if cost - settled > COARSE * (known - settled):
                break
            known, found = cost, self._solve(terms, cost, first, last) or found
            if cost <= settled:
                break
        return found

    def cost(self, terms: Terms, edge: Iterable[str]) -> float:
        """A cut's cost, in floating point."""
        inside = np.zeros(len(self._position), dtype=bool)
        inside[[self._position[name] for name in edge]] = True
        crossing = np.zeros_like(inside)
        tails, heads = self._shape.uses
        crossing[tails[inside[tails] & ~inside[heads]]] = True
        parts = terms.edge[inside].sum() + terms.cloud[~inside].sum() + terms.cross[crossing].sum()
        return float(parts + terms.constant)

    @cached_property
    def _forced_edge(self) -> frozenset[str]:
        return self.rules.forced_edge

    @cached_property
    def _forced_cloud(self) -> frozenset[str]:
        return self.rules.forced_cloud

    @cached_property
    def _layers(self) -> frozenset[str]:
        return frozenset(node.id for node in self.rules.graph.nodes if node.computational)

    def _settled(self, terms: Terms) -> Floats:
        """What each group costs on either side: no question, and without it the scale is finer."""
        groups = int(self.group_of.max()) + 1
        return np.minimum(
            np.bincount(self.group_of, terms.edge, groups), np.bincount(self.group_of, terms.cloud, groups)
        )

    def _solve(self, terms: Terms, known: float, first: str | None, last: str | None) -> frozenset[str] | None:
        shape, groups = self._shape, int(self.group_of.max()) + 1
        settled = self._settled(terms)
        on_edge = np.bincount(self.group_of, terms.edge, groups) - settled
        on_cloud = np.bincount(self.group_of, terms.cloud, groups) - settled
        pinned_edge = [
            self.group_of[self._position[name]] for name in (*self._forced_edge, *([first] if first else []))
        ]
        pinned_cloud = [
            self.group_of[self._position[name]] for name in (*self._forced_cloud, *([last] if last else []))
        ]
        # Where the bound is nothing, rounding aside, whatever costs anything is beyond it.
        bound = max(known - terms.constant - float(settled.sum()), 1e-15 * known, TINY)
        scale = (LARGEST_CAPACITY - 1) / 1.01 / bound

        def capacity(costs: NDArray[Any]) -> NDArray[np.int32]:
            return np.minimum(np.rint(costs * scale), LARGEST_CAPACITY).astype(np.int32)

        from_source, to_sink = capacity(on_cloud), capacity(on_edge)
        from_source[pinned_edge] = LARGEST_CAPACITY
        to_sink[pinned_cloud] = LARGEST_CAPACITY
        source, sink = shape.vertices, shape.vertices + 1
        vertices = np.arange(groups)
        infinite = np.full(len(shape.infinite[0]), LARGEST_CAPACITY, dtype=np.int32)
        tails = np.concatenate([np.full(groups, source), vertices, shape.sends[0], shape.infinite[0]])
        heads = np.concatenate([vertices, np.full(groups, sink), shape.sends[1], shape.infinite[1]])
        values = np.concatenate([from_source, to_sink, capacity(terms.cross[shape.sent]), infinite])
        size = shape.vertices + 2
        graph = csr_array(
            (values, (tails.astype(np.int32), heads.astype(np.int32))), shape=(size, size), dtype=np.int32
        )
        graph.sum_duplicates()
        np.minimum(graph.data, LARGEST_CAPACITY, out=graph.data)
        flow = maximum_flow(graph, source, sink, method="dinic")
        if flow.flow_value >= LARGEST_CAPACITY:
            return None
        residual = graph - flow.flow
        residual.data = (residual.data > 0).astype(np.int32)
        residual.eliminate_zeros()
        # The smallest sink side is the deepest of the least cuts.
        reaching = breadth_first_order(csr_array(residual.T), sink, return_predecessors=False)
        on_cloud_side = np.zeros(size, dtype=bool)
        on_cloud_side[reaching] = True
        inside = ~on_cloud_side[self.group_of]
        return frozenset(node.id for node, kept in zip(self.rules.graph.nodes, inside, strict=True) if kept)


def _only(layers: tuple[str, ...]) -> str | None:
    return layers[0] if len(layers) == 1 else None


@dataclass(frozen=True)
class _Arcs:
    """vertices: groups, then one for each tensor sent. uses: (producer, consumer) nodes, each pair once.

    sends: arcs group → tensor vertex; sent: the node whose tensor each carries. infinite: arcs of no end.
    """

    vertices: int
    uses: tuple[NDArray[np.int64], NDArray[np.int64]]
    sends: tuple[NDArray[np.int64], NDArray[np.int64]]
    sent: NDArray[np.int64]
    infinite: tuple[NDArray[np.int64], NDArray[np.int64]]


def _arcs(rules: CutRules, position: dict[str, int], group_of: NDArray[np.int64]) -> _Arcs:
    consumers = rules.graph.consumers
    pairs = [(position[name], position[user]) for name, users in consumers.items() for user in users]
    tails, heads = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    inner = group_of[tails] == group_of[heads]
    outer_tails, outer_heads = tails[~inner], heads[~inner]
    private = np.array([node.id in rules.private for node in rules.graph.nodes], dtype=bool)
    groups = int(group_of.max()) + 1
    producers = np.unique(outer_tails)
    vertex = np.full(len(private), -1, dtype=np.int64)
    vertex[producers] = groups + np.arange(len(producers))
    closing = (group_of[outer_heads], group_of[outer_tails])
    delivering = (vertex[outer_tails], group_of[outer_heads])
    kept = private[outer_tails]
    never = (group_of[outer_tails[kept]], group_of[outer_heads[kept]])
    infinite = tuple(np.concatenate(ends) for ends in zip(closing, delivering, never, strict=True))
    return _Arcs(
        vertices=groups + len(producers),
        uses=(tails, heads),
        sends=(group_of[producers], vertex[producers]),
        sent=producers,
        infinite=(infinite[0], infinite[1]),
    )
