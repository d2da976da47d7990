import math

import numpy as np
import pytest
from correlated_gaussians import Array, correlated

from noise.audit.nearest_neighbours import divergence, information
from profiles.errors import DataError


def by_full_distances(first: Array, second: Array, k: int) -> float:
    """The estimator's formula, the slow way."""
    total = 0.0
    for index, one in enumerate(first):
        within = sorted(np.linalg.norm(np.delete(first, index, axis=0) - one, axis=1))[k - 1]
        across = sorted(np.linalg.norm(second - one, axis=1))[k - 1]
        total += math.log(across / within)
    return len(first[0]) * total / len(first) + math.log(len(second) / (len(first) - 1))


@pytest.mark.parametrize("k", [1, 3, 7])
def test_divergence_is_the_formula(k: int) -> None:
    random = np.random.default_rng(1)
    # Further from the origin than they are wide: products of float32 would lose the distances here.
    first, second = random.normal(50, 1, (60, 4)), random.normal(50.5, 2, (45, 4))
    found, left_out = divergence(first, second, k=k)
    assert found == pytest.approx(by_full_distances(first, second, k), rel=1e-9)
    assert left_out == 0


def test_divergence_of_two_gaussians() -> None:
    random = np.random.default_rng(2)
    found, _ = divergence(random.standard_normal((5000, 1)), random.normal(1, 2, (5000, 1)))
    assert found == pytest.approx(math.log(2) + (1 + 1) / 8 - 0.5, abs=0.04)


@pytest.mark.parametrize("correlation", [0.6, 0.9, 0.99])
def test_correlated_gaussians_have_their_closed_form(correlation: float) -> None:
    # 5 % where the estimator is known to hold: one dimension a side. Over seeds, as one sample spreads by 3 %.
    pairs = [correlated(correlation, rows=6000, seed=seed) for seed in range(6)]
    found = np.mean([information(x, y, seed=seed).nats for seed, (x, y, _) in enumerate(pairs)])
    assert found == pytest.approx(pairs[0][2], rel=0.05)


def test_independent_sides_tell_nothing_of_each_other() -> None:
    x, y, truth = correlated(0.0, rows=6000)
    assert truth == 0
    assert information(x, y, seed=0).nats == pytest.approx(0, abs=0.06)


def test_it_fails_in_high_dimension() -> None:
    # The closed form says 33 nats, the estimate a quarter of it: never a bound.
    x, y, truth = correlated(0.9, rows=4000, dimensions=40)
    found = information(x, y, seed=0)
    assert truth == pytest.approx(33.2, abs=0.1)
    assert found.nats < 0.3 * truth
    assert found.dimensions == 80
    assert not found.beyond_samples


def test_it_says_where_its_value_is_more_than_the_samples_support() -> None:
    # Clean tensors of inputs on a surface of few dimensions: every spare dimension multiplies the value.
    latent, spread = np.random.default_rng(4).standard_normal((1000, 2)), np.random.default_rng(5).random((2, 50))
    found = information(latent @ spread, latent @ spread, seed=0)
    assert found.beyond_samples
    assert found.nats > 10 * math.log(found.samples)


def test_it_does_not_see_a_fixed_noise_tensor() -> None:
    x, y, _ = correlated(0.9, rows=1000, dimensions=3)
    fixed = np.random.default_rng(5).normal(0, 100, 3)
    assert information(x, y + fixed, seed=0).nats == pytest.approx(information(x, y, seed=0).nats, rel=1e-6)


def test_it_moves_with_the_scale_of_one_side() -> None:
    # Information does not; why the scaling is part of the result.
    x, y, _ = correlated(0.9, rows=2000, dimensions=10)
    assert information(x, 20 * y, seed=0).nats != pytest.approx(information(x, y, seed=0).nats, rel=0.2)


def test_the_result_says_what_it_depends_on() -> None:
    x, y, _ = correlated(0.6, rows=501)
    images = x.reshape(501, 1, 1, 1).astype(np.float32)
    found = information(images, y, seed=7, k=4)
    assert (found.k, found.samples, found.dimensions, found.seed, found.left_out) == (4, 250, 2, 7, 0)
    assert "4 nearest neighbours" in found.estimator
    assert found.bits == pytest.approx(found.nats / math.log(2))
    assert found == information(images, y, seed=7, k=4)
    assert found.nats != information(images, y, seed=8, k=4).nats


def test_copies_are_left_out_and_counted() -> None:
    random = np.random.default_rng(3)
    first, second = random.normal(size=(200, 2)), random.normal(size=(300, 2))
    copied = np.concatenate([first, np.tile([[0.1, 0.7]], (4, 1))])
    found, left_out = divergence(copied, second, k=3)
    assert left_out == 4  # each has three copies beside it
    assert math.isfinite(found)
    assert divergence(np.concatenate([first, first[:1]]), second, k=3)[1] == 0
    with pytest.raises(DataError, match="no density exists"):
        divergence(np.zeros((20, 2)), second, k=3)


@pytest.mark.parametrize(("rows", "others"), [(10, 9), (7, 7)])
def test_too_few_pairs_are_refused(rows: int, others: int) -> None:
    with pytest.raises(DataError, match="expected as many, 8 or more for k = 3"):
        information(np.zeros((rows, 2)), np.zeros((others, 2)), seed=0)
