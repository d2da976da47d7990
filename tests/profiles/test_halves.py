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
from profiles.engine import TorchEngine
from profiles.errors import EqualityError
from profiles.models import load_model
from profiles.trace import TracedNetwork, trace


def every_cut(network: TracedNetwork) -> list[frozenset[str]]:
    # Public inputs, so that the awkward networks have as many cuts as can be.
    rules = CutRules(network.graph, frozenset(node.id for node in network.graph.inputs))
    return list(legal_cuts(rules))


@pytest.mark.parametrize("make", networks.ALL)
def test_halves_equal_the_whole_at_every_cut_and_batch(make: Callable[[], Any]) -> None:
    network = traced(make())
    whole = TorchEngine(halves.whole(network))
    cuts = every_cut(network)
    assert cuts
    for rows in (1, 4):
        inputs = [torch.cat([value] * rows).numpy() for value in network.example]
        expected = whole.run(inputs)
        plain = network.model.module(*[torch.from_numpy(one) for one in inputs])
        first = next(iter(plain.values())) if isinstance(plain, dict) else plain
        halves.require_equal([first.detach().numpy()], expected[:1])
        for cut in cuts:
            made = halves.split(network, cut)
            crossing = TorchEngine(made.edge).run(inputs)
            halves.require_equal(expected, TorchEngine(made.cloud).run(crossing))


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
    with pytest.raises(EqualityError):
        halves.require_equal(one, [np.array([1.0, np.nan])])
