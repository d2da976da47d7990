"""Small images whose every attack has a known ceiling and floor."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noise.activations import Activations
from noise.audit.training import Observe, Strength

#: Enough for these images, in a second.
SMALL = Strength(width=64, hidden_layers=2, epochs=6, batch=100, learning_rate=5e-3)


@dataclass(frozen=True)
class Blobs:
    """A bright spot on a dark ground. labels: upper or lower half; attribute: left or right. tensors: [rows, 20]."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    attribute: NDArray[np.int64]
    tensors: Tensor


def blobs(rows: int, *, seed: int) -> Blobs:
    random = np.random.default_rng(seed)
    down, across = random.uniform(2, 9, (2, rows))
    row, column = np.indices((12, 12))
    squared = (row - down[:, None, None]) ** 2 + (column - across[:, None, None]) ** 2
    images = np.exp(-squared / 8).astype(np.float32)[:, None]
    edge = np.random.default_rng(0).standard_normal((144, 20)) / 6
    tensors = torch.from_numpy(np.tanh(images.reshape(rows, -1) @ edge).astype(np.float32))
    return Blobs(images, (down > 5.5).astype(np.int64), (across > 5.5).astype(np.int64), tensors)


def under_noise(tensors: Tensor, scale: float) -> Observe:
    """Rows of the tensors under fresh Gaussian noise of that scale."""
    return lambda rows: tensors[rows] + scale * torch.randn(len(rows), tensors.shape[1])


def crossing(*tensors: Tensor) -> Activations:
    """As if a cut let these tensors [rows, n] through."""
    rows = len(tensors[0])
    return Activations(tuple(one.numpy() for one in tensors), (), np.zeros(rows, np.int64), np.zeros((rows, 2)))


@dataclass(frozen=True)
class Fixed:
    """The same noise [n] for every input: no secret at all."""

    noise: NDArray[np.float32]
    kind: str = "fixed"
    nodes: tuple[str, ...] = ("t",)
    distributions: int = 1

    @property
    def elements(self) -> int:
        return len(self.noise)

    def draw(self, rows: int, random: Any) -> list[NDArray[np.float32]]:
        return [np.tile(self.noise, (rows, 1))]

    def carried(self, tensors: Any) -> list[NDArray[Any]]:
        return list(tensors)
