"""Messages of a handling measurement, as the Open Inference Protocol has them: JSON header, then tensors' bytes."""

from collections.abc import Mapping
from math import prod
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

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
    facts = [
        _Tensor(name, value.shape, "FP32", {"binary_data_size": value.nbytes}) for name, value in tensors.items()
    ]
    return _write.encode(_Header(facts, dict(parameters), "c0ffee-1", model)), b"".join(
        value.data for value in tensors.values()
    )


def decoded(body: bytes, header_length: int) -> Tensors:
    view, at = memoryview(body), header_length
    made = {}
    for one in _read.decode(view[:header_length]).tensors:
        size = one.parameters["binary_data_size"]
        made[one.name] = np.frombuffer(view[at : at + size], dtype=np.float32).reshape(one.shape)
        assert made[one.name].size == prod(one.shape)
        at += size
    return made


def parameters_of(body: bytes, header_length: int) -> dict[str, Any]:
    """The parameters in a message's header."""
    return _read.decode(memoryview(body)[:header_length]).parameters
