import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles import artifact
from profiles.errors import ArtifactError
from profiles.link import LinkProfile, presets


def link(mbps: float, rtt_ms: float = 5.0, overhead_ms: float = 0.0) -> LinkProfile:
    return LinkProfile(
        name="lab",
        provenance="measured",
        uplink_mbps=mbps,
        downlink_mbps=mbps,
        rtt_ms=rtt_ms,
        overhead_ms=overhead_ms,
    )


def test_sending_takes_half_a_round_trip_the_overhead_and_the_bytes() -> None:
    # 2,500 bytes are 20,000 bits: 1 ms at 20 Mbps.
    assert link(20, rtt_ms=5, overhead_ms=0.25).uplink_ms(size_bytes=2500) == pytest.approx(2.5 + 0.25 + 1.0)
    assert link(20, rtt_ms=5).downlink_ms(size_bytes=0) == pytest.approx(2.5)


@given(st.floats(0.1, 1000), st.floats(0.1, 1000), st.integers(0, 10**9))
def test_a_faster_link_never_takes_longer(one: float, other: float, count: int) -> None:
    slow, fast = sorted((one, other))
    assert link(fast).uplink_ms(size_bytes=count) <= link(slow).uplink_ms(size_bytes=count)


def test_presets_say_where_they_come_from() -> None:
    known = presets()
    assert known["wifi"].uplink_mbps == 18.88
    assert known["lte"].uplink_mbps == 5.85
    assert known["3g"].uplink_mbps == 1.1
    assert known["cat1"].uplink_mbps == 0.13
    assert all(one.source for one in known.values())


@pytest.mark.parametrize(("field", "value"), [("uplink_mbps", 0), ("downlink_mbps", -1), ("rtt_ms", -0.1)])
def test_a_link_that_cannot_be_is_refused(field: str, value: float) -> None:
    file = {"schema": "plan.link/1", "name": "x", "provenance": "measured", "uplink_mbps": 1, "downlink_mbps": 1}
    file |= {"rtt_ms": 1, field: value}
    with pytest.raises(ArtifactError, match=field):
        artifact.decode(json.dumps(file).encode(), LinkProfile, origin="link.json")
