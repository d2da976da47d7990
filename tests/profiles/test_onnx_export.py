"""Halves as ONNX files: equal to torch at every cut, old enough, named by node ids; refused where they are not."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import pytest
import several
import torch
from legal_cuts import legal_cuts
from networks import traced

from planner.legality import CutRules
from profiles import halves
from profiles.engine import OnnxEngine, TorchEngine
from profiles.errors import ModelError
from profiles.models import load_model
from profiles.onnx_export import IR_VERSION, OPSET, to_onnx
from profiles.trace import TracedNetwork, trace


def exported(network: TracedNetwork) -> bytes:
    return to_onnx(
        halves.whole(network),
        network.example,
        any_rows=network.dynamic_batch,
        inputs=[node.id for node in network.graph.inputs],
        outputs=[node.id for node in network.graph.outputs],
    )


def different(value: torch.Tensor, rows: int) -> Any:
    if value.is_floating_point():
        return torch.cat([value * (1 + row / 7) for row in range(rows)]).numpy()
    return torch.cat([value.roll(row, -1) for row in range(rows)]).numpy()


def require_whole_equal(network: TracedNetwork, data: bytes) -> None:
    engine, whole = OnnxEngine(data, threads=1), TorchEngine(halves.whole(network))
    for rows in (1, 3) if network.dynamic_batch else (network.batch,):
        inputs = [different(value[:1], rows) for value in network.example]
        halves.require_equal(whole.run(inputs), engine.run(inputs), tolerance=halves.CROSS_ENGINE_TOLERANCE)


def header(data: bytes) -> tuple[int, int]:
    made = onnx.load_model_from_string(data)
    return made.opset_import[0].version, made.ir_version


@pytest.mark.parametrize("name", ["lenet", "cifar10", "svhn", "newsgroups", "elpv", "mobilenet-v2"])
def test_the_zoo_is_equal_at_one_row_and_at_three(name: str) -> None:
    network = trace(load_model(name))
    data = exported(network)
    assert header(data) == (OPSET, IR_VERSION) == (15, 8)
    require_whole_equal(network, data)


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
@pytest.mark.long
def test_the_larger_zoo_is_equal_as_well(name: str) -> None:
    network = trace(load_model(name))
    require_whole_equal(network, exported(network))


def numbered() -> tuple[torch.nn.Module, torch.Tensor]:
    """Its layers' names, and so its tensors', are numbers."""
    return torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2)), torch.rand(1, 6)


AWKWARD = (
    *networks.ALL,
    numbered,
    networks.fixed,
    several.residual,
    several.dense,
    several.encoder,
    several.masked,
    several.time_first,
)


def awkward(make: Callable[[], Any]) -> TracedNetwork:
    module, inputs = make()
    return traced((module, (inputs,) if isinstance(inputs, torch.Tensor) else inputs))


@pytest.mark.parametrize("make", AWKWARD)
def test_both_halves_of_every_cut_are_equal_to_torch(make: Callable[[], Any]) -> None:
    """Several crossing tensors, several inputs, integers, several outputs, a batch that is folded or fixed."""
    network = awkward(make)
    rules = CutRules(network.graph, frozenset(node.id for node in network.graph.inputs))
    for cut in legal_cuts(rules):
        made = halves.split(network, cut)
        inputs = [different(value, 3 if made.any_rows else 1) for value in network.example]
        edge_ids = [node.id for node in network.graph.inputs]
        kept = [name for name in made.outputs if name not in made.on_cloud]
        edge_example = list(network.example)
        crossing_example = TorchEngine(made.edge).compute(edge_example)[: len(made.crossing)]
        edge = OnnxEngine(
            to_onnx(
                made.edge,
                edge_example,
                any_rows=made.any_rows,
                inputs=edge_ids,
                outputs=[*made.crossing, *kept],
                check=False,
            ),
            threads=1,
        )
        cloud = OnnxEngine(
            to_onnx(
                made.cloud,
                crossing_example,
                any_rows=made.any_rows,
                inputs=made.crossing,
                outputs=made.on_cloud,
                check=False,
            ),
            threads=1,
        )
        assert edge.inputs == tuple(edge_ids)
        assert cloud.inputs == made.crossing
        assert cloud.outputs == made.on_cloud
        from_edge = edge.run(inputs)
        answers = made.joined(from_edge, cloud.run(from_edge[: len(made.crossing)]))
        expected = TorchEngine(halves.whole(network)).run(inputs)
        halves.require_equal(expected, answers, tolerance=halves.CROSS_ENGINE_TOLERANCE)


class PassesThrough(torch.nn.Module):
    """A tensor that crosses and is a result as well; an input that is one unchanged."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = torch.nn.Linear(4, 5), torch.nn.Linear(5, 2)

    def forward(self, x: torch.Tensor, tag: torch.Tensor) -> tuple[torch.Tensor, ...]:
        hidden = self.first(x)
        return self.last(hidden) + tag.sum(1, keepdim=True), hidden, tag


