import msgspec
import pytest
import random_graphs
from hypothesis import assume, given, settings
from legal_cuts import legal_cuts

from planner.constraints import Constraints
from planner.cost import CostModel
from planner.legality import CutRules
from planner.planning import cut
from planner.search import Search
from profiles.device import DeviceProfile
from profiles.errors import CutError, InfeasibleError
from profiles.link import LinkProfile, presets


def search(pair: tuple[DeviceProfile, DeviceProfile], link: LinkProfile) -> Search:
    return Search(CutRules(pair[0].graph), CostModel(*pair, link))


@settings(max_examples=200, deadline=None)
@given(random_graphs.profiles(), random_graphs.links)
def test_the_best_is_the_least_of_all_legal_cuts(
    pair: tuple[DeviceProfile, DeviceProfile], link: LinkProfile
) -> None:
    rules, cost = CutRules(pair[0].graph), CostModel(*pair, link)
    totals = [cost.price(one, rules.crossing(one)).total_ms for one in legal_cuts(rules)]
    assume(totals)
    assert search(pair, link).best.predicted.total_ms == pytest.approx(min(totals), rel=1e-6, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(random_graphs.profiles(), random_graphs.links)
def test_a_faster_link_never_makes_the_best_plan_slower(
    pair: tuple[DeviceProfile, DeviceProfile], link: LinkProfile
) -> None:

    assume(list(legal_cuts(CutRules(pair[0].graph))))
    faster = msgspec.structs.replace(link, uplink_mbps=2 * link.uplink_mbps)
    assert cut(*pair, faster).predicted.total_ms <= cut(*pair, link).predicted.total_ms + 1e-9


def test_among_equals_the_deeper_cut_is_chosen(lenet_profile: DeviceProfile) -> None:

    free = tuple(msgspec.structs.replace(node, time_ms=0.0, receive_ms=0.0) for node in lenet_profile.nodes)
    nothing = msgspec.structs.replace(lenet_profile, nodes=free)
    # Infinitely fast in effect: every cut costs half a round trip each way, and a little for its bytes.
    link = LinkProfile(name="bus", provenance="imported", uplink_mbps=1e15, downlink_mbps=1e15, rtt_ms=1)
    assert cut(nothing, nothing, link).cut.name == "relu4"


def test_all_candidates_of_lenet_are_shown_in_graph_order(lenet_profile: DeviceProfile) -> None:
    plan = cut(lenet_profile, lenet_profile, presets()["wifi"])
    assert [one.name for one in plan.candidates] == ["pool1", "pool2", "flatten", "relu4"]
    assert plan.cut.name in {one.name for one in plan.candidates}


@pytest.mark.parametrize("name", ["flatten", "conv3", "relu3"])
def test_a_users_cut_is_taken_by_name_or_node(lenet_profile: DeviceProfile, name: str) -> None:
    plan = cut(lenet_profile, lenet_profile, presets()["wifi"], at=name)
    assert plan.cut.name == "flatten"
    assert [one.shape for one in plan.cut.crossing] == [(1, 120)]


def test_references_are_taken_only_when_named(lenet_profile: DeviceProfile) -> None:
    link = presets()["cat1"]
    assert cut(lenet_profile, lenet_profile, link).cut.name not in ("edge-only", "cloud-only")
    chosen = cut(lenet_profile, lenet_profile, link, at="edge-only")
    assert chosen.cut.crossing == ()
    assert chosen.predicted == chosen.references.edge_only


def test_a_cut_that_is_not_there_or_not_legal_is_refused(lenet_profile: DeviceProfile) -> None:
    link = presets()["wifi"]
    with pytest.raises(CutError, match=r"nearest: .*pool1"):
        cut(lenet_profile, lenet_profile, link, at="poool1")
    with pytest.raises(CutError, match="not a legal cut"):
        cut(lenet_profile, lenet_profile, link, at="fc2")


def test_no_legal_cut_says_so(tiny_profile: DeviceProfile) -> None:

    nodes = tuple(
        msgspec.structs.replace(node, kind="activation") if node.id == "fc" else node for node in tiny_profile.nodes
    )
    one_layer = msgspec.structs.replace(tiny_profile, nodes=nodes)
    with pytest.raises(InfeasibleError, match="no legal cut"):
        cut(one_layer, one_layer, presets()["wifi"])


@settings(max_examples=60, deadline=None)
@given(random_graphs.profiles(), random_graphs.links)
def test_the_top_cuts_send_different_tensors(pair: tuple[DeviceProfile, DeviceProfile], link: LinkProfile) -> None:
    rules, cost = CutRules(pair[0].graph), CostModel(*pair, link)
    best: dict[str, float] = {}
    for one in legal_cuts(rules):
        crossing = rules.crossing(one)
        name, total = "+".join(node.id for node in crossing), cost.price(one, crossing).total_ms
        best[name] = min(total, best.get(name, total))
    found = search(pair, link).top(5)
    assert len({one.name for one in found}) == len(found) == min(5, len(best))
    assert [one.predicted.total_ms for one in found] == pytest.approx(sorted(best.values())[:5])


@settings(max_examples=60, deadline=None)
@given(random_graphs.profiles(), random_graphs.links)
def test_a_cut_is_found_again_by_its_name(pair: tuple[DeviceProfile, DeviceProfile], link: LinkProfile) -> None:
    rules, here = CutRules(pair[0].graph), search(pair, link)
    for name in {"+".join(node.id for node in rules.crossing(one)) for one in legal_cuts(rules)}:
        assert here.at(name).name == name


def test_a_users_cut_beyond_a_limit_is_refused(lenet_profile: DeviceProfile) -> None:
    limits = Constraints(max_upload=100)
    with pytest.raises(InfeasibleError, match="--at flatten comes to 480 where --max-upload is 100"):
        cut(lenet_profile, lenet_profile, presets()["wifi"], at="flatten", constraints=limits)


def test_a_program_says_how_near_the_optimum_it_is(lenet_profile: DeviceProfile) -> None:
    link = presets()["wifi"]
    assert cut(lenet_profile, lenet_profile, link).settings.gap is None
    assert cut(lenet_profile, lenet_profile, link, constraints=Constraints(min_depth=3)).settings.gap == 0
