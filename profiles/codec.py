"""Tensor ↔ bytes, as the Open Inference Protocol's binary extension has them: little-endian, row-major.

Floats may cross in fewer bits: as float16, or as int8 with a scale and a zero point for a whole message's tensor,
which travel beside it: value = scale × (byte − zero point).
"""

from collections.abc import Mapping, Sequence
from math import isfinite, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from profiles.errors import PlanError

#: NumPy type name ↔ the protocol's datatype.
DATATYPES: dict[str, str] = {
    "float64": "FP64",
    "float32": "FP32",
    "float16": "FP16",
    "int64": "INT64",
    "int32": "INT32",
    "int16": "INT16",
    "int8": "INT8",
    "uint8": "UINT8",
    "bool": "BOOL",
}
_DTYPES = {datatype: dtype for dtype, datatype in DATATYPES.items()}
#: NumPy types as tensors on the wire have them; looking one up costs a fiftieth of asking it for its name.
_LITTLE = {datatype: np.dtype(dtype).newbyteorder("<") for dtype, datatype in DATATYPES.items()}
_DATATYPE_OF = {np.dtype(dtype): datatype for dtype, datatype in DATATYPES.items()}

#: Bytes an element of a float tensor takes on the wire.
WIRE_ITEMSIZE: dict[str, int] = {"float32": 4, "float16": 2, "int8": 1}


def datatype_of(dtype: str) -> str:
    return DATATYPES[dtype]


def datatype_in(tensor: NDArray[Any]) -> str:
    """The protocol's datatype of a tensor. Raises KeyError where it has none."""
    return _DATATYPE_OF.get(tensor.dtype) or DATATYPES[str(tensor.dtype)]


def dtype_of(datatype: str) -> str:
    """Raises PlanError for a datatype that is not carried here (BYTES, unsigned 16 bits, …)."""
    if datatype not in _DTYPES:
        raise PlanError(f"datatype {datatype} is not supported, expected one of {', '.join(_DTYPES)}")
    return _DTYPES[datatype]


def pack(tensor: NDArray[Any]) -> memoryview:
    """The tensor's bytes, without a copy where it lies as the wire wants it."""
    little = _LITTLE[datatype_in(tensor)]
    # A view as bytes, because memoryview.cast refuses a tensor without elements.
    return np.ascontiguousarray(tensor, dtype=little).reshape(-1).view(np.uint8).data


def unpack(data: memoryview | bytes, *, datatype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Bytes → tensor, a view of them. Raises PlanError where their number is not that of the shape."""
    dtype = _LITTLE[datatype] if datatype in _LITTLE else np.dtype(dtype_of(datatype))
    expected = prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise PlanError(f"{len(data)} bytes of {datatype} {list(shape)}, expected {expected}")
    return np.frombuffer(data, dtype=dtype).reshape(shape)


def is_float(dtype: str) -> bool:
    """Whether a type's name is of floats, those of 16 bits that NumPy lacks among them."""
    return dtype.startswith(("float", "bfloat"))


def sent_bytes(dtype: str, shape: Sequence[int], *, wire: str) -> int | None:
    """What a float tensor weighs as it is sent; None for other types, which are sent as they are."""
    if not is_float(dtype):
        return None
    # 16-bit floats are not sent in more than their own bits.
    itemsize = min(WIRE_ITEMSIZE[wire], 2) if dtype == "float16" else WIRE_ITEMSIZE[wire]
    return prod(shape) * itemsize


def wire_dtype(dtype: str, wire: str) -> str:
    """In what type a tensor crosses: floats of more bits as the wire has them, everything else as it is."""
    if dtype not in ("float64", "float32", "float16") or np.dtype(dtype).itemsize <= WIRE_ITEMSIZE[wire]:
        return dtype
    return wire


def to_wire(tensor: NDArray[Any], *, name: str, wire: str) -> tuple[NDArray[Any], dict[str, float]]:
    """A tensor as it crosses, and the parameters that bring it back (`NAME.scale`, `NAME.zero_point`; int8 alone)."""
    dtype = wire_dtype(str(tensor.dtype), wire)
    if dtype == str(tensor.dtype):
        return tensor, {}
    if dtype != "int8":
        limit = np.finfo(dtype).max  # beyond it lies infinity
        return np.clip(tensor, -limit, limit).astype(dtype), {}
    exact = tensor.astype(np.float64)  # in 16 bits a difference of neighbours vanishes
    low, high = (float(exact.min()), float(exact.max())) if exact.size else (0.0, 0.0)
    if high > low:
        scale = (high - low) / 255
        zero_point = round(-128 - low / scale)
    else:  # one value everywhere
        scale, zero_point = abs(low) / 127 or 1.0, 0
    levels = np.clip(np.rint(exact / scale) + zero_point, -128, 127).astype(np.int8)
    return levels, {f"{name}.scale": scale, f"{name}.zero_point": zero_point}


def from_wire(tensor: NDArray[Any], *, name: str, dtype: str, parameters: Mapping[str, Any]) -> NDArray[Any]:
    """What `to_wire` was given, as far as the wire's bits tell. Raises PlanError for parameters that are none."""
    if str(tensor.dtype) == dtype:
        return tensor
    if tensor.dtype != np.int8:
        return tensor.astype(dtype)
    scale, zero_point = (_number(parameters, f"{name}.{part}") for part in ("scale", "zero_point"))
    with np.errstate(over="ignore"):
        return ((tensor.astype(np.float64) - zero_point) * scale).astype(dtype)


def _number(parameters: Mapping[str, Any], key: str) -> float:
    value = parameters.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
        raise PlanError(f"an int8 tensor needs a number {key} in the request's parameters, got {str(value)[:40]}")
    return float(value)
