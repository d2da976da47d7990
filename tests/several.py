"""Tiny networks of several inputs, or with cuts of several crossing tensors; and data that they know by heart.

Labels are a network's own answers: without noise it is always right, and every point that is lost is the noise's.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

TOKENS, LENGTH, WIDTH, CLASSES = 20, 5, 4, 3


class Residual(nn.Module):
    """[n, 6] → logits; at `stem+relu` the skip and the branch cross."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner, self.relu = nn.Linear(6, 8), nn.Linear(8, 5), nn.ReLU()
        self.back, self.head = nn.Linear(5, 8), nn.Linear(8, CLASSES, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head(x + self.back(self.relu(self.inner(x))))


class Dense(nn.Module):
    """[n, 6] → logits; at `one+two+three` all that was computed before crosses."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Linear(6, 4), nn.Linear(4, 3), nn.Linear(7, 3)
        self.head = nn.Linear(10, CLASSES, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one = self.one(x)
        two = self.two(one)
        three = self.three(torch.cat([one, two], 1))
        return self.head(torch.cat([one, two, three], 1))


class Encoder(nn.Module):
    """Token ids and a mask [n, 5] → logits. The mask goes on as 0 and −inf to attention, and as it is to the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.project = nn.Embedding(TOKENS, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.query, self.last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES, bias=False)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.project(self.table(input_ids))
        hidden_from = torch.zeros(attention_mask.shape).masked_fill(attention_mask == 0, float("-inf"))[:, None]
        scores = self.query(hidden) @ hidden.transpose(1, 2) + hidden_from
        hidden = self.last(hidden + scores.softmax(-1) @ hidden)
        kept = attention_mask.unsqueeze(-1)
        return self.head((hidden * kept).sum(1) / kept.sum(1))


class Masked(nn.Module):
    """[n, 6] → logits, with −inf where an input decides it; two operators take that, so that it can cross."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(6, 5), nn.Linear(5, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x.masked_fill(x < -1, float("-inf"))
        return self.head(x.exp() + x.sigmoid())


class TimeFirst(nn.Module):
    """Two inputs, [n, 4, 3] and [n, 2]; a recurrent layer wants time before the batch, and the batch is one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.recurrent = nn.Linear(3, 4), nn.LSTM(4, 4)
        self.beside, self.head = nn.Linear(2, 3), nn.Linear(7, CLASSES, bias=False)

    def forward(self, input: torch.Tensor, readings: torch.Tensor) -> torch.Tensor:
        series, _ = self.recurrent(functional.relu(self.first(input).transpose(0, 1)))
        return self.head(torch.cat([series[-1], self.beside(readings)], 1))


def _made(kind: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return kind().eval()


def residual() -> Any:
    return _made(Residual), torch.rand(1, 6)


def retrained() -> Any:
    """`residual` with other weights."""
    torch.manual_seed(1)
    return Residual().eval(), torch.rand(1, 6)


def dense() -> Any:
    return _made(Dense), torch.rand(1, 6)


def encoder() -> Any:
    ids, mask = torch.arange(LENGTH)[None], torch.ones(1, LENGTH, dtype=torch.long)
    return _made(Encoder), {"input_ids": ids, "attention_mask": mask}


def masked() -> Any:
    return _made(Masked), torch.rand(1, 6)


def time_first() -> Any:
    return _made(TimeFirst), (torch.rand(1, 4, 3), torch.rand(1, 2))


def _answered(module: nn.Module, *inputs: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        classes: np.ndarray = module(*map(torch.from_numpy, inputs)).argmax(1).numpy()
    return classes


def _split(module: nn.Module, *inputs: np.ndarray, take: Callable[..., Any] = lambda *all: all) -> Any:
    """Train and test pairs, (take(inputs), labels)."""
    labels = _answered(module, *inputs)
    rows = slice(0, 3 * len(labels) // 4), slice(3 * len(labels) // 4, None)
    return tuple((take(*(one[part] for one in inputs)), labels[part]) for part in rows)


def vectors() -> Any:
    x = np.random.default_rng(0).standard_normal((4000, 6)).astype(np.float32)
    return _split(residual()[0], x, take=lambda x: x)


def vectors_of_dense() -> Any:
    x = np.random.default_rng(0).standard_normal((4000, 6)).astype(np.float32)
    return _split(dense()[0], x, take=lambda x: x)


def _texts() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    mask = (np.arange(LENGTH) < random.integers(1, LENGTH + 1, (4000, 1))).astype(np.int64)
    return random.integers(0, TOKENS, (4000, LENGTH)), mask


def texts() -> Any:
    """By name, in another order than the network's; the mask as truth values."""
    return _split(encoder()[0], *_texts(), take=lambda ids, mask: {"attention_mask": mask == 1, "input_ids": ids})


def texts_in_order() -> Any:
    return _split(encoder()[0], *_texts())


def series() -> Any:
    random = np.random.default_rng(0)
    both = (random.standard_normal(shape).astype(np.float32) for shape in ((1200, 4, 3), (1200, 2)))
    return _split(time_first()[0], *both)
