"""Table 3: what is exact in it, to the printed digit; what counts as reproduced, on results made up for it."""

from typing import Any

import pytest

from noise.laplace import LaplaceNoise, ordered
from noise.randomness import SeededRandom
from noise.tensors import footprint_bytes
from profiles.zoo.catalog import ZOO
from reproduction import table3
from reproduction.printed_table3 import PRINTED
from reproduction.step import Result


def result(step: str, bits: float, **figures: Any) -> Result:
    point = {"gain": 1.0, "loss_points": 1.5, "bits": bits}
    accuracy = {"clean": 99.0, "loss_points": 1.5, "interval_points": [1.2, 1.8]}
    known = {
        "clean": {"bits": 300.0, "k": 3, "samples": 5000, "dimensions": 904},
        "points": [point],
        "accuracy": accuracy,
        "epochs": 0.7,
        "footprint_bytes": 2100,
        "bounds": None,
        "variations": [],
    }
    return Result(
        step=step,
        provenance="measured",
        settings={},
        command="",
        figures=known | figures,
        machine="here",
        seconds=1,
        made="today",
    )


@pytest.mark.parametrize("network", ["lenet", "svhn", "alexnet", "vgg16"])
def test_footprint_is_the_printed_one_to_the_digit(network: str) -> None:
    elements = ZOO[network].paper_elements
    assert elements is not None
    assert f"{table3.footprint_kilobytes(elements):.2f}" == f"{PRINTED[network].footprint:.2f}"


def test_footprint_of_cifar10_fits_396_elements_not_the_400_of_its_times() -> None:
    assert f"{table3.footprint_kilobytes(396):.2f}" == "8.70"
    assert f"{table3.footprint_kilobytes(400):.2f}" == "8.79"


def test_footprint_is_what_a_collection_takes() -> None:
    drawn = SeededRandom(0).normal((20, 120))
    noise = LaplaceNoise({"conv3": ordered(drawn)})
    assert footprint_bytes(noise) / 1024 == pytest.approx(table3.footprint_kilobytes(120))


@pytest.mark.parametrize("network", ["lenet", "cifar10", "svhn", "alexnet"])
def test_share_of_parameters_is_the_printed_one(network: str) -> None:
    assert f"{table3.share_percent(network):.2f}" == f"{PRINTED[network].share_percent:.2f}"


def test_printed_loss_follows_from_the_printed_bits_where_the_paper_agrees_with_itself() -> None:
    for network in ("lenet", "cifar10", "alexnet", "vgg16"):
        one = PRINTED[network]
        assert table3.lost_percent(one.before_bits, one.after_bits) == pytest.approx(one.lost_percent, abs=0.02)


@pytest.mark.parametrize(("bits", "outcome"), [(20.0, "reproduced"), (80.0, "reproduced in part")])
def test_verdict_follows_what_was_lost(bits: float, outcome: str) -> None:
    found = {"noise-lenet-laplace-0": result("noise-lenet-laplace-0", bits)}
    assert table3.verdict(found).outcome == outcome


def test_without_the_papers_noise_it_is_not_reproduced() -> None:
    found = {"noise-lenet-channel-0": result("noise-lenet-channel-0", 20.0)}
    assert table3.verdict(found).outcome == "reproduced in part"


@pytest.mark.parametrize(
    ("drawn", "tensors", "bits", "both"),
    [(30.0, 98.5, 11.0, True), (98.5, 98.5, 11.0, False), (30.0, 60.0, 11.0, False), (30.0, 98.5, 200.0, False)],
)
def test_what_meets_both_printed_figures_is_said_where_it_does(
    drawn: float, tensors: float, bits: float, both: bool
) -> None:
    learned = result(
        "figure5-lenet-0.01",
        0.0,
        clean_percent=99.5,
        tensor_percent=[tensors],
        drawn_percent=drawn,
        clean_estimate={"bits": 250.0, "samples": 2000},
        drawn_estimate={"bits": bits},
    )
    ours = result("noise-lenet-laplace-0", 80.0)
    said = table3._fixed_tensor({one.step: one for one in (learned, ours)})
    assert ("Both printed figures" in said) is both
    assert "less than printed for LeNet" in said
    assert "less than printed" not in table3._fixed_tensor({learned.step: learned})


def test_more_left_than_is_proven_to_cross_is_said() -> None:
    bounds = [{"bits": 9.0}, {"bits": 5.0}]
    said = {
        bits: {"noise-lenet-channel-0": result("noise-lenet-channel-0", bits, bounds=bounds)} for bits in (4.0, 97.0)
    }
    assert "97 bits where at most 5.0" in table3._misranked(said[97.0])
    assert table3._misranked(said[4.0]) == ""


def test_several_runs_are_shown_with_their_range() -> None:
    assert table3.spread([75.0, 77.0]) == "76.0 (75.0 to 77.0)"
    assert table3.spread([324.4]) == "324"
