"""`plan show`: the graph around the cut."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

#: A block of attention, its modules deep in a model: skip, query, key and value can cross together.
BLOCK = "bert.encoder.layer.11.attention.self"
NODES: list[tuple[str, str, list[str], int, float]] = [
    ("pixel_values", "input", [], 15_000, 0),
    ("stem", "convolution", ["pixel_values"], 40, 1),
    ("stem.norm", "normalisation", ["stem"], 40, 0.1),
    (f"{BLOCK}.query", "linear", ["stem.norm"], 6, 2),
    (f"{BLOCK}.query.view", "reshape", [f"{BLOCK}.query"], 6, 0),
    (f"{BLOCK}.key", "linear", ["stem.norm"], 6, 2),
    (f"{BLOCK}.value", "linear", ["stem.norm"], 20, 2),
    (f"{BLOCK}.scores", "matmul", [f"{BLOCK}.query.view", f"{BLOCK}.key"], 50_000, 5),
    (f"{BLOCK}.context", "matmul", [f"{BLOCK}.scores", f"{BLOCK}.value"], 30_000, 5),
    ("add", "join", [f"{BLOCK}.context", "stem.norm"], 30_000, 0.2),
    ("head", "linear", ["add"], 10, 5),
    ("out", "output", ["head"], 10, 0),
]


@pytest.fixture
def files(tmp_path: Path, plan_command: Callable[..., Any]) -> tuple[Path, Path]:
    """A plan with four crossing tensors, and the profile it was made from."""
    nodes = [
        {"id": name, "kind": kind, "inputs": inputs, "shape": [1, size], "dtype": "float32", "bytes": 4 * size,
         "time_ms": time_ms} for name, kind, inputs, size, time_ms in NODES
    ]  # fmt: skip
    profile, plan = tmp_path / "edge.json", tmp_path / "plan.json"
    document = {
        "schema": "plan.profile/1", "model": {"name": "block", "architecture": "sha256:block"}, "batch": 1,
        "device": {"name": "board", "provenance": "modelled", "engine": "torch"}, "whole_ms": 22.3, "nodes": nodes,
    }  # fmt: skip
    profile.write_text(json.dumps(document))
    done = plan_command(
        "cut", profile, profile, "--link", "3g", "--out", plan, "--min-depth", "4", "--wire", "int8", "--pareto"
    )
    assert done.code == 0, done.err
    assert all(len(line) <= 80 for line in done.out.splitlines() if not line.startswith("written"))
    assert "proved optimal (gap 0)" in done.out
    return plan, profile


def test_the_tree_tells_what_crosses_and_who_uses_it(files: Any, plan_command: Callable[..., Any]) -> None:
    plan, profile = files
    done = plan_command("show", plan, "--profile", profile)
    assert done.code == 0
    lines = done.out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert any("crossing, 4 tensors: 288 B, 72 B sent as int8" in line for line in lines)
    skip = next(index for index, line in enumerate(lines) if line.endswith("── stem.norm"))
    assert "1×40 float32, 160 B; sent 40 B" in lines[skip + 1]
    assert "→ add  join" in lines[skip + 2]
    assert "context, from the cloud" in lines[skip + 3]
    assert "also used on the edge by" in lines[skip + 4]
    assert any("key, crosses too" in line for line in lines)
    assert any("reshape, glued to query" in line for line in lines)
    assert "modelled" in done.out
    assert "cloud-only" in done.out


def test_without_a_profile_what_the_plan_holds_is_drawn(files: Any, plan_command: Callable[..., Any]) -> None:
    done = plan_command("show", files[0])
    assert done.code == 0
    assert "crossing, 4 tensors" in done.out
    assert "→ add" not in done.out
    assert "--profile" in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())


def test_json_is_the_plan(files: Any, plan_command: Callable[..., Any]) -> None:
    done = plan_command("show", files[0], "--json")
    assert json.loads(done.out) == json.loads(files[0].read_text())
    assert "crossing, 4 tensors" in done.err


def test_a_plan_that_sends_nothing(files: Any, tmp_path: Path, plan_command: Callable[..., Any]) -> None:
    plan = tmp_path / "whole.json"
    assert plan_command("cut", files[1], files[1], "--link", "3g", "--at", "edge-only", "--out", plan).code == 0
    done = plan_command("show", plan, "--profile", files[1])
    assert done.code == 0
    assert "nothing crosses" in done.out


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda one: one["model"].update(architecture="sha256:other"), "the plan is for block"),
        (lambda one: one["nodes"][1].update(id="stem2") or one["nodes"][2].update(inputs=["stem2"]), "'stem'"),
        (lambda one: one.update(schema="plan.link/1"), "expected 'plan.profile/1'"),
    ],
)
def test_another_networks_profile_is_refused(
    files: Any, tmp_path: Path, plan_command: Callable[..., Any], change: Any, word: str
) -> None:
    document = json.loads(files[1].read_text())
    change(document)
    other = tmp_path / "other.json"
    other.write_text(json.dumps(document))
    done = plan_command("show", files[0], "--profile", other)
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1
