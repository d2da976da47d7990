import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from noise import laplace
from noise.laplace import LaplaceNoise, OrderedLaplace
from noise.randomness import SeededRandom, SystemRandom


def test_the_papers_example_of_an_order() -> None:
    assert laplace.order_of(np.array([3.2, 4.8, 7.3, 1.5])).tolist() == [2, 1, 0, 3]


@given(st.floats(1e-12, 1 - 1e-12))
def test_the_quantile_function_is_scipys(uniform: float) -> None:
    assert laplace.quantile(np.array([uniform]))[0] == pytest.approx(
        scipy.stats.laplace.ppf(uniform), rel=1e-9, abs=1e-12
    )


def test_the_fit_is_scipys() -> None:
    rows = np.random.default_rng(0).normal(3, 2, size=(5, 121))
    loc, scale = laplace.fit(rows)
    for row, one_loc, one_scale in zip(rows, loc, scale, strict=True):
        expected = scipy.stats.laplace.fit(row)
        assert (one_loc, one_scale) == pytest.approx(expected)


@given(st.integers(0, 10**6), st.integers(2, 60))
def test_a_draw_lies_in_the_saved_order(seed: int, elements: int) -> None:
    learned = np.random.default_rng(seed).normal(size=(3, elements))
    kept = laplace.ordered(learned)
    drawn = kept.draw(np.array([2, 0, 1, 2]), SeededRandom(seed))
    for row, which in zip(drawn, (2, 0, 1, 2), strict=True):
        assert (np.diff(row[kept.order[which]]) <= 0).all()


def test_the_elements_of_a_draw_are_laplace() -> None:
    kept = OrderedLaplace(np.array([1.5]), np.array([2.0]), np.arange(100)[None])
    drawn = kept.draw(np.zeros(200, dtype=np.int64), SeededRandom(1))
    found = scipy.stats.kstest(drawn.ravel(), scipy.stats.laplace(1.5, 2.0).cdf)
    # 20,000 samples: a location off by 0.05 would be found.
    assert found.pvalue > 1e-3


def test_every_draw_is_another_and_every_distribution_is_taken() -> None:
    learned = np.random.default_rng(0).normal(size=(4, 30)) + np.array([[0.0], [100.0], [200.0], [300.0]])
    noise = LaplaceNoise({"a": laplace.ordered(learned)})
    (drawn,) = noise.draw(200, SystemRandom())
    # In float32 two of 200 may fall together.
    assert len(np.unique(drawn[:, 0])) >= 195
    assert set(np.rint(np.median(drawn, axis=1) / 100).astype(int)) == {0, 1, 2, 3}


def test_all_tensors_of_one_inference_take_the_same_distribution() -> None:
    far = np.array([[0.0], [1000.0]]) + np.random.default_rng(0).normal(size=(2, 9))
    noise = LaplaceNoise({"a": laplace.ordered(far), "b": laplace.ordered(-far)})
    one, other = noise.draw(50, SystemRandom())
    assert ((np.median(one, axis=1) > 500) == (np.median(other, axis=1) < -500)).all()


@pytest.mark.parametrize("elements", [84, 120, 400, 9216])
def test_the_fit_gate_takes_laplace_and_refuses_two_peaks(elements: int) -> None:
    threshold = laplace.fit_threshold(elements)
    random = SeededRandom(11)
    good = 3 * laplace.quantile(random.uniform((60, elements))) + 1
    # What α as printed in the paper leads to: the elements go to two peaks.
    bad = np.where(random.uniform((60, elements)) < 0.5, -1, 1) + 0.1 * laplace.quantile(
        random.uniform((60, elements))
    )
    assert (laplace.fit_error(good, *laplace.fit(good)) <= threshold).mean() >= 0.9
    assert (laplace.fit_error(bad, *laplace.fit(bad)) <= threshold).mean() == 0
