"""Table 2's own arithmetic: VGG-16's ninth cut, the best after a convolution, and what another edge would change."""

from itertools import pairwise
from math import inf
from typing import Any

import pytest

from reproduction import table2
from reproduction.table2_picture import over_bandwidth
from reproduction.table2_reasons import difference
from reproduction.table2_steps import chosen, cuts, slower_edge

#: VGG-16 on a TX2's GPU and a Titan Xp, modelled, to a tenth of a millisecond: number, edge, bytes, cloud.
VGG16: list[dict[str, Any]] = [
    {"number": number, "edge_ms": edge_ms, "bytes": size, "cloud_ms": cloud_ms}
    for number, edge_ms, size, cloud_ms in (
        ("2", 13.7, 3_211_264, 3.65),
        ("4", 31.3, 1_605_632, 3.10),
        ("7", 59.5, 802_816, 2.29),
        ("9", 76.2, 1_605_632, 1.82),
        ("13", 96.3, 100_352, 1.13),
    )
]


def test_vgg16s_ninth_is_beaten_by_the_seventh_at_every_bandwidth() -> None:
    by_number = {one["number"]: one for one in VGG16}
    fixed_ms, kilobits = difference(by_number["9"], by_number["7"])
    # Twice the elements cross, by the shapes alone: 512×28×28 against 256×28×28.
    assert kilobits == 8 * 4 * 256 * 28 * 28 / 1000
    assert fixed_ms > 0
    assert slower_edge(VGG16, "9", 18.88) is None


def test_what_another_edge_would_choose_agrees_with_choosing() -> None:
    def best(times: float) -> str:
        found = min(VGG16, key=lambda one: times * one["edge_ms"] + one["cloud_ms"] + 8 * one["bytes"] / 18_880)
        return str(found["number"])

    for number in ("2", "4", "7", "13"):
        span = slower_edge(VGG16, number, 18.88)
        assert span is not None
        low, high = span
        inside = low * 1.01 if high == inf else (low + high) / 2
        assert best(inside) == number
        assert best(high * 1.01) != number or high == inf
        assert low == 0 or best(low * 0.99) != number


def test_the_picture_is_the_same_twice_small_and_of_text() -> None:
    pytest.importorskip("matplotlib")
    made = over_bandwidth(VGG16)
    assert made == over_bandwidth(VGG16)
    assert len(made) < 40_000
    assert b"after convolution 9" in made


def test_lenets_cuts_and_the_best_after_a_convolution() -> None:
    found = cuts("lenet")
    assert [one["number"] for one in found["cuts"]] == ["1", "2", "3", "F1"]
    assert [one["name"] for one in found["cuts"]] == ["pool1", "pool2", "flatten", "relu4"]
    assert found["chain"]
    on = chosen("lenet", "tx2-gpu")
    for link, best in on["links"].items():
        totals = {number: ms for number, ms in best["ms"].items() if number.isdigit()}
        assert best["convolution"]["number"] == min(totals, key=lambda number: totals[number]), link
        assert best["any"]["ms"] == pytest.approx(min(best["ms"].values()))
    segments = on["convolution_segments"]
    assert (segments[0]["from"], segments[-1]["to"]) == (0.1, 1000)
    assert all(one["to"] == other["from"] for one, other in pairwise(segments))


def test_a_verdict_is_of_what_was_found() -> None:
    lenet = cuts("lenet")
    assert table2.agreement({"lenet": lenet}, "wifi") == (2, 2, [])
    for edge in lenet["edges"].values():
        edge["links"]["wifi"]["convolution"]["number"] = "1"
    agreed, of, apart = table2.agreement({"lenet": lenet}, "wifi")
    assert (agreed, of) == (0, 2)
    assert apart == ["LeNet's 3 on the CPU", "LeNet's 3 on the GPU"]
