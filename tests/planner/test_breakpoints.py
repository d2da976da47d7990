import itertools

import msgspec
import numpy as np
import pytest
import random_graphs
from hypothesis import given, settings
from hypothesis import strategies as st
from legal_cuts import legal_cuts

from planner.breakpoints import HIGHEST_MBPS, LOWEST_MBPS, Line, breakpoints
from planner.cost import CostModel
from planner.legality import CutRules
from planner.planning import cut
from planner.search import Search
from profiles.device import DeviceProfile
from profiles.link import LinkProfile

lines = st.lists(
    st.tuples(st.floats(0, 100), st.integers(1, 10**6)), min_size=1, max_size=12, unique_by=lambda pair: pair[1]
)


@settings(max_examples=300, deadline=None)
@given(lines)
def test_the_envelope_is_the_least_everywhere(pairs: list[tuple[float, int]]) -> None:
    known = {f"c{index}": Line(f"c{index}", fixed, 8e-3 * size) for index, (fixed, size) in enumerate(pairs)}
    found = breakpoints(lambda mbps: min(known.values(), key=lambda line: line.at(1 / mbps)))
    assert found[0].uplink_mbps_from == LOWEST_MBPS
    assert found[-1].uplink_mbps_to == HIGHEST_MBPS
    for one, other in itertools.pairwise(found):
        assert one.uplink_mbps_to == other.uplink_mbps_from
        assert one.cut != other.cut
    for mbps in np.geomspace(LOWEST_MBPS, HIGHEST_MBPS, 200):
        here = next(one for one in found if mbps <= one.uplink_mbps_to * (1 + 1e-12))
        best = min(line.at(1 / mbps) for line in known.values())
        assert known[here.cut].at(1 / mbps) == pytest.approx(best, rel=1e-9, abs=1e-12)


def test_two_lines_meet_where_they_meet() -> None:
    # 10 ms and 1,000 bytes against 1 ms and 10,000 bytes: equal at 9 ms = 8 · 9,000 / 1000 / mbps, 8 Mbps.
    known = [Line("deep", 10.0, 8.0), Line("early", 1.0, 80.0)]
    found = breakpoints(lambda mbps: min(known, key=lambda line: line.at(1 / mbps)))
    assert [one.cut for one in found] == ["deep", "early"]
    assert found[0].uplink_mbps_to == pytest.approx(8.0)


@settings(max_examples=50, deadline=None)
@given(random_graphs.profiles(dead_ends=False), random_graphs.links)
def test_a_plans_breakpoints_are_what_planning_at_that_bandwidth_finds(
    pair: tuple[DeviceProfile, DeviceProfile], link: LinkProfile
) -> None:

    if not list(legal_cuts(CutRules(pair[0].graph))):
        return
    plan = cut(*pair, link)
    for segment in plan.breakpoints:
        middle = float(np.sqrt(segment.uplink_mbps_from * segment.uplink_mbps_to))
        there = cut(*pair, msgspec.structs.replace(link, uplink_mbps=middle))
        at_segment = cut(*pair, msgspec.structs.replace(link, uplink_mbps=middle), at=segment.cut)
        assert at_segment.predicted.total_ms == pytest.approx(there.predicted.total_ms, rel=1e-9)


def test_another_bandwidth_changes_nothing_but_the_bandwidth(
    tiny_profile: DeviceProfile,
) -> None:
    link = LinkProfile(name="lab", provenance="measured", uplink_mbps=20, downlink_mbps=20, rtt_ms=5)
    cost = CostModel(tiny_profile, tiny_profile, link, wire="int8", noise="channel", linear=True, hidden=64)
    there = Search(CutRules(tiny_profile.graph), cost).at_bandwidth(3.0).cost
    assert there == CostModel(
        tiny_profile,
        tiny_profile,
        msgspec.structs.replace(link, uplink_mbps=3.0),
        wire="int8",
        noise="channel",
        linear=True,
        hidden=64,
    )
