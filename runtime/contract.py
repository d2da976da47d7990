"""The tensor contract on either side of a cut: what each side expects of what the other sends."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from profiles import codec
from profiles.graph import Node
from runtime.protocol import TensorFacts

Array = NDArray[Any]


@dataclass(frozen=True)
class TensorContract:
    """A tensor by name, type and shape; −1 as the first dimension: any number of rows."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, node: Node, *, any_rows: bool, dtype: str | None = None) -> "TensorContract":
        """A graph's tensor. any_rows: its first dimension is the batch, and any batch goes."""
        shape = (-1, *node.shape[1:]) if any_rows and node.shape else node.shape
        return cls(node.id, dtype or node.dtype, shape)

    def facts(self) -> TensorFacts:
        """As the protocol's metadata has it."""
        return TensorFacts(self.name, codec.datatype_of(self.dtype), self.shape)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, or of all where their number is fixed."""
        return prod(abs(size) for size in self.shape) * np.dtype(self.dtype).itemsize

    @cached_property
    def numpy_dtype(self) -> np.dtype[Any]:
        return np.dtype(self.dtype)

    def objection(self, got: Array, *, rows: int | None = None) -> str | None:
        """What is wrong with a tensor, or None. rows: how many are expected, None for any."""
        expected = self.shape if rows is None or self.shape[:1] != (-1,) else (rows, *self.shape[1:])
        fits = len(got.shape) == len(expected) and all(
            have == want or want == -1 for have, want in zip(got.shape, expected, strict=True)
        )
        if fits and got.dtype == self.numpy_dtype:
            return None
        have, want = codec.datatype_of(str(got.dtype)), codec.datatype_of(self.dtype)
        return f"{self.name!r}: got {have} {list(got.shape)}, expected {want} {list(expected)}"


def rows_of(contracts: Sequence[TensorContract], tensors: Sequence[Array]) -> set[int]:
    """The numbers of rows of those tensors whose number of rows is free."""
    return {len(got) for one, got in zip(contracts, tensors, strict=True) if one.shape[:1] == (-1,)}
