"""The interval of a mean over few seeds: Student's t (1908)."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit


def t_interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float] | None:
    """Of the mean of independent results [k], for normal ones; None of fewer than two.

    With two seeds the quantile is 12.7: it says that two seeds say little, which is so.
    """
    if len(values) < 2:
        return None
    found = np.asarray(values, dtype=np.float64)
    margin = float(stdtrit(len(found) - 1, (1 + level) / 2)) * float(found.std(ddof=1)) / math.sqrt(len(found))
    mean = float(found.mean())
    return mean - margin, mean + margin
