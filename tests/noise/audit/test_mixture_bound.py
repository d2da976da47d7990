import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from noise.audit.covariance_bound import covariance_bound
from noise.audit.mixture_bound import mixture_bound
from noise.randomness import SeededRandom


def exact(points: np.ndarray, spread: float) -> float:
    """I(x; x + N(0, 1)), x one of the points, equally likely, + N(0, spread²): h(y) − h(noise), by integration."""
    deviation = math.sqrt(1 + spread**2)

    def term(y: float) -> float:
        density = float(norm.pdf(y, points, deviation).mean())
        return -density * math.log(density) if density > 0 else 0.0

    low, high = points.min() - 10 * deviation, points.max() + 10 * deviation
    entropy, _ = quad(term, low, high, points=list(points), limit=500)
    return entropy - 0.5 * math.log(2 * math.pi * math.e)


def drawn(points: np.ndarray, spread: float, rows: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(len(points), size=rows)
    return points[labels][:, None] + spread * random.normal(size=(rows, 1)), labels


@pytest.mark.parametrize(
    ("points", "spread"), [((-1.0, 1.0), 0.0), ((-4.0, 4.0), 0.5), ((0.0, 6.0, 20.0), 1.0), ((0.0,), 2.0)]
)
def test_one_gaussian_a_class_is_tight_where_classes_are_gaussian(points: tuple[float, ...], spread: float) -> None:
    centres = np.array(points)
    (train, labels), (holdout, _) = (drawn(centres, spread, 20_000, seed=seed) for seed in (1, 2))
    found = mixture_bound(train, labels, holdout, random=SeededRandom(3))
    truth = exact(centres, spread)
    assert found.interval[0] - 0.01 <= truth <= found.interval[1] + 0.01
    proven = covariance_bound(train, holdout)
    assert found.nats <= proven.interval[1] + 0.01
    if len(points) == 3:
        assert found.nats < proven.nats - 0.1


def test_it_stays_above_the_truth_where_classes_say_nothing() -> None:
    centres = np.array([-4.0, 4.0])
    (train, _), (holdout, _) = (drawn(centres, 0.5, 20_000, seed=seed) for seed in (1, 2))
    found = mixture_bound(
        train, np.random.default_rng(0).integers(3, size=len(train)), holdout, random=SeededRandom(3)
    )
    assert found.nats > exact(centres, 0.5) + 0.1
    assert found.nats == pytest.approx(covariance_bound(train, holdout).nats, abs=0.05)


@pytest.mark.parametrize("rows", [2, 5, 12, 40])
def test_from_few_rows_it_is_above_the_truth(rows: int) -> None:
    variances = np.geomspace(0.1, 50, 30)
    random = np.random.default_rng(0)
    train, holdout = (random.normal(size=(count, 30)) * np.sqrt(variances) for count in (rows, 1000))
    labels = np.arange(rows) % 3
    found = mixture_bound(train, labels, holdout, random=SeededRandom(0))
    assert math.isfinite(found.nats)
    assert found.nats >= 0.5 * np.log1p(variances).sum()


def test_repeats_are_noise_of_a_smaller_covariance() -> None:
    centres = np.array([-1.0, 1.0])
    (train, labels), (holdout, _) = (drawn(centres, 0.3, 3000, seed=seed) for seed in (1, 2))
    found = mixture_bound(train, labels, holdout, random=SeededRandom(3), repeats=7)
    root = math.sqrt(7)
    same = mixture_bound(root * train, labels, root * holdout, random=SeededRandom(3))
    assert (found.nats, found.repeats) == (pytest.approx(same.nats), 7)
    assert found.nats > mixture_bound(train, labels, holdout, random=SeededRandom(3)).nats


def test_a_class_of_one_row_is_left_to_the_others() -> None:
    centres = np.array([-2.0, 2.0])
    (train, labels), (holdout, _) = (drawn(centres, 0.3, 3000, seed=seed) for seed in (1, 2))
    odd = labels.copy()
    odd[0] = 9
    found = mixture_bound(train, odd, holdout, random=SeededRandom(3))
    assert found.nats == pytest.approx(mixture_bound(train, labels, holdout, random=SeededRandom(3)).nats, abs=0.01)
