import math

import numpy as np
import pytest
from scipy.integrate import dblquad, quad
from scipy.stats import laplace, norm

from noise.audit.covariance_bound import Bound
from noise.audit.laplace_order_statistics import moments
from noise.audit.ordered_laplace_bound import ordered_entropy_nats, ordered_laplace_bounds, surplus_nats
from noise.laplace import LaplaceNoise, OrderedLaplace, descending
from noise.randomness import SeededRandom
from profiles.errors import DataError


def ordered(scales: list[float], orders: list[list[int]]) -> OrderedLaplace:
    return OrderedLaplace(np.full(len(scales), 0.3), np.array(scales), np.array(orders))


def once(noise: LaplaceNoise, train: np.ndarray, holdout: np.ndarray) -> Bound:
    return ordered_laplace_bounds(noise, train, holdout)[0]


def test_the_entropy_of_one_and_of_two() -> None:
    scale = 0.7

    def density(value: float) -> float:
        return math.exp(-abs(value) / scale) / (2 * scale)

    one = quad(lambda u: -density(u) * math.log(density(u)), -20, 20, points=[0])[0]
    assert ordered_entropy_nats(scale, 1) == pytest.approx(one, rel=1e-6)

    def term(v: float, u: float) -> float:
        value = 2 * density(u) * density(v)  # where u ≥ v
        return -value * math.log(value)

    pieces = [((-20.0, 0.0), lambda u: u), ((0.0, 20.0), lambda u: 0.0)]
    two = sum(dblquad(term, *bounds, lambda u: -20, top)[0] for bounds, top in pieces)
    two += dblquad(term, 0, 20, lambda u: 0, lambda u: u)[0]
    assert ordered_entropy_nats(scale, 2) == pytest.approx(two, rel=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_the_moments_are_those_of_sorted_samples(n: int) -> None:
    mean, covariance = moments(n)
    drawn = descending(200_000, n, SeededRandom(n))
    np.testing.assert_allclose(mean, drawn.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(covariance, np.atleast_2d(np.cov(drawn.T)), atol=0.04)


def test_the_moments_of_two_in_closed_form() -> None:
    # The larger of two: E max = ∫ 2 u f(u) F(u) du = 3/4 by hand.
    mean, covariance = moments(2)
    assert mean == pytest.approx([0.75, -0.75])
    assert covariance[0, 1] == pytest.approx(0.75**2)  # E[X₁X₂] = E[X]² = 0, as a product knows no order
    assert covariance.sum() == pytest.approx(4)


@pytest.mark.parametrize("n", [5, 120, 400])
def test_the_moments_keep_what_sorting_keeps(n: int) -> None:
    mean, covariance = moments(n)
    np.testing.assert_allclose(mean, -mean[::-1], atol=1e-9)
    np.testing.assert_allclose(covariance, covariance[::-1, ::-1], atol=1e-9)
    assert covariance.sum() == pytest.approx(2 * n)  # of the sum
    assert np.trace(covariance) + (mean**2).sum() == pytest.approx(2 * n)  # of all squares
    assert np.linalg.eigvalsh(covariance).min() > 0


def test_a_sorted_sample_has_less_entropy_than_a_gaussian() -> None:
    one = 0.5 * math.log(2 * math.pi * math.e * 2) - (1 + math.log(2))
    assert surplus_nats(1) == pytest.approx(one)
    assert surplus_nats(120) == pytest.approx(49.8, abs=0.1)
    values = [surplus_nats(n) for n in (1, 2, 5, 20, 60)]
    assert values == sorted(values)
    assert values[0] > 0


@pytest.mark.parametrize(("deviation", "scale"), [(1.0, 1.0), (3.0, 0.5), (10.0, 0.3)])
def test_it_is_above_the_exact_information_in_one_dimension(deviation: float, scale: float) -> None:
    inputs = deviation * np.linspace(-8, 8, 2001)
    weights = norm.pdf(inputs / deviation) / norm.pdf(inputs / deviation).sum()
    outputs = np.linspace(-8 * deviation - 20 * scale, 8 * deviation + 20 * scale, 1501)
    density = np.array([weights @ laplace.pdf(one - inputs, scale=scale) for one in outputs])
    exact = -(density * np.log(density)).sum() * (outputs[1] - outputs[0]) - (1 + math.log(2 * scale))
    drawn = np.random.default_rng(0).normal(0, deviation, (40_000, 1))
    found = once(LaplaceNoise({"a": ordered([scale], [[0]])}), drawn[:20_000], drawn[20_000:])
    assert exact <= found.interval[1]
    assert found.nats == pytest.approx(
        exact, abs=0.03
    )  # near tight: a Gaussian's and a Laplace's sum is near Gaussian


def test_it_is_above_the_exact_information_of_two_elements_in_order() -> None:
    # x is one of two points, so I(x; a' | k) is an integral over the plane: of ln 2 at most.
    points, scale = np.array([[0.0, 0.0], [1.0, -0.5]]), 1.0
    grid = np.arange(-14, 14, 0.04) + 0.02
    first, second = np.meshgrid(grid, grid, indexing="ij")
    densities = []
    for x in points:
        u, v = first - x[0], second - x[1]
        densities.append(np.where(u >= v, 2 * laplace.pdf(u) * laplace.pdf(v), 0))
    mixed = (densities[0] + densities[1]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = sum(np.nansum(one * np.log(one / mixed)) for one in densities) / 2 * 0.04**2
    drawn = points[np.random.default_rng(1).integers(2, size=20_000)]
    noise = LaplaceNoise({"a": ordered([scale], [[0, 1]])})
    found = once(noise, drawn[:10_000], drawn[10_000:])
    assert 0 < exact < found.nats < exact + 0.6
    # Another scale is another distribution, and the bound is the mean over both.
    wide = once(LaplaceNoise({"a": ordered([3.0], [[1, 0]])}), drawn[:10_000], drawn[10_000:])
    both = once(LaplaceNoise({"a": ordered([scale, 3.0], [[0, 1], [1, 0]])}), drawn[:10_000], drawn[10_000:])
    assert wide.nats < found.nats
    assert both.nats == pytest.approx((wide.nats + found.nats) / 2)


def test_it_is_the_formula_over_several_crossing_tensors() -> None:
    random = np.random.default_rng(2)
    whole = random.normal(size=(60_000, 5)) @ random.normal(size=(5, 5))
    noise = LaplaceNoise(
        {"a": ordered([0.5, 2.0], [[2, 0, 1], [1, 2, 0]]), "b": ordered([1.0, 0.2], [[1, 0], [0, 1]])}
    )
    expected = []
    for index in range(2):
        covariance, entropy, start = np.cov(whole.T), 0.0, 0
        for one in noise.tensors.values():
            drawn = one.draw(np.full(100_000, index), SeededRandom(index, start))
            part = slice(start, start + one.elements)
            covariance[part, part] += np.cov(drawn.T)
            entropy += ordered_entropy_nats(float(one.scale[index]), one.elements)
            start += one.elements
        expected.append(0.5 * np.linalg.slogdet(2 * math.pi * math.e * covariance)[1] - entropy)
    found = once(noise, whole[:30_000], whole[30_000:])
    assert found.nats == pytest.approx(np.mean(expected), rel=0.01)
    assert found.interval[0] < np.mean(expected) < found.interval[1]


def test_from_few_rows_it_is_above_what_many_say() -> None:
    random = np.random.default_rng(3)
    whole = random.normal(size=(40_000, 12)) * np.geomspace(0.1, 10, 12)
    noise = LaplaceNoise({"a": ordered([1.0], [list(range(12))])})
    many = once(noise, whole[:20_000], whole[20_000:])
    for rows in (4, 20, 100):
        few = once(noise, whole[:rows], whole[20_000:])
        assert few.form == "held-out"
        assert few.nats > many.nats


def test_repeats_add_up_and_a_constant_tensor_leaves_the_surplus() -> None:
    noise = LaplaceNoise({"a": ordered([1.0, 3.0], [[0, 1, 2], [2, 1, 0]])})
    one, ten = ordered_laplace_bounds(noise, np.ones((100, 3)), np.ones((50, 3)), repeats=[1, 10])
    assert one.nats == pytest.approx(surplus_nats(3))
    assert (ten.nats, ten.repeats) == (pytest.approx(10 * one.nats), 10)
    # Neither location nor the common unit matters.
    drawn = np.random.default_rng(4).normal(size=(500, 3))
    scaled = once(noise.scaled(7), 5 + 7 * drawn, 5 + 7 * drawn)
    assert scaled.nats == pytest.approx(once(noise, drawn, drawn).nats)


@pytest.mark.parametrize("shape", [(10, 4), (30,)])
def test_tensors_of_other_sizes_are_refused(shape: tuple[int, ...]) -> None:
    noise = LaplaceNoise({"a": ordered([1.0], [[0, 1, 2]])})
    with pytest.raises(DataError, match="noise of 3 elements"):
        once(noise, np.ones(shape), np.ones(shape))
