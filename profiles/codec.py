"""Tensor ↔ bytes, as the Open Inference Protocol's binary extension has them: little-endian, row-major."""

from math import prod
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

#: Bytes an element of a float tensor takes on the wire.
WIRE_ITEMSIZE: dict[str, int] = {"float32": 4, "float16": 2, "int8": 1}


def datatype_of(dtype: str) -> str:
    return DATATYPES[dtype]


def dtype_of(datatype: str) -> str:
    """Raises PlanError for a datatype that is not carried here (BYTES, unsigned 16 bits, …)."""
    if datatype not in _DTYPES:
        raise PlanError(f"datatype {datatype} is not supported, expected one of {', '.join(_DTYPES)}")
    return _DTYPES[datatype]


def pack(tensor: NDArray[Any]) -> memoryview:
    """The tensor's bytes, without a copy where it lies as the wire wants it."""
    little = tensor.dtype.newbyteorder("<")
    # A view as bytes, because memoryview.cast refuses a tensor without elements.
    return np.ascontiguousarray(tensor, dtype=little).reshape(-1).view(np.uint8).data


def unpack(data: memoryview | bytes, *, datatype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Bytes → tensor, a view of them. Raises PlanError where their number is not that of the shape."""
    dtype = np.dtype(dtype_of(datatype)).newbyteorder("<")
    expected = prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise PlanError(f"{len(data)} bytes of {datatype} {list(shape)}, expected {expected}")
    return np.frombuffer(data, dtype=dtype).reshape(shape)
