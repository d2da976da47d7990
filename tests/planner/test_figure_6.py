"""The paper's own fractions, priced by the planner at fewer bytes an element."""

import json
from typing import Any

import pytest

from planner.planning import cut
from profiles import artifact, codec
from profiles.device import DeviceProfile
from profiles.link import LinkProfile

#: VGG-16 in Figure 6, as fractions of the cloud-only total; 25,088 elements cross, an image of 224×224×3 bytes else.
EDGE, COMM, CLOUD, IMAGE_COMM, WHOLE = 0.4587, 0.5270, 0.0143, 0.7905, 0.0160


@pytest.mark.parametrize(("wire", "speed_up"), [("float32", 0.81), ("float16", 1.095), ("int8", 1.33)])
def test_a_byte_an_element_turns_vgg16s_slow_down_into_a_gain_by_the_papers_fractions(
    tiny: dict[str, Any], wire: str, speed_up: float
) -> None:
    sizes = {"x": (150528, 602112, 150528), "conv": (25088, 100352, None), "out": (2, 8, None)}
    kept = [node for node in tiny["nodes"] if node["id"] in ("x", "conv", "fc", "out")]

    def timed(times_ms: dict[str, float]) -> DeviceProfile:
        nodes = []
        for node in kept:
            elements, size, encoded = sizes.get(node["id"], sizes["out"])
            changes = {"shape": [1, elements], "bytes": size, "time_ms": times_ms.get(node["id"], 0)}
            inputs = ["conv"] if node["id"] == "fc" else node["inputs"]
            more = {} if encoded is None else {"encoded_bytes": encoded}
            nodes.append(node | changes | {"inputs": inputs} | more)
        document = tiny | {"nodes": nodes, "whole_ms": sum(times_ms.values())}
        return artifact.decode(json.dumps(document).encode(), DeviceProfile, origin="figure 6")

    edge, cloud = timed({"conv": EDGE, "fc": 0.01}), timed({"conv": WHOLE - CLOUD, "fc": CLOUD})
    rate = 8 * 100352 / (1000 * COMM)
    link = LinkProfile(name="figure 6", provenance="imported", uplink_mbps=rate, downlink_mbps=1e9, rtt_ms=0)
    plan = cut(edge, cloud, link, at="conv", wire=wire)
    assert plan.references.cloud_only.total_ms == pytest.approx(IMAGE_COMM + WHOLE, rel=1e-3)
    assert plan.predicted.uplink_ms == pytest.approx(COMM * codec.WIRE_ITEMSIZE[wire] / 4)
    assert plan.references.cloud_only.total_ms / plan.predicted.total_ms == pytest.approx(speed_up, abs=0.005)
