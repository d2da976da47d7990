"""Every kind of noise in its file: whole, and damaged one tensor at a time."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save

from noise import collection, laplace
from noise.bottleneck import BottleneckMap, CodeNormal
from noise.channel import ChannelNoise, DenseMap, Map, PointwiseMap
from noise.collection import Accuracy, BoundFacts, Crossing, NoiseFacts
from noise.gaussian import DenseNormal, GaussianNoise, LowRankNormal, Normal
from noise.laplace import LaplaceNoise
from noise.mechanism import Mechanism
from noise.randomness import SeededRandom
from noise.tensors import footprint_bytes, to_arrays
from profiles.errors import ArtifactError

#: Two crossing tensors, of 12 and of 2 × 3 elements.
ELEMENTS = {"flatten": 12, "skip": 6}


def normals() -> dict[str, Normal]:
    random = np.random.default_rng(0)
    lower = np.tril(random.normal(size=(12, 12)), -1) + np.diag(random.uniform(1, 2, 12))
    basis, _ = np.linalg.qr(random.normal(size=(6, 2)))
    scale, shrink = random.uniform(1, 2, 6), np.array([0.5, -2.0])
    low = LowRankNormal(*(one.astype(np.float32) for one in (scale, basis, shrink)))
    return {"flatten": DenseNormal(lower.astype(np.float32)), "skip": low}


def channel(*, last: bool = False) -> ChannelNoise:
    random = np.random.default_rng(1)
    channels = 3 if last else 2
    maps: dict[str, Map] = {
        "flatten": DenseMap(random.normal(size=(12, 12)).astype(np.float32)),
        "skip": PointwiseMap(random.normal(size=(channels, channels)).astype(np.float32), last=last),
    }
    offsets = {node: random.normal(size=n).astype(np.float32) for node, n in ELEMENTS.items()}
    return ChannelNoise(maps, offsets, normals())


def bottleneck() -> ChannelNoise:
    """A perceptron for one tensor, a linear map for the other."""
    random = np.random.default_rng(4)
    parts = [random.normal(size=shape).astype(np.float32) for shape in ((5, 12), (5,), (3, 5), (12, 3))]
    one, both = BottleneckMap(*parts), channel()
    maps = {"flatten": one, "skip": both.maps["skip"]}
    return ChannelNoise(maps, both.offsets, {"flatten": CodeNormal(one.decoder, 0.75), "skip": normals()["skip"]})


def ordered() -> LaplaceNoise:
    random = np.random.default_rng(2)
    return LaplaceNoise({node: laplace.ordered(random.laplace(size=(5, n))) for node, n in ELEMENTS.items()})


ALL: list[Mechanism] = [ordered(), GaussianNoise(normals()), channel(), channel(last=True), bottleneck()]


def of(kind: str) -> Mechanism:
    return bottleneck() if kind == "bottleneck" else next(one for one in ALL if one.kind == kind)


def described(noise: Mechanism) -> NoiseFacts:
    bound = BoundFacts(11.5, (11.2, 11.8), "covariance", (20000, 6000), {"1": 11.5, "10": 30.25})
    mixture = BoundFacts(7.5, (7.25, 7.75), "mixture", (20000, 6000))
    return NoiseFacts(
        kind=noise.kind,
        architecture="sha256:a",
        weights="sha256:w",
        crossing=(Crossing("flatten", (12,)), Crossing("skip", (2, 3))),
        wire="float32",
        data="mnist",
        budget_points=1.5,
        accuracy=Accuracy(99.0, 98.0, 1.0, (0.5, 1.5), 1000),
        snr_inverse=2.0,
        bound=None if noise.kind == "laplace" else bound,
        mixture_bound=None if noise.kind == "laplace" else mixture,
        settings={"seed": 1},
    )


@pytest.mark.parametrize("noise", ALL, ids=lambda one: one.kind)
def test_every_kind_comes_back_and_draws_the_same(tmp_path: Path, noise: Mechanism) -> None:
    file = tmp_path / "noise"
    collection.write(file, noise, described(noise))
    again, what = collection.read(file)
    assert what == described(noise)
    assert type(again) is type(noise)
    assert again.nodes == noise.nodes
    tensors = [np.random.default_rng(3).normal(size=(4, n)).astype(np.float32) for n in ELEMENTS.values()]
    for one, other in zip(noise.carried(tensors), again.carried(tensors), strict=True):
        assert (one == other).all()
    for one, other in zip(noise.draw(4, SeededRandom(5)), again.draw(4, SeededRandom(5)), strict=True):
        assert (one == other).all()


def test_the_same_noise_gives_the_same_bytes(tmp_path: Path) -> None:
    written = set()
    for _ in range(5):
        collection.write(tmp_path / "noise", channel(), described(channel()))
        written.add((tmp_path / "noise").read_bytes())
    assert len(written) == 1
    start = 8 + int.from_bytes(written.pop()[:8], "little")
    assert start % 8 == 0


def test_the_footprint_is_what_lies_in_the_file() -> None:
    assert footprint_bytes(GaussianNoise(normals())) == 4 * ((144 + 12 + 12) + (6 + 12 + 2))
    assert footprint_bytes(channel()) == 4 * (144 + 24 + 20 + 144 + 12 + 4 + 6) + 1


def damaged(tmp_path: Path, noise: Mechanism, name: str, value: Any) -> Path:
    arrays = {key: np.ascontiguousarray(one) for key, one in to_arrays(noise).items()}
    assert name in arrays
    if value is None:
        del arrays[name]
    else:
        arrays[name] = np.ascontiguousarray(value(arrays[name]))
    fields = msgspec.to_builtins(described(noise))
    metadata = {key: one if isinstance(one, str) else json.dumps(one) for key, one in fields.items()}
    file = tmp_path / "noise"
    file.write_bytes(save(arrays, metadata=metadata))
    return file


def _with(index: Any, number: float) -> Any:
    def changed(one: np.ndarray) -> np.ndarray:
        copied = one.copy()
        copied[index] = number
        return copied

    return changed


#: Of any tensor: gone, of another shape, of another type.
ANY: dict[str, Any] = {
    "missing": None,
    "short": lambda one: one[:-1],
    "deeper": lambda one: one[None],
    "other type": lambda one: one.astype(np.float16 if one.dtype.kind == "f" else np.int64),
}
#: Of a tensor of numbers: what is no number.
NUMBERS = {"NaN": _with(0, np.nan), "infinite": _with(0, np.inf)}


def _every() -> list[Any]:
    cases = []
    for kind in ("laplace", "gaussian", "channel", "bottleneck"):
        noise = of(kind)
        for name, one in to_arrays(noise).items():
            ways = ANY | (NUMBERS if one.dtype.kind == "f" else {})
            cases += [pytest.param(kind, name, way, id=f"{kind}-{name}-{key}") for key, way in ways.items()]
    return cases


def refused(file: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        collection.read(file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("kind", "name", "way"), _every())
def test_a_damaged_tensor_is_named(tmp_path: Path, kind: str, name: str, way: Any) -> None:
    message = refused(damaged(tmp_path, of(kind), name, way))
    # Without its factor a tensor's noise is looked for in the other form; with a map of one form, in the other.
    other = {"flatten.factor": "flatten.scale", "skip.map_axis": "skip.map"}
    allowed = {name, *([other[name]] if way is None and name in other else [])}
    if name.endswith(".loc"):
        allowed |= {name.replace(".loc", ".scale"), "loc"}  # what must be as many
    if kind == "bottleneck" and name.startswith("flatten."):
        allowed |= {
            f"flatten.{part}" for part in ("scale", "encoder", "bias", "code", "decoder")
        }  # must fit each other
    assert any(f"tensor '{one}'" in message or f"tensor {one} " in message for one in allowed), message


@pytest.mark.parametrize(
    ("kind", "name", "way"),
    [
        ("gaussian", "flatten.factor", _with((0, 3), 1e-3)),  # above the diagonal
        ("gaussian", "flatten.factor", _with((2, 2), 0.0)),
        ("gaussian", "flatten.factor", _with((2, 2), -1.0)),
        ("gaussian", "flatten.mean", _with(1, 0.5)),
        ("gaussian", "flatten.diagonal", _with(1, 0.5)),
        ("gaussian", "skip.scale", _with(1, 0.0)),
        ("gaussian", "skip.scale", _with(1, -1.0)),
        ("gaussian", "skip.shrink", _with(1, 1.0)),
        ("gaussian", "skip.shrink", _with(1, 1.5)),
        ("gaussian", "skip.basis", lambda one: 1.1 * one),
        ("gaussian", "skip.basis", lambda one: one[:, [0, 0]]),
        ("laplace", "flatten.scale", _with(0, 0.0)),
        ("laplace", "flatten.scale", _with(0, -1.0)),
        ("channel", "skip.map_axis", _with(0, 2)),
        ("bottleneck", "flatten.gain", _with(0, 0.0)),
        ("bottleneck", "flatten.gain", _with(0, -1.0)),
        ("bottleneck", "flatten.decoder", lambda one: one[:, [0, 1, 1]]),
        ("bottleneck", "flatten.decoder", lambda one: 0 * one),
        ("channel", "skip.map_axis", lambda one: np.array([np.nan])),
    ],
)
def test_numbers_that_make_no_noise_are_named(tmp_path: Path, kind: str, name: str, way: Any) -> None:
    assert f"tensor {name} is" in refused(damaged(tmp_path, of(kind), name, way))


@pytest.mark.parametrize("kind", ["gaussian", "channel", "laplace"])
def test_noise_for_fewer_tensors_than_its_facts_name_is_refused(tmp_path: Path, kind: str) -> None:
    arrays = {key: one for key, one in to_arrays(of(kind)).items() if not key.startswith("skip.")}
    fields = msgspec.to_builtins(described(of(kind)))
    metadata = {key: one if isinstance(one, str) else json.dumps(one) for key, one in fields.items()}
    file = tmp_path / "noise"
    file.write_bytes(save({key: np.ascontiguousarray(one) for key, one in arrays.items()}, metadata=metadata))
    assert "skip." in refused(file)
