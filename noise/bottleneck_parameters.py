"""What is learned of a bottleneck: the perceptron, and where its numbers lie in the tensor. Their noise is N(0, I):
how strong it is the perceptron's own scale says."""

import math

import numpy as np
import torch
from torch import nn

from noise.bottleneck import BottleneckMap, CodeNormal
from noise.channel import Map
from noise.gaussian import Normal
from noise.gaussian_parameters import Group

#: Adam's rate; the map begins as nothing and has a way to go.
RATE = 3e-3


class LearnedBottleneck(nn.Module):
    """D (g(a) + z) + b of one crossing tensor, in units of the tensor's own mean and spread."""

    linear = False

    def __init__(self, mean: torch.Tensor, spread: torch.Tensor, *, hidden: int, width: int, seed: int) -> None:
        """mean, spread: of the tensor [n]. hidden: k, width: h."""
        super().__init__()
        self.mean: torch.Tensor
        self.unit: torch.Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("unit", spread)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = nn.Linear(len(mean), hidden)
            self.code = nn.Linear(hidden, width)
            self.decoder = nn.Linear(width, len(mean))

    def whitened(self, tensors: torch.Tensor) -> torch.Tensor:
        """g(a) of rows [rows, n], whose noise is N(0, I) [rows, h]."""
        found: torch.Tensor = self.code(torch.relu(self.encoder((tensors - self.mean) / self.unit)))
        return found

    def carried(self, tensors: torch.Tensor) -> torch.Tensor:
        laid: torch.Tensor = self.decoder(self.whitened(tensors))
        return laid * self.unit + self.mean

    def numbers(self, elements: int) -> int:
        return self.code.out_features

    def noise(self, z: torch.Tensor) -> torch.Tensor:
        return (z @ self.decoder.weight.T) * self.unit

    def whitened_root(self, root: torch.Tensor) -> torch.Tensor:
        """A root of the numbers' covariance over the given rows of the tensor."""
        found = self.whitened(root)
        return (found - found.mean(dim=0)) / math.sqrt(max(1, len(found) - 1))

    def normal(self) -> Normal:
        return CodeNormal(self._laid(), 1.0)

    def mapped(self) -> tuple[Map, np.ndarray]:
        encoder = self.encoder.weight.detach() / self.unit
        bias = self.encoder.bias.detach() - encoder @ self.mean
        constant = self.decoder(self.code.bias).detach() * self.unit + self.mean
        parts = [one.numpy().astype(np.float32) for one in (encoder, bias, self.code.weight.detach())]
        return BottleneckMap(parts[0], parts[1], parts[2].copy(), self._laid()), constant.numpy().astype(np.float32)

    def _laid(self) -> np.ndarray:
        return (self.decoder.weight.detach() * self.unit[:, None]).numpy().astype(np.float32)

    def groups(self) -> list[Group]:
        return [{"params": list(self.parameters()), "lr": RATE}]
