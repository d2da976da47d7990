"""The paper's six networks on the boards that are not here, and their cuts by the paper's numbers."""

from collections.abc import Collection
from functools import cache, lru_cache

from profiles import roofline
from profiles.device import DeviceFacts, DeviceProfile
from profiles.graph import LayerGraph
from profiles.modelled import assemble
from profiles.models import load_model
from profiles.operator_facts import operator_facts
from profiles.trace import TracedNetwork, trace

EDGES, CLOUD = ("tx2-cpu", "tx2-gpu"), "titan-xp"


@lru_cache(maxsize=1)
def traced(name: str) -> TracedNetwork:
    """The last one asked for is kept: VGG-16 takes seconds and half a gigabyte."""
    return trace(load_model(name))


@cache
def on_boards(name: str) -> dict[str, DeviceProfile]:
    """A network modelled on the paper's devices, as `plan profile NAME --as DEVICE` has it, traced once for all."""
    network = traced(name)
    facts = operator_facts(network)
    made = {}
    for board in (*EDGES, CLOUD):
        times = roofline.node_times_ms(network.graph, facts, roofline.device(board))
        made[board] = assemble(network, DeviceFacts(name=board, provenance="modelled", engine="torch"), times)
    return made


def number(graph: LayerGraph, edge_nodes: Collection[str]) -> str:
    """A cut by the layers on its edge: `3` after the third convolution, as the paper counts; `F1` after the first
    linear layer, for which the paper has no number."""
    kinds = [graph.by_id[name].kind for name in edge_nodes]
    linears = kinds.count("linear")
    return f"F{linears}" if linears else str(kinds.count("convolution"))


def is_chain(graph: LayerGraph) -> bool:
    """Whether every tensor has one user, so that every cut sends one tensor."""
    return all(len(graph.consumers[node.id]) <= 1 for node in graph.nodes)
