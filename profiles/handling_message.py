"""Messages of a handling measurement, as the Open Inference Protocol has them: JSON header, then tensors' bytes."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from profiles import codec

HEADER_LENGTH = "Inference-Header-Content-Length"
Tensors = Mapping[str, NDArray[np.float32]]


class _Tensor(msgspec.Struct):
    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: dict[str, int]


class _Header(msgspec.Struct, omit_defaults=True):
    tensors: list[_Tensor] = msgspec.field(name="inputs")
    parameters: dict[str, Any] = {}
    id: str = ""
    model_name: str = ""


_write, _read = msgspec.json.Encoder(), msgspec.json.Decoder(_Header)


def encoded(tensors: Tensors, parameters: Mapping[str, Any], *, model: str = "") -> tuple[bytes, bytes]:
    """JSON header and bytes. model: a reply names it."""
    facts, parts = [], []
    for name, value in tensors.items():
        data = codec.pack(value)
        facts.append(_Tensor(name, value.shape, codec.datatype_of(str(value.dtype)), {"binary_data_size": len(data)}))
        parts.append(data)
    return _write.encode(_Header(facts, dict(parameters), "c0ffee-1", model)), b"".join(parts)


def decoded(body: bytes, header_length: int) -> Tensors:
    view, at = memoryview(body), header_length
    made = {}
    for one in _read.decode(view[:header_length]).tensors:
        size = one.parameters["binary_data_size"]
        made[one.name] = codec.unpack(view[at : at + size], datatype=one.datatype, shape=one.shape)
        at += size
    return made


def parameters_of(body: bytes, header_length: int) -> dict[str, Any]:
    """The parameters in a message's header."""
    return _read.decode(memoryview(body)[:header_length]).parameters
