"""Linear cuts: those with one crossing tensor, found in one pass over the graph.

In graph order, count the tensors that are made and still needed. Where only one is, the cut after it is linear: all
that stands before it, on the edge, all that follows, on the cloud.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.legality import CutRules
from planner.mincut import Terms


@dataclass(frozen=True)
class LinearCuts:
    """nodes: ids of the crossing tensors in graph order; positions: their places in the graph's order."""

    nodes: tuple[str, ...]
    positions: NDArray[np.int64]

    def costs(self, terms: Terms) -> NDArray[np.float64]:
        """What each costs, by running sums. Nodes that depend on no input count as on the edge: close, not exact."""
        edge, cloud = np.cumsum(terms.edge), np.cumsum(terms.cloud)
        at = self.positions
        costs: NDArray[np.float64] = edge[at] + (cloud[-1] - cloud[at]) + terms.cross[at] + terms.constant
        return costs


def linear_cuts(rules: CutRules) -> LinearCuts:
    """The linear cuts that the rules allow."""
    graph = rules.graph
    position = {node.id: index for index, node in enumerate(graph.nodes)}
    last_forced = max((position[name] for name in rules.forced_edge), default=-1)
    first_forbidden = min((position[name] for name in rules.forced_cloud), default=len(graph))
    layers_before = np.cumsum([node.computational for node in graph.nodes])
    waiting = {name: len(users) for name, users in graph.consumers.items()}
    from_input: set[str] = set()
    open_tensors: set[str] = set()
    found = []
    for index, node in enumerate(graph.nodes):
        if node.kind == "input" or not from_input.isdisjoint(node.inputs):
            from_input.add(node.id)
        for name in set(node.inputs):
            waiting[name] -= 1
            if not waiting[name]:
                open_tensors.discard(name)
        if waiting[node.id] and node.id in from_input:
            open_tensors.add(node.id)
        legal = (
            open_tensors == {node.id}
            and last_forced <= index < first_forbidden
            and node.id not in rules.private
            and 0 < layers_before[index] < layers_before[-1]
            and all(rules.group[user] != rules.group[node.id] for user in graph.consumers[node.id])
        )
        if legal:
            found.append(node.id)
    return LinearCuts(tuple(found), np.array([position[name] for name in found], dtype=np.int64))
