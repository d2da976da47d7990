"""How many threads learning takes: small steps are slower on two than on one, as they wait for each other."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from noise.cut_network import CutNetwork

#: A step is small up to so many elements that cross, and so many FLOPs of the cloud half for an input.
SMALL_ELEMENTS, SMALL_FLOPS = 256, 1_000_000


@contextmanager
def threads_for(cut: CutNetwork) -> Iterator[None]:
    """One thread where steps are small (LeNet's channel: 11 s instead of 17), else as they are."""
    graph, before = cut.network.graph, torch.get_num_threads()
    cloud = graph.with_needs(node.id for node in graph.outputs) - graph.with_needs(cut.halves.crossing)
    flops = sum(graph.by_id[name].flops or 0 for name in cloud) / cut.network.batch
    if cut.elements <= SMALL_ELEMENTS and flops <= SMALL_FLOPS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
