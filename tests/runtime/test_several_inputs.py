"""Networks of several inputs, and cuts of several crossing tensors, over a real socket."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import several
from servers import serving
from tap import Tap, requests

from noise import collection
from noise.cut_network import CutNetwork
from noise.datasets import catalog
from noise.keyed import DrawKey
from noise.laplace_learning import Schedule
from noise.learned import Learned
from noise.learning import learn
from noise.learning_options import Options
from planner.constraints import Constraints
from planner.plan import Plan
from planner.planning import cut
from profiles import artifact
from profiles.errors import DataError
from profiles.link import presets
from profiles.profiling import profile
from runtime import own, trial
from runtime.client import CloudClient
from runtime.reach import Reach
from runtime.serving import edge_side, served_models
from runtime.sides import cloud_only_name
from runtime.whole import WholeNetwork

KEY = DrawKey(bytes(32), "file")


@pytest.fixture(scope="module")
def encoder() -> Plan:
    """The mask crosses beside the hidden state, as it came and as 0 and −inf."""
    measured = profile("several:encoder", seconds=0.02, pause_ms=0)
    constraints = Constraints(public_inputs=frozenset(["attention_mask"]))
    return cut(measured, measured, presets()["wifi"], at="attention_mask+project+unsqueeze", constraints=constraints)


@pytest.fixture(scope="module")
def dense() -> Plan:
    measured = profile("several:dense", seconds=0.02, pause_ms=0)
    return cut(measured, measured, presets()["wifi"], at="one+two+three")


def learned(plan: Plan, data: str) -> Learned:
    options = Options(count=2, laplace=Schedule(steps=3, alpha=0))
    return learn(plan, catalog.load_dataset(data), kind="laplace", budget_points=60, seed=0, options=options)


@pytest.fixture(scope="module")
def noise(encoder: Plan) -> Learned:
    return learned(encoder, "several:texts")


@pytest.fixture(scope="module")
def dense_noise(dense: Plan) -> Learned:
    return learned(dense, "several:vectors_of_dense")


@pytest.mark.parametrize("key", [None, KEY], ids=["fresh", "keyed"])
@pytest.mark.parametrize("name", ["encoder", "dense"])
def test_no_float_tensor_crosses_clean_and_the_others_as_they_are(
    name: str, key: DrawKey | None, request: pytest.FixtureRequest
) -> None:
    plan, found = (request.getfixturevalue(one) for one in (name, {"encoder": "noise"}.get(name, "dense_noise")))
    data, network = found.facts.data, CutNetwork.of(plan)
    inputs = network.fitting(catalog.load_dataset(data).test[:40].inputs, origin=data)
    clean = dict(zip(network.halves.crossing, network.edge.run(inputs), strict=True))
    with serving(*served_models(plan, with_reference=False).values()) as url:
        tap = Tap(url)
        with CloudClient(tap.url, plan.model.name) as client:
            with edge_side(plan, network).half(found.noise, client, key=key) as edge:
                edge.infer(inputs)
                edge.infer(inputs)
        tap.close()
    (captured,) = map(bytes, tap.up)
    first, second = requests(captured)
    assert list(first) == list(network.halves.crossing)
    for node in network.shapes:
        assert all(row.tobytes() not in captured for row in clean[node])
        assert (first[node] == clean[node]).mean() < 0.05  # zero is on the grid
        assert (first[node] == second[node]).all() == (key is not None)
    for node in network.beside:
        np.testing.assert_array_equal(first[node], clean[node])
    # No input crosses but the one that is public.
    assert all(row.tobytes() not in captured for row in inputs[0])


def test_a_test_set_of_several_inputs_runs(encoder: Plan, noise: Learned) -> None:
    data = catalog.load_dataset("several:texts")
    with serving(*served_models(encoder, with_reference=False).values()) as url:
        record = trial.run(encoder, noise.noise, noise.facts, data, reach=Reach(url), samples=3)
    assert record.accuracy.clean == 100
    assert record.accuracy.n == len(data.test)
    assert record.equal_to_whole
    assert record.upload_bytes == 4 * several.LENGTH * several.WIDTH + (8 + 4) * several.LENGTH


def test_cloud_only_is_timed_with_inputs_that_the_network_takes(encoder: Plan) -> None:
    whole = WholeNetwork.of(encoder)
    with serving(*served_models(encoder, with_reference=True).values()) as url:
        with CloudClient(url, cloud_only_name(encoder.model.name)) as client:
            reply = whole.cloud_only(client).infer().reply
    assert np.isfinite(reply.tensors["output"]).all()  # a mask of nothing but zeros would give NaN


@pytest.fixture
def files(encoder: Plan, noise: Learned, tmp_path: Path) -> tuple[Path, Path]:
    plan, path = tmp_path / "plan.json", tmp_path / "noise.safetensors"
    artifact.write(plan, encoder)
    collection.write(path, noise.noise, noise.facts)
    return plan, path


def test_own_inputs_by_name_from_file_to_file(encoder: Plan, noise: Learned, tmp_path: Path) -> None:
    split = catalog.load_dataset("several:texts_in_order").test[:200]
    np.savez(tmp_path / "x.npz", attention_mask=split.inputs[1], input_ids=split.inputs[0])
    with serving(*served_models(encoder, with_reference=False).values()) as url:
        given = (encoder, noise.noise, noise.facts, tmp_path / "x.npz", tmp_path / "y.npy")
        assert own.run(*given, reach=Reach(url)).inputs == 200
    answers = np.load(tmp_path / "y.npy")
    assert answers.shape == (200, several.CLASSES)
    # Far better than chance; with the inputs swapped it would not be.
    assert (answers.argmax(1) == split.labels).mean() > 0.38


IDS, MASK = np.zeros((3, several.LENGTH), np.int64), np.ones((3, several.LENGTH), np.int64)


@pytest.mark.parametrize(
    ("arrays", "word"),
    [
        ({"input_ids": IDS}, "no attention_mask among the inputs, the model takes input_ids, attention_mask"),
        ({"input_ids": IDS, "attention_mask": MASK, "more": MASK}, "more among the inputs"),
        ({"input_ids": IDS, "attention_mask": MASK[:2]}, "3 of input_ids, 2 of attention_mask, expected as many"),
        ({"input_ids": IDS, "attention_mask": MASK == 1}, "attention_mask: bool, the model takes int64"),
        ({"input_ids": IDS, "attention_mask": np.array([{}])}, "not an .npy file, nor .npz"),
        (None, "one array of inputs, the model takes input_ids, attention_mask"),
    ],
)
def test_own_inputs_that_do_not_fit_are_one_line(
    files: Any, tmp_path: Path, plan_command: Callable[..., Any], arrays: dict[str, Any] | None, word: str
) -> None:
    path = tmp_path / "x.npz"
    if arrays is None:
        path = tmp_path / "x.npy"
        np.save(path, IDS)
    else:
        np.savez(path, **arrays)
    done = plan_command("run", files[0], "--noise", files[1], "--input", path, "--output", tmp_path / "y.npy")
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1


def test_one_array_where_the_network_takes_two_is_refused(encoder: Plan, noise: Learned) -> None:
    with pytest.raises(DataError, match="one array of inputs, the model takes input_ids, attention_mask"):
        trial.run(encoder, noise.noise, noise.facts, catalog.load_dataset("several:vectors"))
