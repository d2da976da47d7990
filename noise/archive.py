"""Safetensors as our files hold them: arrays with facts in the metadata, the same content always the same bytes."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save


def packed(arrays: Mapping[str, NDArray[Any]], fields: Mapping[str, Any]) -> bytes:
    """A safetensors file; fields that are no strings stand in its metadata as JSON."""
    metadata = {key: value if isinstance(value, str) else json.dumps(value) for key, value in fields.items()}
    return _in_order(save({name: np.ascontiguousarray(one) for name, one in arrays.items()}, metadata=metadata))


def _in_order(data: bytes) -> bytes:
    """The same file with its header's keys sorted: the library orders the metadata at random."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)  # tensors begin at a multiple of eight
    return len(header).to_bytes(8, "little") + header + data[end:]
