from pathlib import Path

import networks
import pytest
import torch
from legal_cuts import legal_cuts
from networks import traced
from torch import nn

from planner.legality import CutRules
from profiles import halves
from profiles.engine import TorchEngine
from profiles.models import load_model
from profiles.trace import trace


class LikeItsInput(nn.Module):
    """Positions, and a mask made in the likeness of the input: neither depends on a value."""

    def __init__(self) -> None:
        super().__init__()
        self.positions, self.first, self.second = nn.Embedding(4, 6), nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = torch.ones_like(x).cumsum(1) / 4
        x = self.first(x + self.positions(torch.arange(x.shape[1])))
        return self.second(x * mask) * mask


def test_what_depends_on_no_value_is_no_node_and_never_crosses() -> None:
    network = traced((LikeItsInput(), (torch.rand(1, 4, 6),)))
    graph = network.graph
    assert network.dynamic_batch
    assert {node.op for node in graph.nodes} == {None, "add", "linear", "mul"}
    assert not [node.id for node in graph.nodes if node.kind == "join"]
    assert graph.by_id["add"].parameter_bytes == 4 * 4 * 6
    whole = TorchEngine(halves.whole(network))
    cuts = list(legal_cuts(CutRules(graph)))
    assert [halves.split(network, cut).crossing for cut in cuts] == [("mul",)]
    inputs = [torch.rand(3, 4, 6).numpy()]
    expected = whole.run(inputs)
    halves.require_equal([network.model.module(torch.from_numpy(inputs[0])).detach().numpy()], expected)
    made = halves.split(network, cuts[0])
    halves.require_equal(expected, TorchEngine(made.cloud).run(TorchEngine(made.edge).run(inputs)))


@pytest.mark.parametrize("make", [networks.two_inputs, networks.shared, networks.in_place])
def test_a_pt2_file_has_the_graph_of_the_module(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    module, inputs = make()
    args, kwargs = ((), inputs) if isinstance(inputs, dict) else (inputs, {})
    torch.export.save(torch.export.export(module.eval(), args, kwargs), tmp_path / "net.pt2")
    network = trace(load_model(str(tmp_path / "net.pt2")))
    assert [node.kind for node in network.graph.nodes] == [node.kind for node in traced(make()).graph.nodes]
