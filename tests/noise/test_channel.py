import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noise.channel import ChannelNoise, DenseMap, Map, PointwiseMap
from noise.gaussian import DenseNormal, GaussianNoise
from noise.gaussian_parameters import LearnedMap
from noise.randomness import SeededRandom


def written_out(one: Map, shape: tuple[int, ...]) -> np.ndarray:
    """The dense matrix that a map stands for, by Kronecker products with the identity."""
    if isinstance(one, DenseMap):
        return one.weight
    assert isinstance(one, PointwiseMap)
    others = int(np.prod(shape)) // len(one.weight)
    return np.kron(np.eye(others), one.weight) if one.last else np.kron(one.weight, np.eye(others))


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.booleans(), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_a_pointwise_map_is_the_dense_one_it_stands_for(a: int, b: int, c: int, last: bool, seed: int) -> None:
    shape = (a, b, c)
    random = np.random.default_rng(seed)
    channels = shape[-1] if last else shape[0]
    one = PointwiseMap(random.normal(size=(channels, channels)).astype(np.float32), last=last)
    tensors = random.normal(size=(3, a * b * c)).astype(np.float32)
    np.testing.assert_allclose(one(tensors), tensors @ written_out(one, shape).T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["dense", "first", "last"])
@pytest.mark.parametrize("shape", [(3, 2, 4), (24,)])
def test_what_is_learned_is_what_the_edge_draws_from(form: str, shape: tuple[int, ...]) -> None:
    spread = torch.linspace(0.5, 2, 24)
    learned = LearnedMap(spread, shape, form)  # type: ignore[arg-type]
    tensors = torch.randn(5, 24, generator=torch.Generator().manual_seed(0))
    assert torch.equal(learned(tensors), tensors)  # starts as the identity
    with torch.no_grad():
        learned.weight.add_(torch.randn(learned.weight.shape, generator=torch.Generator().manual_seed(1)))
        learned.bias.add_(torch.arange(24.0))
        expected = learned(tensors).numpy()
    np.testing.assert_allclose(learned.map()(tensors.numpy()) + learned.offset(), expected, rtol=1e-5, atol=1e-5)


def test_the_identity_carries_tensors_as_they_are_and_adds_its_offset() -> None:
    normal = {"a": DenseNormal(np.eye(6, dtype=np.float32)), "b": DenseNormal(2 * np.eye(4, dtype=np.float32))}
    maps: dict[str, Map] = {
        "a": PointwiseMap(np.eye(3, dtype=np.float32)),
        "b": DenseMap(np.eye(4, dtype=np.float32)),
    }
    offsets = {"a": np.zeros(6, np.float32), "b": np.arange(4, dtype=np.float32)}
    noise = ChannelNoise(maps, offsets, normal)
    tensors = [np.random.default_rng(0).normal(size=(5, n)).astype(np.float32) for n in (6, 4)]
    one, other = noise.carried(tensors)
    assert (one == tensors[0]).all()
    assert (other == tensors[1] + offsets["b"]).all()
    drawn, same = noise.draw(5, SeededRandom(1)), GaussianNoise(normal).draw(5, SeededRandom(1))
    assert all((a == b).all() for a, b in zip(drawn, same, strict=True))
    assert noise.parameters == (9 + 6 + 21) + (16 + 4 + 10)
    assert noise.scaled(3).maps is noise.maps
    np.testing.assert_allclose(noise.scaled(3).whitened(tensors), noise.whitened(tensors) / 3, rtol=1e-5)
