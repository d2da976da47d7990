"""Where a network is cut to be timed; the equations by which timed halves give node times are `board`'s.

A sum of times measured operator by operator misses what only a half as a whole shows: entering it, cold caches at
its start, operators that overlap. So the halves themselves are timed at a few linear cuts, and the times of the
segments between these cuts are solved for.
"""

from collections.abc import Sequence

import numpy as np

from profiles.board import spread
from profiles.graph import LayerGraph


def linear_cuts(graph: LayerGraph, *, most: int, weight: Sequence[float]) -> list[str]:
    """Nodes after which a single tensor is needed, a layer before and behind it: at most so many, spread evenly over
    the weights (of the nodes, in graph order) and with the first and the last of them."""
    layers = np.cumsum([node.computational for node in graph.nodes])
    found = [
        index
        for index in graph.bottlenecks
        if graph.nodes[index].dtype != "tuple"
        and 0 < layers[index] < layers[-1]
        and _ends(graph, graph.nodes[index].id)
    ]
    places = spread(np.cumsum(weight)[found], most) if found else []
    return [graph.nodes[found[place]].id for place in places]


def _ends(graph: LayerGraph, name: str) -> bool:
    """Whether the run of operators that stay with their producer ends here, so that a cut may lie behind it."""
    users = [graph.by_id[user] for user in graph.consumers[name]]
    return len(users) > 1 or any(user.computational or len(set(user.inputs)) > 1 for user in users)


def segments_of(graph: LayerGraph, cuts: Sequence[str], operators: Sequence[str]) -> list[list[str]]:
    """The operators before, between and behind linear cuts, in order; those that no cut needs lie behind the last."""
    inputs = [node.id for node in graph.inputs]
    before, made = frozenset[str](), []
    for edge in (*(graph.with_needs([cut, *inputs]) for cut in cuts), frozenset(operators)):
        made.append([name for name in operators if name in edge and name not in before])
        before |= edge
    return made
