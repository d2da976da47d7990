"""`plan learn` at the prompt, on a network of 12 crossing elements."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import noise_networks
import numpy as np
import pytest

from noise import collection
from noise.channel import ChannelNoise
from profiles import artifact
from profiles.errors import ArtifactError

DATA = ("--data", "noise_networks:pairs", "--seed", "1", "--steps", "60")


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("noise.task.JUDGED_ROWS", 2000)
    artifact.write(tmp_path / "plan.json", noise_networks.two_layers_plan())
    return tmp_path / "plan.json"


def test_the_default_is_a_channel_with_its_bounds(
    plan: Path, tmp_path: Path, plan_command: Callable[..., Any]
) -> None:
    out, log = tmp_path / "noise", tmp_path / "log.csv"
    done = plan_command("learn", plan, *DATA, "--out", out, "--log", log, "--json")
    assert done.code == 0
    result = json.loads(done.out)
    noise, facts = collection.read(out)
    assert isinstance(noise, ChannelNoise)
    assert facts.bound is not None
    assert result["kind"] == facts.kind == "channel"
    assert result["bound_bits"] == facts.bound.bits
    assert set(result["bound"]["repeats"]) == {"1", "10", "100"}
    assert "not differential privacy" in done.err
    assert sum(line.startswith("channel-1,") for line in log.read_text().splitlines()) == 60
    assert sorted(os.listdir(tmp_path)) == ["log.csv", "noise", "plan.json"]


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("--out", "x", "--gamma", "3"), 2, "name it with --private-labels"),
        (("--out", "x", "--alpha", "1"), 2, "--equation and --alpha are of laplace"),
        (("--out", "x", "--private-labels", "colour"), 2, "colour"),
        (("--out", "plan.json"), 2, "is read here as well"),
        (("--out", "plan.json/x"), 2, "cannot be written"),
        (("--out", "x", "--log", "x"), 2, "two results"),
    ],
)
def test_what_cannot_be_is_one_line(
    plan: Path,
    plan_command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    arguments: Any,
    code: int,
    word: str,
) -> None:
    monkeypatch.chdir(plan.parent)
    done = plan_command("learn", "plan.json", *DATA, *arguments)
    assert done.code == code
    assert word in done.err
    assert len(done.err.splitlines()) == 1


def test_a_budget_that_no_noise_keeps_is_exit_3(plan: Path, tmp_path: Path, plan_command: Callable[..., Any]) -> None:
    arguments = ("--data", "noise_networks:border_pairs", "--seed", "1", "--steps", "60", "--budget", "0.01")
    done = plan_command("learn", plan, *arguments, "--out", tmp_path / "x")
    assert done.code == 3
    assert "raise --budget to that" in done.err.splitlines()[-1]
    assert os.listdir(tmp_path) == ["plan.json"]


def test_a_full_disk_is_one_line(
    plan: Path, tmp_path: Path, plan_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    done = plan_command("learn", plan, *DATA, "--out", tmp_path / "x")
    assert done.code == 2
    assert "cannot be written (No space left on device)" in done.err.splitlines()[-1]
    assert "Traceback" not in done.err
    assert os.listdir(tmp_path) == ["plan.json"]


@pytest.mark.parametrize("large", [1e20, 1e30, 1e38])
def test_numbers_beyond_all_bounds_are_one_line(
    plan: Path, tmp_path: Path, plan_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, large: float
) -> None:
    usual = noise_networks.pairs()

    def enormous() -> Any:
        (x, y), test = usual
        x = x.copy()
        x[::7] = np.float32(large)
        return (x, y), test

    monkeypatch.setattr(noise_networks, "pairs", enormous)
    for kind in ("gaussian", "channel"):
        done = plan_command("learn", plan, *DATA, "--noise", kind, "--out", tmp_path / "x")
        assert done.code == 2
        assert "noise_networks:pairs" in done.err.splitlines()[-1]
        assert "no finite number" in done.err.splitlines()[-1]
        assert os.listdir(tmp_path) == ["plan.json"]


def test_of_ten_rows_something_is_learned_and_its_interval_has_no_end(
    plan: Path, tmp_path: Path, plan_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (x, y), test = noise_networks.pairs()
    monkeypatch.setattr(noise_networks, "pairs", lambda: ((x[:10], y[:10]), test))
    done = plan_command("learn", plan, *DATA, "--budget", "90", "--out", tmp_path / "x")
    assert done.code == 0
    assert "Warning" not in done.err
    _, facts = collection.read(tmp_path / "x")
    assert facts.bound is not None
    assert facts.bound.interval_bits == (-np.inf, np.inf)


def test_tensors_that_are_always_zero_are_one_line(
    plan: Path, tmp_path: Path, plan_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (x, y), test = noise_networks.pairs()
    monkeypatch.setattr(noise_networks, "pairs", lambda: ((0 * x, y), test))
    done = plan_command("learn", plan, *DATA, "--out", tmp_path / "x")
    assert done.code == 2
    assert "is zero for every input" in done.err.splitlines()[-1]
    assert os.listdir(tmp_path) == ["plan.json"]


def test_a_channel_is_never_read_as_gaussian_noise(
    plan: Path, tmp_path: Path, plan_command: Callable[..., Any]
) -> None:
    out = tmp_path / "noise"
    assert plan_command("learn", plan, *DATA, "--out", out).code == 0
    noise, facts = collection.read(out)
    collection.write(out, noise, msgspec.structs.replace(facts, kind="gaussian"))
    with pytest.raises(ArtifactError, match=r"stem\.map"):
        collection.read(out)


@pytest.mark.parametrize("kind", ["laplace", "gaussian", "channel"])
def test_every_kind_hides_a_private_label(
    kind: str, plan: Path, tmp_path: Path, plan_command: Callable[..., Any]
) -> None:
    out = tmp_path / "noise.safetensors"
    done = plan_command(
        "learn", plan, *DATA, "--noise", kind, "--count", "2", "--budget", "5", "--out", out,
        "--private-labels", "noise_networks:sides", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert json.loads(done.out)["kind"] == kind
    _, facts = collection.read(out)
    assert facts.settings.get("gamma") or kind == "laplace"
