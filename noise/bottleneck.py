"""The bottleneck: a' = D (g(a) + z) + b, a small perceptron g to a few numbers, and noise on these alone. No torch.

    g(a) = C max(0, E a + e),   z ~ N(0, s² I_h)

The few numbers keep what the answer needs, so that little noise hides the rest; D lays them out in the tensor's own
shape, which the cloud half takes as it is. D is known and has full rank, so a' tells just what g(a) + z tells: bounds
are of h numbers instead of n. Learned by the information-bottleneck trade-off (A. Alemi et al., "Deep variational
information bottleneck", 2017). Network and cloud half stay untouched.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.randomness import Randomness

Array = NDArray[Any]


@dataclass(frozen=True)
class BottleneckMap:
    """D g(a). encoder: E [k, n], bias: e [k], code: C [h, k], decoder: D [n, h]. What is constant is in b."""

    encoder: NDArray[np.float32]
    bias: NDArray[np.float32]
    code: NDArray[np.float32]
    decoder: NDArray[np.float32]

    @property
    def parameters(self) -> int:
        return sum(one.size for one in (self.encoder, self.bias, self.code, self.decoder))

    @property
    def hidden(self) -> int:
        return len(self.bias)

    def __call__(self, tensors: Array) -> Array:
        """[rows, n] → D g(t) [rows, n]."""
        hidden = np.maximum(tensors @ self.encoder.T + self.bias, 0)
        mapped: Array = (hidden @ self.code.T) @ self.decoder.T
        return mapped


@dataclass(frozen=True)
class CodeNormal:
    """s D z, z ~ N(0, I_h): noise of a bottleneck's numbers as it lies in the tensor.

    decoder: D [n, h] of full rank.
    """

    decoder: NDArray[np.float32]
    gain: float

    @property
    def elements(self) -> int:
        return len(self.decoder)

    @property
    def parameters(self) -> int:
        return 1  # D is the map's

    @cached_property
    def inverse(self) -> Array:
        """(DᵀD)⁻¹ Dᵀ / s, transposed [n, h]: the numbers that lie in a tensor, in units of their noise."""
        inverse: Array = np.linalg.pinv(self.decoder.astype(np.float64)).T / self.gain
        return inverse

    def draw(self, rows: int, random: Randomness) -> NDArray[np.float32]:
        """Fresh noise [rows, n] from h normal numbers a row."""
        code = random.normal((rows, self.decoder.shape[1]))
        code *= np.float32(self.gain)
        drawn: NDArray[np.float32] = code @ self.decoder.T
        return drawn

    def whitened(self, tensors: Array) -> Array:
        """The numbers that lie in each row of [rows, n], in units of their noise: [rows, h]."""
        found: Array = tensors @ self.inverse
        return found

    def scaled(self, gain: float) -> "CodeNormal":
        return CodeNormal(self.decoder, gain * self.gain)
