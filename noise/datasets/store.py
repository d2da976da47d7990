"""Data sets in the user's cache: one .npz each, 8 bits a pixel; pickles of pinned files, for arrays alone."""

import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from profiles import artifact
from profiles.cache import cache_folder
from profiles.errors import DataError


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


def unit_interval(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """8-bit pixels → float32 in [0, 1]."""
    inputs: NDArray[np.float32] = pixels.astype(np.float32)
    inputs /= np.float32(255)
    return inputs
