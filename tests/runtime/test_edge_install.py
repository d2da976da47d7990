"""The device: a fresh environment with the extra `edge` alone, and a folder; the server is a process beside it."""

import json
import os
import subprocess
import venv
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from servers import serving_process

from noise import collection
from noise.datasets.records import Dataset
from noise.learned import Learned
from planner.plan import Plan
from profiles.engine import EagerEngine
from profiles.models import load_model
from profiles.trace import trace
from runtime import splitting

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its `bin` folder."""
    folder = tmp_path_factory.mktemp("device") / "venv"
    venv.create(folder, with_pip=True)
    install = ["-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt"), f"{ROOT}[edge]"]
    subprocess.run([folder / "bin" / "python", *install], check=True, env=clean_environment())
    return folder / "bin"


def clean_environment() -> dict[str, str]:
    """Without this process's own path to the sources."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def served(folder: Path) -> AbstractContextManager[str]:
    return serving_process("-m", "runtime.cli", "serve", str(folder))


def test_an_edge_without_torch_infers_against_the_server(
    device: Path, lenet_plan: Plan, lenet_learned: Learned, mnist: Dataset, tmp_path: Path
) -> None:
    collection.write(tmp_path / "noise", lenet_learned.noise, lenet_learned.facts)
    halves = splitting.split(lenet_plan, tmp_path / "halves", noise=tmp_path / "noise")
    np.save(tmp_path / "x.npy", mnist.test.inputs[:500])
    there = {"capture_output": True, "text": True, "cwd": tmp_path, "env": clean_environment()}

    imported = subprocess.run([device / "python", "-c", "import torch"], check=False, **there)
    assert "No module named 'torch'" in imported.stderr
    with served(halves.cloud) as url:
        arguments = ["--server", url, "--input", "x.npy", "--output", "y.npy", "--json"]
        done = subprocess.run([device / "plan", "run", halves.edge, *arguments], check=False, **there)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["inputs"] == 500

    whole = EagerEngine(trace(load_model("lenet"))).run([mnist.test.inputs[:500]])[0]
    agreement = (np.load(tmp_path / "y.npy").argmax(1) == whole.argmax(1)).mean()
    assert agreement > 0.93  # the noise may cost 1.5 points

    used = subprocess.run(["du", "-sm", device.parent, halves.edge], check=True, capture_output=True, text=True)
    environment, folder = (int(line.split()[0]) for line in used.stdout.splitlines())
    print(f"\non disk: environment {environment} MB, edge folder {folder} MB; classes agree {100 * agreement:.1f} %")
    assert environment < 500  # torch alone takes more
