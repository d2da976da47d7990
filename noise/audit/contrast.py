"""A lower bound on I(x; a') by contrast, for noise whose density is known.

    E[ log p(a'|x) − log (1/N) Σⱼ p(a'|xⱼ) ] ≤ I(x; a')

over N independent inputs, the true one among them (A. van den Oord et al., 2018; B. Poole et al., "On variational
bounds of mutual information", 2019, Equation 12). The density itself is the critic, which is the best there is, so
nothing is learned. It can say no more than ln N: near that it tells of N, not of the noise.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from profiles.errors import DataError

#: Densities that are in memory at once: [QUERIES, N] of 8 bytes.
QUERIES = 1000

#: The two-sided 95 % quantile of the normal distribution.
NORMAL_95 = 1.96


@dataclass(frozen=True)
class ContrastEstimate:
    """Lower bound in nats with the 95 % interval of its sampling error, over `samples` inputs; ceiling: ln samples.

    identified_percent: how often maximum likelihood names which of the N it was, ties broken by chance; from one
    tensor and equal odds no adversary does better.
    """

    nats: float
    interval_nats: tuple[float, float]
    samples: int
    dimensions: int
    identified_percent: float

    @property
    def bits(self) -> float:
        return self.nats / math.log(2)

    @property
    def ceiling_nats(self) -> float:
        return math.log(self.samples)


def contrast(whitened: Tensor, random: np.random.Generator) -> ContrastEstimate:
    """From what would cross without noise for N held-out inputs [N, n], whitened: the noise is N(0, I) there.

    For a' = W a + b + L z that is L⁻¹ (W a + b); any invertible map leaves the information as it is. One draw of
    noise an input. The interval is the jackknife's over inputs (each is query and candidate): normal approximation.
    Raises DataError for fewer than three inputs or tensors that are not finite.
    """
    if whitened.ndim != 2 or len(whitened) < 3 or not bool(torch.isfinite(whitened).all()):
        raise DataError(f"whitened tensors are {list(whitened.shape)}, expected finite [N, n] of 3 or more inputs")
    found = score(_log_densities(whitened.double(), random), len(whitened))
    return ContrastEstimate(
        found.nats, found.interval_nats, len(whitened), whitened.shape[1], found.identified_percent
    )


@dataclass(frozen=True)
class Scored:
    """What any critic, fixed beforehand, makes of N pairs; as `ContrastEstimate`."""

    nats: float
    interval_nats: tuple[float, float]
    identified_percent: float


def score(parts: Iterable[tuple[int, Tensor]], count: int) -> Scored:
    """From the critic's values f(xⱼ, a'ᵢ), parts [rows, N] of float64 for i, each with the index of its first row.

    What is the same for all candidates of a row may be left out.
    """
    values, identified = [], 0.0
    without = torch.zeros(count, dtype=torch.float64)  # Σᵢ of what sample i gains where candidate m is left out
    for start, densities in parts:
        rows = torch.arange(len(densities))
        own = densities[rows, start + rows]
        values.append((own - densities.logsumexp(dim=1)).clamp(max=0))  # above 0 by rounding alone
        tied = (densities == own[:, None]).sum(dim=1)
        identified += float(((own == densities.max(dim=1).values) / tied).sum())
        gains = -torch.log1p(-densities.softmax(dim=1).clamp(max=1 - 1e-12))
        gains[rows, start + rows] = 0  # a sample that is left out has no value at all
        without += gains.sum(dim=0)
    value = torch.cat(values)
    estimate = float(value.mean()) + math.log(count)
    left = (value.sum() - value + without) / (count - 1) + math.log(count - 1)
    error = math.sqrt((count - 1) / count * float((left - left.mean()).square().sum()))
    interval = (estimate - NORMAL_95 * error, min(math.log(count), estimate + NORMAL_95 * error))
    return Scored(estimate, interval, 100 * identified / count)


def _log_densities(whitened: Tensor, random: np.random.Generator) -> Iterator[tuple[int, Tensor]]:
    """Parts [rows, N] of log p(a'ᵢ | xⱼ) but for a constant, with the index of their first row."""
    norms = whitened.square().sum(dim=1)
    for start in range(0, len(whitened), QUERIES):
        part = whitened[start : start + QUERIES]
        noisy = part + torch.from_numpy(random.standard_normal(tuple(part.shape)))
        # −½ |a' − w|² without ½ |a'|², which is the same for all candidates.
        yield start, noisy @ whitened.T - norms / 2
