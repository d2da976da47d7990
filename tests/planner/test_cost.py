import msgspec
import numpy as np
import pytest
import random_graphs
from hypothesis import given, settings
from legal_cuts import legal_cuts

from planner.cost import CostModel, on_link
from planner.legality import CutRules
from planner.message_cost import MessageCost
from profiles import codec
from profiles.device import DeviceProfile
from profiles.link import LinkProfile

LAB = LinkProfile(name="lab", provenance="measured", uplink_mbps=20, downlink_mbps=10, rtt_ms=5)


def test_the_designs_example_by_hand(tiny_profile: DeviceProfile) -> None:
    cost = CostModel(tiny_profile, tiny_profile, LAB)
    rules = CutRules(tiny_profile.graph)
    (edge,) = legal_cuts(rules)
    found = cost.price(edge, rules.crossing(edge))
    assert found.edge_ms == pytest.approx(2.0 + 0.4)
    assert found.upload_bytes == 1024
    assert found.uplink_ms == pytest.approx(5 / 2 + 8 * 1024 / 20_000)
    assert found.cloud_ms == pytest.approx(0.6)
    assert found.downlink_ms == pytest.approx(5 / 2 + 8 * 40 / 10_000)
    assert found.total_ms == pytest.approx(2.4 + 2.9096 + 0.6 + 2.532)
    # Pipelined, the busiest part is the edge: the way through the air overlaps.
    assert found.throughput_per_s == pytest.approx(1000 / 2.4)


def test_references_send_the_inputs_own_encoding_or_nothing(tiny_profile: DeviceProfile) -> None:
    cost = CostModel(tiny_profile, tiny_profile, LAB)
    assert cost.cloud_only().upload_bytes == 192
    assert cost.cloud_only().total_ms == pytest.approx(2.5 + 8 * 192 / 20_000 + 3.0 + 2.5 + 8 * 40 / 10_000)
    assert cost.edge_only().upload_bytes == 0
    assert cost.edge_only().total_ms == pytest.approx(3.0)


@pytest.mark.parametrize(("wire", "expected"), [("float32", 1024), ("float16", 512), ("int8", 256)])
def test_a_tensor_is_priced_as_it_is_sent(tiny_profile: DeviceProfile, wire: str, expected: int) -> None:
    cost = CostModel(tiny_profile, tiny_profile, LAB, wire=wire)
    assert cost.upload_bytes([tiny_profile.graph.by_id["relu"]]) == expected


@pytest.mark.parametrize(("wire", "itemsize"), [("float32", 2), ("float16", 2), ("int8", 1)])
def test_a_tensor_of_16_bits_is_priced_as_it_is_sent(tiny_profile: DeviceProfile, wire: str, itemsize: int) -> None:
    relu = msgspec.structs.replace(tiny_profile.graph.by_id["relu"], dtype="float16")
    assert CostModel(tiny_profile, tiny_profile, LAB, wire=wire).sent_bytes(relu) == itemsize * relu.elements
    assert np.dtype(codec.wire_dtype("float16", wire)).itemsize == itemsize


@settings(max_examples=100, deadline=None)
@given(random_graphs.profiles(), random_graphs.links)
def test_every_part_is_there_once(pair: tuple[DeviceProfile, DeviceProfile], link: LinkProfile) -> None:
    edge, cloud = pair
    cost, rules = CostModel(edge, cloud, link), CutRules(edge.graph)
    for cut in legal_cuts(rules):
        found = cost.price(cut, rules.crossing(cut))
        parts = found.edge_ms + found.noise_ms + found.uplink_ms + found.cloud_ms + found.downlink_ms
        assert found.total_ms == pytest.approx(parts)
        computed = sum(edge.time_ms[name] if name in cut else cloud.time_ms[name] for name in edge.time_ms)
        starting = cloud.start_ms + sum(cloud.receive_ms[node.id] for node in rules.crossing(cut))
        assert found.edge_ms + found.cloud_ms == pytest.approx(computed + starting)
        # A tensor with several consumers on the cloud is sent once.
        sent = {node.id: node.bytes for node in rules.crossing(cut)}
        assert found.upload_bytes == sum(sent.values())


@settings(max_examples=50, deadline=None)
@given(random_graphs.profiles(), random_graphs.links, random_graphs.links)
def test_a_price_carried_to_another_link_is_the_price_there(
    pair: tuple[DeviceProfile, DeviceProfile], one: LinkProfile, other: LinkProfile
) -> None:
    rules = CutRules(pair[0].graph)
    for cut in legal_cuts(rules):
        crossing = rules.crossing(cut)
        here = CostModel(*pair, one).price(cut, crossing)
        there = CostModel(*pair, other).price(cut, crossing)
        message = MessageCost.between(pair[0].device, pair[1].device)
        carried = on_link(here, planned=one, link=other, message=message)
        assert carried.total_ms == pytest.approx(there.total_ms, rel=1e-6, abs=1e-6)
