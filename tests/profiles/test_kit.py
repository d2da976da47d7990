"""Kits and the script in them: stand-alone, old enough, and of the same form as a profile made here."""

import ast
import json
import shutil
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
from networks import traced

from planner.planning import cut
from profiles import board, device, halves
from profiles.device import DeviceProfile
from profiles.engine import OnnxEngine, TorchEngine
from profiles.errors import ArtifactError
from profiles.kit import Pieces, write_kit
from profiles.link import presets
from profiles.models import load_model
from profiles.onnx_profiling import measure_network
from profiles.segments import linear_cuts
from profiles.trace import TracedNetwork, trace


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kits") / "lenet"
    write_kit(trace(load_model("lenet")), folder, pause_ms=1.0)
    return folder


def here(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The kit's script in its folder, in a Python that finds nothing of ours."""
    command = [sys.executable, "-I", "profile_here.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_the_script_needs_python_3_6_numpy_and_onnx_runtime_alone(kit: Path) -> None:
    script = kit / "profile_here.py"
    done = subprocess.run(["vermin", "-t=3.6-", "--no-tips", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    found = ast.walk(ast.parse(script.read_text()))
    imported = {one.name for node in found if isinstance(node, ast.Import) for one in node.names}
    imported |= {
        str(node.module) for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.ImportFrom)
    }
    assert imported - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}
    assert "pickle" not in imported


def test_the_script_writes_a_profile_that_can_be_cut(kit: Path, tmp_path: Path, lenet_profile: DeviceProfile) -> None:
    out = tmp_path / "board.json"
    done = here(kit, "--threads", "1", "--seconds", "0.3", "--name", "tx2", "--out", str(out))
    assert (done.returncode, done.stderr) == (0, "")
    made = device.read(out)
    facts = made.device
    assert (facts.name, facts.provenance, facts.engine, facts.threads) == ("tx2", "measured", "onnxruntime", 1)
    assert made.model == lenet_profile.model
    assert [node.id for node in made.nodes] == [node.id for node in lenet_profile.nodes]
    assert sum(made.time_ms.values()) == pytest.approx(made.whole_ms)
    assert made.check is not None
    assert len(made.check.prefixes) == 3
    # A flatten moves nothing, so its segment is others'.
    assert made.time_ms["flatten"] == 0 < made.time_ms["conv2"]
    assert cut(made, lenet_profile, presets()["wifi"]).cut.crossing


def test_the_command_gives_what_the_script_gives(kit: Path, tmp_path: Path) -> None:
    out = tmp_path / "board.json"
    assert here(kit, "--threads", "1", "--seconds", "0.3", "--out", str(out)).returncode == 0
    theirs = device.read(out)
    network = trace(load_model("lenet"))
    mine = measure_network(network, threads=1, name=None, seconds=0.3, pause_ms=1.0, progress=lambda done, of: None)
    assert (mine.model, mine.batch) == (theirs.model, theirs.batch)
    assert mine.device == theirs.device
    # A sanity bound, no statement on time: benchmarks/board_kit.py prints the two side by side.
    assert 0.1 < mine.whole_ms / theirs.whole_ms < 10


def test_pieces_are_old_enough_and_hold_their_own_weights_alone(kit: Path) -> None:
    weights = {}
    for piece in kit.glob("*.onnx"):
        made = onnx.load(piece)
        assert made.ir_version <= 8
        assert [one.version for one in made.opset_import] == [15]
        weights[piece.stem] = {one.name for one in made.graph.initializer if one.name.startswith(("conv", "fc"))}
    for index in range(4):
        before, behind = weights[f"prefix-{index:02d}"], weights[f"suffix-{index:02d}"]
        assert before | behind == weights["whole"]
        assert not before & behind


AWKWARD = (*networks.ALL, networks.fixed, several.dense, several.encoder, several.time_first)


def awkward(make: Callable[[], Any], batch: int) -> TracedNetwork:
    module, inputs = make()
    return traced((module, (inputs,) if isinstance(inputs, torch.Tensor) else inputs), batch)


@pytest.mark.parametrize("make", AWKWARD)
def test_prefix_and_suffix_of_every_cut_make_the_whole(make: Callable[[], Any]) -> None:
    batch = 1 if make in (networks.fixed, several.time_first) else 3
    network = awkward(make, batch)
    graph = network.graph
    cuts = linear_cuts(graph, most=100, weight=[1.0] * len(graph))
    assert cuts
    pieces, inputs = Pieces(network, cuts), [value.numpy() for value in network.example]
    expected = TorchEngine(halves.whole(network)).run(inputs)
    halves.require_equal(expected, OnnxEngine(pieces.whole()).run(inputs), tolerance=1e-4)
    for name in cuts:
        crossing = OnnxEngine(pieces.prefix(name)).run(inputs)
        halves.require_equal(expected, OnnxEngine(pieces.suffix(name)).run(crossing), tolerance=1e-4)


class OneLayer(torch.nn.Module):
    """Nothing to cut."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).relu()


@pytest.mark.parametrize(
    ("make", "batch"),
    [
        (several.encoder, 2),
        (networks.fixed, 1),
        (networks.two_inputs, 1),
        (lambda: (OneLayer(), torch.rand(1, 4)), 3),
    ],
)
def test_awkward_networks_are_profiled(make: Callable[[], Any], batch: int) -> None:
    network = awkward(make, batch)
    made = measure_network(network, threads=1, name="here", seconds=0.02, pause_ms=0, progress=lambda done, of: None)
    device.require_whole(made)
    assert made.batch == batch
    assert sum(made.time_ms.values()) == pytest.approx(made.whole_ms)
    assert made.model.architecture == network.architecture


def test_large_weights_leave_three_cuts_and_fewer_are_spread_evenly(tmp_path: Path) -> None:
    network = trace(load_model("svhn"))
    few = write_kit(network, tmp_path / "few", pause_ms=0, most_bytes=1)
    every = write_kit(network, tmp_path / "all", pause_ms=0)
    assert len(few) == 3 < len(every)
    assert (few[0], few[-1]) == (every[0], every[-1])
    fewer = board.Kit(str(tmp_path / "all")).with_cuts(2)
    assert [one["node"] for one in fewer.cuts] == [every[0], every[-1]]
    operators = [name for names in board.Kit(str(tmp_path / "all")).segments for name in names]
    assert [name for names in fewer.segments for name in names] == operators


def test_a_place_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    network = trace(load_model("lenet"))
    (tmp_path / "mine").write_text("keep")
    for place in (tmp_path, tmp_path / "mine"):
        with pytest.raises(ArtifactError, match="choose a new place"):
            write_kit(network, place, pause_ms=0)
    (tmp_path / "empty").mkdir()
    write_kit(network, tmp_path / "empty", pause_ms=0)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["empty", "mine"]


def test_what_is_wrong_with_a_kit_is_said_in_one_line(kit: Path, tmp_path: Path) -> None:
    def broken(break_it: Callable[[Path], object]) -> str:
        place = tmp_path / "broken"
        shutil.copytree(kit, place)
        break_it(place)
        done = here(place, "--seconds", "0.1")
        shutil.rmtree(place)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        return done.stderr

    def other_schema(place: Path) -> None:
        (place / "kit.json").write_text(json.dumps({"schema": "plan.kit/9"}))

    def pickled(place: Path) -> None:
        np.save(place / "input-0.npy", np.array([{}], dtype=object), allow_pickle=True)

    assert "no readable kit.json" in broken(lambda place: (place / "kit.json").unlink())
    assert "plan.kit/1" in broken(other_schema)
    assert "incomplete" in broken(lambda place: (place / "input-0.npy").unlink())
    assert "incomplete" in broken(pickled)
    assert "does not take it" in broken(lambda place: (place / "suffix-01.onnx").write_bytes(b"cut short"))
    assert "cannot be written" in here(kit, "--seconds", "0.1", "--out", "no/such/folder.json").stderr
