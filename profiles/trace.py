"""Module → LayerGraph, by `torch.export`.

Traps this steps around (torch 2.13): an example of batch 1 fixes the batch at 1, so the export runs at batch 2 with
a dynamic batch and the shapes are fixed afterwards; in-place operators survive export and are made functional;
operators with several results never cross, their items do.
"""

import hashlib
import inspect
from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import fx
from torch.utils import _pytree as pytree

from profiles.dependence import depends_on_inputs, make_by_shape, parameters_of
from profiles.errors import TraceError
from profiles.flops import flops_of
from profiles.graph import LayerGraph, Node
from profiles.models import Model
from profiles.obstacles import explain, quiet
from profiles.operators import kind_of


@dataclass(frozen=True)
class TracedNetwork:
    """A network as operators.

    graph: for the planner, at `batch`; what depends on no input is no node of it.
    module: functional ATen operators, parameters as attributes.
    fx_nodes: node id → operator in `module` (an output's id → the operator whose tensor it returns).
    example: the inputs in the graph's order, at `batch`. dynamic_batch: whether other batch sizes run as well.
    """

    model: Model
    graph: LayerGraph
    module: fx.GraphModule
    fx_nodes: dict[str, fx.Node]
    example: tuple[torch.Tensor, ...]
    batch: int
    dynamic_batch: bool

    @property
    def architecture(self) -> str:
        """Digest of operators, their arguments and shapes; the weights' values are not in it."""
        facts = [
            (node.id, node.kind, node.op, node.inputs, node.shape[1:], node.dtype, self._settings(node.id))
            for node in self.graph.nodes
        ]
        named = set(self.fx_nodes.values())
        constants = [
            (_op_name(node), _settings_of(node))
            for node in self.module.graph.nodes
            if node.op == "call_function" and is_tensor(node) and node not in named
        ]
        return "sha256:" + hashlib.sha256(msgspec.json.encode(facts + constants)).hexdigest()

    def _settings(self, name: str) -> str:
        """An operator's arguments that are no tensors: strides, paddings, dimensions."""
        return "" if self.graph.by_id[name].kind in ("input", "output") else _settings_of(self.fx_nodes[name])


def trace(model: Model, *, batch: int = 1) -> TracedNetwork:
    """Export a model and describe it as a graph.

    Raises TraceError where torch.export cannot: the message names the place in the user's code.
    """
    flat, spec = pytree.tree_flatten((model.args, dict(model.kwargs)))
    program, dynamic = _export(model, flat, spec, batch)
    if any(_mutates(node) for node in program.graph.nodes):
        with quiet():
            program = program.run_decompositions({})
    module: fx.GraphModule = program.module(check_guards=False)
    _drop_checks(module)
    make_by_shape(module)
    depends = depends_on_inputs(module)
    fx_nodes = _identify(module, depends, model.source)
    nodes = [_describe(name, node, fx_nodes, depends, batch) for name, node in fx_nodes.items()]
    example = tuple(_at_batch(value, batch) for value in flat)
    return TracedNetwork(model, LayerGraph.of(nodes), module, fx_nodes, example, batch, dynamic)


def _export(
    model: Model, flat: list[torch.Tensor], spec: Any, batch: int
) -> tuple[torch.export.ExportedProgram, bool]:
    if not flat or any(value.ndim == 0 for value in flat):
        raise TraceError(f"{model.source}: every example input needs a batch dimension; give tensors [1, ...]")
    free = pytree.tree_unflatten([{0: torch.export.Dim.AUTO} for _ in flat], spec)
    positional, named = free
    if named:  # torch.export then wants every argument by name
        positional = dict(zip(inspect.signature(model.module.forward).parameters, positional, strict=False)) | named
    pair = [_at_batch(value, 2) for value in flat]
    attempt = _attempt(model, pair, spec, positional)
    if not isinstance(attempt, Exception) and _batch_is_free(attempt):
        return attempt, True
    if not isinstance(attempt, Exception) and len(flat) > 1:  # nothing in it says that the inputs share the batch
        shared = torch.export.Dim("batch")
        positional = pytree.tree_map_only(type(torch.export.Dim.AUTO), lambda _: shared, positional)
        attempt = _attempt(model, pair, spec, positional)
        if not isinstance(attempt, Exception) and _batch_is_free(attempt):
            return attempt, True
    fixed = _attempt(model, [_at_batch(value, batch) for value in flat], spec, None)
    if isinstance(fixed, Exception):
        raise TraceError(explain(model, fixed)) from fixed
    return fixed, False


def _attempt(
    model: Model, flat: list[torch.Tensor], spec: Any, shapes: Any
) -> torch.export.ExportedProgram | Exception:
    args, kwargs = pytree.tree_unflatten(flat, spec)
    try:
        with quiet(), torch.no_grad():
            return torch.export.export(model.module, args, kwargs, dynamic_shapes=shapes)
    except Exception as error:  # torch.export raises whatever the user's forward raises
        return error


