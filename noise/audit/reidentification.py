"""Re-identification: which of N candidate inputs was it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: Queries whose distances are in memory at once.
QUERIES = 500


def nearest(observed: Array, candidates: Array, random: np.random.Generator) -> NDArray[np.int64]:
    """The candidate nearest to each tensor that crossed: [m, n], [N, n] → indices [m]; ties broken by chance.

    In coordinates in which the noise is N(0, I) that is the likeliest one, and with equal odds no adversary is right
    more often (the Bayes rule).
    """
    order = random.permutation(len(candidates))
    mixed = candidates[order].astype(np.float64)
    norms = np.square(mixed).sum(axis=1)
    found = []
    for start in range(0, len(observed), QUERIES):
        part = observed[start : start + QUERIES].astype(np.float64)
        found.append((norms - 2 * part @ mixed.T).argmin(axis=1))
    named: NDArray[np.int64] = order[np.concatenate(found)]
    return named
