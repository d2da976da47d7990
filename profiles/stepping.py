"""A traced network run one operator at a time, with the clock read in between."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

from profiles.trace import TracedNetwork


class Steps:
    """The network one operator at a time, with a clock reading after each that is a node."""

    def __init__(self, network: TracedNetwork, device: str) -> None:
        self._network = network
        self._graph = list(network.module.graph.nodes)
        names = {node: name for name, node in network.fx_nodes.items() if network.graph.by_id[name].kind != "output"}
        self._names = names
        self.order = [names[node] for node in self._graph if node in names and node.op == "call_function"]
        self._module = network.module.to(device)
        self._last_use = _last_uses(self._graph)
        self._constants = {
            node: _attribute(self._module, str(node.target)) for node in self._graph if node.op == "get_attr"
        }

    def times_ns(self, inputs: Sequence[torch.Tensor], synchronise: Callable[[], None]) -> list[int]:
        values: dict[fx.Node, Any] = dict(self._constants)
        waiting, times = list(inputs), []
        clock = time.perf_counter_ns
        for node in self._graph:
            if node.op == "placeholder":
                values[node] = waiting.pop(0)
            elif node.op == "call_function":
                args: Any = fx.node.map_arg(node.args, values.__getitem__)
                kwargs: Any = fx.node.map_arg(node.kwargs, values.__getitem__)
                target: Any = node.target
                synchronise()
                start = clock()
                result = target(*args, **kwargs)
                synchronise()
                if node in self._names:
                    times.append(clock() - start)
                values[node] = result
                for done in self._last_use.get(node, ()):
                    del values[done]
        return times


def _last_uses(graph: Sequence[fx.Node]) -> dict[fx.Node, list[fx.Node]]:
    """What may be freed after each operator, so that memory is that of the running network."""
    last: dict[fx.Node, fx.Node] = {}
    for node in graph:
        for used in node.all_input_nodes:
            last[used] = node
    freed: dict[fx.Node, list[fx.Node]] = {}
    for used, node in last.items():
        if used.op == "call_function":
            freed.setdefault(node, []).append(used)
    return freed


def _attribute(module: torch.nn.Module, target: str) -> object:
    value: object = module
    for step in target.split("."):
        value = getattr(value, step)
    return value
