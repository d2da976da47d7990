import dataclasses
import math

import pytest
import torch
from blobs import SMALL
from torch import Tensor, nn

from noise.audit import training
from noise.audit.training import Strength
from profiles.errors import NoiseError


def judged(scores: list[float], strength: Strength) -> tuple[training.Training, float]:
    """Train a network of one number, which each cycle raises by one, under given scores; the number it ends with."""
    network = nn.Linear(1, 1, bias=False)
    left = iter(scores)
    cycles = 0

    def score() -> float:
        nonlocal cycles
        cycles += 1
        nn.init.constant_(network.weight, cycles)
        return next(left)

    done = training.train(
        network,
        loss=lambda rows: network.weight.sum() * 0,
        score=score,
        rows=torch.arange(10),
        strength=strength,
        seed=0,
    )
    return done, network.weight.item()


def test_cycles_end_where_they_gain_too_little_and_the_best_is_kept() -> None:
    patient = dataclasses.replace(SMALL, epochs=1, cycles=9, least_gain=0.1)
    done, kept = judged([10, 11, 11.5, 11.4, 99], patient)
    assert done.scores == (10, 11, 11.5, 11.4)
    assert done.stopped_improving
    assert done.words == "2 layers of 64, 4 epochs, until it gained nothing more"
    assert done.epochs == 4
    assert kept == 3
    # Of too small a gain too the better is kept.
    assert judged([10, 10.05], patient)[1] == 2


def test_cycles_that_run_out_say_so() -> None:
    done, kept = judged([10, 11, 12], dataclasses.replace(SMALL, epochs=1, cycles=2))
    assert done.words == "2 layers of 64, 2 epochs, not until it stopped improving"
    assert done.strength.words == "2 layers of 64, up to 2 times 1 epochs in batches of 100 at a rate of 0.005"
    assert done.scores == (10, 11)
    assert not done.stopped_improving
    assert kept == 2


def test_a_loss_that_is_no_number_says_where() -> None:
    network = nn.Linear(1, 1)
    losses = iter([1.0, 1.0, math.nan])

    def loss(rows: Tensor) -> Tensor:
        return network.weight.sum() * next(losses)

    with pytest.raises(NoiseError, match=r"loss is nan at epoch 2, step 1"):
        training.train(
            network,
            loss=loss,
            score=lambda: 0.0,
            rows=torch.arange(20),
            strength=dataclasses.replace(SMALL, batch=10),
            seed=0,
        )


def test_the_perceptron_standardises_what_it_sees() -> None:
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(500, 4, generator=generator) * torch.tensor([1e-3, 1.0, 1e6, 0.0]) + 1e3
    standard = training.perceptron(sample, 2, SMALL)[0](sample)
    assert standard[:, [1, 2]].std(dim=0).tolist() == pytest.approx([1, 1], rel=1e-3)
    # Beside an element of a million, one of a thousandth is constant, as is one that does not vary at all.
    assert standard[:, [0, 3]].abs().max() < 0.1
