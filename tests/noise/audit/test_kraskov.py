import math

import numpy as np
import pytest
from correlated_gaussians import Array, correlated
from scipy.special import digamma

from noise.audit.kraskov import ceiling_nats, information
from profiles.errors import DataError


def by_full_distances(x: Array, y: Array, k: int) -> float:
    """The estimator's formula, the slow way."""
    x, y = (one / math.sqrt(one.var(axis=0).sum()) for one in (x, y))
    total = 0.0
    for index in range(len(x)):
        near, other = (np.linalg.norm(np.delete(one, index, axis=0) - one[index], axis=1) for one in (x, y))
        reach = np.sort(np.maximum(near, other))[k - 1]
        total += digamma((near < reach).sum() + 1) + digamma((other < reach).sum() + 1)
    return float(digamma(k) + digamma(len(x)) - total / len(x))


@pytest.mark.parametrize("k", [1, 3, 7])
def test_it_is_the_formula(k: int) -> None:
    random = np.random.default_rng(0)
    x = random.normal(50, 1, (1100, 3))  # more than one part, far from the origin
    y = x[:, :2] + random.normal(size=(1100, 2))
    assert information(x, y, seed=0, k=k).nats == pytest.approx(by_full_distances(x, y, k), rel=1e-9)


@pytest.mark.parametrize(("correlation", "dimensions"), [(0.9, 1), (0.99, 1), (0.9, 2)])
def test_correlated_gaussians_have_their_closed_form(correlation: float, dimensions: int) -> None:
    # 5 % where it is known to hold: a dimension or two a side, k = 3, 2,000 pairs. Over seeds: one spreads by 2 %.
    pairs = [correlated(correlation, rows=2000, dimensions=dimensions, seed=seed) for seed in range(4)]
    found = np.mean([information(x, y, seed=0, k=3).nats for x, y, _ in pairs])
    assert found == pytest.approx(pairs[0][2], rel=0.05)


def test_independent_sides_tell_nothing_of_each_other() -> None:
    x, y, _ = correlated(0.0, rows=2000, dimensions=2)
    assert information(x, y, seed=0).nats == pytest.approx(0, abs=0.03)
    assert information(x, np.ones_like(y), seed=0).nats == pytest.approx(0, abs=1e-9)


def test_it_fails_in_high_dimension() -> None:
    # 100 dimensions a side: a tenth of the 14 nats that are there, though the samples would support half of them.
    x, y, truth = correlated(0.5, rows=2000, dimensions=100)
    found = information(x, y, seed=0)
    assert truth == pytest.approx(14.4, abs=0.1)
    assert found.nats < 0.12 * truth
    assert found.dimensions == 200


def test_it_says_no_more_than_its_samples_allow() -> None:
    # 17 nats in one dimension; what is lacking of the ceiling is 1 / k, as the k-th neighbour counts in one side.
    x, y, truth = correlated(math.sqrt(1 - 1e-15), rows=300)
    found = information(x, y, seed=0)
    assert truth > 17
    assert found.nats == pytest.approx(ceiling_nats(found), abs=0.35)
    assert found.nats <= ceiling_nats(found) < math.log(300)
    assert not found.beyond_samples
    assert information(x, x, seed=0).nats == pytest.approx(ceiling_nats(found))


@pytest.mark.parametrize("change", ["shift", "scale"])
def test_it_sees_neither_a_fixed_noise_tensor_nor_a_scale(change: str) -> None:
    x, y, _ = correlated(0.9, rows=1000, dimensions=3)
    fixed = np.random.default_rng(5).normal(0, 100, 3)
    changed = y + fixed if change == "shift" else 1000 * y
    assert information(x, changed, seed=0).nats == pytest.approx(information(x, y, seed=0).nats, rel=1e-6)


def test_the_result_says_what_it_depends_on() -> None:
    x, y, _ = correlated(0.6, rows=300)
    images = x.reshape(300, 1, 1, 1).astype(np.float32)
    found = information(images, y, seed=7, k=4)
    assert (found.k, found.samples, found.dimensions, found.seed, found.left_out) == (4, 300, 2, 7, 0)
    assert "Kraskov" in found.estimator
    assert found == information(images, y, seed=7, k=4)


def test_copies_are_left_out_and_counted() -> None:
    x, y, _ = correlated(0.6, rows=200, dimensions=400)
    copies = [np.concatenate([one, np.tile(one[:1], (3, 1))]).astype(np.float32) for one in (x, y)]
    found = information(*copies, seed=0, k=3)
    assert found.left_out == 4  # each has three copies
    assert math.isfinite(found.nats)
    # The same inputs under fresh noise are no copies.
    fresh = np.random.default_rng(1).standard_normal(copies[1].shape)
    assert information(copies[0], fresh, seed=0).left_out == 0
    with pytest.raises(DataError, match="no density exists"):
        information(np.zeros((20, 2)), np.zeros((20, 2)), seed=0)


@pytest.mark.parametrize(("rows", "others"), [(10, 9), (4, 4)])
def test_too_few_pairs_are_refused(rows: int, others: int) -> None:
    with pytest.raises(DataError, match="expected as many, 5 or more for k = 3"):
        information(np.zeros((rows, 2)), np.zeros((others, 2)), seed=0)
