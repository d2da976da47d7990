"""Tiny networks whose weights are written down, not trained, and data that they classify: for learning in seconds.

Three classes around centres in 8 dimensions, which a linear network tells apart as well as any can.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from noise.checkpoint import Checkpoint
from noise.cut_network import CutNetwork
from noise.datasets.records import Dataset, Split
from noise.learning_log import LearningLog
from noise.task import Budget, Progress, Task
from planner.plan import Plan
from planner.planning import cut
from profiles.link import presets
from profiles.profiling import profile

INPUTS, HIDDEN, CLASSES = 8, 12, 3


def _random() -> np.random.Generator:
    return np.random.default_rng(7)


CENTRES = 2.5 * np.linalg.qr(_random().normal(size=(INPUTS, INPUTS)))[0][:CLASSES]
STEM = np.linalg.qr(_random().normal(size=(HIDDEN, HIDDEN)))[0][:, :INPUTS]


def _linear(weight: np.ndarray, bias: np.ndarray | None = None) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(weight))
        made.bias.copy_(torch.zeros(len(weight)) if bias is None else torch.from_numpy(bias))
    return made


def _head() -> nn.Linear:
    return _linear(CENTRES @ STEM.T, -0.5 * (CENTRES**2).sum(axis=1))


class TwoLayers(nn.Module):
    """12 elements cross after the stem; the cloud half is a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = _linear(STEM), _head()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stem(x))


class Residual(nn.Module):
    """At `stem+inner` both the skip and the branch cross."""

    def __init__(self) -> None:
        super().__init__()
        turn = np.linalg.qr(_random().normal(size=(HIDDEN, HIDDEN)))[0]
        self.stem, self.inner, self.last, self.head = _linear(STEM), _linear(turn), _linear(0.3 * turn.T), _head()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head(x + self.last(self.inner(x)))


class Images(nn.Module):
    """A cut through a convolution's output, [4, 16, 16] = 1024 elements: noise of low rank and a 1×1 map."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.stem, self.body = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 2, 3, stride=3)
        self.head = nn.Linear(50, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(torch.relu(self.stem(x))).flatten(1))


def two_layers() -> Any:
    return TwoLayers(), torch.zeros(1, INPUTS)


def residual() -> Any:
    return Residual(), torch.zeros(1, INPUTS)


def images() -> Any:
    return Images(), torch.zeros(1, 1, 16, 16)


def clusters(rows: int, *, seed: int) -> Split:
    """Inputs around the centres; private: the sign of a direction that the classes say nothing of."""
    random = np.random.default_rng(seed)
    labels = random.integers(CLASSES, size=rows)
    own = random.normal(size=(rows, INPUTS))
    side = random.integers(2, size=rows)
    aside = np.linalg.svd(CENTRES)[2][-1]  # orthogonal to every centre
    inputs = CENTRES[labels] + own + 3 * (2 * side - 1)[:, None] * aside
    return Split(inputs.astype(np.float32), labels.astype(np.int64), {"side": side.astype(np.int64)})


def data() -> Dataset:
    return Dataset("clusters", clusters(4000, seed=1), clusters(3000, seed=2))


def pairs() -> Any:
    """As a user's function returns them."""
    made = data()
    return (made.train.inputs, made.train.labels), (made.test.inputs, made.test.labels)


def vectors_of_two() -> Any:
    """Inputs that none of the networks takes."""
    return tuple((inputs[:, :2], labels) for inputs, labels in pairs())


def sides() -> Any:
    """The private label alone, as a user's function returns it: train and test, in the order of `pairs`."""
    made = data()
    return made.train.private["side"], made.test.private["side"]


def border() -> Dataset:
    """Inputs on the border of two classes, labelled as the network sees them: any noise changes answers."""
    made = data()
    aside = 1e-3 * np.random.default_rng(0).normal(size=made.train.inputs.shape)
    inputs = ((CENTRES[0] + CENTRES[1]) / 2 + aside).astype(np.float32)
    labels = (aside @ (CENTRES[1] - CENTRES[0]) > 0).astype(np.int64)
    return Dataset("border", Split(inputs, labels), made.test)


def border_pairs() -> Any:
    made = border()
    return (made.train.inputs, made.train.labels), (made.test.inputs, made.test.labels)


@dataclass(frozen=True)
class Seen:
    """Images under random weights; the labels are what the network says, so nothing is lost without noise."""

    plan: Plan
    data: Dataset


@cache
def planned(source: str, at: str) -> Plan:
    measured = profile(f"noise_networks:{source}", seconds=0.02, pause_ms=0)
    return cut(measured, measured, presets()["wifi"], at=at)


@cache
def two_layers_plan() -> Plan:
    return planned("two_layers", "stem")


@cache
def residual_plan() -> Plan:
    return planned("residual", "stem+inner")


@cache
def pictures() -> Seen:
    plan = planned("images", "relu")
    network = CutNetwork.of(plan)

    def split(rows: int, seed: int) -> Split:
        coarse = np.random.default_rng(seed).normal(size=(rows, 1, 4, 4)).astype(np.float32)
        inputs = np.kron(coarse, np.ones((4, 4), np.float32))
        seen = network.activations(Split(inputs, np.zeros(rows, np.int64)), origin="pictures").clean
        return Split(inputs, seen.astype(np.int64))

    return Seen(plan, Dataset("pictures", split(600, 0), split(200, 1)))


def attributed_pictures() -> Dataset:
    """The pictures, with a private label: whether the left half is the brighter one."""
    made = pictures().data

    def side(split: Split) -> Split:
        halves = split.inputs[..., :8].mean(axis=(1, 2, 3)) > split.inputs[..., 8:].mean(axis=(1, 2, 3))
        return Split(split.inputs, split.labels, {"side": halves.astype(np.int64)})

    return Dataset(made.name, side(made.train), side(made.test))


def picture_pairs() -> Any:
    """As a user's function returns them, private labels with them."""
    made = attributed_pictures()
    return tuple((one.inputs, one.labels, one.private["side"]) for one in (made.train, made.test))


def task(
    plan: Plan,
    on: Dataset,
    *,
    points: float = 1.5,
    seed: int = 1,
    checkpoint: Checkpoint | None = None,
    log: LearningLog | None = None,
    progress: Progress = lambda done, of: None,
    private: str | None = None,
    gamma: float = 10.0,
) -> Task:
    network = CutNetwork.of(plan)
    learning, holdout = on.without_holdout(), on.holdout()
    return Task(
        network,
        network.activations(learning, origin=on.name),
        network.activations(holdout, origin=on.name),
        Budget(points),
        seed,
        private=None if private is None else learning.private[private],
        gamma=gamma,
        checkpoint=checkpoint or Checkpoint(),
        log=log or LearningLog(),
        progress=progress,
    )
