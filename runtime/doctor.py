"""What is here of all that the tool can use, what each is for, and the command that brings what is missing.

Facts alone: nothing is changed, fetched or sent. No torch is needed; where it is installed it is imported, since an
installation that does not load is not there.
"""

import importlib
import itertools
import os
import platform
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Literal

import msgspec

from noise.datasets import store
from noise.datasets.catalog import DATASETS
from noise.recipes import RECIPES
from profiles import installing
from profiles.cache import cache_folder
from profiles.zoo.catalog import ZOO

#: Of data sets and weights together: what a cache should hold, bytes.
ROOM_BYTES = 1_000_000_000
#: Who listens where, unless told otherwise.
PORTS = {5200: "plan link --serve", 5201: "its iperf3", 8400: "plan serve"}
#: What each extra is for.
EXTRAS = {
    "data": "data sets cifar10, elpv",
    "plot": "pictures, plan report",
    "predict": "plan predictor fit",
    "models": "models transformers:CLASS",
    "cluster": "plan explore --on",
}
#: Programs, the package that has them, and what they are for.
PROGRAMS = {
    "iperf3": ("iperf3", "plan link HOST"),
    "openssl": ("openssl", "certificates (plan serve)"),
    "npm": ("npm", "data set cifar10"),
    "dpkg-deb": ("dpkg", "data set fashion-mnist"),
    "ip": ("iproute2", "tests on two hosts"),
}

