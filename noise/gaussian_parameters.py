"""What is learned of Gaussian noise and of the map before it: torch modules that give the forms the edge draws from.

Everything is in units of the tensor's own spread, so that one learning rate fits every network.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import nn

from noise.channel import DenseMap, Map, PointwiseMap
from noise.gaussian import DenseNormal, LowRankNormal, Normal
from planner.noise_cost import MapForm, map_channels

Group = dict[str, object]
#: Adam's rate up to so many elements. Beyond, that of a matrix falls with their square: n of its elements add up in
#: every output, and n² of them jitter (400 elements of CIFAR-10 want a tenth of the rate of LeNet's 120).
RATE, RATED_ELEMENTS = 5e-3, 120
#: A spread is never below this share of the tensor's root mean square.
FLOOR = 0.05


def matrix_rate(size: int) -> float:
    """Adam's rate for a square matrix."""
    return RATE * min(1.0, RATED_ELEMENTS / size) ** 2


class LearnedNormal(Protocol):
    """Noise of one crossing tensor while it is learned."""

    def noise(self, z: torch.Tensor) -> torch.Tensor:
        """Standard normal [rows, n] → noise [rows, n]."""
        ...

    def whiten(self, tensors: torch.Tensor) -> torch.Tensor:
        """Σn^-½ t for each row of [rows, n]."""
        ...

    def normal(self) -> Normal:
        """What the edge draws from."""
        ...

    def groups(self) -> list[Group]: ...


class DenseFactor(nn.Module):
    """L = D (strictly lower + diag(exp(log diagonal))), D the tensor's spread [n]."""

    def __init__(self, spread: torch.Tensor, start: LowRankNormal) -> None:
        super().__init__()
        self.unit: torch.Tensor
        self.register_buffer("unit", spread)
        root = np.diag(start.scale) @ (np.eye(start.elements) - (start.basis * start.shrink) @ start.basis.T)
        relative = torch.from_numpy(np.linalg.cholesky(root @ root.T).astype(np.float32)) / spread[:, None]
        self.lower = nn.Parameter(torch.tril(relative, -1))
        self.log_diagonal = nn.Parameter(relative.diagonal().log())

    def factor(self) -> torch.Tensor:
        return self.unit[:, None] * (torch.tril(self.lower, -1) + torch.diag(self.log_diagonal.exp()))

    def noise(self, z: torch.Tensor) -> torch.Tensor:
        drawn: torch.Tensor = z @ self.factor().T
        return drawn

    def whiten(self, tensors: torch.Tensor) -> torch.Tensor:
        solved: torch.Tensor = torch.linalg.solve_triangular(self.factor(), tensors.T, upper=False).T
        return solved

    def normal(self) -> Normal:
        return DenseNormal(self.factor().detach().numpy().copy())

    def groups(self) -> list[Group]:
        return [
            {"params": [self.lower], "lr": matrix_rate(len(self.unit))},
            {"params": [self.log_diagonal], "lr": RATE},
        ]


class LowRankFactor(nn.Module):
    """D (z − U (w ⊙ Uᵀ z)), U fixed: the directions that the answer depends on; learned are D and 1 − w = exp(θ)."""

    def __init__(self, start: LowRankNormal) -> None:
        super().__init__()
        self.basis: torch.Tensor
        self.register_buffer("basis", torch.from_numpy(start.basis))
        self.log_scale = nn.Parameter(torch.from_numpy(start.scale).log())
        self.log_kept = nn.Parameter(torch.log1p(-torch.from_numpy(start.shrink)))

    def noise(self, z: torch.Tensor) -> torch.Tensor:
        shrink = 1 - self.log_kept.exp()
        return self.log_scale.exp() * (z - ((z @ self.basis) * shrink) @ self.basis.T)

    def whiten(self, tensors: torch.Tensor) -> torch.Tensor:
        y = tensors * torch.exp(-self.log_scale)
        return y + ((y @ self.basis) * (torch.exp(-self.log_kept) - 1)) @ self.basis.T

    def normal(self) -> Normal:
        scale, kept = self.log_scale.detach().exp().numpy(), self.log_kept.detach().exp().numpy()
        return LowRankNormal(scale.copy(), self.basis.numpy(), 1 - kept)

    def groups(self) -> list[Group]:
        return [{"params": [self.log_scale, self.log_kept], "lr": RATE}]


