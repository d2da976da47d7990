import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noise.audit.covariance_bound import covariance_bound, sample_space


def gaussian(rows: int, variances: np.ndarray, *, seed: int) -> np.ndarray:
    """Rows of N(mean, Q diag(variances) Qᵀ), so that the axes are not the data's own."""
    random = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(len(variances), len(variances))))
    return 3 + random.normal(size=(rows, len(variances))) * np.sqrt(variances) @ turn.T


def capacity(variances: np.ndarray) -> float:
    """I(x; x + N(0, I)) of Gaussian x: ½ Σ log(1 + v)."""
    return 0.5 * float(np.log1p(variances).sum())


VARIANCES = np.geomspace(0.01, 100, 12)


def test_it_is_tight_for_gaussian_data() -> None:
    found = covariance_bound(gaussian(40_000, VARIANCES, seed=1), gaussian(1000, VARIANCES, seed=2))
    assert found.form == "covariance"
    assert found.nats == pytest.approx(capacity(VARIANCES), rel=0.01)
    assert found.interval[0] < capacity(VARIANCES) < found.interval[1]
    assert found.bits == pytest.approx(found.nats / math.log(2))
    assert found.interval_bits[1] == pytest.approx(found.interval[1] / math.log(2))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    truth = capacity(VARIANCES)
    found = [covariance_bound(gaussian(1000, VARIANCES, seed=seed), np.zeros((1, 12))) for seed in range(200)]
    inside = np.mean([one.interval[0] <= truth <= one.interval[1] for one in found])
    assert 0.9 <= inside <= 0.99


def test_a_covariance_from_the_fewest_rows_does_not_understate_it() -> None:
    # Ten rows an element and strong signals: the plug-in determinant lacks n (n + 1) / 4 m = 1.5 nats here.
    variances = np.full(60, 1e4)
    found = [covariance_bound(gaussian(600, variances, seed=seed), np.zeros((1, 60))).nats for seed in range(20)]
    error = np.std(found) / math.sqrt(len(found))
    assert np.mean(found) == pytest.approx(capacity(variances), abs=4 * error + 0.1)


def test_the_held_out_form_agrees_where_rows_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    train, holdout = gaussian(30_000, VARIANCES, seed=3), gaussian(30_000, VARIANCES, seed=4)
    whole = covariance_bound(train, holdout)
    monkeypatch.setattr("noise.audit.covariance_bound.ROWS_AN_ELEMENT", 10**6)
    other = covariance_bound(train, holdout)
    assert other.form == "held-out"
    assert other.nats == pytest.approx(whole.nats, rel=0.01)
    assert other.interval[0] <= capacity(VARIANCES) <= other.interval[1]


@pytest.mark.parametrize("rows", [3, 8, 12, 30, 100])
def test_from_few_rows_it_is_above_the_truth(rows: int) -> None:
    found = covariance_bound(gaussian(rows, VARIANCES, seed=5), gaussian(2000, VARIANCES, seed=6))
    assert found.form == "held-out"
    assert found.nats >= capacity(VARIANCES)


@given(st.integers(2, 12), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_the_space_of_few_rows_gives_what_all_coordinates_give(rows: int, seed: int) -> None:
    """The held-out form in all n coordinates, written out, against the one in the training rows' space."""
    train, holdout = (gaussian(count, VARIANCES, seed=seed + count) for count in (rows, 40))
    mean, covariance = train.mean(axis=0), np.cov(train.T)
    inverse = np.linalg.inv(np.eye(12) + covariance)
    off = holdout - mean
    log_det, trace = np.linalg.slogdet(np.eye(12) + covariance)[1], np.trace(inverse)
    exact = 0.5 * (log_det + trace - 12 + np.einsum("ij,jk,ik->i", off, inverse, off))
    found = covariance_bound(train, holdout)
    assert found.nats == pytest.approx(exact.mean(), rel=1e-5)
    margin = 1.96 * exact.std(ddof=1) / math.sqrt(len(exact))
    assert found.interval == pytest.approx((exact.mean() - margin, exact.mean() + margin), rel=1e-4)


@pytest.mark.parametrize("rows", [5, 5000])
def test_repeats_are_noise_of_a_smaller_covariance(rows: int) -> None:
    train, holdout = gaussian(rows, VARIANCES, seed=7), gaussian(300, VARIANCES, seed=8)
    found = covariance_bound(train, holdout, repeats=10)
    # Whitened by Σn / 10, everything is √10 as large.
    once = covariance_bound(math.sqrt(10) * train, math.sqrt(10) * holdout)
    assert found.repeats == 10
    assert (found.nats, *found.interval) == pytest.approx((once.nats, *once.interval))
    assert found.nats > covariance_bound(train, holdout).nats


def test_a_tensor_that_never_changes_tells_nothing() -> None:
    assert covariance_bound(np.ones((300, 4)), np.ones((20, 4))).nats == pytest.approx(0)
    assert covariance_bound(np.ones((3, 4)), np.ones((20, 4))).nats == pytest.approx(0)


def test_the_sample_space_keeps_distances() -> None:
    train, holdout = gaussian(6, VARIANCES, seed=9), gaussian(20, VARIANCES, seed=10)
    inside, outside, rest = sample_space(train, holdout)
    assert inside.shape == (6, 5)
    np.testing.assert_allclose(inside @ inside.T, (train - train.mean(0)) @ (train - train.mean(0)).T, atol=1e-9)
    total = ((holdout - train.mean(0)) ** 2).sum(axis=1)
    np.testing.assert_allclose((outside**2).sum(axis=1) + 2 * rest, total)
