"""Orders of learned elements in as few bits as their indices need (Shredder, Table 3)."""

import numpy as np
from numpy.typing import NDArray


def index_bits(elements: int) -> int:
    """⌈log2 n⌉: bits an index takes."""
    return max(1, (elements - 1).bit_length())


def pack_order(order: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Indices [d, n] at ⌈log2 n⌉ bits each, most significant first: 20 of n = 120 take 2,100 bytes."""
    bits = index_bits(order.shape[1])
    shifts = np.arange(bits - 1, -1, -1)
    # A distribution at a time: the bits of all would take a byte each at once.
    rows = [((one[:, None] >> shifts) & 1).astype(np.uint8).reshape(-1) for one in order]
    if len(rows[0]) % 8 == 0:
        return np.concatenate([np.packbits(one) for one in rows])
    return np.packbits(np.concatenate(rows))


def unpack_order(packed: NDArray[np.uint8], *, distributions: int, elements: int) -> NDArray[np.int64]:
    """The inverse of `pack_order`. Raises ValueError where the number of bytes is another."""
    bits = index_bits(elements)
    total = distributions * elements * bits
    if packed.dtype != np.uint8 or packed.ndim != 1 or len(packed) != -(-total // 8):
        raise ValueError("order")
    weights = 1 << np.arange(bits - 1, -1, -1, dtype=np.int64)
    flat = np.unpackbits(packed, count=total).reshape(distributions, elements, bits)
    return np.stack([one @ weights for one in flat])
