import math

import numpy as np
import pytest
import torch

from noise.audit.contrast import contrast
from profiles.errors import DataError


def gaussian_inputs(deviations: list[float], rows: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, deviations, (rows, len(deviations))))


def noise(seed: int) -> np.random.Generator:
    """Never the generator of the inputs: noise that repeats them would point at them."""
    return np.random.default_rng([seed, 1])


def test_it_is_the_definition() -> None:
    # More inputs than one part holds; the slow way by densities that are written out.
    whitened = gaussian_inputs([1.0, 2.0], 1100, seed=0)
    found = contrast(whitened, noise(1))
    noisy = whitened.numpy() + np.concatenate(
        [part for random in [noise(1)] for part in (random.standard_normal((n, 2)) for n in (1000, 100))]
    )
    density = np.exp(-((noisy[:, None] - whitened.numpy()[None]) ** 2).sum(axis=2) / 2)
    expected = np.log(np.diag(density) / density.mean(axis=1))
    assert found.nats == pytest.approx(expected.mean(), rel=1e-9)
    assert found.identified_percent == pytest.approx(100 * (density.argmax(axis=1) == np.arange(1100)).mean())


def test_gaussian_inputs_have_their_closed_form() -> None:
    # Few nats among many inputs: there the bound is tight.
    deviations = [2.0, 1.0, 0.5]
    truth = sum(math.log(1 + value**2) / 2 for value in deviations)
    found = contrast(gaussian_inputs(deviations, 3000, seed=2), noise(0))
    low, high = found.interval_nats
    assert low < truth < high + 0.01
    assert high - low < 0.2


def test_its_interval_covers_as_often_as_it_says() -> None:
    # The mean over many samples is what each interval should hold, 95 times of 100.
    made = [contrast(gaussian_inputs([2.0, 1.0], 150, seed), noise(seed)) for seed in range(200)]
    centre = np.mean([one.nats for one in made])
    inside = [low <= centre <= high for low, high in (one.interval_nats for one in made)]
    assert 0.90 <= np.mean(inside) <= 0.99


def test_it_says_no_more_than_the_logarithm_of_its_inputs() -> None:
    found = contrast(1e3 * gaussian_inputs([1.0] * 5, 200, seed=0), noise(0))
    assert found.nats == pytest.approx(math.log(200))
    assert found.ceiling_nats == pytest.approx(math.log(200))
    assert found.interval_nats[1] <= found.ceiling_nats
    assert found.identified_percent == 100


def test_noise_without_end_leaves_nothing() -> None:
    found = contrast(1e-6 * gaussian_inputs([1.0] * 5, 500, seed=0), noise(0))
    assert found.nats == pytest.approx(0, abs=1e-4)
    assert found.identified_percent < 2
    same = contrast(torch.ones(50, 3), noise(0))
    assert same.nats == pytest.approx(0, abs=1e-9)
    assert same.identified_percent == pytest.approx(2)  # one of fifty, by chance


def test_a_translation_changes_nothing() -> None:
    whitened = gaussian_inputs([1.0, 2.0], 300, seed=0)
    moved = contrast(whitened + torch.tensor([30.0, -7.0]), noise(0))
    assert moved.nats == pytest.approx(contrast(whitened, noise(0)).nats, rel=1e-9)


@pytest.mark.parametrize("wrong", [torch.zeros(2, 3), torch.zeros(9), torch.full((5, 2), math.nan)])
def test_what_is_no_sample_is_refused(wrong: torch.Tensor) -> None:
    with pytest.raises(DataError, match="expected finite"):
        contrast(wrong, noise(0))
