import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.plan import Plan
from profiles import artifact


@pytest.fixture
def files(tiny: dict[str, Any], tmp_path: Path) -> tuple[Path, Path]:
    edge, cloud = tmp_path / "edge.json", tmp_path / "cloud.json"
    edge.write_text(json.dumps(tiny))
    cloud.write_text(json.dumps(tiny))
    return edge, cloud


def test_the_json_document_is_the_plan_file(files: Any, tmp_path: Path, plan_command: Callable[..., Any]) -> None:
    out = tmp_path / "plan.json"
    done = plan_command("cut", *files, "--link", "wifi", "--out", out, "--json")
    assert done.code == 0
    assert json.loads(done.out) == json.loads(out.read_text())
    assert artifact.read(out, Plan).cut.name == "relu"
    assert "relu" in done.err


def test_the_table_fits_80_columns_and_shows_provenance(files: Any, plan_command: Callable[..., Any]) -> None:
    done = plan_command("cut", *files, "--link", "wifi")
    table = [line for line in done.out.splitlines() if "──" in line or "cloud-only  " in line or "→" in line]
    assert len(table) >= 3
    assert all(len(line) <= 80 for line in table)
    assert "measured" in done.out
    assert "imported" in done.out
    assert "edge-only would be faster" in done.out


@pytest.mark.parametrize(
    ("change", "arguments", "word"),
    [
        (lambda one: one["model"].update(architecture="sha256:o"), (), "two models"),
        (lambda one: one["nodes"][1].update(time_ms="fast"), (), "nodes[1].time_ms"),
        (lambda one: one.update(nodes=[]), (), "no nodes"),
        (lambda one: one, ("--at", "gone"), "no such cut or node"),
        (lambda one: one, ("--public-input", "mask"), "'mask' is not an input"),
        (lambda one: one, ("--link", "wify"), "neither a preset"),
        (lambda one: one, ("--noise", "pink"), "expected laplace"),
        (lambda one: one, ("--depth", "3"), "--depth"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    files: Any,
    tiny: dict[str, Any],
    plan_command: Callable[..., Any],
    tmp_path: Path,
    change: Any,
    arguments: Any,
    word: str,
) -> None:
    change(tiny)
    files[1].write_text(json.dumps(tiny))
    out = tmp_path / "plan.json"
    done = plan_command("cut", *files, "--link", "wifi", "--out", out, *arguments)
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1
    assert not out.exists()


def test_no_legal_cut_is_exit_3(files: Any, tiny: dict[str, Any], plan_command: Callable[..., Any]) -> None:
    tiny["nodes"][1]["kind"] = "pooling"
    for file in files:
        file.write_text(json.dumps(tiny))
    done = plan_command("cut", *files, "--link", "wifi")
    assert done.code == 3
    assert "no legal cut" in done.err


def write(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(json.dumps(document))
    return path


def takes(document: dict[str, Any], index: int, **fields: Any) -> None:
    document["nodes"][index].update(fields)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda one: takes(one, 1, inputs=["relu"]), "cycle (conv → relu)"),
        (lambda one: takes(one, 1, inputs=["x", "conv"]), "cycle (conv)"),
        (lambda one: takes(one, 1, time_ms=-1), "nodes[1].time_ms"),
        (lambda one: takes(one, 1, time_ms=float("nan")), "not a whole JSON document"),
        (lambda one: takes(one, 1, time_ms=float("inf")), "not a whole JSON document"),
        (lambda one: takes(one, 1, time_ms=1e308), "the edge's times come to 1e+308 ms"),
        (lambda one: takes(one, 1, bytes=10**30), "add up to 1e+30 bytes"),
        (lambda one: takes(one, 1, shape=[1, 10**18, 10**18]), "bytes, expected at most"),
        (lambda one: takes(one, 1, inputs=["gone"]), "'gone', which is not a node"),
        (lambda one: one["nodes"].append(one["nodes"][1]), "'conv' stands twice"),
        (lambda one: one["nodes"].pop(), "no node of kind 'output'"),
        (lambda one: (one["nodes"].pop(0), takes(one, 0, inputs=[])), "no node of kind 'input'"),
        (lambda one: takes(one, 4, inputs=[]), "output 'out' takes nothing"),
        (lambda one: one.update(whole_ms=0), "whole_ms"),
        (lambda one: one.update(batch=0), "batch is 0"),
        (lambda one: one.update(nodes=[]), "no nodes"),
        (lambda one: one.update(schema="plan.profile/9"), "plan.profile/9"),
    ],
)
def test_a_profile_that_cannot_be_is_refused(
    tiny: dict[str, Any], tmp_path: Path, plan_command: Callable[..., Any], change: Any, word: str
) -> None:
    change(tiny)
    file = write(tmp_path / "bad.json", tiny)
    done = plan_command("cut", file, file, "--link", "wifi")
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1
    assert done.out == ""


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda one: one.update(batch=2), "batch"),
        (lambda one: takes(one, 1, dtype="float16"), "dtype is float32 on the edge, float16 on the cloud"),
        (lambda one: (takes(one, 1, id="c"), takes(one, 2, inputs=["c"])), "only one of the profiles has node 'c'"),
    ],
)
def test_profiles_that_disagree_are_refused(
    files: Any, tiny: dict[str, Any], plan_command: Callable[..., Any], change: Any, word: str
) -> None:
    change(tiny)
    write(files[1], tiny)
    done = plan_command("cut", *files, "--link", "wifi")
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("text", ['{"schema": "plan.profile/1", "mod', "[1, 2]", "\0\1", ""])
def test_a_file_that_is_no_document_is_named(files: Any, plan_command: Callable[..., Any], text: str) -> None:
    files[1].write_text(text)
    done = plan_command("cut", *files, "--link", "wifi")
    assert done.code == 2
    assert str(files[1]) in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("mbps", "word"),
    [("0", "uplink_mbps"), ("-3", "uplink_mbps"), ("NaN", "not a whole JSON"), ("1e-300", "sending all tensors")],
)
def test_a_link_that_cannot_be_is_refused(
    files: Any, tmp_path: Path, plan_command: Callable[..., Any], mbps: str, word: str
) -> None:
    link = tmp_path / "link.json"
    facts = {"schema": "plan.link/1", "name": "z", "provenance": "measured", "downlink_mbps": 20, "rtt_ms": 5}
    link.write_text(json.dumps({**facts, "uplink_mbps": "?"}).replace('"?"', mbps))
    done = plan_command("cut", *files, "--link", link)
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("--max-upload", "-5"), 2, "expected bytes"),
        (("--deadline", "nan"), 2, "--deadline nan"),
        (("--deadline", "0"), 3, "--deadline 8.440"),
        (("--top", "0"), 2, "--top"),
        (("--min-depth", "99"), 3, "--min-depth 1 (now 99)"),
        (("--max-crossing", "0"), 3, "--max-crossing 1"),
        (("--at", "con"), 2, "nearest: conv"),
        (("--at", "fc"), 2, "not a legal cut"),
        (("--pin-edge", "con"), 2, "nearest: conv"),
        (("--pin-cloud", "con"), 2, "nearest: conv"),
        (("--forbid", "con"), 2, "nearest: conv"),
        (("--public-input", "con"), 2, "the inputs are: x"),
        (("--pin-edge", "fc", "--pin-cloud", "fc"), 3, "no --pin-edge fc"),
        (("--objective", "energy"), 2, "device.power_mw"),
        (("--objective", "speed"), 2, "expected one of latency"),
        (("--link", ""), 2, "neither a preset"),
        (("--link", "."), 2, "neither a preset"),
    ],
)
def test_a_wish_that_cannot_be_is_one_line(
    files: Any, plan_command: Callable[..., Any], arguments: Any, code: int, word: str
) -> None:
    done = plan_command("cut", *files, "--link", "wifi", *arguments)
    assert done.code == code
    assert word in done.err
    assert len(done.err.splitlines()) == 1


