"""A traced network or half → ONNX, of a form that old boards read: opset 15, IR version 8.

The exporter is `torch.onnx`'s by tracing (`dynamo=False`), the one that writes these versions. Traps stepped around
(torch 2.13): an ATen overload writes a size down as the number it was, so sizes are read by `Tensor.size` and what
takes one is called by its Python name, which keeps it open; batch normalisation made functional has no symbol; a
name that is a number (a layer of `Sequential`) is refused, so that names are given when all is written.
What else goes wrong silently is found by running the file once, with other numbers and rows than it was traced with.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import fx

from profiles.engine import OnnxEngine, TorchEngine
from profiles.errors import EqualityError, ModelError, PlanError
from profiles.halves import require_equal, tolerance_across_engines
from profiles.obstacles import quiet

#: What ONNX Runtime 1.10 reads, the last for Python 3.6.
OPSET, IR_VERSION = 15, 8
#: Protobuf's limit, less what a graph may take beside its weights.
MOST_WEIGHT_BYTES = 2**31 - 2**24
INSTEAD = "run it with --engine torch"

#: Stands before a tensor's name while the exporter writes it, and keeps it apart from the exporter's own.
SPELT = "plan:"

_aten = torch.ops.aten
#: Batch normalisation made functional: the exporter knows it by its Python name alone.
_NORMS = (_aten._native_batch_norm_legit_no_training.default,)


def to_onnx(
    module: fx.GraphModule,
    example: Sequence[torch.Tensor],
    *,
    any_rows: bool,
    inputs: Sequence[str],
    outputs: Sequence[str],
    check: bool = True,
) -> bytes:
    """The bytes of an ONNX file that computes what `module`, on the CPU, does.

    example: its inputs. any_rows: the first dimension of every tensor is the batch and left open; else the example's
    shapes are the only ones. inputs, outputs: the tensors' names in the file, in order. check: run the file once
    beside the module, to `tolerance_across_engines`.

    Raises ModelError where an operator has no form in opset 15, the file would pass protobuf's 2 GB, or it computes
    something else.
    """
    weights = sum(one.numel() * one.element_size() for one in module.state_dict().values())
    if weights > MOST_WEIGHT_BYTES:
        raise ModelError(f"weights of {weights / 1e9:.1f} GB do not fit an ONNX file of at most 2 GB; {INSTEAD}")
    given = [_rows(value, 2) for value in example] if any_rows else list(example)
    spelt = {name: f"{SPELT}{name}" for name in (*inputs, *outputs)}
    data = _export(
        module,
        given,
        any_rows=any_rows,
        inputs=[spelt[name] for name in inputs],
        outputs=[spelt[name] for name in outputs],
    )
    data = _named(data, spelt=spelt, inputs=inputs, outputs=outputs)
    if check:
        _require_equal(data, module, [_other(value, any_rows=any_rows) for value in given])
    return data


def _export(
    module: fx.GraphModule,
    given: Sequence[torch.Tensor],
    *,
    any_rows: bool,
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> bytes:
    stream = io.BytesIO()
    try:
        with quiet(), torch.no_grad():
            torch.onnx.export(
                _exportable(module),
                tuple(given),
                stream,  # type: ignore[arg-type]
                dynamo=False,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes={name: {0: "batch"} for name in (*inputs, *outputs)} if any_rows else None,
            )
    except Exception as error:  # the exporter raises whatever its symbols raise
        raise ModelError(f"cannot be written as ONNX: {_reason(error)}; {INSTEAD}") from error
    return stream.getvalue()


def _reason(error: Exception) -> str:
    message = str(error).strip()
    if found := re.search(r"operator '?([\w:.]+)'?", message):
        return f"operator {found[1]} has no form in opset {OPSET}"
    first = message.splitlines()[0] if message else type(error).__name__
    return first.rstrip(".")[:200]


def _exportable(module: fx.GraphModule) -> fx.GraphModule:
    """The same module with sizes that stay open and operators that the exporter knows; weights are shared."""
    made = fx.Graph()
    copies: dict[fx.Node, Any] = {}
    open_sizes: set[fx.Node] = set()
    for node in module.graph.nodes:
        copied = _rewritten(made, node, copies)
        if copied is None:
            copied = made.node_copy(node, copies.__getitem__)
            if node.op == "call_function" and not open_sizes.isdisjoint(node.all_input_nodes):
                _call_by_name(copied)
        copies[node] = copied
        if _is_size(node) and (node.target is _aten.sym_size.int or not open_sizes.isdisjoint(node.all_input_nodes)):
            open_sizes.add(node)
    made.lint()
    return fx.GraphModule(module, made)


def _rewritten(made: fx.Graph, node: fx.Node, copies: dict[fx.Node, Any]) -> fx.Node | None:
    """What stands for an operator that the exporter gets wrong or does not know; None for all others."""
    arguments: Any = fx.node.map_arg(node.args, copies.__getitem__)
    if node.target is _aten.sym_size.int:
        return made.call_method("size", arguments)
    source = node.args[0] if node.args else None
    if isinstance(source, fx.Node) and source.target in _NORMS:  # the first of its results is all that is used
        normalised: fx.Node = copies[source]
        return normalised
    if node.target in _NORMS:
        x, weight, bias, mean, variance, momentum, eps = arguments
        made_of = (x, mean, variance, weight, bias, False, momentum, eps)
        return made.call_function(torch.nn.functional.batch_norm, made_of)
    return None


def _is_size(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), torch.SymInt) or node.target is _aten.sym_size.int


def _call_by_name(node: fx.Node) -> None:
    """`aten.view.default(x, [size, -1])` → `x.view([size, -1])`: the Python binding keeps a traced size open."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return
    name = node.target._schema.name.partition("::")[2]
    if node.args and isinstance(node.args[0], fx.Node) and hasattr(torch.Tensor, name):
        node.op, node.target = "call_method", name
    elif name == "slice":
        node.target = _slice
    elif hasattr(torch, name):
        node.target = getattr(torch, name)


