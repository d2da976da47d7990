"""The proven upper bound on I(x; a') of the paper's noise: the sorted Laplace sample has an entropy in closed form.

a' = a + n; given the distribution's index k, drawn without regard to x, n is a Laplace sample laid out in one order:

    I(x; a') ≤ I(x; a' | k) = h(a' | k) − h(n | k)
    h(a' | k) ≤ ½ log det(2πe (Σa + Σₖ))                             (Cover and Thomas, Theorem 8.6.5)
    h(n | k) = n (1 + log 2b) − log n!

as all n! orders of a sample are equally likely, and the saved one is known. The choice among d distributions adds
nothing to this, as who is told k learns no less; it takes at most log d from it, since I(x; a', k) − I(x; a') =
I(x; k | a') ≤ log d. Σₖ = b² Pₖ C Pₖᵀ, C exactly the covariance of the sorted sample (`laplace_order_statistics`).

With everything whitened by Σₖ that is the covariance bound of Gaussian noise, and beside it what a sorted sample
lacks in entropy of a Gaussian of its covariance: 0.42 nats an element whatever was learned (`surplus_nats`).

What it shows: no adversary who sees one tensor learns more, on average over this data distribution. What it does not:
that so much leaks, nor, where it is large, that anything is hidden. On LeNet's 120 elements at 1.5 points it is 257
nats, where 11 tell 60,000 images apart; a learned lower bound shows 8 of the 8.5 that 5,000 images can show.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from noise.audit.covariance_bound import Bound, covariance_bounds, held_out_bounds
from noise.audit.laplace_order_statistics import moments
from noise.laplace import LaplaceNoise, OrderedLaplace
from profiles.errors import DataError

Array = NDArray[Any]

#: Above this the [n, n] covariance and its factor take minutes and gigabytes.
MOST_ELEMENTS = 10_000


def ordered_entropy_nats(scale: float, n: int) -> float:
    """h of n Laplace samples of that scale, sorted: n (1 + log 2b) − log n!."""
    return n * (1 + math.log(2 * scale)) - math.lgamma(n + 1)


def ordered_laplace_bounds(
    noise: LaplaceNoise, train: Array, holdout: Array, *, repeats: Sequence[int] = (1,)
) -> list[Bound]:
    """Clean tensors of training and of held-out inputs [rows, elements], all crossing ones side by side → the bound
    for several numbers of repeats.

    Mean over the d distributions. Where several tensors cross, they share the index, and given it their noises are
    independent: entropies of noise add up, the covariance of a is the whole one. Σa is estimated as
    `covariance_bound` does it: of the empirical form, where rows are many, and the held-out form the larger is given;
    its interval is the mean of the distributions', which see the same rows.

    repeats: k inferences of one input, index and noise fresh. Given x they are independent, so
    I(x; a'₁ … a'ₖ) ≤ Σ I(x; a'ᵢ): k times the bound, proven, and loose where k is large.
    Raises DataError for tensors of other sizes than the noise's, or more than MOST_ELEMENTS elements.
    """
    if not train.ndim == holdout.ndim == 2 or not train.shape[1] == holdout.shape[1] == noise.elements:
        raise DataError(
            f"tensors {list(train.shape)} and {list(holdout.shape)}, noise of {noise.elements} elements; expected "
            "[rows, elements] of the noise's, all crossing tensors side by side"
        )
    if noise.elements > MOST_ELEMENTS:
        raise DataError(
            f"crossing tensors of {noise.elements} elements are too large for the ordered Laplace's bound, which "
            f"takes {MOST_ELEMENTS} at most; leave it out, or cut where less crosses"
        )
    tensors = list(noise.tensors.values())
    sorted_noise = [_Sorted(one.elements) for one in tensors]
    surplus = sum(one.surplus_nats for one in sorted_noise)
    found = []
    for index in range(noise.distributions):
        sides = [
            np.concatenate(
                [
                    one.whitened(part, tensor, index)
                    for one, tensor, part in zip(sorted_noise, tensors, _split(side, tensors), strict=True)
                ],
                axis=1,
            )
            for side in (train, holdout)
        ]
        found.append(_larger(*sides))
    return [_mean(found, surplus, one) for one in repeats]


class _Sorted:
    """Standard Laplace samples, sorted: `surplus_nats` is what they lack in entropy of a Gaussian of their
    covariance C."""

    def __init__(self, n: int) -> None:
        _, covariance = moments(n)
        self.factor = np.linalg.cholesky(covariance)
        half_log_det = float(np.log(self.factor.diagonal()).sum())
        self.surplus_nats = n / 2 * math.log(2 * math.pi * math.e) + half_log_det - ordered_entropy_nats(1, n)

    def whitened(self, tensor: Array, noise: OrderedLaplace, index: int) -> Array:
        """Rows of one crossing tensor [rows, n] where the covariance of that distribution's noise is I."""
        laid = tensor[:, noise.order[index]].astype(np.float64) / noise.scale[index]
        solved: Array = solve_triangular(self.factor, laid.T, lower=True, check_finite=False).T
        return solved


def surplus_nats(n: int) -> float:
    """½ log det(2πe C) − h of n sorted standard Laplace samples: at any scale, what a Gaussian of their covariance
    has more of entropy. 0.07 at n = 1, 50 at 120."""
    return _Sorted(n).surplus_nats


def _split(side: Array, tensors: Sequence[OrderedLaplace]) -> list[Array]:
    ends = np.cumsum([one.elements for one in tensors])
    return np.split(side, ends[:-1], axis=1)


def _larger(train: Array, holdout: Array) -> Bound:
    """For noise of covariance I, whatever its distribution: both forms need no more of it than that."""
    found = covariance_bounds(train, holdout, repeats=[1]) + held_out_bounds(train, holdout, repeats=[1])
    return max(found, key=lambda one: one.nats)


def _mean(found: Sequence[Bound], surplus: float, repeats: int) -> Bound:
    nats, low, high = (
        repeats * (surplus + float(np.mean(values)))
        for values in zip(*((one.nats, *one.interval) for one in found), strict=True)
    )
    forms = sorted({one.form for one in found})
    return Bound(nats, (low, high), " and ".join(forms), repeats)
