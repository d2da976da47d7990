"""The proven upper bound on I(x; a') of Gaussian noise: no distribution has more entropy than a Gaussian.

For a' = carried(a) + n, n ~ N(0, Σn), and any distribution of a whose carried covariance is Σ,

    I(x; a') ≤ ½ [log det(Σ + Σn) − log det Σn]                     (Cover and Thomas, Theorem 8.6.5)

In whitened coordinates Σn is the identity. An empirical Σ understates this; where rows are many, by what can be made
up for (`_from_covariance`). Where they are few, the mean over held-out inputs of KL(p(a'|x) ‖ q) is given instead, q
a Gaussian fixed beforehand on training rows: an upper bound for any q, up to the sampling error of a mean, which is
given as well.

Average case, this data distribution, one query an input. Not differential privacy; the class remains visible.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: Rows an element from which the empirical covariance is taken as it is.
ROWS_AN_ELEMENT = 10


@dataclass(frozen=True)
class Bound:
    """Of I(x; a'), natural units. interval: 95 %, of the sampling error. form: how it was computed. repeats: queries
    of one input, each with fresh noise."""

    nats: float
    interval: tuple[float, float]
    form: str
    repeats: int = 1

    @property
    def bits(self) -> float:
        return self.nats / math.log(2)

    @property
    def interval_bits(self) -> tuple[float, float]:
        return self.interval[0] / math.log(2), self.interval[1] / math.log(2)


def covariance_bound(train: Array, holdout: Array, *, repeats: int = 1) -> Bound:
    """Whitened carried tensors [rows, n] of training and of held-out inputs → the bound.

    repeats: that many inferences of the same input with fresh noise; their mean has noise of covariance Σn / repeats
    and tells all that they tell together.
    """
    return covariance_bounds(train, holdout, repeats=[repeats])[0]


def covariance_bounds(train: Array, holdout: Array, *, repeats: Sequence[int]) -> list[Bound]:
    """As `covariance_bound`, for several numbers of repeats: what takes long in large tensors is done once."""
    rows, elements = train.shape
    if rows >= ROWS_AN_ELEMENT * elements:
        spectrum = Spectrum.of(train.astype(np.float64))
        squares = spectrum.squares(train)
        return [_from_covariance(one * spectrum.values, one * squares, one) for one in repeats]
    return held_out_bounds(train, holdout, repeats=repeats)


def held_out_bounds(train: Array, holdout: Array, *, repeats: Sequence[int]) -> list[Bound]:
    """As `covariance_bounds`, held-out form always: what was fitted to training rows does not flatter it."""
    inside, outside, rest = sample_space(train, holdout)
    spectrum = Spectrum.of(inside)
    squares = spectrum.squares(outside)
    return [_held_out(one * spectrum.values, one * squares, one * rest, one) for one in repeats]


@dataclass(frozen=True)
class Spectrum:
    """Mean [d] of rows, and their covariance's eigenvalues [d] and eigenvectors [d, d]. k queries of one input are k
    times the eigenvalues: the same decomposition serves for all k."""

    mean: Array
    values: Array
    vectors: Array

    @classmethod
    def of(cls, rows: Array) -> "Spectrum":
        mean = rows.mean(axis=0)
        centred = rows - mean
        values, vectors = np.linalg.eigh(centred.T @ centred / max(1, len(rows) - 1))
        return cls(mean, values.clip(min=0), vectors)

    def squares(self, rows: Array) -> Array:
        """Squared coordinates of rows [m, d] about the mean, along the eigenvectors."""
        found: Array = ((rows - self.mean) @ self.vectors) ** 2
        return found


def _from_covariance(values: Array, squares: Array, repeats: int) -> Bound:
    # How much each row pulls: the influence function of ½ log det(I + Σ).
    share = (squares / (1 + values)).sum(axis=1)
    # A determinant of sample covariances is too small on average; to second order by ¼ E tr((I + Σ)⁻¹ δ)², δ the
    # covariance's error, which for Gaussian data and strong signals is n (n + 1) / 4 m.
    lacking = (float((share**2).mean()) - float(((values / (1 + values)) ** 2).sum())) / (4 * len(squares))
    nats = 0.5 * float(np.log1p(values).sum()) + max(0.0, lacking)
    return with_interval(nats, 0.5 * share, "covariance", repeats)


def _held_out(values: Array, squares: Array, rest: Array, repeats: int) -> Bound:
    # KL(N(x, I) ‖ N(mean, I + Σ)) for each held-out row, exact in the noise; in the directions that no training row
    # has, q is the noise alone.
    each = 0.5 * (np.log1p(values) - values / (1 + values)).sum() + 0.5 * (squares / (1 + values)).sum(axis=1) + rest
    return with_interval(float(each.mean()), each, "held-out", repeats)


def with_interval(nats: float, each: Array, form: str, repeats: int) -> Bound:
    """A bound whose sampling error is that of the mean of `each`."""
    margin = 1.96 * float(each.std(ddof=1)) / math.sqrt(len(each)) if len(each) > 1 else math.inf
    return Bound(nats, (nats - margin, nats + margin), form, repeats)


def sample_space(train: Array, holdout: Array) -> tuple[Array, Array, Array]:
    """Coordinates in the space that the training rows span, where it has fewer dimensions than there are elements.

    → training rows [m, d], held-out rows [h, d], and for each of the latter half its squared distance from that
    space: what the noise of the other directions, centred on the training mean, fails to hide of it.
    """
    rows, elements = train.shape
    if elements <= rows:
        return train.astype(np.float64), holdout.astype(np.float64), np.zeros(len(holdout))
    mean = train.mean(axis=0)
    centred = train - mean
    values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    kept = values > 1e-6 * values.max()
    basis = (vectors[:, kept] / np.sqrt(values[kept])).astype(train.dtype)  # [m, d]: the axes are basisᵀ centred
    other = holdout - mean
    inside = vectors[:, kept] * np.sqrt(values[kept])
    outside = ((other @ centred.T) @ basis).astype(np.float64)
    total = np.einsum("ij,ij->i", other, other, dtype=np.float64)
    rest = 0.5 * (total - (outside**2).sum(axis=1)).clip(min=0)
    return inside, outside, rest
