"""The interval of a mean over attacks with different seeds."""

import math
from collections.abc import Sequence

from scipy.special import stdtrit  # scipy.stats takes two seconds to load


def over_seeds(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float] | None:
    """Student's interval of the mean (W. S. Gosset, 1908); None from a single value, which says nothing of it."""
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    variance = math.fsum((one - mean) ** 2 for one in values) / (len(values) - 1)
    margin = float(stdtrit(len(values) - 1, 0.5 + level / 2)) * math.sqrt(variance / len(values))
    return mean - margin, mean + margin
