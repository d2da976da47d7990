"""What several tests share: the design's example profile, awkward networks, data, the command line in-process."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from profiles.device import DeviceProfile

#: The example of the design: a profile with nothing optional in it.
TINY: dict[str, Any] = {
    "schema": "plan.profile/1",
    "model": {"name": "tiny", "architecture": "sha256:any-string"},
    "batch": 1,
    "device": {"name": "my-edge", "provenance": "measured", "engine": "torch"},
    "whole_ms": 3.0,
    "nodes": [
        {"id": "x", "kind": "input", "inputs": [], "shape": [1, 3, 8, 8], "dtype": "float32", "bytes": 768,
         "encoded_bytes": 192, "time_ms": 0},
        {"id": "conv", "kind": "convolution", "inputs": ["x"], "shape": [1, 4, 8, 8], "dtype": "float32",
         "bytes": 1024, "time_ms": 2.0},
        {"id": "relu", "kind": "activation", "inputs": ["conv"], "shape": [1, 4, 8, 8], "dtype": "float32",
         "bytes": 1024, "time_ms": 0.4},
        {"id": "fc", "kind": "linear", "inputs": ["relu"], "shape": [1, 10], "dtype": "float32", "bytes": 40,
         "time_ms": 0.6},
        {"id": "out", "kind": "output", "inputs": ["fc"], "shape": [1, 10], "dtype": "float32", "bytes": 40,
         "time_ms": 0},
    ],
}  # fmt: skip


@pytest.fixture
def tiny() -> dict[str, Any]:
    """A fresh copy of the design's example, to be changed."""
    return json.loads(json.dumps(TINY))


@pytest.fixture
def tiny_profile(tiny: dict[str, Any]) -> DeviceProfile:
    from profiles import artifact

    return artifact.decode(json.dumps(tiny).encode(), DeviceProfile, origin="tiny")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def plan_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """`plan` in this process: exit code, standard output, standard error."""
    from runtime import cli

    def call(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr("sys.argv", ["plan", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return Outcome(int(stopped.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def mnist() -> Any:
    """The real digits; fetched once where the cache lacks them."""
    from noise.datasets import catalog

    catalog.fetch("mnist")
    return catalog.load_dataset("mnist")


@pytest.fixture(scope="session")
def lenet_profile() -> DeviceProfile:
    from profiles.profiling import profile

    return profile("lenet", engine="torch", threads=1, seconds=0.3)


@pytest.fixture(scope="session")
def lenet_plan(lenet_profile: DeviceProfile) -> Any:
    """LeNet cut as the paper does: 120 elements after the third convolution."""
    from planner.planning import cut
    from profiles.link import presets

    return cut(lenet_profile, lenet_profile, presets()["wifi"], at="conv3")


@pytest.fixture(scope="session")
def lenet_learned(lenet_plan: Any, mnist: Any) -> Any:
    """A small collection for that cut, learned on real digits."""
    from noise.learning import learn
    from noise.learning_options import Options

    return learn(lenet_plan, mnist, kind="laplace", budget_points=1.5, seed=1, options=Options(count=4))


@pytest.fixture(autouse=True)
def _few_threads() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "2")
