"""The bounds as they are printed and kept."""

import math
from dataclasses import replace

import numpy as np
import pytest

from noise.activations import Activations
from noise.audit.covariance_bound import covariance_bound
from noise.bounding import bounds, judged_rows
from noise.gaussian import DenseNormal, GaussianNoise
from noise.randomness import SeededRandom

ELEMENTS = 60


def inputs(rows: int, *, seed: int) -> Activations:
    tensor = SeededRandom(seed).normal((rows, ELEMENTS))
    return Activations((tensor,), (), np.arange(rows) % 2, np.zeros((rows, 2), dtype=np.float32))


def test_noise_that_was_fitted_to_its_training_rows_is_not_bounded_by_them_alone() -> None:
    train, holdout = inputs(600, seed=1), inputs(3000, seed=2)
    factor = np.linalg.cholesky(np.cov(train.tensors[0].T))
    noise = GaussianNoise({"a": DenseNormal(factor.astype(np.float32))})
    # I(x; a') of N(0, I) under this noise.
    truth = 0.5 * np.log1p(1 / np.linalg.eigvalsh(factor @ factor.T)).sum() / math.log(2)
    seen, unseen = (noise.whitened(one.tensors) for one in (train, holdout))
    assert covariance_bound(seen, unseen).interval_bits[1] < truth
    found, _ = bounds(noise, train, holdout, seed=0)
    assert found.bits >= truth
    assert found.form == "held-out"
    assert found.repeats["1"] == found.bits < found.repeats["10"]


def test_judged_rows_hold_every_class_of_data_sorted_by_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noise.gaussian_start.BOUND_ROWS", 100)
    sorted_by_class = replace(inputs(1000, seed=3), labels=np.repeat(np.arange(10), 100))
    assert np.bincount(judged_rows(sorted_by_class).labels).tolist() == [10] * 10
    assert len(judged_rows(inputs(50, seed=3))) == 50
