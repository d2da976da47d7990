from collections.abc import Callable
from typing import Any

import networks
import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from networks import traced
from torch import nn

from profiles.errors import TraceError
from profiles.models import load_model
from profiles.trace import trace
from profiles.zoo.catalog import ZOO


@pytest.mark.parametrize("name", ZOO)
def test_a_zoo_network_has_the_flops_weights_and_elements_it_should(name: str) -> None:
    model = load_model(name)
    graph = trace(model).graph
    counted = FlopCountAnalysis(model.module, model.args)
    counted.unsupported_ops_warnings(False)
    products = sum(count for op, count in counted.by_operator().items() if op in ("conv", "linear", "addmm"))
    assert sum(node.flops or 0 for node in graph.nodes) == 2 * products
    state = [value for value in model.module.state_dict().values() if value.is_floating_point()]
    expected = sum(value.numel() * value.element_size() for value in state)
    assert sum(node.parameter_bytes or 0 for node in graph.nodes) == expected
    if (cut := ZOO[name].paper_cut) is not None:
        assert graph.by_id[cut].elements == ZOO[name].paper_elements


def test_lenets_graph_is_the_papers() -> None:
    graph = trace(load_model("lenet")).graph
    assert [node.id for node in graph.nodes if node.computational] == ["conv1", "conv2", "conv3", "fc1", "fc2"]
    assert graph.by_id["conv3"].elements == 120
    assert graph.inputs[0].bytes == 4 * 784
    assert graph.inputs[0].encoded_bytes == 784
    assert graph.by_id["conv1"].flops == 2 * 28 * 28 * 6 * 25
    assert graph.by_id["fc1"].parameter_bytes == 4 * (120 * 84 + 84)


@pytest.mark.parametrize("make", networks.ALL)
@pytest.mark.parametrize("batch", [1, 3])
def test_awkward_networks_are_traced_at_any_batch(make: Callable[[], Any], batch: int) -> None:
    network = traced(make(), batch)
    assert network.dynamic_batch
    assert all(node.shape[0] == batch for node in network.graph.nodes if network.rowwise(node.id))
    assert all(network.rowwise(node.id) for node in (*network.graph.inputs, *network.graph.outputs))
    assert all(len(node.id) and "+" not in node.id for node in network.graph.nodes)


def test_several_results_are_several_outputs() -> None:
    network = traced(networks.two_inputs())
    assert [node.id for node in network.graph.inputs] == ["ids", "mask"]
    assert [node.shape for node in network.graph.outputs] == [(1, 3), (1, 6)]
    assert network.graph.by_id["ids"].bytes == 4 * 8


def test_no_operator_that_changes_its_input_is_left() -> None:
    network = traced(networks.in_place())
    operators = [node.target for node in network.module.graph.nodes if isinstance(node.target, torch._ops.OpOverload)]
    assert operators
    assert not any(one._schema.is_mutable for one in operators)


def test_the_architecture_is_that_of_the_operators_not_of_weights_or_batch() -> None:
    class Strided(networks.Branches):
        def __init__(self) -> None:
            super().__init__()
            self.right = nn.Conv2d(4, 3, 3, padding=2, dilation=2)

    plain = traced(networks.branches()).architecture
    assert traced(networks.branches()).architecture == plain
    assert traced(networks.branches(), batch=3).architecture == plain
    assert traced((Strided(), networks.branches()[1])).architecture != plain


class DependsOnValues(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:  # the place that an error must name
            return x
        return -x


def test_what_cannot_be_exported_names_the_place() -> None:
    with pytest.raises(TraceError) as caught:
        traced((DependsOnValues(), (torch.rand(1, 3),)))
    assert "test_trace.py" in str(caught.value)
    assert "if x.sum() > 0" in str(caught.value)
    assert "\n" not in str(caught.value)


class ThreeObstacles(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > -1e9:
            x = self.layer(x)
        rows = x.tolist()
        return x[x > 0] * len(rows)


def test_all_obstacles_are_listed_at_once_each_with_its_place() -> None:
    with pytest.raises(TraceError) as caught:
        traced((ThreeObstacles(), (torch.rand(1, 3),)))
    said = str(caught.value)
    assert "3 obstacles: (1)" in said
    assert "\n" not in said
    for code, advice in (
        ("if x.sum() > -1e9:", "torch.where"),
        ("rows = x.tolist()", "leaves torch"),
        ("return x[x > 0] * len(rows)", "shape that depends on values"),
    ):
        assert f"`{code}`" in said
        assert advice in said.partition(f"`{code}`")[2].partition("; (")[0]


class ReturnsConstant(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x * 2, torch.arange(3)


def test_a_result_that_depends_on_no_input_is_refused() -> None:
    with pytest.raises(TraceError, match="result number 2"):
        traced((ReturnsConstant(), (torch.rand(1, 3),)))
