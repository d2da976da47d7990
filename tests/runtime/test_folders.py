"""plan split, and its folders served and run without torch."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from servers import serving, serving_process

from noise import collection
from noise.datasets.records import Dataset
from noise.learned import Learned
from planner.constraints import Constraints
from planner.plan import Plan
from planner.planning import cut
from profiles import artifact
from profiles.errors import ArtifactError, PlanError
from profiles.halves import require_equal, tolerance_across_engines
from profiles.link import presets
from profiles.models import load_model
from profiles.profiling import profile
from profiles.trace import trace
from runtime import folders, splitting, trial
from runtime.external_data import require_self_contained
from runtime.opening import to_run, to_serve
from runtime.reach import Reach

ROOT = Path(__file__).parents[2]
OURS = {**os.environ, "PYTHONPATH": str(ROOT)}
#: `plan`, in a process that cannot import torch.
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from runtime.cli import main; main()"


def planned(source: str, at: str, *, public: tuple[str, ...] = (), batch: int = 1, **settings: Any) -> Plan:
    measured = profile(source, seconds=0.02, pause_ms=0, batch=batch)
    constraints = Constraints(public_inputs=frozenset(public))
    return cut(measured, measured, presets()["wifi"], at=at, constraints=constraints, **settings)


@pytest.fixture(scope="module")
def halves(lenet_plan: Plan, lenet_learned: Learned, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("split")
    collection.write(folder / "noise", lenet_learned.noise, lenet_learned.facts)
    splitting.split(lenet_plan, folder / "halves", noise=folder / "noise")
    return folder / "halves"


def initialisers(half: Path) -> list[np.ndarray]:
    return [numpy_helper.to_array(one) for one in onnx.load(half).graph.initializer]


def test_each_side_has_its_own_weights_and_no_others(halves: Path, lenet_plan: Plan) -> None:
    edge, cloud = (initialisers(halves / side / "half.onnx") for side in ("edge", "cloud"))
    weights = {name: one.numpy() for name, one in load_model("lenet").module.state_dict().items()}
    elsewhere = {name for name in weights if not name.startswith("conv")}
    for name, value in weights.items():
        at_home, away = (cloud, edge) if name in elsewhere else (edge, cloud)
        # The exporter may write a linear layer's weights the other way round.
        assert any(np.array_equal(value, one) or np.array_equal(value.T, one) for one in at_home), name
        assert not any(np.isin(value, one).mean() > 0.5 for one in away if one.dtype == value.dtype), name
    assert elsewhere
    assert json.loads((halves / "edge" / "half.json").read_text())["shared_weights"] == []


def test_the_noise_and_the_inputs_are_the_edges_alone(halves: Path) -> None:
    assert sorted(one.name for one in (halves / "cloud").iterdir()) == ["half.json", "half.onnx", "plan.json"]
    assert (halves / "edge" / "noise.safetensors").is_file()
    assert json.loads((halves / "cloud" / "half.json").read_text())["inputs"] == []
    for file in halves.rglob("half.onnx"):
        assert b".py" not in file.read_bytes()  # no trace of the model's source


def served(folder: Path) -> AbstractContextManager[str]:
    return serving_process("-c", WITHOUT_TORCH, "serve", str(folder))


def without_torch(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments), "--json"]
    place = ROOT / "tests"  # where the user's own data are
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, env=OURS, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_two_folders_serve_and_run_without_torch(halves: Path, mnist: Dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", mnist.test.inputs[:150])
    with served(halves / "cloud") as url:
        given = ("--server", url, "--input", tmp_path / "x.npy", "--output", tmp_path / "y.npy")
        assert without_torch("run", halves / "edge", *given)["inputs"] == 150
        record = without_torch("run", halves / "edge", "--server", url, "--data", "mnist", "--samples", 20)
        own = without_torch("run", halves / "edge", "--server", url, "--data", "own_digits:data", "--samples", 2)
    assert (np.load(tmp_path / "y.npy").argmax(1) == mnist.test.labels[:150]).mean() > 0.9
    assert record["accuracy"]["noisy"] > 95
    assert own["accuracy"]["n"] == 20
    assert record["accuracy"]["clean"] is None
    assert record["equal_to_whole"] is None
    assert record["speedup_vs_cloud_only"] is None
    assert (record["engine"], record["cloud_engine"]) == ("onnxruntime", "onnxruntime")


CUTS: dict[str, Callable[[], tuple[Plan, tuple[str, ...]]]] = {
    "a mask crosses as it came": lambda: (
        planned("several:encoder", "attention_mask+project+unsqueeze", public=("attention_mask",)),
        (),
    ),
    "three tensors": lambda: (planned("several:dense", "one+two+three"), ()),
    "an output on the edge": lambda: (planned("own_models:early", "stem"), ()),
    "one batch alone": lambda: (planned("own_models:fixed", "conv"), ()),
    "windows folded into the batch": lambda: (planned("own_models:windows", "fold"), ()),
    "four at a time": lambda: (planned("own_models:early", "stem", batch=4), ()),
    "a skip and its branch": lambda: (planned("several:residual", "stem+relu"), ()),
    "whole numbers": lambda: (planned("own_models:with_index", "first+argmax"), ()),
    "16 bits": lambda: (planned("own_models:half", "first+relu"), ()),
    "a layer on both sides": lambda: (planned("split_models:shared", "act"), ("layer.bias", "layer.weight")),
}


@pytest.mark.parametrize("name", CUTS)
def test_folders_compute_what_the_whole_network_does(name: str, tmp_path: Path) -> None:
    plan, shared = CUTS[name]()
    written = splitting.split(plan, tmp_path / "halves")
    assert written.shared_weights == shared
    _, edge = folders.edge_side(written.edge)
    _, cloud = folders.cloud_side(written.cloud)
    network = trace(load_model(plan.model.source or ""), batch=plan.settings.batch)
    rows = edge.agreed.rows or 3
    random = np.random.default_rng(1)
    inputs = [one.made_up(rows, random) for one in edge.inputs]
    crossing = edge.engine.run(inputs)
    answer = edge.agreed.joined(crossing, cloud.engine.run(crossing[: len(edge.agreed.crossing)]))
    expected = [one.numpy() for one in network.eager([torch.from_numpy(one) for one in inputs])]
    require_equal(expected, answer, tolerance=tolerance_across_engines(expected))


def test_halves_run_in_the_engine_that_was_planned(lenet_plan: Plan, lenet_learned: Learned, mnist: Dataset) -> None:
    both = {
        side: msgspec.structs.replace(getattr(lenet_plan, side), engine="onnxruntime") for side in ("edge", "cloud")
    }
    plan = msgspec.structs.replace(lenet_plan, **both)
    data = Dataset("mnist", mnist.train, mnist.test[:300])
    record = trial.run(plan, lenet_learned.noise, lenet_learned.facts, data, samples=5)
    assert (record.engine, record.cloud_engine) == ("onnxruntime", "onnxruntime")
    assert record.equal_to_whole
    assert 0 < (record.largest_difference or 0) <= 1e-4
    assert record.cloud_only_provenance == "measured"
    assert record.accuracy.noisy > 90


@pytest.fixture
def broken(halves: Path, tmp_path: Path) -> Path:
    """A copy of both folders, to be tampered with."""
    import shutil

    shutil.copytree(halves, tmp_path / "halves")
    return tmp_path / "halves"


def edited(path: Path, change: Callable[[Any], Any]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def other_half(folder: Path) -> None:
    """The cloud's half in place of the edge's, its digest in place."""
    data = (folder / "../cloud/half.onnx").read_bytes()
    (folder / "half.onnx").write_bytes(data)
    edited(folder / "half.json", lambda half: half.update(digest=artifact.digest(data)))


def garbage(folder: Path) -> None:
    (folder / "half.onnx").write_bytes(b"\xff" * 100)
    edited(folder / "half.json", lambda half: half.update(digest=artifact.digest(b"\xff" * 100)))


TAMPERED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a byte": (lambda f: (f / "half.onnx").write_bytes((f / "half.onnx").read_bytes()[:-1] + b"!"), "half.json says"),
    "no half": (lambda f: (f / "half.onnx").unlink(), "no such file"),
    "no plan": (lambda f: (f / "plan.json").unlink(), "no such file"),
    "no manifest": (lambda f: (f / "half.json").unlink(), "expected a plan.half/1 file"),
    "schema": (lambda f: edited(f / "half.json", lambda h: h.update(schema="plan.half/9")), "plan.half/9"),
    "field": (lambda f: edited(f / "half.json", lambda h: h["agreed"].update(batch=0)), "agreed.batch"),
    "type": (lambda f: edited(f / "half.json", lambda h: h["inputs"][0].update(dtype="object")), "is object"),
    "model": (lambda f: edited(f / "half.json", lambda h: h["model"].update(weights="sha256:0")), "another model"),
    "cut": (
        lambda f: edited(f / "plan.json", lambda p: p["cut"]["crossing"][0].update(node="conv3")),
        "not those of",
    ),
    "wire": (lambda f: edited(f / "half.json", lambda h: h["agreed"].update(wire="int8")), "not those of"),
    "shape": (lambda f: edited(f / "half.json", lambda h: h["inputs"][0].update(shape=[1, 9, 9])), "does not run on"),
    "answer": (
        lambda f: edited(f / "half.json", lambda h: h["agreed"].update(on_cloud=[])),
        "half.json says input_1 → flatten, output",
    ),
    "names": (lambda f: edited(f / "half.json", lambda h: h["agreed"].update(beside=["x"])), "not there"),
    "half": (other_half, "flatten → output"),
    "garbage": (garbage, "not a whole ONNX file"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_folder_that_was_tampered_with_is_one_line(
    what: str, broken: Path, plan_command: Callable[..., Any], tmp_path: Path
) -> None:
    tamper, word = TAMPERED[what]
    tamper(broken / "edge")
    given = ("--server", "http://127.0.0.1:9", "--data", "mnist")
    done = plan_command("run", broken / "edge", "--noise", broken / "edge" / "noise.safetensors", *given)
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1


def test_a_tensor_marked_as_public_in_the_manifest_is_not_sent(broken: Path, mnist: Dataset) -> None:
    edited(broken / "edge" / "half.json", lambda half: half["agreed"].update(beside=["flatten"]))
    plan, side = to_run(broken / "edge", server="http://127.0.0.1:9")
    noise, facts = collection.read(broken / "edge" / "noise.safetensors")
    with serving(*to_serve(broken / "cloud", with_reference=False, threads=1).values()) as url:
        with pytest.raises(PlanError, match="the noise is for flatten; what crosses and takes noise is"):
            trial.run(plan, noise, facts, mnist, side=side, reach=Reach(url), samples=5)


def test_nothing_is_sent_without_noise(broken: Path, plan_command: Callable[..., Any]) -> None:
    (broken / "edge" / "noise.safetensors").unlink()
    done = plan_command("run", broken / "edge", "--server", "http://127.0.0.1:9", "--data", "mnist")
    assert done.code == 2
    assert "nothing is sent without noise; give --noise FILE" in done.err


@pytest.mark.parametrize("location", ["/etc/passwd", "weights.bin"])
def test_a_half_that_reads_other_files_is_refused(location: str, broken: Path) -> None:
    half = broken / "cloud" / "half.onnx"
    model = onnx.load(half)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    half.write_bytes(model.SerializeToString())
    edited(half.parent / "half.json", lambda facts: facts.update(digest=artifact.digest(half.read_bytes())))
    with pytest.raises(ArtifactError, match="lies in another file"):
        folders.cloud_side(half.parent)


def test_external_data_is_found_in_a_branch_too() -> None:
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=1)
    inner = onnx.helper.make_graph([onnx.helper.make_node("Constant", [], ["c"], value=tensor)], "body", [], [])
    node = onnx.helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "whole", [], []))
    with pytest.raises(ArtifactError, match="lies in another file"):
        require_self_contained(model.SerializeToString(), origin="half")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("run", "edge"), "say where it is with --server"),
        (("run", "cloud", "--server", "http://127.0.0.1:9"), "the cloud's half, expected the edge's"),
        (("run", "", "--server", "http://127.0.0.1:9"), "holds both halves"),
        (("run", "", "--noise", "edge/noise.safetensors", "--server", "http://127.0.0.1:9"), "holds both halves"),
        (("serve", "edge", "--port", "0"), "the edge's half, expected the cloud's"),
        (("serve", "cloud", "--port", "0", "--with-reference"), "needs the whole model"),
    ],
)
def test_the_wrong_folder_is_one_line(
    halves: Path, plan_command: Callable[..., Any], arguments: tuple[str, ...], word: str
) -> None:
    command, folder, *rest = arguments
    done = plan_command(command, halves / folder, *(halves / one if one.startswith("edge/") else one for one in rest))
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1


def test_split_writes_both_folders_or_nothing(
    lenet_plan: Plan, tmp_path: Path, plan_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact.write(tmp_path / "plan.json", lenet_plan)
    out = tmp_path / "halves"

    def failing(*_: Any) -> bytes:
        raise PlanError("no space for the cloud's half")

    with monkeypatch.context() as patched:
        patched.setattr(splitting, "cloud_onnx", failing)
        assert plan_command("split", tmp_path / "plan.json", "--out", out).code == 2
    assert os.listdir(tmp_path) == ["plan.json"]
    out.mkdir()
    done = plan_command("split", tmp_path / "plan.json", "--out", out, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["edge"] == str(out / "edge")
    again = plan_command("split", tmp_path / "plan.json", "--out", out)
    assert again.code == 2
    assert "holds something already" in again.err
