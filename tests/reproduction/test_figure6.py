"""Figure 6: sizes from our networks, prices that add up, a picture, and one measured run in miniature."""

from pathlib import Path

import pytest

from reproduction import figure6
from reproduction.figure6_modelled import modelled, sizes
from reproduction.figure6_picture import Bar, stacked
from reproduction.part import Pictures
from reproduction.printed import ratio
from reproduction.step import Store


def test_lenets_sizes_come_from_its_network() -> None:
    found = sizes("lenet")
    assert (found["number"], found["crossing_bytes"]) == ("3", 480)
    # Our network takes MNIST's own digit and pads it itself; the paper's image is the padded one.
    assert (found["input_bytes"], found["image_bytes"]) == (28 * 28, 32 * 32)
    assert ratio("lenet") < 480 / 1024


def test_parts_add_up_and_the_chosen_cut_is_no_slower() -> None:
    for edge, links in modelled("lenet").items():
        for link, on in links.items():
            for one in (on["cloud_only"], *(on[wire][place] for wire in ("float32", "int8") for place in on[wire])):
                assert one["edge"] + one["comm"] + one["cloud"] == pytest.approx(one["total"]), (edge, link)
            for wire in ("float32", "int8"):
                assert on[wire]["chosen"]["total"] <= on[wire]["paper"]["total"] + 1e-9
            assert on["int8"]["paper"]["comm"] < on["float32"]["paper"]["comm"]


def test_bars_show_speed_ups_and_long_ones_say_that_they_are_cut_off() -> None:
    pytest.importorskip("matplotlib")
    groups = {"LeNet": [Bar("paper", (0.1, 0.4, 0.0)), Bar("measured", (0.5, 2.0, 0.5))]}
    made = stacked(groups, title="time")
    assert b"2.00\xc3\x97" in made
    assert b"0.33\xc3\x97 (bar cut off)" in made


def test_a_page_of_one_network_says_what_it_lacks(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    steps = {one.name: one for one in figure6.steps(quick=True)}
    assert steps.keys() < {one.name for one in figure6.steps(quick=False)}
    store = Store(tmp_path / "store")
    found = {name: store.done(steps[name]) for name in ("figure6-sizes-lenet", "figure6-modelled-lenet")}
    text = figure6.section(found, Pictures(tmp_path / "pictures", "pictures"), quick=True)
    assert "| LeNet | 3 | 480 | 1,024 | 0.4688 | 0.4448 | 0.949 |" in text
    assert "Nothing was measured on LTE." in text
    assert text.count("](pictures/figure6-") == len(list((tmp_path / "pictures").glob("*.svg"))) == 2
    # LeNet's ratio is not the printed one, and a mean of five networks is not that of one.
    assert figure6.verdict(found).outcome == "differs"
    assert "modelled" not in figure6.verdict(found).why


@pytest.mark.long
def test_a_cut_is_measured_beside_cloud_only() -> None:
    from reproduction.figure6_measured import measured

    found = measured("lenet", "wifi", profile_s=0.5, budget_s=0.0)
    assert [(one["wire"], one["place"]) for one in found["runs"]] == [
        ("float32", "paper"),
        ("float32", "chosen"),
        ("int8", "paper"),
        ("int8", "chosen"),
    ]
    for one in found["runs"]:
        assert one["repeats"] == 10
        assert one["cloud_only_ms"]["total"].p50 > 5 + 8 * 784 / 18_880
        assert one["speed_up"] == pytest.approx(one["cloud_only_ms"]["total"].p50 / one["ms"]["total"].p50)
        low, high = one["speed_up_interval"]
        assert low <= one["speed_up"] <= high
