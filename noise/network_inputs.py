"""Data for a network's inputs: which array is whose, and whether it fits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from profiles.errors import DataError
from profiles.trace import TracedNetwork

Array = NDArray[Any]


def fitted(network: TracedNetwork, inputs: Any, *, origin: str) -> tuple[Array, ...]:
    """An array [n, ...] for each input of the network, in the graph's order and in the type that it takes.

    inputs: an array; of several inputs a tuple in that order, or a mapping from their names. Raises DataError where
    one is missing or unknown, or its shape or type does not fit.
    """
    columns = in_order(network, inputs, origin=origin)
    return tuple(
        _in_type(one, example.shape[1:], _dtype(example), origin=origin if len(columns) == 1 else f"{origin}: {name}")
        for name, one, example in zip(network.input_names, columns, network.example, strict=True)
    )


def in_order(network: TracedNetwork, inputs: Any, *, origin: str) -> tuple[Array, ...]:
    """The arrays in the graph's order, as they are. Raises DataError where one is missing or unknown."""
    names = network.input_names
    takes = f"the model takes {', '.join(names)}"
    if not isinstance(inputs, Mapping):
        columns = inputs if isinstance(inputs, tuple) else (inputs,)
        if len(columns) != len(names):
            given = "one array" if len(columns) == 1 else f"{len(columns)} arrays"
            raise DataError(
                f"{origin}: {given} of inputs, {takes}; give one array for each, or a dict by these names"
            )
        return columns
    # A graph's id is taken for the name it stands for.
    known = {node.id: name for node, name in zip(network.graph.inputs, names, strict=True)}
    named = {str(name if name in names else known.get(name, name)): one for name, one in inputs.items()}
    if unknown := [name for name in named if name not in names]:
        raise DataError(f"{origin}: {', '.join(unknown)} among the inputs, {takes}; give arrays by just these names")
    if missing := [name for name in names if name not in named]:
        raise DataError(f"{origin}: no {', '.join(missing)} among the inputs, {takes}; give arrays by these names")
    return tuple(named[name] for name in names)


def _in_type(values: Array, shape: Any, dtype: str, *, origin: str) -> Array:
    if tuple(values.shape[1:]) != tuple(shape):
        raise DataError(f"{origin}: inputs of shape {list(values.shape[1:])}, the model takes {list(shape)}")
    wanted = np.dtype(dtype)
    # Bytes are never floats here: whether they are to be divided by 255 only their owner knows.
    widened = wanted.kind in "iu" and np.can_cast(values.dtype, wanted, "safe")
    if wanted.kind != values.dtype.kind and not widened:
        raise DataError(
            f"{origin}: inputs of type {values.dtype}, the model takes {dtype}; convert with .astype('{dtype}')"
        )
    return values.astype(wanted, copy=False)


def _dtype(example: Any) -> str:
    return str(example.dtype).removeprefix("torch.")
