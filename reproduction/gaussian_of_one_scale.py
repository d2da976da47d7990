"""Noise that nothing was learned for: as strong in every element, in every direction."""

from collections.abc import Mapping
from math import prod

import numpy as np

from noise.gaussian import GaussianNoise, LowRankNormal


def of_one_scale(shapes: Mapping[str, tuple[int, ...]], scale: float) -> GaussianNoise:
    """N(0, scale² I) for each crossing tensor. shapes: of one inference's share of each."""
    sizes = {node: prod(shape) for node, shape in shapes.items()}
    return GaussianNoise(
        {
            node: LowRankNormal(np.full(n, scale, np.float32), np.zeros((n, 0), np.float32), np.zeros(0, np.float32))
            for node, n in sizes.items()
        }
    )
