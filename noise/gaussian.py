"""Gaussian noise for crossing tensors, of any covariance that takes O(n²) or O(n·r) to draw. No torch here.

Its density is known, so what a tensor with it tells can be bounded (`noise.audit`); where a covariance comes from,
`noise.fisher` and `noise.gaussian_learning` say.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from noise.randomness import Randomness

Array = NDArray[Any]


class Normal(Protocol):
    """Noise of one crossing tensor of n elements, centred."""

    @property
    def elements(self) -> int: ...

    @property
    def parameters(self) -> int:
        """Numbers it is made of."""
        ...

    def draw(self, rows: int, random: Randomness) -> NDArray[np.float32]:
        """Fresh noise [rows, n]."""
        ...

    def whitened(self, tensors: Array) -> Array:
        """Σn^-½ t for each row of [rows, n]; there the noise is N(0, I)."""
        ...

    def scaled(self, gain: float) -> "Normal": ...


@dataclass(frozen=True)
class DenseNormal:
    """N(0, L Lᵀ). factor: L, lower triangular with a positive diagonal [n, n]."""

    factor: NDArray[np.float32]

    @property
    def elements(self) -> int:
        return len(self.factor)

    @property
    def parameters(self) -> int:
        return self.elements * (self.elements + 1) // 2

    def draw(self, rows: int, random: Randomness) -> NDArray[np.float32]:
        drawn: NDArray[np.float32] = random.normal((rows, self.elements)) @ self.factor.T
        return drawn

    def whitened(self, tensors: Array) -> Array:
        from scipy.linalg import solve_triangular

        solved: Array = solve_triangular(self.factor.astype(np.float64), tensors.T, lower=True).T
        return solved

    def scaled(self, gain: float) -> "DenseNormal":
        return DenseNormal((gain * self.factor).astype(np.float32))


@dataclass(frozen=True)
class LowRankNormal:
    """D (z − U (w ⊙ Uᵀ z)), z ~ N(0, I): every direction as strong as D has it, but r of them weaker; O(n·r).

    scale: the diagonal of D, positive [n]. basis: U, orthonormal [n, r]. shrink: w, below 1 [r]. A direction of the
    basis keeps the share 1 − w of its strength (a negative w makes it stronger).
    """

    scale: NDArray[np.float32]
    basis: NDArray[np.float32]
    shrink: NDArray[np.float32]

    @property
    def elements(self) -> int:
        return len(self.scale)

    @property
    def parameters(self) -> int:
        return self.scale.size + self.basis.size + self.shrink.size

    def draw(self, rows: int, random: Randomness) -> NDArray[np.float32]:
        z = random.normal((rows, self.elements))
        z -= ((z @ self.basis) * self.shrink) @ self.basis.T
        z *= self.scale
        return z

    def whitened(self, tensors: Array) -> Array:
        # (I − U diag(w) Uᵀ)⁻¹ = I + U diag(w / (1 − w)) Uᵀ, since U is orthonormal.
        y: Array = tensors / self.scale
        y += ((y @ self.basis) * (self.shrink / (1 - self.shrink))) @ self.basis.T
        return y

    def scaled(self, gain: float) -> "LowRankNormal":
        return LowRankNormal((gain * self.scale).astype(np.float32), self.basis, self.shrink)


class OfNormals:
    """What noise made of a `Normal` for each crossing tensor is, whatever is done to the tensors before it."""

    normals: Mapping[str, Normal]

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(self.normals)

    @property
    def distributions(self) -> int:
        return 1

    @property
    def elements(self) -> int:
        return sum(one.elements for one in self.normals.values())

    @property
    def parameters(self) -> int:
        return sum(one.parameters for one in self.normals.values())

    def draw(self, rows: int, random: Randomness) -> list[NDArray[np.float32]]:
        return [one.draw(rows, random) for one in self.normals.values()]

    def carried(self, tensors: Sequence[Array]) -> list[Array]:
        """The tensors as they are: noise is added."""
        return list(tensors)

    def whitened(self, tensors: Sequence[Array]) -> Array:
        """Σn^-½ of every crossing tensor, side by side [rows, elements]: their noises are independent."""
        pairs = zip(self.normals.values(), self.carried(tensors), strict=True)
        parts = [one.whitened(tensor) for one, tensor in pairs]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def scaled_normals(self, gain: float) -> dict[str, Normal]:
        """Each `gain` times as strong. Raises ValueError for a gain that is no positive number."""
        if not (math.isfinite(gain) and gain > 0):
            raise ValueError(f"gain {gain}: expected a positive number")
        return {node: one.scaled(gain) for node, one in self.normals.items()}


@dataclass(frozen=True)
class GaussianNoise(OfNormals):
    """Additive: a' = a + n. normals: node id → the noise of its tensor."""

    normals: Mapping[str, Normal]
    kind: str = "gaussian"

    def scaled(self, gain: float) -> "GaussianNoise":
        """Noise `gain` times as strong."""
        return GaussianNoise(self.scaled_normals(gain))
