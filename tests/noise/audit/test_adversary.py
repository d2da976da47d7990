from typing import Any

import numpy as np
import pytest
import torch
from blobs import Fixed
from noise_networks import clusters, residual_plan, two_layers_plan

from noise.activations import Activations
from noise.audit.adversary import Adversary
from noise.audit.naming import namer_of, naming_quality
from noise.channel import ChannelNoise, DenseMap
from noise.cut_network import CutNetwork
from noise.gaussian import DenseNormal, GaussianNoise
from noise.laplace import LaplaceNoise, OrderedLaplace, order_of
from noise.mechanism import Mechanism
from profiles.codec import Quantisation

N = 40


def activations(rows: int, *, seed: int = 0, tensors: int = 1, n: int = N) -> Activations:
    random = np.random.default_rng(seed)
    made = tuple(random.standard_normal((rows, n), dtype=np.float32) for _ in range(tensors))
    return Activations(made, (), np.zeros(rows, np.int64), np.zeros((rows, 2), np.float32))


def laplace(distributions: int = 20, *, n: int = N, tensors: int = 1, strength: float = 2.0) -> LaplaceNoise:
    random = np.random.default_rng(5)
    made = {}
    for index in range(tensors):
        orders = order_of(random.standard_normal((distributions, n)))
        scale = np.full(distributions, strength)
        made[f"t{index}"] = OrderedLaplace(np.linspace(-1, 1, distributions), scale, orders)
    return LaplaceNoise(made)


def gaussian(n: int = N) -> GaussianNoise:
    factor = np.tril(np.random.default_rng(6).standard_normal((n, n)) / n) + np.eye(n)
    return GaussianNoise({"t0": DenseNormal(factor.astype(np.float32))})


def noise_seen(noise: Mechanism, queries: int, rows: int = 20_000, **more: Any) -> np.ndarray:
    on = activations(rows, tensors=len(noise.nodes))
    seen = Adversary(on, noise, seed=3, queries=queries, **more).everything().numpy()
    return seen - np.concatenate(noise.carried(on.tensors), axis=1)


def test_without_noise_it_sees_the_tensors() -> None:
    on = activations(3000, tensors=2)
    seen = Adversary(on, None, seed=0, queries=7).everything()
    assert np.array_equal(seen.numpy(), np.concatenate(on.tensors, axis=1))
    rows = torch.tensor([5, 2999, 5])
    assert torch.equal(Adversary(on, None, seed=0).observe(rows), seen[rows])


@pytest.mark.parametrize("noise", [laplace(), gaussian(), laplace(tensors=2)], ids=["laplace", "gaussian", "two"])
def test_every_call_draws_afresh_and_a_seed_repeats_it(noise: Mechanism) -> None:
    on, rows = activations(10, tensors=len(noise.nodes)), torch.arange(10)
    for queries in (1, 5):
        one, same, other = (Adversary(on, noise, seed=seed, queries=queries) for seed in (1, 1, 2))
        first, second = one.observe(rows), one.observe(rows)
        assert first.dtype == torch.float32
        assert not (first == second).any()
        assert torch.equal(first, same.observe(rows))
        assert not torch.equal(first, other.observe(rows))


@pytest.mark.parametrize("queries", [1, 2, 5, 100])
@pytest.mark.parametrize("noise", [laplace(), gaussian()], ids=["laplace", "gaussian"])
def test_the_mean_of_many_queries_has_the_law_of_a_mean(noise: Mechanism, queries: int) -> None:
    one, many = noise_seen(noise, 1), noise_seen(noise, queries)
    assert many.mean(axis=0) == pytest.approx(one.mean(axis=0), abs=0.1)
    expected, found = np.cov(one.T) / queries, np.cov(many.T)
    assert np.trace(found) == pytest.approx(np.trace(expected), rel=0.03)
    assert np.linalg.norm(found - expected) < 0.2 * np.linalg.norm(expected)