def _at_batch(value: torch.Tensor, batch: int) -> torch.Tensor:
    """The first `batch` rows, repeated where there are fewer."""
    repeats = -(-batch // max(1, value.shape[0]))
    return value.repeat(repeats, *[1] * (value.ndim - 1))[:batch]


def _batch_is_free(program: torch.export.ExportedProgram) -> bool:
    """Whether one symbol for the batch went all the way from every input to every output."""
    users = {spec.arg.name for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"}
    ends = [node.meta["val"] for node in program.graph.find_nodes(op="placeholder") if node.name in users]
    ends += [node.meta["val"] for node in program.graph.output_node().args[0] if isinstance(node, fx.Node)]
    sizes = {str(value.shape[0]) for value in ends if isinstance(value, torch.Tensor) and value.ndim}
    return len(sizes) == 1 and not next(iter(sizes)).isdigit()


def _mutates(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _drop_checks(module: fx.GraphModule) -> None:
    """Assertions on shapes and types hold for the example; the halves check what a peer sends themselves."""
    for node in reversed(list(module.graph.nodes)):
        if node.op == "call_function" and "assert" in str(node.target) and not node.users:
            module.graph.erase_node(node)
    module.graph.eliminate_dead_code()


def is_tensor(node: fx.Node) -> bool:
    """Whether an operator puts out tensors (not a size, not a parameter)."""
    value = node.meta.get("val")
    if node.op not in ("placeholder", "call_function"):
        return False
    return isinstance(value, torch.Tensor) or (
        isinstance(value, tuple | list) and any(isinstance(item, torch.Tensor) for item in value)
    )


def _identify(module: fx.GraphModule, depends: set[fx.Node], source: str) -> dict[str, fx.Node]:
    """Readable, unique ids in graph order: the module's path where it is one operator, else path.operator."""
    found = [node for node in module.graph.nodes if is_tensor(node) and node in depends]
    ops_at: dict[str, set[str]] = {}
    for node in found:
        ops_at.setdefault(_module_path(node), set()).add(_op_name(node))
    ids: dict[str, fx.Node] = {}
    seen: Counter[str] = Counter()
    for node in found:
        path, op = _module_path(node), _op_name(node)
        wish = node.name if node.op == "placeholder" else path if path and len(ops_at[path]) == 1 else ""
        wish = (wish or (f"{path}.{op}" if path else op)).replace("+", "_")
        # `output`, `output_1`, … are the graph's own ends.
        wish = f"{wish}_" if wish.startswith("output") else wish
        name = wish
        while name in ids:
            seen[wish] += 1
            name = f"{wish}_{seen[wish]}"
        ids[name] = node
    returned = [node for node in pytree.tree_leaves(module.graph.output_node().args) if isinstance(node, fx.Node)]
    for index, node in enumerate(returned):
        if node not in found:
            raise TraceError(
                f"{source}: its result number {index + 1} is no tensor that depends on an input; return only such"
            )
        ids["output" if not index else f"output_{index}"] = node
    return ids


def _is_end(name: str) -> bool:
    return name == "output" or (name.startswith("output_") and name.removeprefix("output_").isdigit())


def _module_path(node: fx.Node) -> str:
    stack = node.meta.get("nn_module_stack")
    if node.op == "placeholder" or not stack:
        return ""
    path = str(next(reversed(stack.values()))[0]).partition("@")[0]
    return "" if path.startswith("_empty_nn_module_stack") else path


def _settings_of(node: fx.Node) -> str:
    plain = fx.node.map_arg((node.args, dict(node.kwargs)), lambda _: None)
    return str(plain)


def _op_name(node: fx.Node) -> str:
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        return str(target.overloadpacket.__name__)
    return str(getattr(target, "__name__", target))


def _describe(name: str, node: fx.Node, fx_nodes: dict[str, fx.Node], depends: set[fx.Node], batch: int) -> Node:
    names = {fx_node: known for known, fx_node in reversed(fx_nodes.items()) if not _is_end(known)}
    value = node.meta["val"]
    is_output = _is_end(name)
    shape, dtype = shape_of(value, batch), _dtype_of(value)
    size = _bytes_of(shape, dtype)
    if is_output:
        return Node(id=name, kind="output", inputs=(names[node],), shape=shape, dtype=dtype, bytes=size)
    if node.op == "placeholder":
        encoded = encoded_input_bytes(shape, dtype)
        return Node(id=name, kind="input", inputs=(), shape=shape, dtype=dtype, bytes=size, encoded_bytes=encoded)
    arguments = node.all_input_nodes
    producers = tuple(names[item] for item in arguments if item in names)
    op = _op_name(node)
    kind = kind_of(op, tensors=len(producers)) if op != "getitem" else "reshape"
    shapes = [shape_of(item.meta["val"], batch) for item in arguments if "val" in item.meta]
    return Node(
        id=name,
        kind=kind,
        inputs=producers,
        shape=shape,
        dtype=dtype,
        bytes=size,
        op=op,
        module=_module_path(node) or None,
        flops=flops_of(op, kind=kind, inputs=shapes, output=shape),
        parameter_bytes=sum(_tensor_bytes(item.meta["val"]) for item in parameters_of(node, depends)),
    )


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
