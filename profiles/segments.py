"""Node times from timed halves: what the two sides of a cut need when they run as they will run.

A sum of times measured operator by operator misses what only a half as a whole shows: entering it, cold caches at
its start, operators that overlap. So the halves themselves are timed at a few linear cuts, and the times of the
segments between these cuts are solved for, non-negative, with relative errors weighted alike:

    prefix_k = u_0 + … + u_k     suffix_k = start + receive_k + u_(k+1) + … + u_m     whole = u_0 + … + u_m

Starting costs something once for the whole, where it is part of u_0, and once more for a cut network's second half;
more of it where that half begins with operators that the wait has let go cold (`receive`, a matter of the tensor).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls

from profiles.graph import LayerGraph

Floats = NDArray[np.float64]

#: How much more the whole counts than a half: every reference and every sum rests on it.
WHOLE_WEIGHT = 3.0
#: How much less a segment's operators in place count.
ALONE_WEIGHT = 0.05
#: How much less it costs to say that a half starts slower than that its segments do.
RECEIVE_WEIGHT = 0.1


@dataclass(frozen=True)
class SegmentTimes:
    """inner_ms: of each of k + 1 segments before, between and behind k cuts. start_ms: of starting a second half;
    receive_ms: beyond that, of starting it behind each cut [k]."""

    inner_ms: Floats
    start_ms: float
    receive_ms: Floats


def fit_segments(
    *, whole_ms: float, prefixes_ms: ArrayLike, suffixes_ms: ArrayLike, alone_ms: ArrayLike
) -> SegmentTimes:
    """Times of k + 1 segments that add up to `whole_ms`, and of starting a second half.

    prefixes_ms, suffixes_ms: of the two sides of k nested cuts, timed [k]. alone_ms: sums of the segments' operators
    in place [k + 1]; they decide, weakly, what the halves leave open: a segment shorter than the clock's scatter.
    """
    prefixes, suffixes = np.asarray(prefixes_ms, dtype=float), np.asarray(suffixes_ms, dtype=float)
    cuts = len(prefixes)
    until = np.tri(cuts, cuts + 1)  # prefix k holds segments 0 … k
    none, each, alone = np.zeros((cuts, 1)), np.eye(cuts), np.asarray(alone_ms, dtype=float)
    rows = [  # columns: segments, start, receive
        np.hstack([until, none, 0 * each]),
        np.hstack([1 - until, none + 1, each]),
        np.hstack([np.ones((1, cuts + 1)), np.zeros((1, cuts + 1))]),
        np.eye(cuts + 1, 2 * cuts + 2),
        np.eye(cuts, 2 * cuts + 2, cuts + 2),
    ]
    measured = np.r_[prefixes, suffixes, whole_ms, alone * whole_ms / max(float(alone.sum()), 1e-9), suffixes]
    weights = np.r_[np.ones(2 * cuts), WHOLE_WEIGHT, np.full(cuts + 1, ALONE_WEIGHT), np.full(cuts, RECEIVE_WEIGHT)]
    weights /= np.maximum(measured, 1e-9 * whole_ms)
    # Receiving is drawn towards nothing, so that it explains what the rest cannot.
    wanted = np.r_[measured[:-cuts] if cuts else measured, np.zeros(cuts)]
    solved, _ = nnls(np.vstack(rows) * weights[:, None], wanted * weights)
    inner = solved[: cuts + 1]
    return SegmentTimes(inner * whole_ms / inner.sum(), float(solved[cuts + 1]), solved[cuts + 2 :])


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
    if len(found) > most:
        reached = np.cumsum(weight)[found]
        wanted = np.linspace(reached[0], reached[-1], most)
        found = [found[place] for place in sorted({int(np.abs(reached - goal).argmin()) for goal in wanted})]
    return [graph.nodes[index].id for index in found]


def _ends(graph: LayerGraph, name: str) -> bool:
    """Whether the run of operators that stay with their producer ends here, so that a cut may lie behind it."""
    users = [graph.by_id[user] for user in graph.consumers[name]]
    return len(users) > 1 or any(user.computational or len(set(user.inputs)) > 1 for user in users)


def share(segment_ms: float, alone_ms: Floats) -> Floats:
    """A segment's time over its nodes, in proportion to what each takes in place."""
    total = float(alone_ms.sum())
    if total > 0:
        return segment_ms * alone_ms / total
    return np.full(len(alone_ms), segment_ms / max(len(alone_ms), 1))
