"""The cloud half, opened behind its first operators, where these are linear.

A cloud half begins with a convolution or a linear layer W, and W(a + n) + c = (W a + c) + W n. So under k noise
tensors and a batch of b inputs these operators run on b + k tensors, not on b · k; and on a, which no learning
changes, once for all training data, where what they make of it is small enough to be kept.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import fx

from noise.activations import Activations
from noise.cut_network import CutNetwork

Array = NDArray[Any]
aten = torch.ops.aten
#: Operators (input, weight, bias, …) that are linear but for their bias.
LINEAR = (aten.linear.default, aten.conv1d.default, aten.conv2d.default, aten.conv3d.default)
#: Outputs of the first operators over all training data are kept up to this.
KEPT_BYTES = 2**28


@dataclass(frozen=True)
class _Operator:
    """One of the first operators, and which of the crossing tensors that take noise it reads, of which shape."""

    tensor: int
    shape: tuple[int, ...]
    call: Callable[..., torch.Tensor]
    weight: torch.Tensor
    bias: torch.Tensor | None
    rest: tuple[Any, ...]

    def __call__(self, flat: Sequence[torch.Tensor], *, bias: bool) -> torch.Tensor:
        given = flat[self.tensor].reshape(-1, *self.shape)
        return self.call(given, self.weight, self.bias if bias else None, *self.rest)


@dataclass(frozen=True)
class LinearHead:
    """operators: those that read what takes noise. rest: from their outputs and the tensors beside to the logits."""

    operators: tuple[_Operator, ...]
    rest: fx.GraphModule

    @classmethod
    def of(cls, cut: CutNetwork) -> "LinearHead | None":
        """None where something else than a linear operator reads a noisy tensor, or rows are not free."""
        if cut.rows is not None:
            return None
        placeholders = dict(zip(cut.halves.crossing, cut.cloud.graph.find_nodes(op="placeholder"), strict=False))
        first: list[tuple[int, fx.Node]] = []
        for index, name in enumerate(cut.shapes):
            users = [user for user in placeholders[name].users if not _is_batch_size(user)]
            if not all(_is_linear(user, placeholders[name]) for user in users):
                return None
            if cut.network.fx_nodes[name].meta["val"].dtype != torch.float32:
                return None
            first += [(index, user) for user in users]
        shapes = list(cut.shapes.values())
        operators = tuple(_operator(cut.cloud, node, index, shapes[index]) for index, node in first)
        beside = [placeholders[name] for name in cut.beside]
        noisy = [placeholders[name] for name in cut.shapes]
        return cls(operators, _opened(cut.cloud, [node for _, node in first], beside, noisy))

    def kept(self, activations: Activations) -> list[torch.Tensor] | None:
        """W a + c of all rows, for each operator [rows, ...]; None where that is too large."""
        with torch.inference_mode():
            one = [torch.from_numpy(tensor[:1]) for tensor in activations.tensors]
            row_bytes = 4 * sum(made(one, bias=True).numel() for made in self.operators)
            if row_bytes * len(activations) > KEPT_BYTES:
                return None
            parts = [self.clean(part.tensors) for part in activations]
        # Clones, for tensors of inference mode take no part in learning.
        return [torch.cat(column).clone() for column in zip(*parts, strict=True)]

    def clean(self, tensors: Sequence[Array]) -> list[torch.Tensor]:
        """W a + c of some rows."""
        flat = [torch.from_numpy(one) for one in tensors]
        return [one(flat, bias=True) for one in self.operators]

    def logits(
        self, clean: Sequence[torch.Tensor], noise: Sequence[torch.Tensor], beside: Sequence[Array] = ()
    ) -> torch.Tensor:
        """Clean outputs [b, ...] of the operators under each of k noise tensors [k, n] → logits [k · b, classes].

        beside: k times over, [k · b, ...].
        """
        noisy = [one(noise, bias=False) for one in self.operators]
        joined = [(own[None] + more[:, None]).flatten(0, 1) for own, more in zip(clean, noisy, strict=True)]
        result: torch.Tensor = self.rest(*joined, *(torch.from_numpy(one) for one in beside))[0]
        return result.float()


def _is_batch_size(node: fx.Node) -> bool:
    return bool(node.target == aten.sym_size.int and node.args[1] == 0)


def _is_linear(node: fx.Node, read: fx.Node) -> bool:
    return (
        node.target in LINEAR
        and not node.kwargs
        and node.args[0] is read
        and all(not isinstance(one, fx.Node) or one.op == "get_attr" for one in node.args[1:])
    )


def _operator(cloud: fx.GraphModule, node: fx.Node, tensor: int, shape: tuple[int, ...]) -> _Operator:
    _, weight, bias, *rest = (*node.args, None) if len(node.args) == 2 else node.args
    assert callable(node.target)
    return _Operator(tensor, shape, node.target, _parameter(cloud, weight), _parameter(cloud, bias), tuple(rest))


def _parameter(cloud: fx.GraphModule, node: Any) -> Any:
    """What a node of the graph gets; None where there is none."""
    return operator.attrgetter(str(node.target))(cloud) if isinstance(node, fx.Node) else None


def _opened(
    cloud: fx.GraphModule, first: Sequence[fx.Node], beside: Sequence[fx.Node], noisy: Sequence[fx.Node]
) -> fx.GraphModule:
    """The graph behind its first operators, whose outputs it takes in their place."""
    graph = fx.Graph()
    made: dict[fx.Node, fx.Node] = {}
    for index, node in enumerate([*first, *beside]):
        made[node] = graph.placeholder(f"opened_{index}")
    for node in cloud.graph.nodes:
        if node in made or node in noisy:
            continue
        if _is_batch_size(node) and node.args[0] in noisy:
            made[node] = graph.call_function(aten.sym_size.int, (made[first[0]], 0))
        else:
            made[node] = graph.node_copy(node, lambda one: made[one])
    graph.eliminate_dead_code()
    graph.lint()
    return fx.GraphModule(cloud, graph)
