"""DPFE's noise: Gaussian, of a covariance that is a multiple of the private features' own.

As the features are f + √scale · N(0, Σf), what they tell of the input is bounded whatever their distribution:
I(x; f') ≤ ½ log det(Σf + scale Σf) − ½ log det(scale Σf) = d/2 · ln(1 + 1/scale).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

#: Scales are looked for in this range, by bisection on the logarithm, until two differ by this factor.
WEAKEST, STRONGEST, PRECISION = 2.0**-14, 2.0**14, 1.02


@dataclass(frozen=True)
class ScaledNoise:
    """root: L with L Lᵀ = Σf, [d, d]."""

    root: torch.Tensor
    scale: float = 1.0

    @classmethod
    def of(cls, features: torch.Tensor) -> "ScaledNoise":
        """From features [m, d] of the training data."""
        covariance = torch.cov(features.double().T)
        # Where features move together their covariance is singular: a little is added, to the noise's favour nowhere.
        covariance += 1e-9 * covariance.diagonal().mean() * torch.eye(len(covariance))
        return cls(torch.linalg.cholesky(covariance).float())

    def scaled(self, scale: float) -> "ScaledNoise":
        return replace(self, scale=scale)

    def add(self, features: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """Features [n, d] with fresh noise."""
        return features + math.sqrt(self.scale) * torch.randn(features.shape, generator=random) @ self.root.T

    @property
    def bound_nats(self) -> float:
        """Of I(x; f'), for any distribution of the features with this covariance."""
        return len(self.root) / 2 * math.log1p(1 / self.scale)


def strongest(loss_points: Callable[[float], float], *, budget_points: float) -> float | None:
    """The largest scale whose loss keeps the budget; None where not even the weakest does."""
    low, high = WEAKEST, STRONGEST
    if loss_points(low) > budget_points:
        return None
    while high / low > PRECISION:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if loss_points(middle) <= budget_points else (low, middle)
    return low
