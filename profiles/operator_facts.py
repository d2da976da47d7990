"""What a traced network tells of its operators beyond the graph: who launches a kernel, and what a convolution is.

The network is walked with fake tensors: shapes, strides and storages are followed, nothing is computed. Whether an
operator is a view is thus seen, not looked up: its result lies in the storage of an argument. That holds for what
copies only sometimes (`reshape`, `contiguous`) and for dropout, which hands on its argument in eval mode.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from math import prod
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils import _pytree as pytree

from profiles.roofline import Efficiency, OperatorFacts
from profiles.trace import TracedNetwork


def operator_facts(network: TracedNetwork) -> dict[str, OperatorFacts]:
    """Facts of operators by their nodes' ids; inputs and outputs have none, nor has what a tensor's value decides."""
    names = {
        node: name
        for name, node in network.fx_nodes.items()
        if node.op == "call_function" and network.graph.by_id[name].kind != "output"
    }
    walk = _Walk(network.module, names)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        walk.fake = mode
        # Where a number is read from a tensor the walk ends: what comes behind counts as launching a kernel.
        with suppress(DataDependentOutputException):
            walk.run(*(mode.from_tensor(value) for value in network.example))
    return walk.facts


class _Walk(fx.Interpreter):
    """The network with tensors that have no values."""

    fake: FakeTensorMode

    def __init__(self, module: fx.GraphModule, names: dict[fx.Node, str]) -> None:
        super().__init__(module)
        self._names = names
        self.facts: dict[str, OperatorFacts] = {}

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        value = super().get_attr(target, args, kwargs)
        return self.fake.from_tensor(value) if isinstance(value, torch.Tensor) else value

    def run_node(self, n: fx.Node) -> Any:
        with torch.no_grad():
            result = super().run_node(n)
        if n in self._names:
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            self.facts[self._names[n]] = _facts(n.target, args, kwargs, result)
        return result


def _facts(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> OperatorFacts:
    given = list(_tensors((args, kwargs)))
    made = list(_tensors(result))
    storages = {_storage(tensor) for tensor in given}
    launches = not all(_storage(tensor) in storages for tensor in made)
    named = _named(target, args, kwargs)
    if "clone" in str(target) and made[0].stride() == given[0].stride():
        # What dropout in eval mode becomes where in-place operators are made functional; eager torch copies nothing.
        launches = False
    if isinstance(named.get("weight"), torch.Tensor) and "stride" in named:
        return _convolution(named, transposed="transpose" in str(target) or bool(named.get("transposed")))
    if "kernel_size" in named:
        return OperatorFacts(launches=launches, kernel=_area(named["kernel_size"], 2), stride=_first(named["stride"]))
    return OperatorFacts(launches=launches)


def _convolution(named: dict[str, Any], *, transposed: bool) -> OperatorFacts:
    weight, groups = named["weight"], int(named["groups"])
    kernel = tuple(weight.shape[2:])
    # The weight is [out, in / groups, …], transposed [in, out / groups, …].
    per_group = weight.shape[0] // groups if transposed else weight.shape[1]
    form: Efficiency = "conv"
    if groups > 1 and per_group == 1:
        form = "depthwise"
    elif kernel == (3, 3) and groups == 1 and not transposed and _all_ones(named["stride"], named["dilation"]):
        form = "conv3x3"
    return OperatorFacts(efficiency=form, kernel=prod(kernel), stride=_first(named["stride"]), groups=groups)


def _named(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """An ATen operator's arguments by name, defaults among them."""
    if not isinstance(target, torch._ops.OpOverload):
        return {}
    wanted = target._schema.arguments
    values = {one.name: one.default_value for one in wanted if one.has_default_value()}
    return values | dict(zip((one.name for one in wanted), args, strict=False)) | kwargs


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    return (value for value in pytree.tree_leaves(values) if isinstance(value, torch.Tensor))


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _all_ones(*values: Iterable[int]) -> bool:
    return all(size == 1 for value in values for size in value)


def _first(value: int | list[int] | None) -> int:
    """A stride; an empty one, of a pooling, is the window's size and written 0."""
    if isinstance(value, list | tuple):
        return int(value[0]) if value else 0
    return int(value or 0)


def _area(value: int | list[int], dimensions: int) -> int:
    return prod(value) if isinstance(value, list | tuple) else int(value) ** dimensions