class LearnedMap(nn.Module):
    """W and b of one crossing tensor; starts as the identity."""

    def __init__(self, spread: torch.Tensor, shape: tuple[int, ...], form: MapForm) -> None:
        super().__init__()
        self.form, self.shape = form, shape
        self.size = map_channels(form, shape)
        self.unit: torch.Tensor
        self.register_buffer("unit", spread)
        self.weight = nn.Parameter(torch.eye(self.size))
        self.bias = nn.Parameter(torch.zeros(len(spread)))

    def linear(self, tensors: torch.Tensor) -> torch.Tensor:
        """W t for each row of [rows, n]."""
        if self.form == "dense":
            return tensors @ self.weight.T
        if self.form == "last":
            return (tensors.reshape(-1, self.size) @ self.weight.T).reshape(tensors.shape)
        return torch.matmul(self.weight, tensors.reshape(len(tensors), self.size, -1)).reshape(tensors.shape)

    def forward(self, tensors: torch.Tensor) -> torch.Tensor:
        return self.linear(tensors) + self.bias * self.unit

    def map(self) -> Map:
        weight = self.weight.detach().numpy().copy()
        return DenseMap(weight) if self.form == "dense" else PointwiseMap(weight, last=self.form == "last")

    def offset(self) -> np.ndarray:
        return (self.bias * self.unit).detach().numpy().astype(np.float32)

    def groups(self) -> list[Group]:
        return [{"params": [self.weight], "lr": matrix_rate(self.size)}, {"params": [self.bias], "lr": RATE}]


class Learnable(Protocol):
    """Noise, and where there is a channel the map, of one crossing tensor while they are learned."""

    @property
    def linear(self) -> bool:
        """Whether what is carried depends on the tensor linearly: its covariance then follows from the tensor's."""
        ...

    def carried(self, tensors: torch.Tensor) -> torch.Tensor:
        """[rows, n] → what of it is sent but for the noise [rows, n]."""
        ...

    def numbers(self, elements: int) -> int:
        """How many standard normal numbers the noise of so many elements is made of."""
        ...

    def noise(self, z: torch.Tensor) -> torch.Tensor:
        """Standard normal [rows, numbers] → noise [rows, n]."""
        ...

    def whitened(self, tensors: torch.Tensor) -> torch.Tensor:
        """What is carried of rows [rows, n], in coordinates where the noise is N(0, I), but for a constant."""
        ...

    def whitened_root(self, root: torch.Tensor) -> torch.Tensor:
        """Rows whose second moment is the tensor's covariance, carried and whitened: [rows, numbers].

        root: such rows of the tensor itself where the map is linear, else rows of the tensor.
        """
        ...

    def normal(self) -> Normal:
        """What the edge draws from."""
        ...

    def mapped(self) -> tuple[Map, np.ndarray] | None:
        """What the edge maps by, and the offset; None where noise is only added."""
        ...

    def groups(self) -> list[Group]: ...


@dataclass(frozen=True)
class LinearLearnable:
    """Noise, and where there is a channel the linear map, of one crossing tensor."""

    factor: LearnedNormal
    map: LearnedMap | None
    linear: bool = True

    def carried(self, tensors: torch.Tensor) -> torch.Tensor:
        return tensors if self.map is None else self.map(tensors)

    def numbers(self, elements: int) -> int:
        return elements

    def noise(self, z: torch.Tensor) -> torch.Tensor:
        return self.factor.noise(z)

    def whitened(self, tensors: torch.Tensor) -> torch.Tensor:
        return self.whitened_root(tensors)

    def whitened_root(self, root: torch.Tensor) -> torch.Tensor:
        return self.factor.whiten(root if self.map is None else self.map.linear(root))

    def normal(self) -> Normal:
        return self.factor.normal()

    def mapped(self) -> tuple[Map, np.ndarray] | None:
        return None if self.map is None else (self.map.map(), self.map.offset())

    def groups(self) -> list[Group]:
        return self.factor.groups() + (self.map.groups() if self.map is not None else [])
