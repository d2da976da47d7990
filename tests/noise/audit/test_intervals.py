import numpy as np
import pytest

from noise.audit.intervals import over_seeds


def test_it_covers_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    made = [over_seeds(random.normal(7.0, 2.0, 3).tolist()) for _ in range(1000)]
    inside = [found is not None and found[0] <= 7 <= found[1] for found in made]
    assert 0.93 < np.mean(inside) < 0.97


def test_three_seeds_are_few_and_one_says_nothing() -> None:
    assert over_seeds([1.0, 2.0, 3.0]) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), rel=1e-4)
    assert over_seeds([5.0]) is None
