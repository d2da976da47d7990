import dataclasses
import math

import numpy as np
import pytest
import torch
from correlated_gaussians import Array, correlated
from torch import Tensor

from noise.audit.infonce import InfoNCE, infonce
from noise.audit.training import Observe, Strength
from profiles.errors import DataError

SMALL = Strength(width=64, hidden_layers=2, epochs=6, batch=256, learning_rate=5e-3)


def learned(known: tuple[Array, Array], unseen: tuple[Array, Array], strength: Strength = SMALL) -> InfoNCE:
    """From pairs to learn from and held-out ones."""

    def observe(of: Array) -> Observe:
        return lambda rows: torch.from_numpy(of).float()[rows]

    return infonce(observe(known[1]), known[0], observe(unseen[1]), unseen[0], seed=0, strength=strength)


def on_gaussians(correlation: float, dimensions: int, rows: int = 2000, epochs: int = 6) -> tuple[InfoNCE, float]:
    *known, _ = correlated(correlation, rows=8000, dimensions=dimensions, seed=1)
    *unseen, truth = correlated(correlation, rows=rows, dimensions=dimensions, seed=2)
    strength = dataclasses.replace(SMALL, epochs=epochs)
    return learned((known[0], known[1]), (unseen[0], unseen[1]), strength), truth


def test_correlated_gaussians_have_their_closed_form() -> None:
    # 5 % where it is known to hold: two dimensions a side, 1.7 nats of the 7.6 that 2,000 inputs can show.
    found, truth = on_gaussians(0.9, 2)
    assert found.nats == pytest.approx(truth, rel=0.05)
    low, high = found.interval_nats
    assert low < found.nats < high < found.cap_nats
    assert high - low < 0.2


def test_it_says_no_more_than_the_logarithm_of_its_inputs() -> None:
    # 83 nats in 100 dimensions: it cannot say a tenth of them, and a critic of 8,000 pairs not even the cap.
    found, truth = on_gaussians(0.9, 100, epochs=3)
    assert truth > 80
    assert 0.5 * found.cap_nats < found.nats < found.cap_nats < 0.1 * truth
    assert found.cap_nats == pytest.approx(math.log(2000))
    # 20 inputs: each is told from the others.
    capped, _ = on_gaussians(0.99, 10, rows=20, epochs=3)
    assert capped.nats == pytest.approx(math.log(20), abs=0.05)
    assert capped.nats <= capped.cap_nats
    assert capped.interval_nats[1] <= capped.cap_nats
    assert capped.identified_percent == pytest.approx(100)


def test_where_nothing_is_there_it_says_nothing() -> None:
    # What an overfitted critic would take back is calibrated away.
    x, y, _ = correlated(0.0, rows=600, dimensions=20, seed=1)
    a, b, _ = correlated(0.0, rows=500, dimensions=20, seed=2)
    found = learned((x, y), (a, b))
    assert found.nats == pytest.approx(0, abs=0.1)
    assert found.identified_percent < 2


def test_it_takes_images_and_observes_them_anew_at_every_step() -> None:
    images = np.random.default_rng(0).random((400, 1, 4, 4)).astype(np.float32)
    clean = torch.from_numpy(images).flatten(1)
    asked: list[Tensor] = []

    def observe(rows: Tensor) -> Tensor:
        asked.append(rows)
        return clean[rows] + 0.1 * torch.randn(len(rows), 16)

    small = dataclasses.replace(SMALL, epochs=2, batch=60)
    state = torch.random.get_rng_state()
    one, same = (infonce(observe, images, observe, images[:50], seed=3, strength=small) for _ in range(2))
    assert (one.nats, one.interval_nats) == (same.nats, same.interval_nats)
    assert torch.equal(state, torch.random.get_rng_state())
    assert one.samples == 50
    assert one.training.epochs == 2
    steps = [rows for rows in asked if len(rows) == 60]
    assert len(steps) == 2 * 2 * (360 // 60)
    assert max(int(rows.max()) for rows in steps) < 360  # the last tenth judges


@pytest.mark.parametrize(("rows", "others"), [(9, 50), (50, 2)])
def test_too_few_inputs_are_refused(rows: int, others: int) -> None:
    with pytest.raises(DataError, match="expected 10 and 3 or more"):
        learned((np.zeros((rows, 2)), np.zeros((rows, 2))), (np.zeros((others, 2)), np.zeros((others, 2))))
