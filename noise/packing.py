"""Orders of learned elements in as few bits as their indices need (Shredder, Table 3)."""

import numpy as np
from numpy.typing import NDArray

#: Indices packed at a time, a multiple of 8: the bits of all would take a byte each at once.
PACKED = 2**16


def index_bits(elements: int) -> int:
    """⌈log2 n⌉: bits an index takes."""
    return max(1, (elements - 1).bit_length())


def pack_order(order: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Indices [d, n] at ⌈log2 n⌉ bits each, most significant first: 20 of n = 120 take 2,100 bytes."""
    bits = index_bits(order.shape[1])
    shifts = np.arange(bits - 1, -1, -1)
    flat = order.reshape(-1, 1)
    parts = (flat[start : start + PACKED] >> shifts & 1 for start in range(0, len(flat), PACKED))
    return np.concatenate([np.packbits(part.astype(np.uint8).reshape(-1)) for part in parts])


def unpack_order(packed: NDArray[np.uint8], *, distributions: int, elements: int) -> NDArray[np.int64]:
    """The inverse of `pack_order`. Raises ValueError where the number of bytes is another."""
    bits = index_bits(elements)
    total = distributions * elements * bits
    if packed.dtype != np.uint8 or packed.ndim != 1 or len(packed) != -(-total // 8):
        raise ValueError("order")
    weights = 1 << np.arange(bits - 1, -1, -1, dtype=np.int64)
    order = np.empty(distributions * elements, dtype=np.int64)
    for start in range(0, len(order), PACKED):
        count = min(PACKED, len(order) - start)
        first = start * bits // 8
        part = np.unpackbits(packed[first : first + PACKED * bits // 8], count=count * bits)
        order[start : start + count] = part.reshape(-1, bits).astype(np.int64) @ weights
    return order.reshape(distributions, elements)
