import json
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
