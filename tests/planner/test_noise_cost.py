from typing import Any

import msgspec
import pytest

from planner.cost import CostModel
from planner.noise_cost import layout, map_channels, map_form, noise_flops, require_kind, takes_tokens
from planner.planning import cut
from profiles.artifact import decode
from profiles.device import DeviceProfile
from profiles.errors import PlanError
from profiles.graph import LayerGraph
from profiles.link import LinkProfile, presets

LAB = LinkProfile(name="lab", provenance="measured", uplink_mbps=20, downlink_mbps=10, rtt_ms=5)


def test_a_dense_channel_by_hand() -> None:
    n = 120
    mapping, drawing = 2 * n * n, 2 * n * n  # W a and L z, a multiply and an add for each entry
    offset, adding = n, n
    assert noise_flops("channel", (n,), linear=True) == mapping + offset + drawing + adding == 57_840
    assert noise_flops("gaussian", (n,)) == drawing + adding
    assert noise_flops("laplace", (n,)) == adding


def test_a_bottleneck_by_hand() -> None:
    n, hidden, code = 400, 32, 16
    mapping = (2 * n * hidden + hidden) + 2 * hidden * code + (2 * code * n + n)
    drawing, adding = 2 * code * n, n
    assert noise_flops("channel", (n,), hidden=hidden) == mapping + drawing + adding
    assert noise_flops("channel", (10,), hidden=4) == (80 + 4) + 32 + (80 + 10) + 80 + 10  # 4 numbers, no more


