import numpy as np
import pytest
import torch
from noise_networks import clusters, residual_plan, two_layers_plan

from noise.bottleneck import BottleneckMap, CodeNormal
from noise.channel import ChannelNoise, DenseMap, PointwiseMap
from noise.cut_network import CutNetwork
from noise.differentiable import carried_torch, edge_torch, sent_torch, whitening_torch
from noise.gaussian import DenseNormal, GaussianNoise, LowRankNormal
from profiles.errors import NoiseError

RANDOM = np.random.default_rng(0)


def normals(*nodes: str, n: int = 12) -> dict[str, DenseNormal | LowRankNormal]:
    factor = np.tril(RANDOM.standard_normal((n, n)) / n) + np.eye(n)
    basis = np.linalg.qr(RANDOM.standard_normal((n, 3)))[0].astype(np.float32)
    scale = RANDOM.uniform(0.5, 2, n).astype(np.float32)
    low = LowRankNormal(scale, basis, np.array([0.9, 0.5, -1], np.float32))
    forms = [DenseNormal(factor.astype(np.float32)), low]
    return {node: forms[index % 2] for index, node in enumerate(nodes)}


def channel(*nodes: str) -> ChannelNoise:
    weights = [RANDOM.standard_normal((size, size)).astype(np.float32) for size in (12, 4, 3)]
    maps = [DenseMap(weights[0]), PointwiseMap(weights[1]), PointwiseMap(weights[2], last=True)]
    offsets = {node: RANDOM.standard_normal(12).astype(np.float32) for node in nodes}
    return ChannelNoise(dict(zip(nodes, maps, strict=True)), offsets, normals(*nodes))


def test_the_edge_half_gives_what_the_engine_gives_and_its_gradient() -> None:
    cut = CutNetwork.of(residual_plan())
    split = clusters(7, seed=3)
    expected = cut.activations(split, origin="clusters").tensors
    inputs = torch.from_numpy(split.inputs).requires_grad_(True)
    found = edge_torch(cut)(inputs)
    assert all(
        np.allclose(one.detach().numpy(), other, atol=1e-5) for one, other in zip(found, expected, strict=True)
    )
    joined = sent_torch(cut, None)(inputs)
    assert torch.equal(joined, torch.cat(found, dim=1))
    # Linear, so that the gradient of a sum is a difference.
    (gradient,) = torch.autograd.grad(joined.sum(), inputs)
    moved = sent_torch(cut, None)(inputs + 1).sum() - joined.sum()
    assert float(gradient.sum()) == pytest.approx(float(moved), rel=1e-3)


def test_maps_and_offsets_are_those_that_the_edge_applies() -> None:
    noise = channel("a", "b", "c")
    tensors = [RANDOM.standard_normal((5, 12)).astype(np.float32) for _ in range(3)]
    found = carried_torch(noise)([torch.from_numpy(one) for one in tensors])
    for one, other in zip(found, noise.carried(tensors), strict=True):
        assert np.allclose(one.numpy(), other, atol=1e-5)
    added = GaussianNoise(normals("a"))
    assert torch.equal(carried_torch(added)([found[0]])[0], found[0])


def test_a_bottleneck_is_followed_and_whitened() -> None:
    shapes = ((5, 12), (5,), (3, 5), (12, 3))
    one = BottleneckMap(*(RANDOM.standard_normal(shape).astype(np.float32) for shape in shapes))
    noise = ChannelNoise({"a": one}, {"a": np.ones(12, np.float32)}, {"a": CodeNormal(one.decoder, 0.5)})
    tensors = [RANDOM.standard_normal((6, 12)).astype(np.float32)]
    carried = noise.carried(tensors)[0]
    assert np.allclose(carried_torch(noise)([torch.from_numpy(tensors[0])])[0].numpy(), carried, atol=1e-4)
    found = whitening_torch(noise)(torch.from_numpy(carried))
    assert found.shape == (6, 3)
    assert np.allclose(found.numpy(), noise.whitened(tensors), atol=1e-4)


def test_whitening_is_that_of_the_noise() -> None:
    noise = channel("a", "b", "c")
    tensors = [RANDOM.standard_normal((5, 12)).astype(np.float32) for _ in range(3)]
    carried = torch.from_numpy(np.concatenate(noise.carried(tensors), axis=1))
    assert np.allclose(whitening_torch(noise)(carried).numpy(), noise.whitened(tensors), atol=1e-4)


def test_batches_that_do_not_fill_the_traced_one_are_filled_up() -> None:
    cut = CutNetwork.of(two_layers_plan())
    fixed = CutNetwork(
        **{**cut.__dict__, "halves": cut.halves.__class__(**{**cut.halves.__dict__, "any_rows": False})}
    )
    inputs = torch.from_numpy(clusters(5, seed=3).inputs)
    assert fixed.rows == cut.network.batch
    assert torch.allclose(sent_torch(fixed, None)(inputs), sent_torch(cut, None)(inputs), atol=1e-6)


def test_a_map_that_it_cannot_follow_is_named() -> None:
    noise = channel("a", "b", "c")
    with pytest.raises(NoiseError, match="a map of form function cannot be followed"):
        carried_torch(ChannelNoise({**noise.maps, "a": lambda t: t}, noise.offsets, noise.normals))  # type: ignore[dict-item]
