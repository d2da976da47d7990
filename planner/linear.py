"""Linear cuts: those with one crossing tensor.

Where only one tensor is still needed, the cut after it is linear: all that stands before it in graph order, on the
edge, all that follows, on the cloud.
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
    found = [
        node.id
        for index, node in ((index, graph.nodes[index]) for index in graph.bottlenecks)
        if last_forced <= index < first_forbidden
        and node.id not in rules.private
        and 0 < layers_before[index] < layers_before[-1]
        and all(rules.group[user] != rules.group[node.id] for user in graph.consumers[node.id])
    ]
    return LinearCuts(tuple(found), np.array([position[name] for name in found], dtype=np.int64))
