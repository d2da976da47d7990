"""A half that takes only the batch that was traced, called for many such batches at once."""

from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch._decomp import get_decompositions

_ATEN = torch.ops.aten
#: torch.vmap has no rule for these; it has for what they are made of.
_RECURRENT = (_ATEN.lstm.input, _ATEN.gru.input, _ATEN.rnn_tanh.input, _ATEN.rnn_relu.input)


def side_by_side(half: fx.GraphModule) -> Callable[..., Any]:
    """Inputs [batches, ...] each → outputs [batches, ...] each. All batches at once, where an operator of the half
    cannot do that one after another."""
    at_once, slowly = torch.vmap(_plain(half)), False

    def call(*given: torch.Tensor) -> Any:
        nonlocal slowly
        if not slowly:
            try:
                return at_once(*given)
            except RuntimeError:  # no rule for an operator, or a number read from a tensor
                slowly = True
        answers = [half(*batch) for batch in zip(*given, strict=True)]
        return tuple(torch.stack(column) for column in zip(*answers, strict=True))

    return call


def _plain(half: fx.GraphModule) -> fx.GraphModule:
    """The half with its recurrent operators taken apart."""
    known = get_decompositions(_RECURRENT)
    graph = fx.Graph()
    graph.output(graph.graph_copy(half.graph, {}))
    for node in graph.nodes:
        if node.op == "call_function" and node.target in known:
            node.target = known[node.target]
    return fx.GraphModule(half, graph)