def test_means_of_the_papers_noise_are_not_its_noise_made_weak() -> None:
    # A single draw is one of few orders; the mean of two is of either.
    noise = laplace(2)
    falling = [(np.diff(noise_seen(noise, k, 400)[:, order]) <= 1e-5).all(axis=1)
               for k in (1, 2) for order in noise.tensors["t0"].order]  # fmt: skip
    assert (falling[0] | falling[1]).all()
    assert (falling[2] | falling[3]).mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("queries", [1, 10])
def test_naming_takes_what_is_expected_of_each_draw_away(queries: int) -> None:
    noise = laplace()
    namer = namer_of(noise, torch.from_numpy(activations(4000, seed=8).tensors[0]), seed=0)
    quality = naming_quality(namer, noise, torch.from_numpy(activations(2000, seed=9).tensors[0]), seed=0)
    assert quality.right_percent == 100
    assert quality.variance_left_percent < 15
    plain, named = noise_seen(noise, queries), noise_seen(noise, queries, namer=namer)
    share = named.var(axis=0).sum() / plain.var(axis=0).sum()
    assert 100 * share == pytest.approx(quality.variance_left_percent, rel=0.1)
    assert np.abs(named.mean(axis=0)).max() < 0.1


def test_where_naming_fails_each_query_is_named_by_itself() -> None:
    noise = laplace(20, strength=0.03)
    namer = namer_of(noise, torch.from_numpy(activations(4000, seed=8).tensors[0]), seed=0)
    right = naming_quality(namer, noise, torch.from_numpy(activations(2000).tensors[0]), seed=0).right_percent
    assert right < 99.9
    seen = noise_seen(noise, 3, 500, namer=namer)
    granted = noise_seen(noise, 3, 500, namer=None)
    assert np.isfinite(seen).all()
    assert not np.allclose(seen, granted)


def test_several_tensors_lie_side_by_side_and_mapped_ones_are_mapped_once() -> None:
    network = CutNetwork.of(residual_plan())
    on = network.activations(clusters(200, seed=1), origin="clusters")
    calls = []

    class Counted(DenseMap):
        def __call__(self, tensors: np.ndarray) -> np.ndarray:
            calls.append(len(tensors))
            return super().__call__(tensors)

    maps = {node: Counted(2 * np.eye(12, dtype=np.float32)) for node in network.shapes}
    offsets = {node: np.full(12, index, np.float32) for index, node in enumerate(network.shapes)}
    normals = {node: DenseNormal(1e-6 * np.eye(12, dtype=np.float32)) for node in network.shapes}
    seen = Adversary(on, ChannelNoise(maps, offsets, normals), seed=0, cut=network)
    for _ in range(3):
        found = seen.observe(torch.arange(100)).numpy()
    expected = np.concatenate([2 * one[:100] + index for index, one in enumerate(on.tensors)], axis=1)
    assert np.allclose(found, expected, atol=1e-4)
    assert calls == [200, 200]


def test_it_sees_the_bits_of_the_wire() -> None:
    network = CutNetwork.of(two_layers_plan())
    coarse = CutNetwork(**{**network.__dict__, "wire": "int8"})
    on = coarse.activations(clusters(300, seed=1), origin="clusters")
    levels = {node: Quantisation.over(-4.0, 4.0) for node in coarse.shapes}
    normals = {node: DenseNormal(np.eye(12, dtype=np.float32)) for node in coarse.shapes}
    seen = Adversary(on, GaussianNoise(normals), seed=0, cut=coarse, levels=levels).everything()
    assert len(seen.unique()) <= 256
    assert float(seen.abs().max()) < 4.1
    assert float((Adversary(on, None, seed=0, cut=coarse, levels=levels).everything().unique()).numel()) <= 256


def test_a_fixed_tensor_is_the_same_from_any_number_of_queries() -> None:
    fixed = Fixed(np.arange(N, dtype=np.float32))
    for queries in (1, 3):
        assert np.allclose(noise_seen(fixed, queries, 100), fixed.noise, atol=1e-5)


def test_no_queries_are_refused() -> None:
    with pytest.raises(ValueError, match="0 queries, expected 1 or more"):
        Adversary(activations(3), None, seed=0, queries=0)
