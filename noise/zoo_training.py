"""A network of the zoo, trained on its data set: where its weights go and what is said of them."""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from safetensors.torch import save
from torch import nn

from noise.datasets.catalog import load_dataset
from noise.pretrain import pretrain
from noise.recipes import recipe_of
from profiles import artifact
from profiles.cache import cache_folder
from profiles.errors import ModelError
from profiles.zoo.catalog import ZOO
from profiles.zoo.trained import cached_weights


class TrainingResult(msgspec.Struct, frozen=True, kw_only=True):
    """What `plan models train --json` prints. Accuracies in percent; seconds: of this run alone."""

    model: str
    data: str
    seed: int
    epochs: int
    test_percent: float
    test_inputs: int
    holdout_percent: float
    resumed_epochs: int
    seconds: float
    path: str


def train(
    name: str,
    *,
    seed: int,
    epochs: int | None = None,
    out: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> TrainingResult:
    """Train a network and write its weights, to the cache unless `out` says where.

    Raises ModelError (no such network, or one whose weights come with the tool and no `out`), DataError (its data
    were not fetched), ArtifactError (the weights have no place).
    """
    recipe = recipe_of(name)
    recipe = recipe if epochs is None else dataclasses.replace(recipe, epochs=epochs)
    entry = ZOO[name]
    if out is None and entry.weights is not None:
        raise ModelError(f"{name} comes trained; to train it anew say where the weights go: --out FILE")
    path = out or cached_weights(name)
    checkpoint = cache_folder() / "models" / f"{name}.training.safetensors"
    artifact.require_writable(path, checkpoint)
    start = time.perf_counter()
    data = load_dataset(entry.data)
    layers = entry.untrained()
    assert isinstance(layers, nn.Sequential)  # as all networks with a recipe are
    trained = pretrain(layers, data, recipe, seed=seed, checkpoint=checkpoint, progress=progress)
    result = TrainingResult(
        model=name,
        data=data.name,
        seed=seed,
        epochs=recipe.epochs,
        test_percent=round(trained.test_percent, 4),
        test_inputs=len(data.test),
        holdout_percent=round(trained.holdout_percent, 4),
        resumed_epochs=trained.resumed_epochs,
        seconds=round(time.perf_counter() - start, 3),
        path=str(path),
    )
    facts = {
        "model": name,
        "trained_on": data.name,
        "seed": seed,
        "epochs": recipe.epochs,
        "test_accuracy_percent": round(trained.test_percent, 2),
    }
    weights = {key: value.contiguous() for key, value in trained.network.state_dict().items()}
    # One entry: safetensors writes several in an order of chance, and equal trainings would be files that differ.
    artifact.write_bytes(path, save(weights, metadata={"training": json.dumps(facts)}))
    checkpoint.unlink(missing_ok=True)
    return result
