"""The crossing tensors of a split, computed once and kept: in memory, or where they are large in a mapped file."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from profiles.errors import DataError

Array = NDArray[Any]

#: What is kept of a split at most; of tensors so large that fewer rows fit, fewer rows are used.
MOST_BYTES = 2**30
#: Elements kept of a hold-out, which is gone over dozens of times, and rows at least, for a budget of a point.
HELD_ELEMENTS, LEAST_HELD = 100_000_000, 300
#: Above this the tensors lie in a file without a name, which the system writes out and drops as it needs.
IN_MEMORY_BYTES = 512 * 2**20
#: Elements that are handled at a time where whole splits are computed with.
CHUNK_ELEMENTS = 4_000_000


@dataclass(frozen=True)
class Activations:
    """Crossing tensors of `rows` inputs, and what the network says without noise.

    tensors: those that take noise, flattened, float32 [rows, n] each. beside: those that are left alone (integers,
    public inputs), [rows, ...] each. labels: [rows]. logits: [rows, classes].
    """

    tensors: tuple[Array, ...]
    beside: tuple[Array, ...]
    labels: Array
    logits: Array

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def clean(self) -> Array:
        """Classes that the network names without noise, [rows]."""
        classes: Array = self.logits.argmax(1)
        return classes

    @property
    def elements(self) -> int:
        return sum(one.shape[1] for one in self.tensors)

    def take(self, rows: slice | Array) -> "Activations":
        return Activations(
            tuple(one[rows] for one in self.tensors),
            tuple(one[rows] for one in self.beside),
            self.labels[rows],
            self.logits[rows],
        )

    def __iter__(self) -> Iterator["Activations"]:
        """Some rows at a time, so that what is computed from them stays small."""
        rows = max(1, CHUNK_ELEMENTS // max(1, self.elements))
        for start in range(0, len(self), rows):
            yield self.take(slice(start, start + rows))

    @cached_property
    def power(self) -> float:
        """E[a²], summed over all elements."""
        total = sum(float(np.square(one, dtype=np.float64).sum()) for part in self for one in part.tensors)
        return total / len(self)


def rows_kept(rows: int, elements: int, *, most_bytes: int = MOST_BYTES) -> int:
    """How many rows of so many float32 elements are kept. Raises DataError where not even ten fit."""
    kept = min(rows, most_bytes // (4 * max(1, elements)))
    if kept < min(rows, 10):
        raise DataError(
            f"crossing tensors of {elements} elements are too large to learn noise for ({most_bytes} bytes hold "
            f"{kept} of them); cut where less crosses"
        )
    return kept


def holdout_bytes(elements: int) -> int:
    """What is kept of a hold-out of tensors of so many elements."""
    return min(MOST_BYTES, 4 * max(HELD_ELEMENTS, LEAST_HELD * elements))


def empty(rows: int, elements: int) -> NDArray[np.float32]:
    """Room for float32 [rows, elements]: memory, or a mapped file that vanishes with the process."""
    if 4 * rows * elements <= IN_MEMORY_BYTES:
        return np.empty((rows, elements), dtype=np.float32)
    try:
        stream = tempfile.TemporaryFile(prefix="plan-activations-")  # noqa: SIM115 - lives as long as the map
        return np.memmap(stream, dtype=np.float32, mode="w+", shape=(rows, elements))
    except OSError as error:
        raise DataError(
            f"{4 * rows * elements} bytes of activations do not fit into {tempfile.gettempdir()} "
            f"({error.strerror}); set TMPDIR to a folder with room"
        ) from error
