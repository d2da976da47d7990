"""Module → LayerGraph, by `torch.export`.

Traps this steps around (torch 2.13): an example of batch 1 fixes the batch at 1, so the export runs at batch 2 with
a dynamic batch and the shapes are fixed afterwards; in-place operators survive export and are made functional;
operators with several results never cross, their items do.
"""

import hashlib
import inspect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import fx
from torch.utils import _pytree as pytree

from profiles.dependence import depends_on_inputs, make_by_shape
from profiles.describe import describe, is_end, is_tensor, module_path, op_name, settings_of
from profiles.errors import TraceError
from profiles.graph import LayerGraph
from profiles.models import Model
from profiles.obstacles import explain, quiet


@dataclass(frozen=True)
class TracedNetwork:
    """A network as operators.

    graph: for the planner, at `batch`; what depends on no input is no node of it.
    module: functional ATen operators, parameters as attributes.
    fx_nodes: node id → operator in `module` (an output's id → the operator whose tensor it returns).
    example: the inputs in the graph's order, at `batch`. batch_symbol: what stands for the batch in the traced
    shapes, None where the export fixed it and no other batch runs.
    """

    model: Model
    graph: LayerGraph
    module: fx.GraphModule
    fx_nodes: dict[str, fx.Node]
    example: tuple[torch.Tensor, ...]
    batch: int
    batch_symbol: Any

    @property
    def dynamic_batch(self) -> bool:
        """Whether other batch sizes than `batch` run as well."""
        return self.batch_symbol is not None

    def rowwise(self, name: str) -> bool:
        """Whether a tensor's first dimension is the batch itself: not time, not a batch folded with something."""
        value = self.fx_nodes[name].meta["val"]
        if not isinstance(value, torch.Tensor) or not value.ndim:
            return False
        return self.is_batch(value.shape[0]) if self.dynamic_batch else value.shape[0] == self.batch

    def is_batch(self, size: Any) -> bool:
        """Whether a traced size is the batch's own symbol."""
        return isinstance(size, torch.SymInt) and bool(size.node.expr == self.batch_symbol)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The inputs in the graph's order by the names their owner knows: of forward's parameters. A graph's own ids
        differ where a name was taken (`input` is `input_1` there)."""
        parameters = inspect.signature(self.model.module.forward).parameters
        names = (*list(parameters)[: len(self.model.args)], *self.model.kwargs)
        ids = tuple(node.id for node in self.graph.inputs)
        plain = len(names) == len(ids) and all(isinstance(one, torch.Tensor) for one in self.model.args)
        return names if plain else ids

    def eager(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """What the user's own module answers to inputs in the graph's order, each tensor of it: the witness against
        which halves are held."""
        _, spec = pytree.tree_flatten((self.model.args, dict(self.model.kwargs)))
        args, kwargs = pytree.tree_unflatten(list(inputs), spec)
        with torch.inference_mode():
            answer = self.model.module(*args, **kwargs)
        return [one for one in pytree.tree_leaves(answer) if isinstance(one, torch.Tensor)]

    @property
    def architecture(self) -> str:
        """Digest of operators, their arguments and shapes; the weights' values are not in it."""
        facts = [
            (node.id, node.kind, node.op, node.inputs, node.shape[1:], node.dtype, self._settings(node.id))
            for node in self.graph.nodes
        ]
        named = set(self.fx_nodes.values())
        constants = [
            (op_name(node), settings_of(node))
            for node in self.module.graph.nodes
            if node.op == "call_function" and is_tensor(node) and node not in named
        ]
        return "sha256:" + hashlib.sha256(msgspec.json.encode(facts + constants)).hexdigest()

    def _settings(self, name: str) -> str:
        """An operator's arguments that are no tensors: strides, paddings, dimensions."""
        return "" if self.graph.by_id[name].kind in ("input", "output") else settings_of(self.fx_nodes[name])


def trace(model: Model, *, batch: int = 1) -> TracedNetwork:
    """Export a model and describe it as a graph.

    Raises TraceError where torch.export cannot: the message names the place in the user's code.
    """
    flat, spec = pytree.tree_flatten((model.args, dict(model.kwargs)))
    program, symbol = _export(model, flat, spec, batch)
    if any(_mutates(node) for node in program.graph.nodes):
        with quiet():
            program = program.run_decompositions({})
    module: fx.GraphModule = program.module(check_guards=False)
    _drop_checks(module)
    _require_plain(module, model.source)
    make_by_shape(module)
    depends = depends_on_inputs(module)
    fx_nodes = _identify(module, depends, model.source)
    if not any(map(is_end, fx_nodes)):
        raise TraceError(f"{model.source} returns no tensor that depends on its input; return its result")
    names = {node: name for name, node in reversed(fx_nodes.items()) if not is_end(name)}
    nodes = [describe(name, node, names, depends, batch) for name, node in fx_nodes.items()]
    example = tuple(_at_batch(value, batch) for value in flat)
    return TracedNetwork(model, LayerGraph.of(nodes), module, fx_nodes, example, batch, symbol)


