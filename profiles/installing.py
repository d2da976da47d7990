"""The command that installs what is missing, on this system and beside this very Python."""

import os
import shlex
import shutil
import sys
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

NAME = "shredder-plan"
#: Distributions whose name is not their module's.
_DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn"}
#: What each extra brings, as modules, beyond what another of them brings too.
MODULES = {
    "torch": ("torch", "onnx", "joblib"),
    "edge": ("onnxruntime",),
    "data": ("PIL",),
    "plot": ("jinja2", "matplotlib"),
    "predict": ("sklearn",),
    "models": ("transformers",),
    "cluster": ("dask", "distributed"),
}
#: The extra that brings a module.
BROUGHT_BY = {module: name for name, modules in MODULES.items() for module in modules}
#: Package managers in the order in which they are looked for, and what follows.
_MANAGERS = {"apt-get": "apt-get install -y", "dnf": "dnf install -y", "apk": "apk add", "pacman": "pacman -S"}
#: Names of packages where they are not Debian's.
_ELSEWHERE = {"iproute2": {"dnf": "iproute", "brew": "iproute2mac"}}


class _Origin(msgspec.Struct):
    """What pip keeps of a distribution that came from a folder (PEP 610)."""

    url: str = ""
    dir_info: dict[str, bool] = {}


def version(module: str) -> str | None:
    """The installed version of a module's distribution; None where it is not there."""
    try:
        return metadata.version(_DISTRIBUTIONS.get(module, module))
    except metadata.PackageNotFoundError:
        return None


def extra(name: str) -> str:
    """The command that adds an extra to this installation, from where the installation came."""
    origin, editable = NAME, ""
    try:
        text = metadata.distribution(NAME).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        text = None
    if text is not None:
        found = msgspec.json.decode(text, type=_Origin)
        folder = Path(unquote(urlsplit(found.url).path))
        if found.url.startswith("file:") and folder.is_dir():
            origin, editable = str(folder), "-e " if found.dir_info.get("editable") else ""
    return f"{_pip()} install {editable}{shlex.quote(f'{origin}[{name}]')}"


def _pip() -> str:
    """pip where it is this Python's own, else named in full."""
    found = shutil.which("pip")
    if found is not None and Path(found).parent == Path(sys.executable).parent:
        return "pip"
    return f"{shlex.quote(sys.executable)} -m pip"


def program(package: str) -> str | None:
    """The command of this system's package manager; None where it has none that is known."""
    names = _ELSEWHERE.get(package, {})
    if sys.platform == "darwin":
        return f"brew install {names.get('brew', package)}"
    for manager, command in _MANAGERS.items():
        if shutil.which(manager) is not None:
            sudo = "" if os.geteuid() == 0 else "sudo "
            return f"{sudo}{command} {names.get(manager, package)}"
    return None
