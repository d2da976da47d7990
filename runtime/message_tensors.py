"""The tensors of a message: their facts in its JSON header, their values as bytes behind it or as numbers within.

What a peer sent is believed in nothing: sizes are bounded before anything is made of them.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from profiles import codec
from profiles.errors import PlanError

MOST_DIMENSIONS = 16
MOST_TENSORS = 256
#: Elements that a shape may count up to, whatever its bytes: below 2^63, where NumPy's own sizes end.
MOST_ELEMENTS = 2**40
Array = NDArray[Any]


class ProtocolError(PlanError):
    """What a peer sent is not what the protocol has. status: of HTTP, where it is a request."""

    status = 400


class TensorHeader(msgspec.Struct, omit_defaults=True):
    """What the JSON header says of a tensor. data: its values, where no bytes follow for it."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


def as_numbers(name: str, array: Array) -> TensorHeader:
    """A tensor that goes as JSON."""
    return TensorHeader(name, codec.datatype_in(array), array.shape, data=array.reshape(-1).tolist())


def as_bytes(tensors: Mapping[str, Array]) -> tuple[list[TensorHeader], list[memoryview]]:
    """Tensors by name, in order, as they are told of and as they follow the header; nothing is copied."""
    facts, parts = [], []
    for name, array in tensors.items():
        data = codec.pack(array)
        datatype = codec.datatype_in(array)
        facts.append(TensorHeader(name, datatype, array.shape, parameters={"binary_data_size": len(data)}))
        parts.append(data)
    return facts, parts


def tensors_of(facts: Sequence[TensorHeader], tail: memoryview) -> dict[str, Array]:
    """By name. tail: what follows the JSON header. Raises ProtocolError for what is not whole and consistent."""
    if len(facts) > MOST_TENSORS:
        raise ProtocolError(f"{len(facts)} tensors, expected at most {MOST_TENSORS}")
    tensors: dict[str, Array] = {}
    for fact in facts:
        _check_shape(fact)
        if fact.name in tensors:
            raise ProtocolError(f"tensor {fact.name[:80]!r} stands twice")
        if fact.parameters.get("binary_data_size") is None:
            tensors[fact.name] = _from_json(fact)
        else:
            tensors[fact.name], tail = _from_bytes(fact, tail)
    if len(tail):
        raise ProtocolError(f"{len(tail)} bytes follow the last tensor, expected none")
    return tensors


def _from_bytes(fact: TensorHeader, tail: memoryview) -> tuple[Array, memoryview]:
    """The tensor, and what follows it."""
    count = fact.parameters["binary_data_size"]
    if type(count) is not int or not 0 <= count <= len(tail):
        raise ProtocolError(f"tensor {fact.name[:80]!r}: binary_data_size {repr(count)[:20]}, {len(tail)} bytes left")
    try:
        return codec.unpack(tail[:count], datatype=fact.datatype[:20], shape=fact.shape), tail[count:]
    except PlanError as error:
        raise ProtocolError(f"tensor {fact.name[:80]!r}: {error}") from error


def _check_shape(fact: TensorHeader) -> None:
    # A size of 0 must not hide the others, whose product NumPy takes too.
    elements = prod(max(1, size) for size in fact.shape[:MOST_DIMENSIONS])
    if len(fact.shape) > MOST_DIMENSIONS or any(size < 0 for size in fact.shape) or elements > MOST_ELEMENTS:
        raise ProtocolError(f"tensor {fact.name[:80]!r}: shape {list(fact.shape)[:20]} cannot be")


def _numbers(data: Any) -> bool:
    """Whether nested lists hold numbers and booleans alone."""
    waiting = [data]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting.extend(one)
        elif not isinstance(one, bool | int | float):
            return False
    return True


def _from_json(fact: TensorHeader) -> Array:
    if fact.data is None:
        raise ProtocolError(f"tensor {fact.name[:80]!r} has neither data nor binary_data_size")
    expected = f"tensor {fact.name[:80]!r}: data are not {fact.datatype[:20]} {list(fact.shape)}"
    dtype = _dtype_of(fact)
    # Text would make an array as wide as its longest item, from a body far smaller.
    if not _numbers(fact.data):
        raise ProtocolError(f"{expected} (not numbers)")
    try:
        array = np.asarray(fact.data).reshape(-1)
    except (ValueError, OverflowError, RecursionError):  # whose words would tell of our libraries
        raise ProtocolError(f"{expected} (uneven lists)") from None
    if array.dtype.kind not in "biuf" or len(array) != prod(fact.shape):
        raise ProtocolError(f"{expected} ({len(array)} values)")
    with np.errstate(over="ignore", invalid="ignore"):
        made = array.astype(dtype, casting="unsafe").reshape(fact.shape)
    if made.dtype.kind == "f" and not np.isfinite(made).all():
        raise ProtocolError(f"{expected} (a number is too large for the type)")
    if made.dtype.kind != "f" and not np.array_equal(made.reshape(-1), array):
        raise ProtocolError(f"{expected} (a number is not of the type)")
    return made


def _dtype_of(fact: TensorHeader) -> str:
    try:
        return codec.dtype_of(fact.datatype[:20])
    except PlanError as error:
        raise ProtocolError(f"tensor {fact.name[:80]!r}: {error}") from error