def test_a_network_that_takes_no_time_is_shown(
    files: Any, tiny: dict[str, Any], tmp_path: Path, plan_command: Callable[..., Any]
) -> None:
    for node in tiny["nodes"]:
        node["time_ms"] = 0
    link = {"schema": "plan.link/1", "name": "bus", "provenance": "imported", "rtt_ms": 0}
    write(files[0], tiny)
    write(tmp_path / "bus.json", link | {"uplink_mbps": 1e300, "downlink_mbps": 1e300})
    done = plan_command("cut", files[0], files[0], "--link", tmp_path / "bus.json", "--plot", tmp_path / "cut.svg")
    assert done.code == 0, done.err


def test_the_plan_is_the_same_byte_for_byte_in_every_process(tiny: dict[str, Any], tmp_path: Path) -> None:
    # Sets of text are ordered by a seed of each process: sums over them must not show it.
    chain = [tiny["nodes"][0]]
    for index in range(60):
        time_ms = 0.1 + 0.7 ** (index + 1)
        layer = {"kind": "linear", "inputs": [chain[-1]["id"]], "shape": [1, 99], "dtype": "float32", "bytes": 396}
        chain.append({"id": f"layer{index}", "time_ms": time_ms, **layer})
    chain.append({**tiny["nodes"][-1], "inputs": [chain[-1]["id"]]})
    file = write(tmp_path / "edge.json", {**tiny, "nodes": chain})
    arguments = ["cut", str(file), str(file), "--link", "wifi", "--json", "--top", "3", "--pareto"]
    made = set()
    for seed in ("1", "2", "3"):
        done = subprocess.run(
            [sys.executable, "-m", "runtime.cli", *arguments],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        made.add(done.stdout)
    assert len(made) == 1


def test_a_node_that_ends_no_cut_is_said_to_be_the_users_own(
    tmp_path: Path, tiny: dict[str, Any], plan_command: Callable[..., Any]
) -> None:
    edge = tmp_path / "edge.json"
    edge.write_text(json.dumps(tiny))
    done = plan_command("cut", edge, edge, "--link", "wifi", "--at", "conv")
    assert "the smallest legal cut that has conv on the edge" in " ".join(done.out.split())


def test_a_plan_from_a_doubtful_profile_says_so(
    tmp_path: Path, tiny: dict[str, Any], plan_command: Callable[..., Any]
) -> None:
    edge, sure = tmp_path / "edge.json", tmp_path / "sure.json"
    sure.write_text(json.dumps(tiny))
    tiny["check"] = {"prefixes": ["conv"], "median_relative_error": 0.3, "largest_relative_error": 0.42}
    edge.write_text(json.dumps(tiny))
    assert "doubtful" not in plan_command("cut", sure, sure, "--link", "wifi").out
    assert "off by up to 42 %" in " ".join(plan_command("cut", edge, sure, "--link", "wifi").out.split())
