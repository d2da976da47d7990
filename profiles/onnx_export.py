"""A traced network or half → ONNX, of a form that old boards read: opset 15, IR version 8.

The exporter is `torch.onnx`'s by tracing (`dynamo=False`), the one that writes these versions. Traps stepped around
(torch 2.13): an ATen overload writes a size down as the number it was, so sizes are read by `Tensor.size` and what
takes one is called by its Python name, which keeps it open; batch normalisation made functional has no symbol.
What else goes wrong silently is found by running the file once, with other numbers and rows than it was traced with.
"""

import io
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from profiles.engine import OnnxEngine, TorchEngine
from profiles.errors import EqualityError, ModelError, ProfileError
from profiles.halves import CROSS_ENGINE_TOLERANCE, require_equal
from profiles.obstacles import quiet

#: What ONNX Runtime 1.10 reads, the last for Python 3.6.
OPSET, IR_VERSION = 15, 8
#: Protobuf's limit, less what a graph may take beside its weights.
MOST_WEIGHT_BYTES = 2**31 - 2**24
INSTEAD = "run it with --engine torch"

_aten = torch.ops.aten
#: What inference needs of batch normalisation, in the exporter's own words.
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
    beside the module, to `CROSS_ENGINE_TOLERANCE`.

    Raises ModelError where an operator has no form in opset 15, the file would pass protobuf's 2 GB, or it computes
    something else.
    """
    weights = sum(one.numel() * one.element_size() for one in module.state_dict().values())
    if weights > MOST_WEIGHT_BYTES:
        raise ModelError(f"weights of {weights / 1e9:.1f} GB do not fit an ONNX file of at most 2 GB; {INSTEAD}")
    given = [_rows(value, 2) for value in example] if any_rows else list(example)
    data = _export(module, given, any_rows=any_rows, inputs=inputs, outputs=outputs)
    _require_old(data)
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
                stream,
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
    if node.target is _aten.sym_size.int:
        return made.call_method("size", (copies[node.args[0]], node.args[1]))  # type: ignore[index]
    source = node.args[0] if node.args else None
    if isinstance(source, fx.Node) and source.target in _NORMS and "getitem" in str(node.target):
        return copies[source]  # type: ignore[no-any-return]
    if node.target in _NORMS:
        x, weight, bias, mean, variance, momentum, eps = fx.node.map_arg(node.args, copies.__getitem__)  # type: ignore[misc]
        arguments: Any = (x, mean, variance, weight, bias, False, momentum, eps)
        return made.call_function(torch.nn.functional.batch_norm, arguments)
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


def _require_old(data: bytes) -> None:
    import onnx

    header = onnx.load_model_from_string(data)
    newest = max((one.version for one in header.opset_import if one.domain in ("", "ai.onnx")), default=0)
    foreign = sorted(one.domain for one in header.opset_import if one.domain not in ("", "ai.onnx"))
    if foreign or newest > OPSET or header.ir_version > IR_VERSION:
        raise ModelError(
            f"the exporter wrote opset {newest}, IR {header.ir_version}{', domain ' + foreign[0] if foreign else ''}, "
            f"expected at most opset {OPSET} and IR {IR_VERSION}; {INSTEAD}"
        )


def _require_equal(data: bytes, module: fx.GraphModule, given: Sequence[torch.Tensor]) -> None:
    arrays = [value.numpy() for value in given]
    try:
        answers = OnnxEngine(data, threads=1).run(arrays)
    except ProfileError:
        raise
    except Exception as error:  # ONNX Runtime's own classes derive from Exception alone
        first = str(error).strip().splitlines()[0][:160]
        raise ModelError(f"ONNX Runtime does not run what was exported ({first}); {INSTEAD}") from error
    try:
        require_equal(TorchEngine(module).run(arrays), answers, tolerance=CROSS_ENGINE_TOLERANCE)
    except EqualityError as error:
        raise ModelError(
            f"as ONNX the network computes something else (beyond {CROSS_ENGINE_TOLERANCE:.0e} of its largest value): "
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
