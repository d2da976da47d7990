"""A tighter upper bound on I(x; a') than the covariance allows, for noise whose density is known.

    I(x; a') ≤ E_x[ KL(p(a'|x) ‖ q) ]   for any q fixed beforehand   (Barber, Agakov 2003; Poole et al. 2019, Eq. 1)

q: one Gaussian a class, fitted on training rows and mixed with the classes' frequencies. The mean is over held-out
inputs, with one draw of noise each; its sampling error is given as an interval.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from noise.audit.covariance_bound import Bound, sample_space, with_interval
from noise.randomness import Randomness

Array = NDArray[Any]


def mixture_bound(train: Array, labels: Array, holdout: Array, *, random: Randomness, repeats: int = 1) -> Bound:
    """Whitened carried tensors [rows, n] of training inputs, with their labels [rows], and of held-out inputs."""
    return mixture_bounds(train, labels, holdout, random=random, repeats=[repeats])[0]


def mixture_bounds(
    train: Array, labels: Array, holdout: Array, *, random: Randomness, repeats: Sequence[int]
) -> list[Bound]:
    """As `mixture_bound`, for several numbers of repeats: what takes long in large tensors is done once."""
    inside, outside, rest = sample_space(train, holdout)
    return [
        _bound(math.sqrt(one) * inside, labels, math.sqrt(one) * outside, one * rest, random=random, repeats=one)
        for one in repeats
    ]


def _bound(inside: Array, labels: Array, outside: Array, rest: Array, *, random: Randomness, repeats: int) -> Bound:
    noise = random.normal(outside.shape).astype(np.float64)
    seen = outside + noise
    members = [labels == one for one in _held(labels)]
    logs = np.stack([_log_density(inside[one], seen, share=float(one.mean())) for one in members])
    # The constants (2π) of p and q are the same.
    each = -0.5 * (noise**2).sum(axis=1) - logsumexp(logs, axis=0) + rest
    return with_interval(float(each.mean()), each, "mixture", repeats)


def _held(labels: Array) -> Array:
    """Classes with rows enough for a mean and a covariance; the others' inputs are told by theirs."""
    values, counts = np.unique(labels, return_counts=True)
    enough: Array = values[counts >= 2]
    return enough if len(enough) else values


def _log_density(rows: Array, at: Array, *, share: float) -> Array:
    """log(share · N(at; mean, I + covariance)) of a class, without the constant; [len(at)]."""
    mean = rows.mean(axis=0)
    centred = rows - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / max(1, len(rows) - 1))
    values = values.clip(min=0)
    squares = (((at - mean) @ vectors) ** 2 / (1 + values)).sum(axis=1)
    density: Array = math.log(share) - 0.5 * np.log1p(values).sum() - 0.5 * squares
    return density
