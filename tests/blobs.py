"""Small images whose every attack has a known ceiling and floor."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
