"""What is handed out: the lock file of the default install, and wheel and sdist in environments of their own."""

import json
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
LOCKED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)")


def _locked() -> list[tuple[str, str, int]]:
    """Name, version, number of hashes; a package twice where Pythons differ."""
    found: list[tuple[str, str, int]] = []
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if start := LOCKED.match(line):
            found.append((start["name"].lower().replace("_", "-"), start["version"], 0))
        elif "--hash=sha256:" in line:
            name, version, hashes = found[-1]
            found[-1] = (name, version, hashes + 1)
    return found


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


def test_the_lock_file_holds_the_default_install_with_hashes() -> None:
    locked = _locked()
    assert all(hashes for _, _, hashes in locked)
    for wanted in map(Requirement, _project()["dependencies"]):
        versions = [version for name, version, _ in locked if name == wanted.name.lower().replace("_", "-")]
        assert versions, f"{wanted} is not locked; run `make lock`"
        assert all(map(wanted.specifier.contains, versions)), f"{wanted} is locked at {versions}; run `make lock`"
    assert "torch" not in {name for name, _, _ in locked}


def test_the_installed_version_is_the_projects_and_the_changelogs() -> None:
    version = str(_project()["version"])
    assert metadata.version("shredder-plan") == version
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.long
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_what_is_built_installs_by_the_lock_file_and_plans_without_torch(
    kind: str, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    subprocess.run([sys.executable, "-m", "build", f"--{kind}", "--outdir", tmp_path, ROOT], check=True)
    (built,) = tmp_path.iterdir()
    names = tarfile.open(built).getnames() if kind == "sdist" else zipfile.ZipFile(built).namelist()  # noqa: SIM115
    assert any(name.endswith("presets/devices.json") for name in names)
    assert not any("/demo/" in name or "reproduced/" in name or name.endswith(".pyc") for name in names)
    venv.create(tmp_path / "env", with_pip=True)
    pip = [tmp_path / "env" / "bin" / "python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--require-hashes", "-r", ROOT / "requirements.lock"], check=True)
    subprocess.run([*pip, "--no-deps", built], check=True)
    plan = tmp_path / "env" / "bin" / "plan"
    said = subprocess.run([plan, "--version"], check=True, capture_output=True, text=True).stdout
    assert said.split()[1] == _project()["version"]
    edge = tmp_path / "edge.json"
    edge.write_text(json.dumps(tiny))
    asked = [plan, "cut", edge, edge, "--link", "wifi", "--json"]
    chosen = subprocess.run(asked, check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    assert json.loads(chosen)["cut"]["name"] == "relu"
