"""Noise that nobody learned, of the real size, so that what it costs is real: for networks without weights."""

from math import prod

import numpy as np

from noise.laplace import LaplaceNoise, OrderedLaplace
from planner.plan import Plan
from runtime.sides import Agreement

SCALE = 0.5


def stand_in(plan: Plan, agreed: Agreement) -> LaplaceNoise:
    """One Laplace distribution of a fixed scale for each crossing tensor that takes noise, in graph order."""
    made = {}
    for one in plan.cut.crossing:
        if one.node not in agreed.beside:
            order = np.arange(prod(one.row_shape(plan.settings.batch)))
            made[one.node] = OrderedLaplace(np.zeros(1), np.full(1, SCALE), order[None])
    return LaplaceNoise(made)
