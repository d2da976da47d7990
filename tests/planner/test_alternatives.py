import msgspec
import pytest

from planner.alternatives import at_cut, breakpoint_cuts
from planner.plan import Breakpoint, Plan
from planner.planning import cut
from profiles.device import DeviceProfile
from profiles.errors import CutError
from profiles.link import presets


@pytest.fixture(scope="module")
def plan(lenet_profile: DeviceProfile) -> Plan:
    return cut(lenet_profile, lenet_profile, presets()["wifi"], noise="laplace")


def at(plan: Plan, *segments: tuple[float, float, str]) -> Plan:
    return msgspec.structs.replace(plan, breakpoints=tuple(Breakpoint(*one) for one in segments))


def test_the_plan_for_another_cut_is_the_one_that_the_planner_makes(plan: Plan, lenet_profile: DeviceProfile) -> None:
    for one in plan.candidates:
        made = at_cut(plan, one.name)
        asked = cut(lenet_profile, lenet_profile, presets()["wifi"], noise="laplace", at=one.name)
        assert made.cut == asked.cut
        assert made.predicted == asked.predicted
        assert (made.link, made.references, made.breakpoints) == (plan.link, plan.references, plan.breakpoints)
        assert at_cut(made, plan.cut.name).predicted == plan.predicted


def test_cuts_of_links_that_one_comes_across_from_slow_to_fast(plan: Plan) -> None:
    own = plan.cut.name
    seen = at(
        plan, (0.1, 0.4, "flatten"), (0.4, 3, "edge-only"), (3, 50, "pool1"), (50, 300, "conv3"), (300, 1e3, "x")
    )
    assert breakpoint_cuts(seen) == tuple(dict.fromkeys(("pool1", "conv3", own)))
    assert breakpoint_cuts(at(plan, (0.1, 1000, own))) == (own,)
    assert breakpoint_cuts(seen, lowest_mbps=0.1, highest_mbps=2) == tuple(dict.fromkeys(("flatten", own)))


def test_a_cut_that_the_plan_does_not_hold_is_refused_in_one_line(plan: Plan) -> None:
    with pytest.raises(CutError, match="plan cut EDGE CLOUD --at conv1\\+conv2") as refused:
        at_cut(plan, "conv1+conv2")
    assert "\n" not in str(refused.value)
