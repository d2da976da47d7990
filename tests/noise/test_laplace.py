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
    assert len(np.unique(drawn, axis=0)) == 200
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


def by_sorting(rows: int, elements: int, random: SeededRandom) -> np.ndarray:
    """The slow exact way to what `descending` draws."""
    return -np.sort(-laplace.quantile(random.uniform((rows, elements))), axis=1)


@pytest.mark.parametrize("elements", [1, 2, 3, 7, 120])
def test_spacings_are_distributed_as_sorted_samples(elements: int) -> None:
    spaced = laplace.descending(20_000, elements, SeededRandom(5))
    exact = by_sorting(20_000, elements, SeededRandom(6))
    assert (np.diff(spaced, axis=1) <= 0).all()
    # 20,000 against 20,000: order statistics shifted by 3 % of their spread would be found.
    for place in {0, elements // 4, elements // 2, elements - 1}:
        assert scipy.stats.ks_2samp(spaced[:, place], exact[:, place]).pvalue > 1e-6
    # They hang together as sorted samples do.
    assert scipy.stats.ks_2samp(np.ptp(spaced, axis=1), np.ptp(exact, axis=1)).pvalue > 1e-6


@pytest.mark.parametrize("elements", [10, 9216])
def test_the_extremes_are_those_of_the_theory(elements: int) -> None:
    random = SystemRandom()
    spaced = np.concatenate([laplace.descending(250, elements, random) for _ in range(8)])
    # The largest of n: P(max ≤ x) = F(x)^n. Kolmogorov-Smirnov finds a distribution 5 % off.
    for extreme in (spaced[:, 0], -spaced[:, -1]):
        assert scipy.stats.kstest(scipy.stats.laplace.cdf(extreme) ** elements, "uniform").pvalue > 1e-6
    assert np.square(spaced).mean() == pytest.approx(2, rel=0.1)


def test_both_tails_are_exact_far_out() -> None:
    class Steep(SeededRandom):
        """One spacing at either end far smaller than all others."""

        def exponential(self, shape: tuple[int, ...]) -> np.ndarray:
            spacings = np.ones(shape)
            spacings[:, 0], spacings[:, -1] = 1e-18, 1e-19
            return spacings

    values = laplace.descending(1, 9, Steep(0))[0]
    # A uniform of 1 − 1e-19 would have been rounded to 1.
    assert values[0] == pytest.approx(-np.log(2e-18 / 8))
    assert values[-1] == pytest.approx(np.log(2e-19 / 8))
    assert np.isfinite(values).all()


def test_a_draw_is_the_same_however_many_rows_are_worked_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = laplace.ordered(np.random.default_rng(0).normal(size=(3, 50)))
    which = np.array([0, 2, 1, 1, 0])
    monkeypatch.setattr(laplace, "CHUNK_ELEMENTS", 64)
    one_by_one = kept.draw(which, SeededRandom(1))
    monkeypatch.setattr(laplace, "CHUNK_ELEMENTS", 10**6)
    assert one_by_one == pytest.approx(kept.draw(which, SeededRandom(1)), rel=1e-6)


def test_a_large_tensor_is_drawn_in_order() -> None:
    order = np.random.default_rng(0).permutation(802_816)
    (drawn,) = LaplaceNoise({"a": OrderedLaplace(np.zeros(1), np.ones(1), order[None])}).draw(1, SystemRandom())
    assert (np.diff(drawn[0, order]) <= 0).all()
    assert drawn.std() == pytest.approx(np.sqrt(2), rel=0.02)
    # Of n exponential tails the largest lies around ln n; it exceeds ln n + 20 once in 10^8.
    assert 5 < drawn.max() < np.log(802_816) + 20
