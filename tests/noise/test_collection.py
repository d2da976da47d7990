import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save

from noise import collection, laplace
from noise.collection import Accuracy, Crossing, NoiseFacts
from noise.laplace import LaplaceNoise
from noise.packing import pack_order, unpack_order
from noise.tensors import footprint_bytes
from planner.plan import Plan
from profiles.codec import Quantisation
from profiles.errors import ArtifactError, NoiseError


@pytest.mark.parametrize(
    ("elements", "kilobytes"), [(120, 2.05), (256, 5.00), (9216, 315.00), (25088, 918.75), (400, 8.79), (396, 8.70)]
)
def test_twenty_orders_take_what_table_3_prints(elements: int, kilobytes: float) -> None:
    order = np.stack([np.random.default_rng(seed).permutation(elements) for seed in range(20)])
    assert round(pack_order(order).nbytes / 1024, 2) == kilobytes


@given(st.integers(1, 5), st.integers(1, 300), st.integers(0, 10**6))
def test_a_packed_order_comes_back(distributions: int, elements: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    order = np.stack([random.permutation(elements) for _ in range(distributions)])
    packed = pack_order(order)
    assert (unpack_order(packed, distributions=distributions, elements=elements) == order).all()


def facts(**changes: Any) -> NoiseFacts:
    made = NoiseFacts(
        kind="laplace",
        architecture="sha256:a",
        weights="sha256:w",
        crossing=(Crossing("flatten", (12,)), Crossing("skip", (2, 3))),
        wire="float32",
        data="mnist",
        budget_points=1.5,
        accuracy=Accuracy(99.0, 98.0, 1.0, (0.5, 1.5), 1000),
        snr_inverse=2.0,
        settings={"seed": 1, "alpha": 0.0001},
    )
    return msgspec.structs.replace(made, **changes)


def noise() -> LaplaceNoise:
    random = np.random.default_rng(0)
    parts = {"flatten": random.laplace(size=(5, 12)), "skip": random.laplace(size=(5, 6))}
    return LaplaceNoise({name: laplace.ordered(rows) for name, rows in parts.items()})


def test_a_collection_comes_back_whole(tmp_path: Path) -> None:
    file = tmp_path / "noise.safetensors"
    collection.write(file, noise(), facts())
    again, what = collection.read(file)
    assert what == facts()
    assert footprint_bytes(noise()) == -(-5 * 12 * 4 // 8) + -(-5 * 6 * 3 // 8)
    for name, one in noise().tensors.items():
        assert (again.tensors[name].loc == one.loc).all()
        assert (again.tensors[name].scale == one.scale).all()
        assert (again.tensors[name].order == one.order).all()


def test_the_learned_values_themselves_are_not_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "noise.safetensors"
    collection.write(file, noise(), facts())
    learned = np.random.default_rng(0).laplace(size=(5, 12))
    for dtype in (np.float64, np.float32):
        assert learned.astype(dtype).tobytes()[:16] not in file.read_bytes()


def test_int8_levels_come_back_as_they_were_and_stand_in_no_other_file(tmp_path: Path) -> None:
    levels = {"flatten": Quantisation(0.1 + 0.2, -5), "skip": Quantisation(1e-7 / 3, 127)}
    for wire, kept in (("float32", None), ("int8", levels)):
        collection.write(tmp_path / "noise", noise(), facts(wire=wire, quantisation=kept))
        assert collection.read(tmp_path / "noise")[1].quantisation == kept
        assert (b"quantisation" in (tmp_path / "noise").read_bytes()) == (wire == "int8")


def test_levels_that_are_none_are_refused(tmp_path: Path) -> None:
    file = broken(tmp_path)
    metadata = {"quantisation": '{"flatten": {"scale": 0.0, "zero_point": 3}}'}
    for wrong in (metadata, {"quantisation": '{"flatten": {"scale": 1.0, "zero_point": 128}}'}):
        with safe_open(file, framework="np") as archive:
            arrays = {key: archive.get_tensor(key) for key in archive.keys()}  # noqa: SIM118
            (tmp_path / "other").write_bytes(save(arrays, metadata=archive.metadata() | wrong))
        with pytest.raises(ArtifactError, match="metadata: Expected"):
            collection.read(tmp_path / "other")


def test_int8_noise_without_its_levels_is_refused(lenet_plan: Plan) -> None:
    settings = msgspec.structs.replace(lenet_plan.settings, wire="int8")
    plan = msgspec.structs.replace(lenet_plan, settings=settings)
    fitting = facts(
        architecture=plan.model.architecture,
        weights=plan.model.weights,
        crossing=(Crossing("flatten", (120,)),),
        wire="int8",
        quantisation={"flatten": Quantisation(0.5, 0)},
    )
    collection.require_match(fitting, plan, origin="noise")
    for lacking in (None, {"other": Quantisation(0.5, 0)}):
        one = msgspec.structs.replace(fitting, quantisation=lacking)
        with pytest.raises(NoiseError, match="noise: has no int8 scale for flatten; learn the noise anew"):
            collection.require_match(one, plan, origin="noise")


def broken(tmp_path: Path, **changes: Any) -> Path:
    """A collection with some of its arrays or metadata replaced."""
    arrays = {}
    for name, one in noise().tensors.items():
        arrays |= {
            f"{name}.loc": one.loc,
            f"{name}.scale": one.scale,
            f"{name}.order": pack_order(one.order),
        }
    metadata = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in msgspec.to_builtins(facts()).items()
    }
    for key, value in changes.items():
        target: Any = metadata if key in metadata else arrays
        name = key.replace("__", ".")
        if value is None:
            del target[name]
        else:
            target[name] = value
    file = tmp_path / "noise.safetensors"
    file.write_bytes(save(arrays, metadata=metadata))
    return file


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"schema": "plan.noise/2"}, "plan.noise/2"),
        ({"kind": "pink"}, "'pink'"),
        ({"crossing": "not json"}, "metadata"),
        ({"crossing": '[{"node": 3}]'}, "crossing"),
        ({"flatten__order": None}, "flatten.order"),
        ({"flatten__order": np.zeros(3, np.uint8)}, "flatten.order"),
        ({"flatten__order": np.full(30, 255, np.uint8)}, "flatten.order"),
        ({"flatten__scale": -np.ones(5)}, "flatten.scale"),
        ({"flatten__loc": np.full(5, np.nan)}, "flatten.loc"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(tmp_path: Path, changes: Any, word: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        collection.read(broken(tmp_path, **changes))
    assert word in str(caught.value)


def test_a_cut_short_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "noise.safetensors"
    collection.write(file, noise(), facts())
    whole = file.read_bytes()
    for keep in (0, 7, 100, len(whole) - 1):
        file.write_bytes(whole[:keep])
        with pytest.raises(ArtifactError, match="not a whole safetensors file"):
            collection.read(file)
    with pytest.raises(ArtifactError, match="no such file"):
        collection.read(tmp_path / "gone.safetensors")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"architecture": "sha256:other"}, "another network"),
        ({"weights": "sha256:other"}, "other weights"),
        ({"crossing": (Crossing("pool2", (16, 5, 5)),)}, "the plan cuts at flatten"),
        ({"crossing": (Crossing("flatten", (84,)),)}, "the plan cuts at flatten"),
        ({"wire": "int8"}, "wire int8"),
    ],
)
def test_noise_for_something_else_is_refused(lenet_plan: Plan, changes: Any, word: str) -> None:
    fitting = facts(
        architecture=lenet_plan.model.architecture,
        weights=lenet_plan.model.weights,
        crossing=(Crossing("flatten", (120,)),),
    )
    collection.require_match(fitting, lenet_plan, origin="noise")
    with pytest.raises(NoiseError, match=word):
        collection.require_match(msgspec.structs.replace(fitting, **changes), lenet_plan, origin="noise")
