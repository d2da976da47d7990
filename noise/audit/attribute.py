"""Attributes: how often a private label is read from what crosses."""

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from noise.audit import training
from noise.audit.training import Observe, Strength, Training

#: Measured on LeNet's 120 elements (mnist, slant of the digit, 5 s of one thread): 96.4 % of clean tensors, 91.8 %
#: under Gaussian noise of one scale at 1.5 points; three layers of 512 said 92.0 in four times the time.
CLASSIFIER = Strength(width=256, hidden_layers=2, epochs=8, batch=256, learning_rate=8e-3, cycles=3, least_gain=0.2)


@dataclass(frozen=True)
class AttributeClassifier:
    """A trained reader of a private label."""

    network: nn.Module
    training: Training

    def __call__(self, observed: Tensor) -> Tensor:
        """The label that it reads from each tensor that crossed [rows, n] → [rows]."""
        return training.apply(self.network, observed).argmax(dim=1)

    def accuracy_percent(self, observed: Tensor, labels: NDArray[Any]) -> float:
        """Right answers, percent, on test tensors [rows, n] with private labels [rows]."""
        return 100 * float((self(observed) == torch.from_numpy(labels)).double().mean())


def train_attribute_classifier(
    observe: Observe, labels: NDArray[Any], *, seed: int, strength: Strength = CLASSIFIER
) -> AttributeClassifier:
    """Train on the attacker's rows with private labels [rows], class indices from 0; fresh noise at every step.

    observe: as `train_decoder` takes it.
    """
    targets = torch.from_numpy(labels).long()
    rows, validation = training.split_rows(len(targets))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = training.perceptron(observe(rows[: training.ROWS]), int(targets.max()) + 1, strength)

        def score() -> float:
            found = training.apply_fresh(network, observe, validation).argmax(dim=1)
            return 100 * float((found == targets[validation]).double().mean())

        done = training.train(
            network,
            loss=lambda batch: functional.cross_entropy(network(observe(batch)), targets[batch]),
            score=score,
            rows=rows,
            strength=strength,
            seed=seed,
        )
    return AttributeClassifier(network.eval(), done)
