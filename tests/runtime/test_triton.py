"""plan export --triton: the repository's model answers as our own server does, and its configuration is one."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import tritonclient
from google.protobuf import text_format

from noise.cut_network import CutNetwork
from planner.plan import Plan
from planner.planning import cut
from profiles import artifact, codec
from profiles.codec import Quantisation
from profiles.engine import OnnxEngine
from profiles.link import presets
from profiles.profiling import profile
from runtime import triton
from runtime.protocol import InferRequest
from runtime.serving import agreement_of, cloud_onnx, served_models


@pytest.fixture(scope="module")
def config() -> Callable[[str], Any]:
    """Text → Triton's own ModelConfig message, from the client's package, whose gRPC is not needed for it."""
    path = Path(tritonclient.__path__[0], "grpc", "model_config_pb2.py")
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda text: text_format.Parse(text, module.ModelConfig())


def planned(source: str, at: str, wire: str = "float32") -> Plan:
    measured = profile(source, seconds=0.02, pause_ms=0)
    return cut(measured, measured, presets()["wifi"], at=at, wire=wire)


@pytest.mark.parametrize("wire", ["float32", "float16", "int8"])
@pytest.mark.parametrize(("source", "at"), [("several:dense", "one+two+three"), ("own_models:with_index", None)])
def test_the_exported_model_answers_as_the_served_one(source: str, at: str | None, wire: str) -> None:
    plan = planned(source, at or "first+argmax", wire)
    cut_network = CutNetwork.of(plan)
    agreed = agreement_of(plan, cut_network)
    random = np.random.default_rng(0)
    exact = {
        one.node: random.integers(0, 5, (7, *one.shape[1:])).astype(one.dtype)
        if not codec.is_float(one.dtype)
        else random.standard_normal((7, *one.shape[1:])).astype(one.dtype)
        for one in agreed.crossing
    }
    levels = {name: Quantisation.over(float(one.min()), float(one.max())) for name, one in exact.items()}
    sent, parameters = {}, {}
    for name, tensor in exact.items():
        sent[name], scaling = codec.to_wire(tensor, name=name, wire=wire, quantisation=levels[name])
        parameters |= scaling
    (model,) = served_models(plan, with_reference=False).values()
    taken = model.taken(InferRequest(sent, parameters=parameters), most_rows=10)
    served = model.named(model.engine.run(taken), ())
    engine = OnnxEngine(triton.behind_wire(cloud_onnx(plan, cut_network), agreed, levels))
    exported = dict(zip(engine.outputs, engine.run([sent[name] for name in engine.inputs]), strict=True))
    assert exported.keys() == served.keys()
    for name, answer in served.items():
        np.testing.assert_allclose(exported[name], answer, rtol=0, atol=1e-4 * np.abs(answer).max())


def test_the_configuration_is_tritons(config: Callable[[str], Any], tmp_path: Path) -> None:
    folder = triton.export(planned("several:dense", "one+two+three", "float16"), tmp_path)
    found = config((folder / "config.pbtxt").read_text())
    assert found.name == folder.name == "dense"
    assert found.platform == "onnxruntime_onnx"
    assert found.max_batch_size > 1
    assert found.HasField("dynamic_batching")
    assert [(one.name, list(one.dims)) for one in found.input] == [("one", [4]), ("two", [3]), ("three", [3])]
    types = found.input[0].DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_name
    assert {one.data_type for one in found.input} == {types["TYPE_FP16"].number}
    assert [(one.name, list(one.dims), one.data_type) for one in found.output] == [
        ("output", [3], types["TYPE_FP32"].number)
    ]
    assert (folder / "1" / "model.onnx").is_file()


def test_a_network_of_one_batch_is_not_batched(config: Callable[[str], Any], tmp_path: Path) -> None:
    plan = planned("own_models:fixed", "conv")
    found = config((triton.export(plan, tmp_path) / "config.pbtxt").read_text())
    assert found.max_batch_size == 0
    assert not found.HasField("dynamic_batching")
    assert tuple(found.input[0].dims) == plan.cut.crossing[0].shape


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (
            lambda plan: msgspec.structs.replace(plan, model=msgspec.structs.replace(plan.model, name="../up")),
            "'../up'",
        ),
        (
            lambda plan: msgspec.structs.replace(plan, settings=msgspec.structs.replace(plan.settings, wire="int8")),
            "--noise",
        ),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    change: Callable[[Plan], Plan], word: str, tmp_path: Path, plan_command: Callable[..., Any]
) -> None:
    artifact.write(tmp_path / "plan.json", change(planned("several:dense", "one+two+three")))
    done = plan_command("export", tmp_path / "plan.json", "--triton", tmp_path / "repository")
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "repository").exists()


def test_the_command_says_where(tmp_path: Path, plan_command: Callable[..., Any]) -> None:
    artifact.write(tmp_path / "plan.json", planned("several:dense", "one+two+three"))
    given = ("export", tmp_path / "plan.json", "--triton", tmp_path / "repository")
    done = plan_command(*given, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"model": "dense", "folder": str(tmp_path / "repository" / "dense")}
    assert "holds something already" in plan_command(*given).err