def _slice(x: torch.Tensor, dim: int = 0, start: Any = None, end: Any = None, step: Any = 1) -> torch.Tensor:
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)]


def _named(data: bytes, *, spelt: Mapping[str, str], inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """The file, held to its versions, its tensors by their names. spelt: how the exporter was told each.

    An input that is a result under its own name (a public input that crosses) is given out as it is: the exporter
    renames the input and copies it.
    """
    import onnx

    made = onnx.load_model_from_string(data)
    _require_old(made)
    graph = made.graph
    both = {spelt[name] for name in set(inputs).intersection(outputs)}
    for node in [node for node in graph.node if node.op_type == "Identity" and node.output[0] in both]:
        graph.node.remove(node)
    names = {written: name for name, written in spelt.items()}
    names |= {value.name: name for value, name in zip(graph.input, inputs, strict=True)}
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    return bytes(made.SerializeToString())


def _require_old(model: Any) -> None:
    versions = {one.domain or "ai.onnx": one.version for one in model.opset_import}
    if versions.keys() != {"ai.onnx"} or versions["ai.onnx"] > OPSET or model.ir_version > IR_VERSION:
        raise ModelError(
            f"the exporter wrote IR {model.ir_version} with opsets {versions}, expected at most IR {IR_VERSION} and "
            f"ai.onnx {OPSET} alone; {INSTEAD}"
        )


def _require_equal(data: bytes, module: fx.GraphModule, given: Sequence[torch.Tensor]) -> None:
    try:
        arrays = [value.numpy() for value in given]
        expected = TorchEngine(module).run(arrays)
    except TypeError as error:
        raise ModelError(
            f"takes or gives tensors that NumPy has no type for ({_reason(error)}); {INSTEAD}"
        ) from error
    try:
        answers = OnnxEngine(data, threads=1).run(arrays)
    except PlanError:
        raise
    except Exception as error:  # ONNX Runtime's own classes derive from Exception alone
        first = str(error).strip().splitlines()[0][:160]
        raise ModelError(f"ONNX Runtime does not run what was exported ({first}); {INSTEAD}") from error
    tolerance = tolerance_across_engines(expected)
    try:
        require_equal(expected, answers, tolerance=tolerance)
    except EqualityError as error:
        raise ModelError(
            f"as ONNX it computes something else (beyond {tolerance:.0e} of the largest value): "
            f"a number read from a tensor, or an operator whose ONNX form differs; {INSTEAD}"
        ) from error


def _rows(value: torch.Tensor, rows: int) -> torch.Tensor:
    """As many rows, repeated where there are fewer. One row would be taken for a dimension that is 1."""
    repeats = -(-rows // max(1, len(value)))
    return value.repeat(repeats, *[1] * (value.ndim - 1))[: max(rows, len(value))] if repeats > 1 else value


def _other(value: torch.Tensor, *, any_rows: bool) -> torch.Tensor:
    """The example with other numbers, and with one row more where the batch is open."""
    rows = _rows(value, len(value) + 1) if any_rows else value
    return rows * 0.75 if rows.is_floating_point() else rows
