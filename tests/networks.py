"""Tiny networks that are awkward to trace or to cut, each (module, example inputs)."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from profiles.models import Model
from profiles.trace import TracedNetwork, trace


class Skip(nn.Module):
    """A residual block: at its middle both the skip and the branch cross."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.inner = nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4 * 8 * 8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        x = functional.relu(x + self.last(functional.relu(self.inner(x))))
        return self.head(x.flatten(1))


class Branches(nn.Module):
    """Two branches joined by concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.left, self.right = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1), nn.Conv2d(4, 3, 3, padding=1)
        self.head = nn.Conv2d(5, 2, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head(torch.cat([self.left(x), self.right(x)], dim=1)).flatten(1)


class InPlace(nn.Module):
    """In-place operators, batch normalisation, a view by the batch's size, dropout, a split into two."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        self.drop, self.hidden, self.head = nn.Dropout(), nn.Linear(4 * 36, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.norm(self.conv(x)))
        left, right = x.chunk(2, dim=1)
        x = torch.cat([left, right * 2], dim=1)
        x = x.view(x.size(0), -1)
        x = self.hidden(self.drop(x))
        x += 1
        return self.head(x.relu_())


class Shared(nn.Module):
    """One layer used three times."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.act = nn.Linear(6, 6), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(self.act(self.layer(self.act(self.layer(x)))))


class TwoInputs(nn.Module):
    """Token ids and a mask; a dictionary of two results."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.mix, self.head = nn.Embedding(11, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.mix(self.table(ids)) * mask.unsqueeze(-1)
        pooled = hidden.mean(dim=1)
        return {"logits": self.head(pooled), "pooled": pooled}


class _Fold(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(-1, 4, 4, 4)


class Windows(nn.Module):
    """A batch folded with windows, as Swin's: the middle's first dimension is four times the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.fold, self.mix = nn.Conv2d(3, 4, 1), _Fold(), nn.Linear(4, 4)
        self.last = nn.Linear(256, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)  # [n, 4, 8, 8]
        folded = self.fold(x)  # [4 n, 4, 4, 4]
        return self.last(functional.relu(self.mix(folded)).reshape(x.shape[0], -1))


class _Turn(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(0, 1)


class TimeFirst(nn.Module):
    """Time before the batch in the middle, as recurrent networks have it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.turned, self.second = nn.Linear(6, 5), _Turn(), nn.Linear(5, 5)
        self.last = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        turned = self.turned(self.first(x))  # [time, n, 5]
        return self.last(functional.relu(self.second(turned)).mean(0))


class FixedBatch(nn.Module):
    """The batch written into the code: no other runs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.hidden, self.head = nn.Conv2d(3, 4, 3), nn.Linear(144, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(functional.relu(self.hidden(self.conv(x).reshape(1, 144))))


class Item(nn.Module):
    """A number read from a tensor scales another."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head, self.last = nn.Linear(6, 6), nn.Linear(6, 4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.last(self.head(x) * x.sum().item())


class SelfAttention(nn.Module):
    """One tensor as query, key and value; a mask of twice the batch made by shape."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)  # [n, 5, 8]
        x = functional.scaled_dot_product_attention(x, x, x)
        zeros = x.new_zeros(2 * x.shape[0], 8)
        return self.last(x.mean(1) + zeros[: x.shape[0]])


def traced(made: tuple[nn.Module, Any], batch: int = 1) -> TracedNetwork:
    module, inputs = made
    args, kwargs = ((), inputs) if isinstance(inputs, dict) else (inputs, {})
    return trace(Model("net", "tests:net", module.eval(), args, kwargs), batch=batch)


def _image() -> tuple[torch.Tensor, ...]:
    return (torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)),)


def skip() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return Skip(), _image()


def branches() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return Branches(), _image()


def in_place() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return InPlace(), _image()


def shared() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return Shared(), (torch.rand(1, 6),)


def two_inputs() -> tuple[nn.Module, dict[str, torch.Tensor]]:
    return TwoInputs(), {"ids": torch.tensor([[1, 2, 3, 4]]), "mask": torch.ones(1, 4)}


def windows() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return Windows(), _image()


def time_first() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return TimeFirst(), (torch.rand(1, 7, 6),)


def fixed() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return FixedBatch(), _image()


def item() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return Item(), (torch.rand(1, 6),)


def self_attention() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return SelfAttention(), (torch.rand(1, 5, 6),)


ALL = (skip, branches, in_place, shared, two_inputs, windows, time_first, self_attention)
