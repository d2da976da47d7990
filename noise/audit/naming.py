"""The informed attack: name the distribution that a tensor's noise came from, and take its expected noise away.

The collection is no secret. Of the paper's noise most is the same in every draw from one of its distributions, so
whoever names the distribution is left with the little that is random. Measured on LeNet's 120 elements, twenty
distributions at 0.95 points: named right 10,000 times of 10,000, after which 4.2 % of the noise's variance is left. A
strong decoder does as well by itself: 19.7 dB, and 19.6 with this before it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from profiles.errors import DataError

#: Added to the covariance, as a share of its mean variance: elements that never vary must not make it singular.
RIDGE = 1e-4


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


def fit_namer(tensors: Tensor, draws: Tensor) -> Namer:
    """From clean tensors of the attacker's own inputs [N, n] and its own draws of each distribution [d, r, n].

    Gaussian likelihoods with covariance Cov(a) + the distributions' mean Cov(n), equal odds for each.
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
    clean, noise = tensors.double(), draws.double()
    expected = noise.mean(dim=1)
    random = (noise - expected[:, None]).flatten(0, 1)
    covariance = torch.cov(clean.T) + random.T @ random / (len(random) - len(noise))
    covariance.diagonal().add_(RIDGE * covariance.diagonal().mean())
    centres = clean.mean(dim=0) + expected
    weights = torch.cholesky_solve(centres.T, torch.linalg.cholesky(covariance))
    return Namer(weights, -(centres.T * weights).sum(dim=0) / 2, expected)
