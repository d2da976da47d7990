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

from noise.audit.covariance_bound import Bound, Spectrum, sample_space, with_interval
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
    members = [labels == one for one in _held(labels)]
    classes = [(float(one.mean()), Spectrum.of(inside[one])) for one in members]
    return [_bound(classes, outside, rest, random=random, repeats=one) for one in repeats]


def _bound(
    classes: Sequence[tuple[float, Spectrum]], outside: Array, rest: Array, *, random: Randomness, repeats: int
) -> Bound:
    """classes: share and spectrum of each."""
    noise = random.normal(outside.shape).astype(np.float64)
    # Coordinates in which one query's noise is N(0, I): k queries' is N(0, I / k).
    seen = outside + noise / math.sqrt(repeats)
    logs = np.stack([_log_density(one, seen, share=share, repeats=repeats) for share, one in classes])
    # The constants (2π) of p and q are the same.
    each = -0.5 * (noise**2).sum(axis=1) - logsumexp(logs, axis=0) + repeats * rest
    return with_interval(float(each.mean()), each, "mixture", repeats)


def _held(labels: Array) -> Array:
    """Classes with rows enough for a mean and a covariance; the others' inputs are told by theirs."""
    values, counts = np.unique(labels, return_counts=True)
    enough: Array = values[counts >= 2]
    return enough if len(enough) else values


def _log_density(one: Spectrum, at: Array, *, share: float, repeats: int) -> Array:
    """log(share · N(at; mean, I / repeats + covariance)) of a class, without the constant; [len(at)]."""
    values = repeats * one.values
    squares = (repeats * one.squares(at) / (1 + values)).sum(axis=1)
    density: Array = math.log(share) - 0.5 * np.log1p(values).sum() - 0.5 * squares
    return density
