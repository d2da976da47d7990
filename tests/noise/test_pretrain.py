"""Training: killed and gone on with it ends where an undisturbed one does; its scaffold leaves no trace."""

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from noise import augmentation
from noise.datasets.records import Dataset, Split
from noise.pretrain import accuracy_percent, one_cycle, pretrain
from noise.recipes import RECIPES, Recipe, recipe_of
from noise.scaffold import folded, scaffolded
from noise.word_vectors import latent_semantic
from profiles.errors import ArtifactError, DataError, ModelError
from profiles.zoo import lenet
from profiles.zoo.catalog import ZOO

RECIPE = Recipe(epochs=3, batch=16, learning_rate=5e-3, shift=1, normalise=True, dropout=(("flatten", 0.2),))


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """scikit-learn's 1,797 digits of 8×8; the last 400 as the test."""
    sklearn = pytest.importorskip("sklearn.datasets")
    pixels, labels = sklearn.load_digits(return_X_y=True)
    inputs = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return Dataset("digits", Split(inputs[:-400], labels[:-400]), Split(inputs[-400:], labels[-400:]))


def small() -> nn.Sequential:
    layers = {"conv": nn.Conv2d(1, 4, 3), "relu": nn.ReLU(), "flatten": nn.Flatten(), "fc": nn.Linear(144, 10)}
    network = nn.Sequential()
    for name, layer in layers.items():
        network.add_module(name, layer)
    return network


class Killed(Exception):
    pass


def killed_at(step: int) -> object:
    def progress(done: int, of: int) -> None:
        if done == step:
            raise Killed

    return progress


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_killed_in_any_epoch_it_ends_with_the_very_same_weights(
    digits: Dataset, tmp_path: Path, optimiser: str
) -> None:
    recipe = dataclasses.replace(RECIPE, optimiser=optimiser)  # type: ignore[arg-type]
    undisturbed = pretrain(small(), digits, recipe, seed=3)
    checkpoint = tmp_path / "training.safetensors"
    for step in (90, 170):  # of 78 an epoch
        with pytest.raises(Killed):
            pretrain(small(), digits, recipe, seed=3, checkpoint=checkpoint, progress=killed_at(step))  # type: ignore[arg-type]
    resumed = pretrain(small(), digits, recipe, seed=3, checkpoint=checkpoint)
    assert resumed.resumed_epochs == 2
    for name, value in undisturbed.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    assert undisturbed.test_percent > 60


def test_a_checkpoint_of_another_training_is_left_aside(digits: Dataset, tmp_path: Path) -> None:
    checkpoint = tmp_path / "training.safetensors"
    recipe = dataclasses.replace(RECIPE, epochs=1)
    pretrain(small(), digits, recipe, seed=3, checkpoint=checkpoint)
    assert pretrain(small(), digits, recipe, seed=3, checkpoint=checkpoint).resumed_epochs == 1
    assert pretrain(small(), digits, recipe, seed=4, checkpoint=checkpoint).resumed_epochs == 0
    checkpoint.write_bytes(b"cut short")
    with pytest.raises(ArtifactError, match="delete it to start anew"):
        pretrain(small(), digits, recipe, seed=4, checkpoint=checkpoint)


