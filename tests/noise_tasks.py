"""Small tasks to learn noise for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noise import checkpoint
from noise.checkpoint import Checkpoint
from noise.cut_network import CutNetwork
from noise.datasets.records import Dataset, Split
from noise.task import Budget, Task
from planner.plan import Plan
from planner.planning import cut
from profiles.link import presets
from profiles.profiling import profile


def digits(plan: Plan, mnist: Dataset, *, rows: int = 3000, points: float = 3.0, seed: int = 1, **more: Any) -> Task:
    """LeNet at 120 elements, on few of the digits."""
    network = CutNetwork.of(plan)
    train, holdout = mnist.train[:rows], mnist.train[54000 : 54000 + rows // 2]
    return Task(
        network,
        network.activations(train, origin="mnist"),
        network.activations(holdout, origin="mnist"),
        Budget(points),
        seed,
        **more,
    )


def two_tensors(*, points: float = 5.0, seed: int = 1) -> Task:
    """A residual cut, random weights: two tensors cross; the labels are what the network says."""
    measured = profile("own_models:residual", seconds=0.05, pause_ms=0)
    plan = cut(measured, measured, presets()["wifi"], at="first+relu")
    network = CutNetwork.of(plan)
    inputs = np.random.default_rng(0).random((1500, 3, 8, 8), dtype=np.float32)
    seen = network.activations(Split(inputs, np.zeros(1500, np.int64)), origin="random")
    known = replace(seen, labels=seen.clean.astype(np.int64))
    return Task(network, known.take(slice(0, 1000)), known.take(slice(1000, 1500)), Budget(points), seed)


def always_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step writes its checkpoint."""
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)


def kept_in(task: Task, file: Path) -> Task:
    """The task with its checkpoint in a file, opened anew."""
    return replace(task, checkpoint=Checkpoint(file, key="test"))