def export(model: Model) -> torch.export.ExportedProgram:
    """A model as a program of its own, with a dynamic batch where it has one. Raises TraceError as `trace`."""
    flat, spec = pytree.tree_flatten((model.args, dict(model.kwargs)))
    return _export(model, flat, spec, batch=1)[0]


def _export(
    model: Model, flat: list[torch.Tensor], spec: Any, batch: int
) -> tuple[torch.export.ExportedProgram, Any]:
    """The exported program, and the symbol of its batch (None: fixed)."""
    if not flat or any(value.ndim == 0 for value in flat):
        raise TraceError(f"{model.source}: every example input needs a batch dimension; give tensors [1, ...]")
    free = pytree.tree_unflatten([{0: torch.export.Dim.AUTO} for _ in flat], spec)
    positional, named = free
    if named:  # torch.export then wants every argument by name
        positional = dict(zip(inspect.signature(model.module.forward).parameters, positional, strict=False)) | named
    pair = [_at_batch(value, 2) for value in flat]
    attempt = _attempt(model, pair, spec, positional)
    if not isinstance(attempt, Exception) and (symbol := _batch_symbol(attempt)) is not None:
        return attempt, symbol
    if not isinstance(attempt, Exception) and len(flat) > 1:  # nothing in it says that the inputs share the batch
        shared = torch.export.Dim("batch")
        positional = pytree.tree_map_only(type(torch.export.Dim.AUTO), lambda _: shared, positional)
        attempt = _attempt(model, pair, spec, positional)
        if not isinstance(attempt, Exception) and (symbol := _batch_symbol(attempt)) is not None:
            return attempt, symbol
    fixed = _attempt(model, [_at_batch(value, batch) for value in flat], spec, None)
    if isinstance(fixed, Exception):
        raise TraceError(explain(model, fixed)) from fixed
    return fixed, None


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


def _batch_symbol(program: torch.export.ExportedProgram) -> Any:
    """The symbol of the batch where one went all the way from every input to every output, else None."""
    users = {spec.arg.name for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"}
    ends = [node.meta["val"] for node in program.graph.find_nodes(op="placeholder") if node.name in users]
    ends += [node.meta["val"] for node in program.graph.output_node().args[0] if isinstance(node, fx.Node)]
    sizes = [value.shape[0] for value in ends if isinstance(value, torch.Tensor) and value.ndim]
    symbols = {size.node.expr if isinstance(size, torch.SymInt) else size for size in sizes}
    (symbol, *others) = symbols
    return symbol if not others and getattr(symbol, "is_Symbol", False) else None


def _mutates(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _require_plain(module: fx.GraphModule, source: str) -> None:
    """Raises TraceError for operators that hold networks of their own."""
    for node in module.graph.nodes:
        if isinstance(node.target, torch._ops.HigherOrderOperator):
            raise TraceError(
                f"{source} cannot be cut: its forward holds {node.target.__name__}, a network within the network; "
                "take torch.autocast, torch.cond and the like out of it"
            )


def _drop_checks(module: fx.GraphModule) -> None:
    """Assertions on shapes and types hold for the example; the halves check what a peer sends themselves."""
    for node in reversed(list(module.graph.nodes)):
        if node.op == "call_function" and "assert" in str(node.target) and not node.users:
            module.graph.erase_node(node)
    module.graph.eliminate_dead_code()


def _identify(module: fx.GraphModule, depends: set[fx.Node], source: str) -> dict[str, fx.Node]:
    """Readable, unique ids in graph order: the module's path where it is one operator, else path.operator."""
    found = [node for node in module.graph.nodes if is_tensor(node) and node in depends]
    ops_at: dict[str, set[str]] = {}
    for node in found:
        ops_at.setdefault(module_path(node), set()).add(op_name(node))
    ids: dict[str, fx.Node] = {}
    seen: Counter[str] = Counter()
    for node in found:
        path, op = module_path(node), op_name(node)
        wish = node.name if node.op == "placeholder" else path if path and len(ops_at[path]) == 1 else ""
        wish = (wish or (f"{path}.{op}" if path else op)).replace("+", "_")
        # `output`, `output_1`, … are the graph's own ends.
        wish = f"{wish}_" if wish.startswith("output") else wish
        name = wish
        while name in ids:
            seen[wish] += 1
            name = f"{wish}_{seen[wish]}"
        ids[name] = node
    leaves = pytree.tree_leaves(module.graph.output_node().args)
    returned = [node for node in leaves if isinstance(node, fx.Node) and is_tensor(node)]
    for index, node in enumerate(returned):
        if node not in found:
            raise TraceError(
                f"{source}: its result number {index + 1} is no tensor that depends on an input; return only such"
            )
        ids["output" if not index else f"output_{index}"] = node
    return ids