State = Literal["ok", "needed", "optional", "note"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing. state: ok; needed: missing, and the main job (profile, cut, learn, run) cannot be done; optional:
    missing, and something else cannot; note: nothing is missing. found: in words. command: that brings it; None where
    there is none."""

    thing: str
    state: State
    found: str
    serves: str
    command: str | None = None


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What `plan doctor --json` prints. ok: whether the main job can be done here."""

    ok: bool
    findings: tuple[Finding, ...]


def diagnosis(*further: Finding) -> Diagnosis:
    """All of it. further: what only the caller can know (the terminal)."""
    found = (
        *software(), *extras(), *programs(), *cache(), machine(), clock(), randomness(), *ports(), *further
    )  # fmt: skip
    return Diagnosis(ok=all(one.state != "needed" for one in found), findings=found)


def software() -> Iterator[Finding]:
    """Python, torch and ONNX Runtime."""
    version = platform.python_version()
    recent = sys.version_info >= (3, 11)
    yield Finding(
        thing="Python",
        state="ok" if recent else "needed",
        found=f"{platform.python_implementation()} {version}",
        serves="everything",
        command=None if recent else "install Python 3.11 or newer",
    )
    yield _torch()
    yield _module("onnxruntime", "onnxruntime", extra="edge", serves="the faster engine")


def _torch() -> Finding:
    serves = "profile, learn, audit, run"
    try:
        torch = importlib.import_module("torch")
    except Exception as error:  # a broken installation raises what its loader raises
        return _absent("torch", error, extra="torch", serves=serves, state="needed")
    build = "CPU only" if torch.version.cuda is None else f"CUDA {torch.version.cuda}"
    if torch.version.cuda is not None:
        build += f", {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else ", no GPU here"
    if missing := [name for name in ("onnx", "joblib") if installing.version(name) is None]:
        return Finding(
            thing="torch",
            state="needed",
            found=f"{torch.__version__}, {build}; no {' nor '.join(missing)}",
            serves=serves,
            command=installing.extra("torch"),
        )
    return Finding(thing="torch", state="ok", found=f"{torch.__version__}, {build}", serves=serves)


def _module(name: str, module: str, *, extra: str, serves: str) -> Finding:
    """A module that has to load, not only to be there."""
    try:
        loaded = importlib.import_module(module)
    except Exception as error:
        return _absent(name, error, extra=extra, serves=serves, state="optional")
    return Finding(thing=name, state="ok", found=str(getattr(loaded, "__version__", "here")), serves=serves)


def _absent(name: str, error: Exception, *, extra: str, serves: str, state: State) -> Finding:
    reason = "missing" if isinstance(error, ModuleNotFoundError) else f"does not load: {_said(error)}"
    return Finding(thing=name, state=state, found=reason, serves=serves, command=installing.extra(extra))


def extras() -> Iterator[Finding]:
    """What not everyone needs, by the name of its extra."""
    for extra, serves in EXTRAS.items():
        versions = {name: installing.version(name) for name in installing.MODULES[extra]}
        missing = [name for name, version in versions.items() if version is None]
        broken = None if missing or extra != "plot" else _broken_plot()
        if missing or broken:
            found = broken or f"no {', '.join(missing)}"
            command = installing.extra(extra)
            yield Finding(thing=f"[{extra}]", state="optional", found=found, serves=serves, command=command)
        else:
            here = ", ".join(f"{name} {version}" for name, version in versions.items())
            yield Finding(thing=f"[{extra}]", state="ok", found=here, serves=serves)


def _broken_plot() -> str | None:
    """Why a picture cannot be drawn, else None: fonts and back ends can be missing beside a module that is there."""
    try:
        figure = importlib.import_module("matplotlib.figure").Figure(figsize=(1, 1))
        figure.text(0.5, 0.5, "α")
        figure.savefig(BytesIO(), format="svg")
    except Exception as error:
        return f"matplotlib draws nothing: {_said(error)}"
    return None


def _said(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def programs() -> Iterator[Finding]:
    """Programs beside Python."""
    for program, (package, serves) in PROGRAMS.items():
        place = shutil.which(program)
        if place is not None:
            yield Finding(thing=program, state="ok", found=place, serves=serves)
        else:
            command = installing.program(package)
            yield Finding(thing=program, state="optional", found="missing", serves=serves, command=command)


def cache() -> Iterator[Finding]:
    """The cache, the data sets in it, and the networks that are trained."""
    folder = cache_folder()
    above = next(one for one in (folder, *folder.parents) if one.exists())
    writable, free = os.access(above, os.W_OK), shutil.disk_usage(above).free
    enough = writable and free >= ROOM_BYTES
    yield Finding(
        thing="cache",
        state="ok" if enough else "optional",
        found=f"{folder}, {free / 1e9:.1f} GB free" if writable else f"{folder}: cannot be written",
        serves="data sets and weights",
        command=None if enough else f"export PLAN_CACHE={_elsewhere() / 'plan-cache'}   # a folder with 1 GB of room",
    )
    there = [name for name in DATASETS if store.cached(name).exists()]
    yield Finding(
        thing="data sets",
        state="ok" if "mnist" in there else "optional",
        found=", ".join(there) or "none",
        serves="plan learn --data NAME",
        command=None if "mnist" in there else "plan data fetch mnist",
    )
    trained = [name for name, entry in ZOO.items() if entry.trained]
    further = [name for name in RECIPES if name not in trained]
    yield Finding(
        thing="trained",
        state="note" if further else "ok",
        found=", ".join(trained),
        serves="plan learn, audit, run",
        command=f"plan models train {further[0]}" if further else None,
    )


def _elsewhere() -> Path:
    """Where a cache could be instead."""
    return Path.home() if os.access(Path.home(), os.W_OK) else Path(tempfile.gettempdir())


def machine() -> Finding:
    """Cores that this process may use, and what holds threads back."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    held = os.environ.get("OMP_NUM_THREADS")
    threads = f", OMP_NUM_THREADS={held}" if held else ""
    return Finding(
        thing="cores",
        state="note" if held else "ok",
        found=f"{usable} of {os.cpu_count() or usable} usable{threads}",
        serves="true times",
    )


def clock() -> Finding:
    """The smallest step between two readings of the clock that profiles are made with."""
    readings = [time.perf_counter_ns() for _ in range(2000)]
    steps = [later - sooner for sooner, later in itertools.pairwise(readings) if later > sooner]
    step_ns = min(steps, default=1_000_000)
    good = step_ns < 100_000
    return Finding(
        thing="clock",
        state="ok" if good else "note",
        found=f"steps of {step_ns / 1000:.2f} µs",
        serves="times of single layers",
    )


def randomness() -> Finding:
    """Where the draws of noise come from."""
    serves = "noise that nobody can foretell"
    try:
        if hasattr(os, "getrandom"):
            os.getrandom(16, os.GRND_NONBLOCK)
            return Finding(thing="randomness", state="ok", found="the system's getrandom, seeded", serves=serves)
        os.urandom(16)
        return Finding(thing="randomness", state="ok", found="the system's os.urandom", serves=serves)
    except (OSError, NotImplementedError) as error:
        return Finding(thing="randomness", state="needed", found=f"none: {error}", serves=serves)


def ports() -> Iterator[Finding]:
    """Whether the tool's own ports can be had on loopback."""
    for port, serves in PORTS.items():
        free = _free(port)
        yield Finding(
            thing=f"port {port}",
            state="ok" if free else "note",
            found="free" if free else "taken; give another with --port",
            serves=serves,
        )


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def version() -> str:
    """The tool's own."""
    return metadata.version(installing.NAME)
