import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noise.channel import ChannelNoise, DenseMap
from noise.gaussian import DenseNormal, GaussianNoise, LowRankNormal, Normal
from noise.randomness import SeededRandom, SystemRandom


def dense(elements: int, *, seed: int = 0) -> DenseNormal:
    random = np.random.default_rng(seed)
    lower = np.tril(random.normal(size=(elements, elements)), -1) / elements**0.5
    return DenseNormal((lower + np.diag(random.uniform(0.5, 2, elements))).astype(np.float32))


def low_rank(elements: int, rank: int, *, seed: int = 0) -> LowRankNormal:
    random = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(random.normal(size=(elements, rank)))
    scale, shrink = random.uniform(0.5, 2, elements), random.uniform(-1, 0.95, rank)
    return LowRankNormal(*(one.astype(np.float32) for one in (scale, basis, shrink)))


def covariance(normal: Normal) -> np.ndarray:
    """Written out as its docstring defines it."""
    if isinstance(normal, DenseNormal):
        factor = normal.factor.astype(np.float64)
        return factor @ factor.T
    assert isinstance(normal, LowRankNormal)
    inner = np.eye(normal.elements) - normal.basis @ np.diag(normal.shrink) @ normal.basis.T
    root = np.diag(normal.scale.astype(np.float64)) @ inner
    return root @ root.T


ALL = [dense(7), low_rank(7, 3), low_rank(7, 7), low_rank(7, 0)]


@pytest.mark.parametrize("normal", ALL)
def test_draws_have_the_covariance_that_is_written(normal: Normal) -> None:
    rows = 200_000
    drawn = normal.draw(rows, SeededRandom(1)).astype(np.float64)
    assert drawn.shape == (rows, normal.elements)
    expected = covariance(normal)
    # An entry's standard error is at most √2 · its variances' size / √rows: five of them.
    spread = np.sqrt(np.outer(expected.diagonal(), expected.diagonal()))
    assert (np.abs(drawn.T @ drawn / rows - expected) <= 5 * np.sqrt(2 / rows) * spread).all()
    assert (np.abs(drawn.mean(axis=0)) <= 5 * np.sqrt(expected.diagonal() / rows)).all()


@given(st.integers(1, 30), st.integers(0, 30), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_whitening_is_the_mahalanobis_distance(elements: int, rank: int, seed: int) -> None:
    tensors = np.random.default_rng(seed).normal(size=(5, elements)).astype(np.float32)
    for normal in (dense(elements, seed=seed), low_rank(elements, min(rank, elements), seed=seed)):
        found = (normal.whitened(tensors).astype(np.float64) ** 2).sum(axis=1)
        exact = np.einsum("ij,ji->i", tensors, np.linalg.solve(covariance(normal), tensors.T.astype(np.float64)))
        np.testing.assert_allclose(found, exact, rtol=2e-3)


@pytest.mark.parametrize("normal", ALL)
def test_whitened_noise_is_standard(normal: Normal) -> None:
    rows = 100_000
    white = normal.whitened(normal.draw(rows, SeededRandom(2))).astype(np.float64)
    np.testing.assert_allclose(white.T @ white / rows, np.eye(normal.elements), atol=5 * np.sqrt(2 / rows))


@pytest.mark.parametrize("normal", ALL)
@given(gain=st.floats(0.01, 100))
@settings(max_examples=10, deadline=None)
def test_a_gain_scales_the_covariance_by_its_square(normal: Normal, gain: float) -> None:
    np.testing.assert_allclose(covariance(normal.scaled(gain)), gain**2 * covariance(normal), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("gain", [0.0, -1.0, float("nan"), float("inf")])
def test_a_gain_that_is_none_is_refused(gain: float) -> None:
    normals = {"a": dense(2)}
    channel = ChannelNoise({"a": DenseMap(np.eye(2, dtype=np.float32))}, {"a": np.zeros(2, np.float32)}, normals)
    for noise in (GaussianNoise(normals), channel):
        with pytest.raises(ValueError, match="expected a positive number"):
            noise.scaled(gain)


def test_low_rank_takes_memory_in_proportion_to_the_elements() -> None:
    elements, rank, rows = 50_000, 8, 4
    normal = low_rank(elements, rank)
    tracemalloc.start()
    drawn = normal.draw(rows, SeededRandom(0))
    white = normal.whitened(drawn)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert white.shape == (rows, elements)
    # A square of the elements would be 10 GB; this is a dozen arrays of the draw's own size.
    assert peak <= 12 * 8 * rows * elements


def test_parameters_are_the_numbers_it_is_made_of() -> None:
    assert dense(5).parameters == 15
    assert low_rank(9, 2).parameters == 9 + 18 + 2


def test_every_draw_is_new_and_every_tensor_has_its_own() -> None:
    noise = GaussianNoise({"a": dense(6), "b": low_rank(40, 3)})
    first, second = noise.draw(3, SystemRandom()), noise.draw(3, SystemRandom())
    assert [one.shape for one in first] == [(3, 6), (3, 40)]
    assert all(one.dtype == np.float32 for one in first)
    assert all((one != other).all() for one, other in zip(first, second, strict=True))
    tensors = [np.ones((3, 6), np.float32), np.ones((3, 40), np.float32)]
    assert all((one == other).all() for one, other in zip(noise.carried(tensors), tensors, strict=True))
    assert noise.elements == 46


def test_tensors_are_whitened_side_by_side() -> None:
    parts: dict[str, Any] = {"a": dense(6), "b": low_rank(40, 3)}
    tensors = [np.random.default_rng(0).normal(size=(3, n)).astype(np.float32) for n in (6, 40)]
    found = GaussianNoise(parts).whitened(tensors)
    np.testing.assert_allclose(found[:, :6], parts["a"].whitened(tensors[0]))
    np.testing.assert_allclose(found[:, 6:], parts["b"].whitened(tensors[1]))
