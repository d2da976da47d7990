from collections.abc import Callable
from typing import Any

import networks
import numpy as np
import pytest
import torch
from legal_cuts import legal_cuts
from networks import traced

from planner.legality import CutRules
from profiles import halves
from profiles.engine import EagerEngine, TorchEngine
from profiles.errors import EqualityError
from profiles.models import load_model
from profiles.trace import TracedNetwork, trace


def every_cut(network: TracedNetwork) -> list[frozenset[str]]:
    # Public inputs, so that the awkward networks have as many cuts as can be.
    rules = CutRules(network.graph, frozenset(node.id for node in network.graph.inputs))
    return list(legal_cuts(rules))


def different(value: torch.Tensor, rows: int) -> Any:
    """Rows that differ, so that a half that mixes them up is found."""
    if value.is_floating_point():
        return torch.cat([value * (1 + row / 7) for row in range(rows)]).numpy()
    return torch.cat([value.roll(row, -1) for row in range(rows)]).numpy()


def halves_of(network: TracedNetwork, cut: frozenset[str], inputs: list[Any]) -> list[Any]:
    made = halves.split(network, cut)
    from_edge = TorchEngine(made.edge).run(inputs)
    return made.joined(from_edge, TorchEngine(made.cloud).run(from_edge[: len(made.crossing)]))


@pytest.mark.parametrize("make", networks.ALL)
def test_halves_equal_the_users_own_module_at_every_cut_and_batch(make: Callable[[], Any]) -> None:
    network = traced(make())
    assert network.dynamic_batch
    cuts = every_cut(network)
    assert cuts
    for rows in (1, 4):
        inputs = [different(value, rows) for value in network.example]
        expected = EagerEngine(network).run(inputs)
        for cut in cuts:
            if rows == 1 or halves.split(network, cut).any_rows:
                halves.require_equal(expected, halves_of(network, cut, inputs))


def test_a_batch_that_the_export_fixed_runs_at_every_cut() -> None:
    network = traced(networks.fixed())
    assert not network.dynamic_batch
    inputs = [value.numpy() for value in network.example]
    for cut in every_cut(network):
        assert not halves.split(network, cut).any_rows
        halves.require_equal(EagerEngine(network).run(inputs), halves_of(network, cut, inputs))


def test_an_output_on_the_edge_is_not_asked_of_the_cloud() -> None:
    network = traced(networks.two_inputs())
    made = [halves.split(network, cut) for cut in every_cut(network)]
    assert any(one.on_cloud == ("output",) for one in made)


@pytest.mark.parametrize(("make", "folded"), [(networks.windows, "fold"), (networks.time_first, "turned")])
def test_a_tensor_whose_rows_are_not_the_batch_crosses_one_inference_at_a_time(
    make: Callable[[], Any], folded: str
) -> None:
    network = traced(make())
    made = {one.crossing: one for one in (halves.split(network, cut) for cut in every_cut(network))}
    assert any(not one.any_rows for one in made.values())
    assert all(one.any_rows == all(map(network.rowwise, crossing)) for crossing, one in made.items())
    assert not network.rowwise(next(node.id for node in network.graph.nodes if folded in node.id))


def test_a_number_read_from_a_tensor_is_a_need_of_what_uses_it() -> None:
    network = traced(networks.item())
    scaled = next(node for node in network.graph.nodes if node.op == "mul")
    assert scaled.inputs == ("head", "sum")


def test_a_residual_block_sends_skip_and_branch() -> None:
    network = traced(networks.skip())
    crossings = {halves.split(network, cut).crossing for cut in every_cut(network)}
    assert any(len(one) == 2 and "first" in one for one in crossings)


def test_each_half_holds_its_own_weights_alone() -> None:
    network = trace(load_model("lenet"))
    made = halves.split(network, network.graph.with_needs(["flatten"]))
    edge, cloud = set(made.edge.state_dict()), set(made.cloud.state_dict())
    assert edge == {f"conv{index}.{part}" for index in (1, 2, 3) for part in ("weight", "bias")}
    assert cloud == {f"fc{index}.{part}" for index in (1, 2) for part in ("weight", "bias")}


def test_a_difference_beyond_tolerance_stops() -> None:
    one = [np.array([1.0, 2.0])]
    assert halves.require_equal(one, [np.array([1.0, 2.0 + 1e-6])]) == pytest.approx(5e-7)
    with pytest.raises(EqualityError, match="differ from the whole"):
        halves.require_equal(one, [np.array([1.0, 2.001])])
    for wrong in (np.array([1.0, np.nan]), np.array([1.0]), np.array([1.0, -np.inf])):
        with pytest.raises(EqualityError):
            halves.require_equal(one, [wrong])
    masked = [np.array([1.0, -np.inf]), np.array([True]), np.zeros((0, 3))]
    assert halves.require_equal(masked, [part.copy() for part in masked]) == 0
