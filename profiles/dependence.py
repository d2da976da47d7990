"""What of a traced network depends on its inputs.

Positions, causal masks and tables sliced for them depend on no input. They are no nodes of the graph, as parameters
are none: either half computes them itself, they never cross, and adding one of them is no join.

Tensors made in the likeness of another (`zeros_like(x)`) take its shape alone, yet would tie it to their consumers:
a mask built from one would carry the input. They are replaced by tensors made from the shape.
"""

import torch
from torch import fx
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols

aten = torch.ops.aten

_FILLS = {
    "new_zeros": 0.0,
    "zeros_like": 0.0,
    "new_ones": 1.0,
    "new_empty": 0.0,
    "empty_like": 0.0,
    "ones_like": 1.0,
}
_GIVEN_FILLS = frozenset({"new_full", "full_like"})


def depends_on_inputs(module: fx.GraphModule) -> set[fx.Node]:
    """The nodes whose values change with the network's inputs; a size is not a value."""
    depends: set[fx.Node] = set()
    for node in module.graph.nodes:
        if node.op == "placeholder" or (not _is_size(node) and not depends.isdisjoint(node.all_input_nodes)):
            depends.add(node)
    return depends


def parameters_of(node: fx.Node, depends: set[fx.Node]) -> list[fx.Node]:
    """The parameters and buffers that a node takes, directly or through what depends on no input; each once."""
    found: dict[fx.Node, None] = {}
    waiting = [one for one in node.all_input_nodes if one not in depends]
    while waiting:
        one = waiting.pop()
        if one.op == "get_attr":
            found[one] = None
        else:
            waiting.extend(item for item in one.all_input_nodes if item not in depends)
    return list(found)


def make_by_shape(module: fx.GraphModule) -> None:
    """Replace `new_*` and `*_like`, which take another tensor's shape, by `full` of that shape; in place."""
    for node in list(module.graph.nodes):
        fill = _fill_of(node)
        if fill is None:
            continue
        value = node.meta["val"]
        with module.graph.inserting_before(node):
            given = _given_shape(node)
            shape = given or [_size(module.graph, node, dim, size) for dim, size in enumerate(value.shape)]
            made = module.graph.call_function(
                aten.full.default, (shape, fill), {"dtype": value.dtype, "device": value.device}
            )
        made.meta = dict(node.meta)
        node.replace_all_uses_with(made)
        module.graph.erase_node(node)
    module.graph.eliminate_dead_code()
    module.recompile()


def _is_size(node: fx.Node) -> bool:
    """Whether a node reads a size that follows from the inputs' shapes; one that follows from values is a value."""
    name = getattr(getattr(node.target, "overloadpacket", None), "__name__", "")
    if name not in ("sym_size", "sym_numel", "sym_stride"):
        return False
    value = node.meta.get("val")
    return not isinstance(value, torch.SymInt) or not free_unbacked_symbols(value)


def _fill_of(node: fx.Node) -> float | None:
    """What a tensor made in another's likeness is filled with; None for other nodes."""
    if not isinstance(node.target, torch._ops.OpOverload) or not isinstance(node.meta.get("val"), torch.Tensor):
        return None
    name = node.target.overloadpacket.__name__
    if name in _GIVEN_FILLS:
        given = node.args[-1] if len(node.args) > 1 else node.kwargs.get("fill_value")
        return given if isinstance(given, int | float) else None
    return _FILLS.get(name)


def _given_shape(node: fx.Node) -> list[int | fx.Node] | None:
    """The shape that `new_*` were given; None where a tensor's own is taken."""
    if isinstance(node.target, torch._ops.OpOverload) and node.target.overloadpacket.__name__.startswith("new_"):
        return list(node.args[1] if len(node.args) > 1 else node.kwargs["size"])  # type: ignore[arg-type]
    return None


def _size(graph: fx.Graph, node: fx.Node, dim: int, size: int | torch.SymInt) -> int | fx.Node:
    """A number, or an operator that reads the batch off a tensor of the same batch."""
    if isinstance(size, int):
        return size
    for given in graph.find_nodes(op="placeholder"):
        value = given.meta.get("val")
        if isinstance(value, torch.Tensor) and value.ndim and str(value.shape[0]) == str(size):
            read = graph.call_function(aten.sym_size.int, (given, 0))
            break
    else:  # a multiple of the batch: read off the tensor whose likeness it was
        read = graph.call_function(aten.sym_size.int, (node.all_input_nodes[0], dim))
    read.meta = {"val": size}
    return read
