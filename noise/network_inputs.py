"""A network's inputs: what each takes, which array is whose, and whether it fits. No torch."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from profiles.artifact import Count
from profiles.errors import DataError

if TYPE_CHECKING:
    from profiles.trace import TracedNetwork

Array = NDArray[Any]


class NetworkInput(msgspec.Struct, frozen=True, kw_only=True):
    """One input of a network.

    name: by which its owner knows it. node: its id in the graph, which differs where the name was taken. shape: of
    one row, the batch left out. low, high: between which the model's own example of it lies.
    """

    name: str
    node: str
    dtype: str
    shape: tuple[Count, ...]
    low: float = 0.0
    high: float = 1.0

    def made_up(self, rows: int, random: np.random.Generator) -> Array:
        """Values [rows, *shape] that the network can take and that are nobody's: drawn evenly from low to high."""
        shape, dtype = (rows, *self.shape), np.dtype(self.dtype)
        if dtype.kind == "f":
            return random.uniform(self.low, self.high, size=shape).astype(dtype)
        return random.integers(int(self.low), int(self.high), size=shape, endpoint=True).astype(dtype)


def inputs_of(network: "TracedNetwork") -> tuple[NetworkInput, ...]:
    """A network's inputs in the graph's order."""
    return tuple(
        NetworkInput(
            name=name, node=node.id, dtype=_dtype(example), shape=tuple(example.shape[1:]), **_range(example)
        )
        for name, node, example in zip(network.input_names, network.graph.inputs, network.example, strict=True)
    )


def _range(example: Any) -> dict[str, float]:
    """Of finite values; JSON has no other."""
    finite = example[example.isfinite()].double()
    return {"low": float(finite.min()), "high": float(finite.max())} if finite.numel() else {}


def fitted(takes: Sequence[NetworkInput], inputs: Any, *, origin: str) -> tuple[Array, ...]:
    """An array [n, ...] for each input of the network, in the graph's order and in the type that it takes.

    inputs: an array; of several inputs a tuple in that order, or a mapping from their names. Raises DataError where
    one is missing or unknown, or its shape or type does not fit.
    """
    columns = in_order(takes, inputs, origin=origin)
    return tuple(
        _in_type(values, one, origin=origin if len(columns) == 1 else f"{origin}: {one.name}")
        for one, values in zip(takes, columns, strict=True)
    )


def in_order(takes: Sequence[NetworkInput], inputs: Any, *, origin: str) -> tuple[Array, ...]:
    """The arrays in the graph's order, as they are. Raises DataError where one is missing or unknown."""
    names = [one.name for one in takes]
    wanted = f"the model takes {', '.join(names)}"
    if not isinstance(inputs, Mapping):
        columns = inputs if isinstance(inputs, tuple) else (inputs,)
        if len(columns) != len(names):
            given = "one array" if len(columns) == 1 else f"{len(columns)} arrays"
            raise DataError(
                f"{origin}: {given} of inputs, {wanted}; give one array for each, or a dict by these names"
            )
        return columns
    # A graph's id is taken for the name it stands for.
    known = {one.node: one.name for one in takes}
    named = {str(name if name in names else known.get(name, name)): one for name, one in inputs.items()}
    if unknown := [name for name in named if name not in names]:
        raise DataError(f"{origin}: {', '.join(unknown)} among the inputs, {wanted}; give arrays by just these names")
    if missing := [name for name in names if name not in named]:
        raise DataError(f"{origin}: no {', '.join(missing)} among the inputs, {wanted}; give arrays by these names")
    return tuple(named[name] for name in names)


def _in_type(values: Array, takes: NetworkInput, *, origin: str) -> Array:
    if tuple(values.shape[1:]) != takes.shape:
        raise DataError(f"{origin}: inputs of shape {list(values.shape[1:])}, the model takes {list(takes.shape)}")
    wanted = np.dtype(takes.dtype)
    # Bytes are never floats here: whether they are to be divided by 255 only their owner knows.
    widened = wanted.kind in "iu" and np.can_cast(values.dtype, wanted, "safe")
    if wanted.kind != values.dtype.kind and not widened:
        raise DataError(
            f"{origin}: inputs of type {values.dtype}, the model takes {wanted}; convert with .astype('{wanted}')"
        )
    return values.astype(wanted, copy=False)


def _dtype(example: Any) -> str:
    return str(example.dtype).removeprefix("torch.")
