"""Message handling in the price of a cut, by hand; the laws of all cuts hold with it (`random_graphs`)."""

import msgspec
import pytest

from planner.cost import CostModel, on_link
from planner.legality import CutRules
from planner.message_cost import NO_MESSAGE_COST, MessageCost
from planner.plan import Predicted
from planner.planning import cut
from planner.search import Search
from profiles.device import DeviceProfile, MessageHandling, PowerMilliwatts
from profiles.link import LinkProfile, RadioPower

LAB = LinkProfile(name="lab", provenance="measured", uplink_mbps=20, downlink_mbps=10, rtt_ms=5)
EDGE = MessageHandling(
    request_sent_ms=0.1,
    request_received_ms=0.9,
    reply_sent_ms=0.8,
    reply_received_ms=0.2,
    request_bytes=200,
    reply_bytes=220,
    tensor_bytes=90,
    noise_ms=0.05,
)
CLOUD = MessageHandling(
    request_sent_ms=0.7,
    request_received_ms=0.3,
    reply_sent_ms=0.4,
    reply_received_ms=0.6,
    request_bytes=210,
    reply_bytes=240,
    tensor_bytes=80,
    noise_ms=0.01,
)


def on(profile: DeviceProfile, message: MessageHandling | None) -> DeviceProfile:
    return msgspec.structs.replace(profile, device=msgspec.structs.replace(profile.device, message=message))


def price(cost: CostModel) -> Predicted:
    (relu,) = (node for node in cost.graph.nodes if node.id == "relu")
    return cost.price(["x", "conv", "relu"], [relu])


def test_each_side_pays_its_own_part_of_a_message(tiny_profile: DeviceProfile) -> None:
    found = price(CostModel(on(tiny_profile, EDGE), on(tiny_profile, CLOUD), LAB))
    assert found.upload_bytes == 1024
    assert found.uplink_ms == pytest.approx(5 / 2 + 8 * (1024 + 200 + 90) / 20_000 + 0.1 + 0.3)
    assert found.downlink_ms == pytest.approx(5 / 2 + 8 * (40 + 240 + 90) / 10_000 + 0.4 + 0.2)
    assert found.edge_ms == pytest.approx(2.4)
    assert found.cloud_ms == pytest.approx(0.6)
    assert found.total_ms == pytest.approx(found.uplink_ms + found.downlink_ms + 2.4 + 0.6)
    # Pipelined, the edge is busy with its own work and its own part of either message.
    assert found.throughput_per_s == pytest.approx(1000 / (2.4 + 0.1 + 0.2))


def test_the_cloud_only_reference_pays_the_same_message(tiny_profile: DeviceProfile) -> None:
    cost = CostModel(on(tiny_profile, EDGE), on(tiny_profile, CLOUD), LAB)
    bare = CostModel(tiny_profile, tiny_profile, LAB)
    headers_ms = 8 * (200 + 90) / 20_000 + 8 * (240 + 90) / 10_000
    added = cost.cloud_only().total_ms - bare.cloud_only().total_ms
    assert added == pytest.approx(headers_ms + 0.1 + 0.3 + 0.4 + 0.2)
    assert cost.edge_only() == bare.edge_only()


def test_adding_noise_is_paid_for_each_tensor_that_gets_some(tiny_profile: DeviceProfile) -> None:
    noisy = CostModel(on(tiny_profile, EDGE), on(tiny_profile, CLOUD), LAB, noise="laplace")
    bare = CostModel(tiny_profile, tiny_profile, LAB, noise="laplace")
    assert price(noisy).noise_ms == pytest.approx(price(bare).noise_ms + 0.05)
    assert noisy.cloud_only().noise_ms == 0


def test_radio_and_waiting_cost_energy_of_the_edge(tiny_profile: DeviceProfile) -> None:
    power = PowerMilliwatts(busy=2000, idle=500)
    link = msgspec.structs.replace(
        LAB, radio_power_mw=RadioPower(uplink_per_mbps=100, downlink_per_mbps=50, base=1000)
    )
    edge, bare = (
        msgspec.structs.replace(one, device=msgspec.structs.replace(one.device, power_mw=power))
        for one in (on(tiny_profile, EDGE), tiny_profile)
    )
    with_message = price(CostModel(edge, on(tiny_profile, CLOUD), link)).energy_mj
    without = price(CostModel(bare, tiny_profile, link)).energy_mj
    assert with_message is not None
    assert without is not None
    radio_mj = (3000 * 8 * 290 / 20_000 + 1500 * 8 * 330 / 10_000) / 1000
    assert with_message - without == pytest.approx(2000 * 0.3 / 1000 + 500 * 0.7 / 1000 + radio_mj)


@pytest.mark.parametrize("known", ["edge", "cloud"])
def test_where_one_side_says_nothing_the_others_figures_stand_for_both(
    tiny_profile: DeviceProfile, known: str
) -> None:
    bare = tiny_profile.device
    given = msgspec.structs.replace(bare, message=EDGE)
    pair = (given, bare) if known == "edge" else (bare, given)
    assert MessageCost.between(*pair) == MessageCost.between(given, given)


def test_where_neither_says_anything_the_files_formula_holds(tiny_profile: DeviceProfile) -> None:
    assert MessageCost.between(tiny_profile.device, tiny_profile.device) == NO_MESSAGE_COST
    found = price(CostModel(tiny_profile, tiny_profile, LAB))
    assert found.uplink_ms == LAB.uplink_ms(size_bytes=1024)
    assert found.downlink_ms == LAB.downlink_ms(size_bytes=40)


def test_the_cut_search_prices_what_the_cost_model_prices(tiny_profile: DeviceProfile) -> None:
    cost = CostModel(on(tiny_profile, EDGE), on(tiny_profile, CLOUD), LAB, noise="laplace")
    search = Search(CutRules(cost.graph), cost)
    best = search.best
    assert search.flow.cost(search.sums.latency(), frozenset(best.edge_nodes)) == pytest.approx(
        best.predicted.total_ms
    )
    busy = [search.flow.cost(terms, frozenset(best.edge_nodes)) for terms in search.sums.busy()]
    assert max(busy) == pytest.approx(1000 / (best.predicted.throughput_per_s or 0))


def test_a_plan_carries_what_a_price_on_another_link_needs(tiny_profile: DeviceProfile) -> None:
    edge, cloud = on(tiny_profile, EDGE), on(tiny_profile, CLOUD)
    slow = msgspec.structs.replace(LAB, uplink_mbps=1.1, rtt_ms=80)
    plan = cut(edge, cloud, LAB)
    message = MessageCost.between(plan.edge, plan.cloud)
    for here, there in ((plan.predicted, cut(edge, cloud, slow).predicted),):
        assert on_link(here, planned=LAB, link=slow, message=message).total_ms == pytest.approx(there.total_ms)
    for one in plan.breakpoints:
        at = msgspec.structs.replace(LAB, uplink_mbps=one.uplink_mbps_from)
        assert one.latency_ms_from == pytest.approx(cut(edge, cloud, at).predicted.total_ms)