def test_of_lenets_edge_half_it_is_one_and_a_half_percent(lenet_profile: DeviceProfile) -> None:
    convolutions = 2 * (28 * 28 * 6 * 25 + 10 * 10 * 16 * 150 + 120 * 400)
    assert convolutions == 811_200
    edge = {"conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "conv3", "relu3", "flatten"}
    counted = sum(node.flops or 0 for node in lenet_profile.graph.nodes if node.id in edge)
    assert counted == pytest.approx(convolutions, rel=0.02)
    assert noise_flops("channel", (120,)) / counted == pytest.approx(0.015, abs=0.001)
    assert noise_flops("channel", (120,), linear=True) / counted == pytest.approx(0.071, abs=0.002)


def test_beyond_a_thousand_elements_it_is_pointwise_and_of_low_rank() -> None:
    n = 16 * 10 * 10
    drawing = 2 * (2 * n * 32) + 2 * n  # Uᵀ z and U (…), then D and the difference
    assert noise_flops("gaussian", (16, 10, 10)) == drawing + n
    assert noise_flops("channel", (16, 10, 10), linear=True) == 2 * n * 16 + n + drawing + n
    assert noise_flops("channel", (16, 10, 10), tokens=True, linear=True) == 2 * n * 10 + n + drawing + n
    assert map_form((10, 10, 10)) == "dense"
    assert map_form((7, 11, 13)) == "first"
    assert map_form((50, 64), tokens=True) == "last"


@pytest.mark.parametrize("tokens", [False, True])
def test_a_long_vector_has_no_matrix_of_its_squared_length(tokens: bool) -> None:
    n = 9216  # AlexNet's last convolution, flattened
    assert map_channels(map_form((n,), tokens=tokens), (n,)) == 1
    assert noise_flops("channel", (n,), tokens=tokens, linear=True) == 2 * n + n + noise_flops("gaussian", (n,))


def test_a_flattened_vector_keeps_the_channels_it_had(lenet_profile: DeviceProfile) -> None:
    graph = lenet_profile.graph
    assert layout(graph, "flatten", (120,)) == ((120, 1, 1), False)
    assert layout(graph, "pool2", (16, 5, 5)) == ((16, 5, 5), False)
    assert layout(graph, "relu4", (84,)) == ((84,), False)


def test_a_kind_that_is_none_is_refused() -> None:
    with pytest.raises(PlanError, match="--noise pink: expected laplace, gaussian or channel"):
        require_kind("pink")


@pytest.mark.parametrize("kind", ["laplace", "gaussian", "channel"])
def test_a_plan_prices_its_noise_at_the_edges_own_rate(tiny_profile: DeviceProfile, kind: str) -> None:
    flops = {"conv": 2 * 4 * 64 * 27, "fc": 2 * 10 * 256}
    nodes = tuple(msgspec.structs.replace(one, flops=flops.get(one.id)) for one in tiny_profile.nodes)
    edge = msgspec.structs.replace(tiny_profile, nodes=nodes)
    plan = cut(edge, edge, LAB, noise=kind)
    expected = 3.0 * noise_flops(kind, (4, 8, 8)) / sum(flops.values())
    assert plan.predicted.noise_ms == pytest.approx(expected)
    assert plan.settings.noise == kind
    without = cut(edge, edge, LAB).predicted
    assert without.noise_ms == 0
    assert plan.predicted.total_ms - without.total_ms == pytest.approx(expected)
    assert plan.references.edge_only.noise_ms == plan.references.cloud_only.noise_ms == 0


def test_a_batch_is_priced_row_by_row_and_integers_and_inputs_not_at_all(tiny_profile: DeviceProfile) -> None:
    cost = CostModel(tiny_profile, tiny_profile, LAB, noise="channel")
    relu, x = (tiny_profile.graph.by_id[name] for name in ("relu", "x"))
    assert cost.noise_flops([relu]) == noise_flops("channel", (4, 8, 8))
    assert cost.noise_flops([relu, relu]) == 2 * cost.noise_flops([relu])
    assert cost.noise_flops([x]) == 0
    assert cost.noise_flops([msgspec.structs.replace(relu, dtype="int64")]) == 0
    four = msgspec.structs.replace(tiny_profile, batch=4)
    batched = msgspec.structs.replace(relu, shape=(4, 4, 8, 8))
    assert CostModel(four, four, LAB, noise="channel").noise_flops([batched]) == 4 * cost.noise_flops([relu])


def test_lenets_plan_prices_what_the_arithmetic_says(lenet_profile: DeviceProfile) -> None:
    plan = cut(lenet_profile, lenet_profile, presets()["wifi"], at="conv3", noise="channel")
    flops = sum(node.flops or 0 for node in lenet_profile.graph.nodes)
    message = lenet_profile.device.message
    assert message is not None
    assert plan.predicted.noise_ms == pytest.approx(lenet_profile.whole_ms * 12_288 / flops + message.noise_ms)


def graph(tiny: dict[str, Any], *path: tuple[str, str]) -> LayerGraph:
    """The design's example with a chain of nodes (id, kind) between relu and the linear layer."""
    at = next(index for index, one in enumerate(tiny["nodes"]) if one["id"] == "fc")
    before = "relu"
    for name, kind in path:
        tiny["nodes"].insert(at, tiny["nodes"][2] | {"id": name, "kind": kind, "inputs": [before]})
        before, at = name, at + 1
    tiny["nodes"][at]["inputs"] = [before]
    return decode(msgspec.json.encode(tiny), DeviceProfile, origin="tiny").graph


@pytest.mark.parametrize(
    ("path", "tokens"),
    [
        ((), True),
        ((("c", "convolution"),), False),
        ((("p", "pooling"),), False),
        ((("n", "normalisation"), ("a", "activation"), ("c", "convolution")), False),
        ((("j", "join"), ("c", "convolution")), False),
        ((("j", "join"),), True),
        ((("l", "linear"), ("c", "convolution")), True),
        ((("m", "matmul"), ("c", "convolution")), True),
    ],
)
def test_where_the_channels_lie_what_computes_next_says(
    tiny: dict[str, Any], path: tuple[tuple[str, str], ...], tokens: bool
) -> None:
    assert takes_tokens(graph(tiny, *path), "relu") is tokens


def test_channels_behind_another_first_dimension_than_the_batch_are_not_known(tiny: dict[str, Any]) -> None:
    made = graph(tiny, ("steps", "linear"), ("flat", "reshape"))
    nodes = {"steps": {"shape": (4, 1, 6)}, "flat": {"shape": (1, 24), "op": "flatten"}}
    changed = [msgspec.structs.replace(one, **nodes.get(one.id, {})) for one in made.nodes]
    assert layout(LayerGraph(tuple(changed)), "flat", (24,)) == ((24,), False)