def test_a_crossing_tensor_that_is_a_result_and_an_input_that_is_one() -> None:
    network = traced((PassesThrough(), (torch.rand(1, 4), torch.rand(1, 3))))
    require_whole_equal(network, exported(network))
    made = halves.split(network, network.graph.with_needs(["first", "tag", "output_1", "output_2"]))
    assert set(made.crossing) == {"first", "tag"}
    wanted = [*made.crossing, "output_1", "output_2"]
    data = to_onnx(made.edge, network.example, any_rows=True, inputs=["x", "tag"], outputs=wanted)
    inputs = [different(value, 3) for value in network.example]
    expected = TorchEngine(made.edge).run(inputs)
    halves.require_equal(expected, OnnxEngine(data, threads=1).run(inputs), tolerance=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_half_and_double_precision_run(dtype: torch.dtype) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2)).to(dtype)
    network = traced((module, (torch.rand(1, 6, dtype=dtype),)))
    (answer,) = OnnxEngine(exported(network)).run([network.example[0].numpy()])
    assert answer.dtype == np.dtype(str(dtype).removeprefix("torch."))


def test_a_value_that_tracing_would_freeze_is_refused() -> None:
    with pytest.raises(ModelError, match=r"computes something else.*--engine torch"):
        exported(traced(networks.item()))


class Spectrum(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = torch.nn.Linear(8, 8), torch.nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.fft.rfft(self.first(x)).abs())


def test_a_type_that_arrays_have_not_is_refused() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Linear(5, 2)).bfloat16()
    with pytest.raises(ModelError, match=r"NumPy has no type for.*--engine torch"):
        exported(traced((module, (torch.rand(1, 6, dtype=torch.bfloat16),))))


def test_an_operator_without_a_form_is_named() -> None:
    with pytest.raises(ModelError, match=r"aten::fft_rfft.*opset 15.*--engine torch") as raised:
        exported(traced((Spectrum(), (torch.rand(1, 8),))))
    assert "\n" not in str(raised.value)


def test_weights_beyond_protobufs_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("profiles.onnx_export.MOST_WEIGHT_BYTES", 1000)
    with pytest.raises(ModelError, match=r"do not fit an ONNX file of at most 2 GB.*--engine torch"):
        exported(trace(load_model("lenet")))


def test_what_is_no_onnx_file_is_refused_in_one_line(tmp_path: Path) -> None:
    wrong = tmp_path / "half.onnx"
    wrong.write_bytes(b"no protobuf")
    with pytest.raises(ModelError, match=r"half\.onnx: ONNX Runtime .* does not take it") as raised:
        OnnxEngine(wrong)
    assert "\n" not in str(raised.value)


def test_the_engine_runs_where_there_is_no_torch(tmp_path: Path) -> None:
    network = trace(load_model("lenet"))
    place, given = tmp_path / "whole.onnx", tmp_path / "x.npy"
    place.write_bytes(exported(network))
    np.save(given, network.example[0].numpy())
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np; from pathlib import Path; from profiles.engine import OnnxEngine\n"
        f"engine = OnnxEngine(Path({str(place)!r}), threads=1)\n"
        f"print(engine.name, engine.run([np.load({str(given)!r})])[0].argmax())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    (answer,) = TorchEngine(halves.whole(network)).run([network.example[0].numpy()])
    assert done.stdout.split() == ["onnxruntime", str(answer.argmax())]
