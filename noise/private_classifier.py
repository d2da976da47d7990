"""The private task of Equation 5: a classifier of the private labels that reads the crossing tensors.

In the paper the network itself answers both tasks. Here the cut network answers the primary one alone, and whoever
wants the private label would have to read it from what crosses. So a small network is trained to do that on clean
activations, once, before noise is learned; then it stays as it is. It stands for an adversary who does not know the
noise: one who trains on noisy tensors is a matter for the audit.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from noise.randomness import SeededRandom
from noise.task import Task

#: Tensors together are averaged down to so many features, so that the classifier stays small at any size.
FEATURES, HIDDEN = 2048, 128
STEPS, BATCH, LEARNING_RATE = 600, 128, 2e-3


@dataclass(frozen=True)
class PrivateClassifier:
    """network: features [rows, f] → private logits [rows, classes]. labels: of the task's training rows."""

    network: nn.Module
    labels: NDArray[np.int64]

    def logits(self, tensors: list[torch.Tensor]) -> torch.Tensor:
        """Crossing tensors [rows, n] each → logits [rows, private classes]."""
        result: torch.Tensor = self.network(_features(tensors))
        return result


def _features(tensors: list[torch.Tensor]) -> torch.Tensor:
    share = max(1, FEATURES // len(tensors))
    kept = [
        one if one.shape[1] <= share else functional.adaptive_avg_pool1d(one[:, None], share)[:, 0] for one in tensors
    ]
    return torch.cat(kept, dim=1)


def train(task: Task) -> PrivateClassifier:
    """Train on clean activations, from the task's seed; kept as a stage of the task's checkpoint."""
    assert task.private is not None
    labels = np.asarray(task.private).astype(np.int64)
    rows = task.train.take(slice(0, 2))
    features = _features([torch.from_numpy(np.asarray(one)) for one in rows.tensors]).shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        made = nn.Sequential(
            nn.BatchNorm1d(features), nn.Linear(features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, int(labels.max()) + 1)
        )
    if (kept := task.checkpoint.get("private")) is None:
        _fit(made, task, labels)
        state: dict[str, Any] = {key: value.numpy() for key, value in made.state_dict().items()}
        task.checkpoint.put("private", {key: np.atleast_1d(value) for key, value in state.items()})
    else:
        shapes = {key: value.shape for key, value in made.state_dict().items()}
        made.load_state_dict({key: torch.tensor(one).reshape(shapes[key]) for key, one in kept[0].items()})
    return PrivateClassifier(made.eval().requires_grad_(False), labels)


def _fit(network: nn.Module, task: Task, labels: NDArray[np.int64]) -> None:
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    network.train()
    for step in range(STEPS):
        chosen = SeededRandom(task.seed, 3, 3, step).integers(len(task.train), BATCH)
        features = _features([torch.from_numpy(one[chosen]) for one in task.train.tensors])
        loss = functional.cross_entropy(network(features), torch.from_numpy(labels[chosen]))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
