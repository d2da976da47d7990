"""The channel: a' = W(a) + b + n. A learned map and Gaussian noise on the edge. No torch here.

The map leaves out what the answer does not need and noise then costs less accuracy. Network and cloud half stay as
they are: the map's output has the tensor's own shape and is what the cloud half takes. A map is a small perceptron
through a few numbers (`bottleneck`), or linear.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from noise.gaussian import Normal, OfNormals

Array = NDArray[Any]


class Map(Protocol):
    """W of one crossing tensor of n elements."""

    @property
    def parameters(self) -> int: ...

    def __call__(self, tensors: Array) -> Array:
        """[rows, n] → W(t) [rows, n]."""
        ...


@dataclass(frozen=True)
class DenseMap:
    """weight: W [n, n]."""

    weight: NDArray[np.float32]

    @property
    def parameters(self) -> int:
        return int(self.weight.size)

    def __call__(self, tensors: Array) -> Array:
        return tensors @ self.weight.T


@dataclass(frozen=True)
class PointwiseMap:
    """A 1×1 convolution: the same map of the channels everywhere. weight: [channels, channels].

    axis: where the channels lie in the tensor's shape, first (convolutions) or last (tokens).
    """

    weight: NDArray[np.float32]
    last: bool = False

    @property
    def parameters(self) -> int:
        return int(self.weight.size)

    def __call__(self, tensors: Array) -> Array:
        channels = len(self.weight)
        if self.last:
            return (tensors.reshape(-1, channels) @ self.weight.T).reshape(tensors.shape)
        mapped: Array = np.matmul(self.weight, tensors.reshape(len(tensors), channels, -1))
        return mapped.reshape(tensors.shape)


@dataclass(frozen=True)
class ChannelNoise(OfNormals):
    """maps, offsets [n], normals: node id → W, b and the noise of its tensor."""

    maps: Mapping[str, Map]
    offsets: Mapping[str, NDArray[np.float32]]
    normals: Mapping[str, Normal]
    kind: str = "channel"

    @property
    def parameters(self) -> int:
        """Learned numbers: of maps, offsets and noise."""
        maps = sum(one.parameters for one in self.maps.values()) + sum(one.size for one in self.offsets.values())
        return maps + super().parameters

    def carried(self, tensors: Sequence[Array]) -> list[Array]:
        """W(a) + b of every crossing tensor [rows, n], without noise."""
        return [self.maps[node](one) + self.offsets[node] for node, one in zip(self.nodes, tensors, strict=True)]

    def scaled(self, gain: float) -> "ChannelNoise":
        """The same map, with noise `gain` times as strong."""
        return ChannelNoise(self.maps, self.offsets, self.scaled_normals(gain))
