"""Trains the zoo's networks, so that there is something to protect.

The last tenth of the training data is left out: it judges the noise later, and a network that had learned it by
heart would judge too kindly. A checkpoint is written after each epoch; every draw of an epoch comes from the seed and
the epoch's number, so that training killed at any moment goes on to the result of an undisturbed one.
"""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from noise.augmentation import augmented
from noise.datasets.records import Dataset, Split
from noise.recipes import Recipe
from noise.scaffold import folded, scaffolded
from noise.word_vectors import latent_semantic
from profiles import artifact
from profiles.errors import ArtifactError, DataError

Progress = Callable[[int, int], None]

#: One cycle: the share of steps in which the rate rises; what it rises from and falls to, as parts of the peak.
RISE, FIRST, LAST = 0.2, 1 / 25, 1 / 10_000


@dataclass(frozen=True)
class Trained:
    """test_percent, holdout_percent: accuracies. resumed_epochs: those that a checkpoint had already."""

    network: nn.Module
    test_percent: float
    holdout_percent: float
    resumed_epochs: int


def pretrain(
    network: nn.Sequential,
    data: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    checkpoint: Path | None = None,
    progress: Progress = lambda done, of: None,
) -> Trained:
    """Train on all but the hold-out, in one cycle of the learning rate (Smith, 2018).

    network: drawn anew from the seed, as its layers' constructors do. checkpoint: written after each epoch, and gone
    on from where it is of the same training. progress: called with steps done and of how many.
    Raises DataError: fewer inputs than one batch, or a loss that is no number. ArtifactError: a broken checkpoint, or
    a folder that takes none.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in network.modules():
            if callable(reset := getattr(layer, "reset_parameters", None)):
                reset()
        if recipe.word_vectors:
            _start_from_texts(network, data.without_holdout(), recipe)
        learner = _Learner(scaffolded(network, recipe), data.without_holdout(), recipe, seed)
        resumed = learner.resume(checkpoint, data.name)
        for epoch in range(resumed, recipe.epochs):
            learner.epoch(epoch, progress)
            if checkpoint is not None:
                artifact.write_bytes(checkpoint, learner.checkpoint(epoch + 1, data.name))
    made = folded(learner.network, network)
    return Trained(made, accuracy_percent(made, data.test), accuracy_percent(made, data.holdout()), resumed)


def accuracy_percent(network: nn.Module, data: Split) -> float:
    """The share of inputs whose largest logit is the label's."""
    with torch.inference_mode():
        found = torch.cat([network(part).argmax(1) for part in torch.split(torch.from_numpy(data.inputs), 500)])
    return 100 * float((found == torch.from_numpy(data.labels)).double().mean())


def one_cycle(step: int, steps: int) -> float:
    """The learning rate at a step, as a part of its peak: a cosine up, a longer one down."""
    rise = RISE * steps
    if step < rise:
        return FIRST + (1 - FIRST) * (1 - math.cos(math.pi * step / rise)) / 2
    return LAST + (1 - LAST) * (1 + math.cos(math.pi * (step - rise) / (steps - rise))) / 2


class _Learner:
    """One training: the network with its scaffold, the optimiser, and what of them a checkpoint holds."""

    def __init__(self, network: nn.Sequential, data: Split, recipe: Recipe, seed: int) -> None:
        if len(data) < recipe.batch:
            raise DataError(f"{len(data)} inputs to train on, expected at least one batch of {recipe.batch}")
        # Pictures lie channels last: twice as fast on processors.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.inputs, self.labels = torch.from_numpy(data.inputs), torch.from_numpy(data.labels)
        self.recipe, self.seed = recipe, seed
        self.optimiser = _optimiser(network, recipe)
        self.steps = max(1, int(recipe.part * len(data)) // recipe.batch)

    def epoch(self, number: int, progress: Progress) -> None:
        """Once through the data, in an order of its own."""
        recipe, total = self.recipe, self.steps * self.recipe.epochs
        draws = np.random.default_rng([self.seed, number])
        order = torch.from_numpy(draws.permutation(len(self.labels)))
        torch.manual_seed(int(draws.integers(2**62)))
        self.network.train()
        for step in range(self.steps):
            done = number * self.steps + step
            for group in self.optimiser.param_groups:
                group["lr"] = recipe.learning_rate * one_cycle(done, total)
            rows = order[step * recipe.batch : (step + 1) * recipe.batch]
            answer = self.network(augmented(self.inputs[rows], recipe))
            loss = functional.cross_entropy(answer, self.labels[rows], label_smoothing=recipe.smoothing)
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            progress(done + 1, total)
        if not torch.isfinite(loss):
            raise DataError(f"training broke down in epoch {number + 1} (the loss is {loss:g}); try another --seed")

    def checkpoint(self, epochs_done: int, data: str) -> bytes:
        tensors = {f"network.{name}": value.contiguous() for name, value in self.network.state_dict().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value.contiguous() for name, value in state.items()}
        return save(tensors, metadata={"training": self._training(data), "epochs_done": str(epochs_done)})

    def resume(self, path: Path | None, data: str) -> int:
        """Take up a checkpoint of this very training; the epochs it has. Raises ArtifactError where it is broken."""
        if path is None or not path.exists():
            return 0
        try:
            with safe_open(path, framework="pt") as file:
                facts = file.metadata() or {}
                if facts.get("training") != self._training(data):
                    return 0
                self._restore({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
                return int(facts["epochs_done"])
        except (SafetensorError, OSError, RuntimeError, KeyError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ArtifactError(
                f"{path}: no checkpoint of this training ({reason}); delete it to start anew"
            ) from error

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        network, state = {}, dict[int, dict[str, Tensor]]()
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            if part == "network":
                network[rest] = value
            else:
                index, _, key = rest.partition(".")
                state.setdefault(int(index), {})[key] = value
        self.network.load_state_dict(network)
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})

    def _training(self, data: str) -> str:
        """What must be the same for a checkpoint to be gone on from."""
        shapes = [list(value.shape) for value in self.network.state_dict().values()]
        facts: dict[str, Any] = {"data": data, "rows": len(self.labels), "seed": self.seed, "shapes": shapes}
        return json.dumps({**facts, "recipe": asdict(self.recipe)}, sort_keys=True)


def _start_from_texts(network: nn.Module, data: Split, recipe: Recipe) -> None:
    for layer in network.modules():
        if isinstance(layer, nn.Embedding):
            words, dimensions = layer.weight.shape
            vectors = latent_semantic(data.inputs, words=words, dimensions=dimensions)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(recipe.word_vectors * vectors))


def _optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(
            network.parameters(),
            lr=recipe.learning_rate,
            momentum=0.9,
            nesterov=True,
            weight_decay=recipe.weight_decay,
        )
    return torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
