"""Operator → FLOPs, 2 a multiply-add. Convolutions and products are counted, as fvcore does; the other kinds hold
no multiply-add worth the name and count 0; an operator that no table knows is None, never zero."""

from collections.abc import Sequence
from math import prod

from torch.utils.flop_counter import conv_flop_count

Shape = Sequence[int]

_WITHOUT_PRODUCTS = frozenset(
    {"input", "output", "activation", "normalisation", "pooling", "reshape", "join", "embedding"}
)
_ADDED_FIRST = frozenset({"addmm", "baddbmm"})  # (bias, a, b)


def flops_of(op: str, *, kind: str, inputs: Sequence[Shape], output: Shape) -> int | None:
    """FLOPs of one operator.

    inputs: shapes of all its tensor arguments in order, parameters among them. output: shape of what it puts out.
    """
    if kind == "convolution" and op != "convolution":
        transposed = "transpose" in op
        return int(conv_flop_count(list(inputs[0]), list(inputs[1]), list(output), transposed=transposed))
    if op == "linear":
        return 2 * prod(output) * inputs[1][-1]
    if op == "scaled_dot_product_attention":
        query, key, value = inputs[:3]
        return 2 * prod(query[:-1]) * key[-2] * (query[-1] + value[-1])
    if op in {"matmul", "mm", "bmm"} | _ADDED_FIRST:
        left = inputs[1] if op in _ADDED_FIRST else inputs[0]
        return 2 * prod(output) * left[-1]
    if kind in _WITHOUT_PRODUCTS or op in {"dropout", "native_dropout"}:
        return 0
    return None