def test_a_seed_decides_the_weights_and_the_callers_generator_is_left_alone(digits: Dataset) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=1)
    networks = small(), small()
    before = torch.get_rng_state()
    one, other = (
        pretrain(network, digits, recipe, seed=seed).network.state_dict()["fc.weight"]
        for seed, network in enumerate(networks)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(one, other)


def test_the_hold_out_is_never_seen(digits: Dataset) -> None:
    wrong = Split(digits.train.inputs.copy(), digits.train.labels)
    wrong.inputs[digits.holdout_rows] = np.nan
    trained = pretrain(small(), Dataset("digits", wrong, digits.test), dataclasses.replace(RECIPE, epochs=1), seed=1)
    assert all(torch.isfinite(value).all() for value in trained.network.state_dict().values())


def test_training_that_breaks_down_is_said_and_not_kept(digits: Dataset, tmp_path: Path) -> None:
    wrong = Split(digits.train.inputs.copy(), digits.train.labels)
    wrong.inputs[0] = np.nan
    checkpoint = tmp_path / "training.safetensors"
    with pytest.raises(DataError, match="broke down in epoch 1"):
        pretrain(small(), Dataset("digits", wrong, digits.test), RECIPE, seed=1, checkpoint=checkpoint)
    assert not checkpoint.exists()


def test_too_little_data_for_a_batch_is_said(digits: Dataset) -> None:
    with pytest.raises(DataError, match="one batch of 16"):
        pretrain(small(), Dataset("few", digits.train[:12], digits.test), RECIPE, seed=1)


@pytest.mark.parametrize("name", RECIPES)
def test_a_folded_scaffold_computes_what_it_did_and_has_the_zoos_layers(name: str) -> None:
    entry = ZOO[name]
    network = entry.untrained()
    assert isinstance(network, nn.Sequential)
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    built = scaffolded(network, recipe_of(name)).train()
    example = torch.cat([entry.example()] * 2)
    with torch.no_grad():
        built(example)  # moves the normalisations' statistics away from 0 and 1
        before = built.eval()(example)
        made = folded(built, network)
        after = made(example)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    assert {key: value.shape for key, value in made.state_dict().items()} == shapes


def test_one_cycle_rises_from_a_part_to_the_peak_and_falls_to_nothing() -> None:
    rates = [one_cycle(step, 1000) for step in range(1001)]
    assert rates[0] == pytest.approx(1 / 25)
    assert max(rates) == rates[200] == 1
    assert rates[1000] == pytest.approx(1e-4)
    assert all(one < other for one, other in pairwise(rates[:201]))
    assert all(one > other for one, other in pairwise(rates[200:]))


def test_pictures_are_moved_whole_and_black_comes_in() -> None:
    torch.manual_seed(0)
    picture = torch.zeros(1, 2, 7, 7)
    picture[:, :, 3, 3] = torch.tensor([1.0, 2.0])
    found = set()
    for moved in augmentation.moved(picture.expand(400, 2, 7, 7), shift=1, mirror=True, turn=True):
        assert moved.sum(dim=(1, 2)).tolist() == [1, 2]
        found.add(tuple(moved[0].nonzero()[0].tolist()))
    assert found == {(row, column) for row in (2, 3, 4) for column in (2, 3, 4)}


def test_mirrored_pictures_are_the_pictures_or_their_mirror_images() -> None:
    torch.manual_seed(0)
    picture = torch.rand(1, 1, 4, 5)
    kinds = {"same": picture[0], "mirrored": picture[0].flip(2)}
    seen = set()
    for moved in augmentation.moved(picture.expand(50, 1, 4, 5), shift=0, mirror=True):
        seen.add(next(name for name, kind in kinds.items() if torch.equal(moved, kind)))
    assert seen == set(kinds)


def test_a_window_lies_within_its_text_and_begins_anywhere_in_it() -> None:
    torch.manual_seed(0)
    texts = torch.zeros(1200, 50, dtype=torch.int64)
    texts[:1000, :50] = torch.arange(1, 51)
    texts[1000:1100, :12] = torch.arange(1, 13)
    texts[1100:, :4] = torch.arange(1, 5)
    found = augmentation.windows(texts, size=10)
    assert set(found[:1000, 0].tolist()) == set(range(1, 42))
    assert set(found[1000:1100, 0].tolist()) == {1, 2, 3}
    assert (found[:1100].diff(dim=1) == 1).all()
    assert torch.equal(found[1100:], texts[1100:, :10])


def test_a_share_of_the_words_is_forgotten() -> None:
    torch.manual_seed(0)
    tokens = torch.randint(1, 100, (50, 1000))
    kept = augmentation.forgotten(tokens, share=0.3)
    assert (kept == 0).double().mean().item() == pytest.approx(0.3, abs=0.01)
    assert torch.equal(kept[kept > 0], tokens[kept > 0])


def test_what_cannot_be_trained_is_refused_in_a_line() -> None:
    with pytest.raises(ModelError, match="made for imagenet, which cannot be fetched; expected one of: lenet"):
        recipe_of("alexnet")
    with pytest.raises(ModelError, match="no network 'lennet' to train"):
        recipe_of("lennet")


def test_words_of_the_same_texts_get_vectors_that_lie_together() -> None:
    draws = np.random.default_rng(0)
    subject = np.arange(300)[:, None] % 2
    tokens = 1 + subject * 20 + draws.integers(20, size=(300, 30))  # words 1 to 20, or 21 to 40
    tokens[:, ::7] = 41  # a word of every text says nothing
    tokens[:, 29] = 0
    vectors = latent_semantic(tokens, words=45, dimensions=2)
    assert not vectors[[0, 41, 44]].any()  # no word; in every text; in none
    alike = vectors[1:41] @ vectors[1:41].T / 2
    assert np.sqrt((vectors[1:41] ** 2).mean(axis=1)) == pytest.approx(1, abs=1e-5)
    assert alike[:20, :20].min() > 0.9
    assert alike[20:, 20:].min() > 0.9
    assert abs(alike[:20, 20:]).max() < 0.9


@pytest.mark.long
def test_lenet_is_trained_from_nothing(mnist: Dataset) -> None:
    network = lenet.build()
    assert isinstance(network, nn.Sequential)
    assert accuracy_percent(network, mnist.test) < 30
    assert pretrain(network, mnist, recipe_of("lenet"), seed=1).test_percent >= 99.1
