"""The informed attack: name the distribution that a tensor's noise came from, and take its expected noise away.

The collection is no secret. Of the paper's noise most is the same in every draw from one of its distributions, so
whoever names the distribution is left with the little that is random. Measured on LeNet's 120 elements, twenty
distributions at 0.95 points: named right 10,000 times of 10,000, after which 4.2 % of the noise's variance is left. A
strong decoder does as well by itself: 19.7 dB, and 19.6 with this before it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from noise.laplace import LaplaceNoise
from noise.randomness import SeededRandom
from profiles.errors import DataError

#: Added to the covariance, as a share of its mean variance: elements that never vary must not make it singular.
RIDGE = 1e-4
#: Draws of each distribution, and inputs of the attacker's own, for a namer at most; elements of either.
DRAWS, INPUTS, ELEMENTS = 200, 10_000, 2**26
#: Above this many elements a covariance takes minutes: their variances alone name as surely.
DENSE = 2048
#: Inputs that tell how often a namer is right.
JUDGED = 2000


@dataclass(frozen=True)
class Namer:
    """Linear discriminant analysis (Fisher 1936) with one covariance for all distributions.

    weights: [n, d], offsets: [d] of the discriminants. expected: [d, n], mean noise of each distribution.
    """

    weights: Tensor
    offsets: Tensor
    expected: Tensor

    def __call__(self, observed: Tensor) -> Tensor:
        """The distribution most likely behind each tensor that crossed [rows, n] → indices [rows]."""
        return (observed.to(self.weights.dtype) @ self.weights + self.offsets).argmax(dim=1)

    def without_expected_noise(self, observed: Tensor) -> Tensor:
        """What crossed [rows, n], less the mean noise of the distribution that was named: for a decoder to go on."""
        return observed - self.expected[self(observed)].to(observed.dtype)


@dataclass(frozen=True)
class NamingQuality:
    """right: percent of single queries named right. variance_left: of the noise, percent of what it was, after the
    named one's expected noise is taken away."""

    right_percent: float
    variance_left_percent: float


def namer_of(noise: LaplaceNoise, tensors: Tensor, *, seed: int) -> Namer:
    """Fitted to clean tensors of the attacker's own inputs [N, n], all crossing tensors side by side, and to draws of
    its own."""
    rows = max(2, min(INPUTS, ELEMENTS // noise.elements))
    draws = max(2, min(DRAWS, ELEMENTS // (noise.elements * noise.distributions)))
    which = np.repeat(np.arange(noise.distributions), draws)
    drawn = np.concatenate(noise.draw_from(which, SeededRandom(seed, 78)), axis=1)
    return fit_namer(tensors[:rows], torch.from_numpy(drawn).reshape(noise.distributions, draws, -1))


def naming_quality(namer: Namer, noise: LaplaceNoise, tensors: Tensor, *, seed: int) -> NamingQuality:
    """On clean tensors [N, n] that the namer was not fitted to."""
    rows = max(2, min(JUDGED, len(tensors), ELEMENTS // noise.elements))
    random = SeededRandom(seed, 79)
    which = random.integers(noise.distributions, rows)
    drawn = torch.from_numpy(np.concatenate(noise.draw_from(which, random), axis=1))
    seen = tensors[:rows] + drawn
    right = (namer(seen) == torch.from_numpy(which)).double().mean()
    left = (namer.without_expected_noise(seen) - tensors[:rows]).var(dim=0).sum() / drawn.var(dim=0).sum()
    return NamingQuality(100 * float(right), 100 * float(left))


def fit_namer(tensors: Tensor, draws: Tensor) -> Namer:
    """From clean tensors of the attacker's own inputs [N, n] and its own draws of each distribution [d, r, n].

    Gaussian likelihoods with covariance Cov(a) + the distributions' mean Cov(n), equal odds for each; of more than
    DENSE elements with its diagonal alone.
    Raises DataError where shapes do not fit or samples are too few for a covariance.
    """
    if (
        tensors.ndim != 2
        or draws.ndim != 3
        or draws.shape[2] != tensors.shape[1]
        or min(len(tensors), draws.shape[1]) < 2
    ):
        raise DataError(
            f"tensors {list(tensors.shape)}, draws {list(draws.shape)}, expected [N, n], [d, r, n] of two or "
            "more each"
        )
    exact = torch.float64 if tensors.shape[1] <= DENSE else torch.float32
    clean, noise = tensors.to(exact), draws.to(exact)
    expected = noise.mean(dim=1)
    random = (noise - expected[:, None]).flatten(0, 1)
    freedom = len(random) - len(noise)
    centres = clean.mean(dim=0) + expected
    if tensors.shape[1] > DENSE:
        variance = clean.var(dim=0) + random.square().sum(dim=0) / freedom
        variance += RIDGE * variance.mean()
        weights = centres.T / variance[:, None]
    else:
        covariance = torch.cov(clean.T) + random.T @ random / freedom
        covariance.diagonal().add_(RIDGE * covariance.diagonal().mean())
        weights = torch.cholesky_solve(centres.T, torch.linalg.cholesky(covariance))
    return Namer(weights, -(centres.T * weights).sum(dim=0) / 2, expected)
