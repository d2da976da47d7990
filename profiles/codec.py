"""Tensor ↔ bytes, as the Open Inference Protocol's binary extension has them: little-endian, row-major.

Floats may cross in fewer bits: as float16, or as int8 with the tensor's scale and zero point, which travel beside it:
value = scale × (level − zero point). Both are fixed beforehand, never found from what is sent: a message's own range
would tell of its input, and a row would be sent otherwise alone than in a batch.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import isfinite, prod
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from profiles.artifact import Positive
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


@lru_cache(maxsize=64)
def _name(dtype: np.dtype[Any]) -> str:
    """Whatever the byte order. NumPy takes 8 µs to say it, as much as adding noise to a small tensor."""
    return str(dtype.name)


def datatype_of(dtype: str) -> str:
    return DATATYPES[dtype]


def datatype_in(tensor: NDArray[Any]) -> str:
    """The protocol's datatype of a tensor. Raises KeyError where it has none."""
    return _DATATYPE_OF.get(tensor.dtype) or DATATYPES[_name(tensor.dtype)]


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


#: The inverse of a smaller one is no finite number.
_SMALLEST_SCALE = 2.0**-1000


class Quantisation(msgspec.Struct, frozen=True):
    """The 256 levels of a tensor that crosses as int8: value = scale × (level − zero_point), level −128 … 127.

    The zero point is a level too, so that zero crosses exactly (Jacob et al., "Quantization and Training of Neural
    Networks for Efficient Integer-Arithmetic-Only Inference", 2018) and ONNX' DequantizeLinear can take both.
    """

    scale: Positive
    zero_point: Annotated[int, msgspec.Meta(ge=-128, le=127)]

    @classmethod
    def over(cls, low: float, high: float) -> "Quantisation":
        """Levels from low to high, the range widened to hold zero; half a level off at most in it, cut off beyond."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = (high / 255 - low / 255) or 1.0  # apart, as their difference may be no finite number
        scale = max(scale, _SMALLEST_SCALE)
        return cls(scale, min(127, max(-128, round(-128 - low / scale))))

    @property
    def reach(self) -> float:
        """The largest magnitude of a level."""
        return self.scale * max(127 - self.zero_point, 128 + self.zero_point)

    def levels(self, tensor: NDArray[Any]) -> NDArray[np.int8]:
        """Each element's nearest level; what lies beyond the range gets its end's.

        float32 will do where the tensor is no wider: within the range |x / scale| is at most 255, so that the
        quotient is off by 2^-15 of a level at most, and a copy in float64 would take six times as long on 12 MB.
        """
        work = np.float32 if tensor.dtype.itemsize <= 4 and _NARROW < self.scale < 1 / _NARROW else np.float64
        low, high = (self.scale * (end - self.zero_point) for end in (-128, 127))
        levels = np.clip(tensor, work(low), work(high))  # first: a quotient beyond the range may be no finite number
        np.multiply(levels, work(1 / self.scale), out=levels)
        np.add(levels, work(self.zero_point), out=levels)
        whole: NDArray[np.int8] = np.rint(levels, out=levels).astype(np.int8)
        return whole


#: Of each float type, its largest number.
_LARGEST = {dtype: float(np.finfo(dtype).max) for dtype in ("float16", "float32", "float64")}
#: Between this and its inverse a scale and its inverse are normal numbers of float32.
_NARROW = 2.0**-100


def to_wire(
    tensor: NDArray[Any], *, name: str, wire: str, quantisation: Quantisation | None = None
) -> tuple[NDArray[Any], dict[str, float]]:
    """A tensor as it crosses, and the parameters that bring it back (`NAME.scale`, `NAME.zero_point`; int8 alone).

    Raises PlanError where it is to cross as int8 and no levels are given.
    """
    own = _name(tensor.dtype)
    dtype = wire_dtype(own, wire)
    if dtype == own:
        return tensor, {}
    if dtype != "int8":
        limit = _LARGEST[dtype]  # beyond it lies infinity
        return np.clip(tensor, -limit, limit).astype(dtype), {}
    if quantisation is None:
        raise PlanError(f"{name} is to cross as int8 and has no scale; learn noise for this plan with `plan learn`")
    parameters = {f"{name}.scale": quantisation.scale, f"{name}.zero_point": quantisation.zero_point}
    return quantisation.levels(tensor), parameters


def from_wire(tensor: NDArray[Any], *, name: str, dtype: str, parameters: Mapping[str, Any]) -> NDArray[Any]:
    """What `to_wire` was given, as far as the wire's bits tell. Raises PlanError for parameters that are none.

    float32 will do for float32: level − zero point is a whole number, exact, and a product is off by 2^-23 of itself,
    where half a level is 2^-9 of the largest. A peer's own parameters may be any: wide ones are taken in float64.
    """
    if _name(tensor.dtype) == dtype:
        return tensor
    if tensor.dtype != np.int8:
        return tensor.astype(dtype)
    scale, zero_point = (_number(parameters, f"{name}.{part}") for part in ("scale", "zero_point"))
    plain = _NARROW < abs(scale) < 1 / _NARROW and abs(zero_point) < 1000
    work = np.float32 if plain and dtype != "float64" else np.float64
    if abs(scale) * (128 + abs(zero_point)) < _LARGEST[dtype]:
        return _of_levels(tensor.astype(work), work(scale), work(zero_point)).astype(dtype, copy=False)
    with np.errstate(over="ignore"):
        values = _of_levels(tensor.astype(work), work(scale), work(zero_point))
    np.clip(values, -_LARGEST[dtype], _LARGEST[dtype], out=values)
    return values.astype(dtype, copy=False)


def _of_levels(levels: NDArray[Any], scale: np.floating[Any], zero_point: np.floating[Any]) -> NDArray[Any]:
    """In place."""
    np.subtract(levels, zero_point, out=levels)
    np.multiply(levels, scale, out=levels)
    return levels


def _number(parameters: Mapping[str, Any], key: str) -> float:
    value = parameters.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
        raise PlanError(f"an int8 tensor needs a number {key} in the request's parameters, got {str(value)[:40]}")
    return float(value)
