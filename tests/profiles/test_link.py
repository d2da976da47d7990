import json

import msgspec
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


@pytest.mark.parametrize(
    ("name", "provenance", "up", "down", "rtt_ms", "radio"),
    [
        ("wifi", "imported", 18.88, 54.97, 5, (283.17, 137.01, 132.86)),
        ("lte", "imported", 5.85, 13.76, 50, (438.39, 51.97, 1288.04)),
        ("3g", "imported", 1.1, 2.0275, 100, (868.98, 122.12, 817.88)),
        ("cat1", "imported", 0.13, 0.5, 150, None),
        ("wifi-paper", "modelled", 12.95, 12.95, 0, None),
        ("lte-paper", "modelled", 6.81, 6.81, 0, None),
    ],
)
def test_presets_are_the_published_figures_and_carry_their_source(
    name: str, provenance: str, up: float, down: float, rtt_ms: float, radio: tuple[float, ...] | None
) -> None:
    preset = presets()[name]
    assert (preset.provenance, preset.uplink_mbps, preset.downlink_mbps) == (provenance, up, down)
    assert preset.rtt_ms == rtt_ms
    assert (None if preset.radio_power_mw is None else msgspec.structs.astuple(preset.radio_power_mw)) == radio
    assert preset.source
    assert radio is None or "Huang et al., MobiSys 2012" in preset.source


@pytest.mark.parametrize(("field", "value"), [("uplink_mbps", 0), ("downlink_mbps", -1), ("rtt_ms", -0.1)])
def test_a_link_that_cannot_be_is_refused(field: str, value: float) -> None:
    file = {"schema": "plan.link/1", "name": "x", "provenance": "measured", "uplink_mbps": 1, "downlink_mbps": 1}
    file |= {"rtt_ms": 1, field: value}
    with pytest.raises(ArtifactError, match=field):
        artifact.decode(json.dumps(file).encode(), LinkProfile, origin="link.json")
