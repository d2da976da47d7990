import math

import numpy as np
import pytest

from noise.accuracy import compare


def test_no_change_is_no_loss_and_no_interval() -> None:
    classes, labels = np.array([0, 1, 2, 2]), np.array([0, 1, 2, 0])
    found = compare(classes, classes, labels)
    assert (found.clean, found.noisy, found.loss_points) == (75.0, 75.0, 0.0)
    assert found.interval_points == (0.0, 0.0)


def test_the_interval_is_that_of_paired_differences() -> None:
    # Of 1,000 answers 20 become wrong and 5 right: a loss of 1.5 points.
    labels = np.zeros(1000, dtype=int)
    clean, noisy = np.zeros(1000, dtype=int), np.zeros(1000, dtype=int)
    clean[:5], noisy[5:25] = 1, 1
    found = compare(clean, noisy, labels)
    mean, square = 0.015, 0.025
    margin = 196 * math.sqrt((square - mean**2) / 999)
    assert found.loss_points == pytest.approx(1.5)
    assert found.interval_points == pytest.approx((1.5 - margin, 1.5 + margin))


def test_the_interval_covers_the_true_loss_19_times_of_20() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        clean_right, noisy_right = random.random(2000) < 0.99, random.random(2000) < 0.97
        found = compare(np.where(clean_right, 0, 1), np.where(noisy_right, 0, 1), np.zeros(2000, dtype=int))
        assert found.interval_points is not None
        covered += found.interval_points[0] <= 2.0 <= found.interval_points[1]
    assert 0.92 <= covered / 400 <= 0.98


def test_without_the_whole_model_there_is_no_loss() -> None:
    found = compare(None, np.array([0, 1]), np.array([0, 0]))
    assert found.clean is None
    assert found.loss_points is None
    assert found.noisy == 50.0
