"""The noise that is left in the mean of k queries of one input.

Where the density is Gaussian the mean of k draws has the law of one draw with 1/√k of the strength: exact, and as
cheap. Other noise is averaged: of up to FEW queries anew each time; of more, means of about k/2 draws each are kept
in two pools, and what an input is given is a member of either, so that POOL² means occur. Each has exactly the law of
a mean of k draws; two inputs that share a member are not independent of each other, of which an attack that learns
sees nothing.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.laplace import LaplaceNoise
from noise.mechanism import Mechanism
from noise.randomness import Randomness

Array = NDArray[Any]

#: Rows → mean noise of k queries for each, all crossing tensors side by side [rows, elements].
MeanNoise = Callable[[int], Array]

#: Queries that are drawn one by one each time.
FEW = 4
#: Means in each of the two pools at most, and elements; draws that are averaged at a time.
POOL, POOL_ELEMENTS, AT_ONCE = 2048, 2**23, 2**21


def mean_noise(noise: Mechanism, queries: int, random: Randomness, *, expected: Array | None = None) -> MeanNoise:
    """expected: [d, elements], taken from each draw of distribution k before averaging: what is left to one who has
    named it; of `laplace` alone."""
    if hasattr(noise, "scaled") and hasattr(noise, "whitened"):
        weaker: Mechanism = noise if queries == 1 else noise.scaled(1 / math.sqrt(queries))
        return lambda rows: joined(weaker.draw(rows, random))
    if queries == 1:
        return lambda rows: _drawn(noise, rows, random, expected)
    if queries <= FEW:
        return lambda rows: _means(noise, rows, queries, random, expected)
    size = max(64, min(POOL, POOL_ELEMENTS // noise.elements))
    halves = (queries // 2, queries - queries // 2)
    pools = [_means(noise, size, half, random, expected) * np.float32(half / queries) for half in halves]

    def both(rows: int) -> Array:
        first, second = (pool[random.integers(size, rows)] for pool in pools)
        first += second
        return first

    return both


def joined(tensors: list[Array]) -> Array:
    """Tensors [rows, n] each → [rows, elements]."""
    return tensors[0] if len(tensors) == 1 else np.concatenate(tensors, axis=1)


def _drawn(noise: Mechanism, rows: int, random: Randomness, expected: Array | None) -> Array:
    if expected is None or not isinstance(noise, LaplaceNoise):
        return joined(noise.draw(rows, random))
    which = random.integers(noise.distributions, rows)
    drawn: Array = joined(noise.draw_from(which, random))
    drawn -= expected[which]
    return drawn


def _means(noise: Mechanism, size: int, queries: int, random: Randomness, expected: Array | None) -> Array:
    """Means of so many draws [size, elements]."""
    found = np.empty((size, noise.elements), dtype=np.float32)
    most = max(1, AT_ONCE // (queries * noise.elements))
    for start in range(0, size, most):
        rows = min(most, size - start)
        drawn = _drawn(noise, rows * queries, random, expected)
        found[start : start + rows] = drawn.reshape(rows, queries, -1).mean(axis=1)
    return found
