"""Pairs whose mutual information is known."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def correlated(correlation: float, *, rows: int, dimensions: int = 1, seed: int = 0) -> tuple[Array, Array, float]:
    """Pairs of Gaussians, each element of one correlated with its fellow of the other, and their I in closed form."""
    x, z = np.random.default_rng(seed).standard_normal((2, rows, dimensions))
    y = correlation * x + math.sqrt(1 - correlation**2) * z
    return x, y, -dimensions / 2 * math.log(1 - correlation**2)
