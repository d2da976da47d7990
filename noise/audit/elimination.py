"""Elimination by order: which candidate inputs remain possible under the paper's noise.

Samples of an ordered Laplace are laid out in a saved order, so a' − a of the true input is sorted in one of the d
orders. Of a wrong candidate it is sorted by a chance of about d / n!, so a single tensor names the input among any
number of candidates. No density is estimated and no network trained; the attack needs the collection and the edge
half alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.laplace import LaplaceNoise
from profiles.codec import Quantisation
from profiles.errors import DataError

Array = NDArray[Any]

#: Relative error of a sum that was rounded to float32; float16: 2^-11.
FLOAT32_ROUNDING = 2.0**-24
#: By what floats cross as, the relative rounding of what is sent.
ROUNDING = {"float32": FLOAT32_ROUNDING, "float16": 2.0**-11 + FLOAT32_ROUNDING, "int8": FLOAT32_ROUNDING}

#: Neighbours in the order that are looked at first: a wrong candidate seldom outlives them.
FIRST_PAIRS = 8


@dataclass(frozen=True)
class Eliminated:
    """What is left of the candidates, over several tensors that crossed.

    remaining: mean number that is possible. true_percent: how often the true one is. identified_percent: how often
    the adversary names it who draws one of those that are left.
    """

    remaining: float
    candidates: int
    true_percent: float
    identified_percent: float
    rows: int
    queries: int = 1


def eliminate(
    noise: LaplaceNoise,
    observed: Sequence[Array],
    candidates: Array,
    true: NDArray[np.int64],
    *,
    wire: str = "float32",
    levels: Mapping[str, Quantisation] | None = None,
) -> Eliminated:
    """Which candidates remain possible of several tensors.

    observed: for each query of the same inputs what crossed [m, elements], all crossing tensors side by side; a
    candidate must be possible by every query. candidates: clean tensors [N, elements]. true: which candidate each
    row is [m]. wire, levels: how floats crossed.
    """
    counts, kept = np.empty(len(true)), np.empty(len(true), dtype=np.bool_)
    for row, own in enumerate(true):
        left = np.arange(len(candidates))
        for one in observed:
            left = left[_possible_inputs(noise, one[row], candidates[left], wire, levels or {})]
            if len(left) <= 1:
                break
        counts[row], kept[row] = len(left), own in left
    return Eliminated(
        remaining=float(counts.mean()),
        candidates=len(candidates),
        true_percent=100 * float(kept.mean()),
        identified_percent=100 * float((kept / counts.clip(min=1)).mean()),
        rows=len(true),
        queries=len(observed),
    )


def _possible_inputs(
    noise: LaplaceNoise, observed: Array, candidates: Array, wire: str, levels: Mapping[str, Quantisation]
) -> NDArray[np.bool_]:
    """Whether each candidate is possible [N], under one distribution for all crossing tensors."""
    joint = np.ones((noise.distributions, len(candidates)), dtype=np.bool_)
    start = 0
    for name, one in noise.tensors.items():
        part = slice(start, start + one.elements)
        start += one.elements
        joint &= possible(
            observed[part],
            candidates[:, part],
            one.order,
            rounding=ROUNDING[wire],
            uncertainty=_of_levels(observed[part], levels.get(name)),
        )
    return np.asarray(joint.any(axis=0))


def _of_levels(observed: Array, levels: Quantisation | None) -> Array:
    """How far from what was sent each element may lie [n]: half a level, and any way beyond the outermost two."""
    if levels is None:
        return np.zeros(len(observed))
    steps = np.rint(observed / levels.scale) + levels.zero_point
    off: Array = np.where((steps <= -128) | (steps >= 127), np.inf, (0.5 + 1e-3) * levels.scale)
    return off


def possible(
    observed: Array,
    candidates: Array,
    orders: NDArray[np.int64],
    *,
    rounding: float = FLOAT32_ROUNDING,
    uncertainty: float | Array = 0.0,
) -> NDArray[np.bool_]:
    """Whether candidate j could have crossed as `observed` under distribution k [d, N].

    observed: one tensor as it crossed [n]. candidates: clean tensors of the candidate inputs [N, n]. orders: [d, n],
    indices of the elements, largest first. A candidate remains if it is possible under any distribution
    (`.any(axis=0)`); where several tensors cross, all take the same distribution, so join theirs by `&` before.

    The remainder is taken in float64 and may fail to fall by what rounding explains: each element of the sum that
    crossed is off by at most `rounding` times its size. uncertainty: how far off a candidate's own elements may be,
    in its units, or for each element [n]; 0 where the adversary computes them as the edge does, about 1e-6 of the
    largest where on another processor. int8 on the wire: half a quantisation step. Raises DataError where shapes do
    not fit.
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
