"""Moments of the sorted Laplace sample, exactly: what the paper's noise is, given its distribution.

Of n samples M are positive, M binomial (n, ½). Given M = p, those are p exponentials, sorted, and the others n − p
exponentials with a minus, independent of them (Z. Govindarajulu, "Relationships among order statistics in samples
from two related populations", 1963). The i-th largest of p exponentials has mean H_p − H_{i−1} and, with every larger
one, covariance H⁽²⁾_p − H⁽²⁾_{i−1} (A. Rényi, "On the theory of order statistics", 1953); H: harmonic numbers, H⁽²⁾:
those of squares. All sums over p are sums along a line, so time and memory are O(n²).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

Array = NDArray[Any]


def moments(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean [n] and covariance [n, n] of n standard Laplace samples, largest first."""
    weights = binom.pmf(np.arange(n + 1), n, 0.5)  # of p positive ones
    of = np.arange(n + 1)
    first = np.concatenate([[0], np.cumsum(1 / of[1:])])  # H₀ … Hₙ
    second = np.concatenate([[0], np.cumsum(1 / of[1:] ** 2.0)])

    def from_(values: Array) -> Array:
        """Σ over p ≥ i of weight × value, i = 1 … n."""
        found: Array = np.cumsum((weights * values)[::-1])[::-1][1:]
        return found

    ones, before = np.ones(n + 1), first[:-1]  # H_{i−1}
    positive = from_(first) - before * from_(ones)
    mean = positive - positive[::-1]
    # E[Xᵢ Xⱼ; both positive], i ≤ j: j, the smaller, says from which p on, and has the covariance.
    row, column = before[:, None], before[None, :]
    both = from_(second) - second[:-1] * from_(ones) + from_(first**2) + row * (column * from_(ones) - from_(first))
    both -= column * from_(first)
    # E[Xᵢ Xⱼ; Xᵢ positive, Xⱼ negative], i < j: p from i to j − 1. Of the negative, Xⱼ is the (n − j + 1)-th largest.
    mirrored, after = first[::-1], before[::-1]  # H_{n−p}, H_{n−j}

    def between(values: Array) -> Array:
        total = from_(values)
        return total[:, None] - total[None, :]

    opposite = between(first * mirrored) - row * between(mirrored) - after * between(first)
    opposite += row * after * between(ones)
    upper = np.triu(both + both[::-1, ::-1].T - opposite)
    products = upper + np.triu(upper, 1).T
    return mean, products - np.outer(mean, mean)
