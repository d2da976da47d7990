"""A half that takes only the batch that was traced, called for many such batches at once."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
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
    plain, recurrent = _plain(half)
    at_once, slowly = torch.vmap(plain), False

    def call(*given: torch.Tensor) -> Any:
        nonlocal slowly
        if not slowly:
            try:
                with _without_mkldnn() if recurrent else nullcontext():
                    return at_once(*given)
            except RuntimeError:  # no rule for an operator, or a number read from a tensor
                slowly = True
        answers = [half(*batch) for batch in zip(*given, strict=True)]
        return tuple(torch.stack(column) for column in zip(*answers, strict=True))

    return call


@contextmanager
def _without_mkldnn() -> Iterator[None]:
    """Its own recurrent operator has no rule either."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="TF32 acceleration")  # of GPUs that are not meant
        with torch.backends.mkldnn.flags(enabled=False):
            yield


def _plain(half: fx.GraphModule) -> tuple[fx.GraphModule, bool]:
    """The half with its recurrent operators taken apart, and whether it has any."""
    known = get_decompositions(_RECURRENT)
    graph = fx.Graph()
    graph.output(graph.graph_copy(half.graph, {}))
    recurrent = [node for node in graph.nodes if node.op == "call_function" and node.target in known]
    for node in recurrent:
        node.target = known[node.target]
    return fx.GraphModule(half, graph), bool(recurrent)
