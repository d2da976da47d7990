"""Elimination by order: which candidate inputs remain possible under the paper's noise.

Samples of an ordered Laplace are laid out in a saved order, so a' − a of the true input is sorted in one of the d
orders. Of a wrong candidate it is sorted by a chance of about d / n!, so a single tensor names the input among any
number of candidates. No density is estimated and no network trained; the attack needs the collection and the edge
half alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from profiles.errors import DataError

Array = NDArray[Any]

#: Relative error of a sum that was rounded to float32; float16: 2^-11.
FLOAT32_ROUNDING = 2.0**-24

#: Neighbours in the order that are looked at first: a wrong candidate seldom outlives them.
FIRST_PAIRS = 8


def possible(
    observed: Array,
    candidates: Array,
    orders: NDArray[np.int64],
    *,
    rounding: float = FLOAT32_ROUNDING,
    uncertainty: float = 0.0,
) -> NDArray[np.bool_]:
    """Whether candidate j could have crossed as `observed` under distribution k [d, N].

    observed: one tensor as it crossed [n]. candidates: clean tensors of the candidate inputs [N, n]. orders: [d, n],
    indices of the elements, largest first. A candidate remains if it is possible under any distribution
    (`.any(axis=0)`); where several tensors cross, all take the same distribution, so join theirs by `&` before.

    The remainder is taken in float64 and may fail to fall by what rounding explains: each element of the sum that
    crossed is off by at most `rounding` times its size. uncertainty: how far off a candidate's own elements may be,
    in its units; 0 where the adversary computes them as the edge does, about 1e-6 of the largest where on another
    processor. int8 on the wire: half a quantisation step. Raises DataError where shapes do not fit.
    """
    if candidates.ndim != 2 or orders.ndim != 2 or not observed.shape == candidates.shape[1:] == orders.shape[1:]:
        raise DataError(
            f"tensor {list(observed.shape)}, candidates {list(candidates.shape)}, orders {list(orders.shape)}; "
            "expected [n], [N, n], [d, n]"
        )
    sent = observed.astype(np.float64)
    error = rounding * np.abs(sent) + uncertainty
    return np.stack([_sorted(sent, candidates, order, error) for order in orders])


def _sorted(sent: Array, candidates: Array, order: NDArray[np.int64], error: Array) -> NDArray[np.bool_]:
    """Whether each remainder falls along the order [N], a growing stretch of it at a time over what is left."""
    left = np.arange(len(candidates))
    start, pairs = 0, FIRST_PAIRS
    while start < len(order) - 1 and len(left):
        stretch = order[start : start + pairs + 1]
        remainder = sent[stretch] - candidates[np.ix_(left, stretch)]
        rise = np.diff(remainder, axis=1)
        left = left[(rise <= error[stretch[1:]] + error[stretch[:-1]]).all(axis=1)]
        start, pairs = start + pairs, 2 * pairs
    result = np.zeros(len(candidates), dtype=np.bool_)
    result[left] = True
    return result
