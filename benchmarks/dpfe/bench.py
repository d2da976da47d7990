"""What is compared on: a trained network, its cut, a data set with two labels; and how what crosses is judged."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from noise.activations import Activations
from noise.audit.attribute import CLASSIFIER, AttributeClassifier, train_attribute_classifier
from noise.audit.floors import attribute_from_label_percent
from noise.audit.nearest_neighbours import information
from noise.audit.training import Strength
from noise.cut_network import CutNetwork
from noise.datasets import catalog
from noise.datasets.records import Dataset
from noise.mechanism import Mechanism
from noise.randomness import SeededRandom
from planner.plan import Plan
from planner.planning import cut
from profiles.errors import ModelError
from profiles.link import presets
from profiles.profiling import profile
from profiles.zoo.catalog import ZOO

#: Pairs that the paper's estimate is made from, at most; rows that the attack is judged on, at least, by fresh draws.
PAIRS, JUDGED = 5_000, 10_000


@dataclass(frozen=True)
class Setting:
    """network: of the zoo, cut behind the layer `at`. private: name of the label to hide. budgets: points of primary
    accuracy that may be lost. steps, batch: of DPFE's training. attack: the informed adversary's strength."""

    network: str
    at: str
    private: str
    budgets: tuple[float, ...]
    steps: int
    batch: int
    attack: Strength


SETTINGS = {
    "mnist": Setting("lenet", "conv3", "slant", (0.5, 1.5, 5.0, 10.0), 2000, 128, CLASSIFIER),
    "elpv": Setting(
        "elpv",
        "pool4",
        "module-type",
        (1.5, 5.0, 10.0),
        800,
        64,
        # Of 1,771 cells: 15 epochs say 98.9 % clean and 95.3 % under strong noise, these 99.4 and 97.0 %.
        Strength(width=256, hidden_layers=2, epochs=120, batch=256, learning_rate=4e-3, least_gain=0.2),
    ),
}


@dataclass(frozen=True)
class Sent:
    """What crosses, as an adversary sees it. train: rows → tensors with fresh noise; clean: without. test: all test
    rows, with noise; decoded: the same, as the cloud half reads it at the cut. network: what made it, by a name."""

    network: str
    clean: Callable[[torch.Tensor], torch.Tensor]
    train: Callable[[torch.Tensor], torch.Tensor]
    test: Callable[[], torch.Tensor]
    decoded: Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Bench:
    data: Dataset
    setting: Setting
    plan: Plan
    cut: CutNetwork
    train: Activations
    test: Activations
    unaware: dict[tuple[str, int], AttributeClassifier] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str) -> "Bench":
        """Raises ModelError where the network was not trained, DataError where its data were not fetched."""
        setting = SETTINGS[name]
        if not ZOO[setting.network].trained:
            raise ModelError(f"{setting.network} has random weights; train it: plan models train {setting.network}")
        data = catalog.load_dataset(name)
        measured = profile(setting.network, threads=1, seconds=0.2)
        plan = cut(measured, measured, presets()["wifi"], at=setting.at)
        network = CutNetwork.of(plan)
        train = network.activations(data.without_holdout(), origin=name)
        return cls(data, setting, plan, network, train, network.activations(data.test, origin=name))

    @property
    def clean_percent(self) -> float:
        return 100 * float((self.test.clean == self.test.labels).mean())

    @property
    def private_train(self) -> Any:
        return self.data.train.private[self.setting.private][: len(self.train)]

    @property
    def private_test(self) -> Any:
        return self.data.test.private[self.setting.private]

    @property
    def floor_percent(self) -> float:
        """How often the private label is guessed from the true class alone."""
        return attribute_from_label_percent(
            known_labels=self.train.labels,
            known_attribute=self.private_train,
            labels=self.test.labels,
            attribute=self.private_test,
        )

    def under(self, noise: Mechanism | None, *, seed: int) -> Sent:
        """The cut network's tensors with noise that is added to them, or without."""
        near, far = _observer(self.train, noise, seed), _observer(self.test, noise, seed + 1)
        everything = torch.arange(len(self.test))
        clean = _observer(self.train, None, seed)
        return Sent("as it was", clean, near, lambda: far(everything), lambda: far(everything))

    def private_percent(self, sent: Sent, *, seed: int) -> float:
        """How often an adversary who knows network and noise names the private label of test inputs."""
        return self._read_percent(self._reader(sent.train, seed), sent)

    def unaware_percent(self, sent: Sent, *, seed: int) -> float:
        """The same of a classifier that was trained on tensors without noise: Figure 9's, as the text has it."""
        key = sent.network, seed
        if key not in self.unaware:
            self.unaware[key] = self._reader(sent.clean, seed)
        return self._read_percent(self.unaware[key], sent)

    def _reader(self, observe: Callable[[torch.Tensor], torch.Tensor], seed: int) -> AttributeClassifier:
        return train_attribute_classifier(observe, self.private_train, seed=seed, strength=self.setting.attack)

    def _read_percent(self, classifier: AttributeClassifier, sent: Sent) -> float:
        draws = max(1, JUDGED // len(self.test))
        return float(np.mean([classifier.accuracy_percent(sent.test(), self.private_test) for _ in range(draws)]))

    def nats(self, tensors: torch.Tensor, *, seed: int) -> float:
        """The paper's estimate of I(x; tensors), over the test set."""
        inputs = self.data.test.inputs[:PAIRS].reshape(min(PAIRS, len(self.test)), -1)
        return information(inputs, tensors[:PAIRS].numpy(), seed=seed).nats


def _observer(on: Activations, noise: Mechanism | None, seed: int) -> Callable[[torch.Tensor], torch.Tensor]:
    random = SeededRandom(seed, 77)

    def observe(rows: torch.Tensor) -> torch.Tensor:
        part = on.take(rows.numpy())
        if noise is None:
            return torch.from_numpy(np.concatenate(part.tensors, axis=1))
        drawn = noise.draw(len(part), random)
        sent = [one + more for one, more in zip(noise.carried(part.tensors), drawn, strict=True)]
        return torch.from_numpy(np.concatenate(sent, axis=1).astype(np.float32))

    return observe
