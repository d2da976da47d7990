"""An operator of a traced network → a node of its graph: name, kind, shape, bytes, FLOPs."""

from typing import Any

import torch
from torch import fx
from torch.utils import _pytree as pytree

from profiles.dependence import parameters_of
from profiles.flops import flops_of
from profiles.graph import Node
from profiles.operators import kind_of


def is_tensor(node: fx.Node) -> bool:
    """Whether an operator puts out tensors (not a size, not a parameter)."""
    value = node.meta.get("val")
    if node.op not in ("placeholder", "call_function"):
        return False
    return isinstance(value, torch.Tensor) or (
        isinstance(value, tuple | list) and any(isinstance(item, torch.Tensor) for item in value)
    )


def is_end(name: str) -> bool:
    return name == "output" or (name.startswith("output_") and name.removeprefix("output_").isdigit())


def module_path(node: fx.Node) -> str:
    stack = node.meta.get("nn_module_stack")
    if node.op == "placeholder" or not stack:
        return ""
    path = str(next(reversed(stack.values()))[0]).partition("@")[0]
    return "" if path.startswith("_empty_nn_module_stack") else path


def settings_of(node: fx.Node) -> str:
    plain = fx.node.map_arg((node.args, dict(node.kwargs)), lambda _: None)
    return str(plain)


def op_name(node: fx.Node) -> str:
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        return str(target.overloadpacket.__name__)
    return str(getattr(target, "__name__", target))


def describe(name: str, node: fx.Node, names: dict[fx.Node, str], depends: set[fx.Node], batch: int) -> Node:
    """An operator as a node of the graph. names: of all operators that are nodes. depends: on the inputs."""
    value = node.meta["val"]
    is_output = is_end(name)
    shape, dtype = shape_of(value, batch), _dtype_of(value)
    size = _bytes_of(shape, dtype)
    if is_output:
        return Node(id=name, kind="output", inputs=(names[node],), shape=shape, dtype=dtype, bytes=size)
    if node.op == "placeholder":
        encoded = encoded_input_bytes(shape, dtype)
        return Node(id=name, kind="input", inputs=(), shape=shape, dtype=dtype, bytes=size, encoded_bytes=encoded)
    producers = _producers(node, names, depends)
    op = op_name(node)
    kind = kind_of(op, tensors=len(producers)) if op != "getitem" else "reshape"
    # Each argument as often as it is given: attention may take one tensor as query, key and value.
    arguments = [one for one in pytree.tree_leaves((node.args, dict(node.kwargs))) if isinstance(one, fx.Node)]
    shapes = [shape_of(item.meta["val"], batch) for item in arguments if "val" in item.meta]
    return Node(
        id=name,
        kind=kind,
        inputs=producers,
        shape=shape,
        dtype=dtype,
        bytes=size,
        op=op,
        module=module_path(node) or None,
        flops=flops_of(op, kind=kind, inputs=shapes, output=shape),
        parameter_bytes=sum(_tensor_bytes(item.meta["val"]) for item in parameters_of(node, depends)),
    )


def _producers(node: fx.Node, names: dict[fx.Node, str], depends: set[fx.Node]) -> tuple[str, ...]:
    """Tensors that a node needs, also those it needs by way of a number read from one (`.item()`)."""
    found: dict[str, None] = {}
    waiting = list(reversed(node.all_input_nodes))
    while waiting:
        one = waiting.pop()
        if one in names:
            found[names[one]] = None
        elif one in depends:
            waiting.extend(reversed(one.all_input_nodes))
    return tuple(found)


def shape_of(value: Any, batch: int) -> tuple[int, ...]:
    """A traced value's shape with the batch put in. Several tensors, or a number, have none."""
    if not isinstance(value, torch.Tensor):
        return ()
    return tuple(_number(size, batch) for size in value.shape)


def _number(size: int | torch.SymInt, batch: int) -> int:
    if isinstance(size, int):
        return size
    expression = size.node.expr
    return int(expression.subs(dict.fromkeys(expression.free_symbols, batch)))


def _dtype_of(value: Any) -> str:
    return str(value.dtype).removeprefix("torch.") if isinstance(value, torch.Tensor) else "tuple"


def _bytes_of(shape: tuple[int, ...], dtype: str) -> int:
    if dtype == "tuple":
        return 0
    kind: torch.dtype = getattr(torch, dtype)
    count = 1
    for size in shape:
        count *= size
    return count * (4 if kind.is_floating_point else kind.itemsize)


def _tensor_bytes(value: torch.Tensor) -> int:
    return int(value.numel() * value.element_size())


def encoded_input_bytes(shape: tuple[int, ...], dtype: str) -> int:
    """What a real client would send: 8-bit pixels for images ([n, 1 or 3, h, w] floats), else the tensor itself."""
    if dtype.startswith("float") and len(shape) == 4 and shape[1] in (1, 3):
        return _bytes_of(shape, "uint8")
    return _bytes_of(shape, dtype)
