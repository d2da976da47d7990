"""Figures 5, 7, 8 and 9: their verdicts and axes, from small results made up for them."""

import math
import re
from typing import Any

import numpy as np
import pytest

from noise.activations import Activations
from noise.gaussian_start import covariance_nats
from noise.randomness import SeededRandom
from reproduction import figure5, figure7, figure8, figure9
from reproduction.deeper_cut import Deeper
from reproduction.gaussian_of_one_scale import of_one_scale
from reproduction.step import Result

STEEP = [(0.2, 150.0), (1.0, 220.0), (2.0, 250.0), (5.0, 270.0), (10.0, 285.0)]
STRAIGHT = [(0.0, 0.0), (2.0, 20.0), (5.0, 50.0), (10.0, 100.0)]


def result(step: str, settings: dict[str, Any] | None = None, **figures: Any) -> Result:
    return Result(
        step=step,
        provenance="measured",
        settings=settings or {},
        command="",
        figures=figures,
        machine="here",
        seconds=1,
        made="today",
    )


def learning(alpha: float, snr_inverse: list[float], drawn: float = 90.0) -> Result:
    rows = [{"step": 10 * index, "accuracy": 90.0, "snr_inverse": one} for index, one in enumerate(snr_inverse)]
    settings = {"network": "lenet", "alpha": alpha}
    return result(
        f"figure5-lenet-{alpha:g}",
        settings,
        iterations=rows,
        clean_percent=99.0,
        tensor_percent=[98.0],
        drawn_percent=drawn,
    )


def noise(kind: str, line: list[tuple[float, float]], **more: float) -> Result:
    points = [{"gain": 1.0, "loss_points": loss, "bits": 300 - lost, **more} for loss, lost in line]
    return result(
        f"noise-lenet-{kind}-0", clean={"bits": 300.0, "k": 3, "samples": 5000, "dimensions": 904}, points=points
    )


def rival(method: str, private: float, unaware: float, *, value: str = "0.0", budget: str = "1.5") -> dict[str, str]:
    shown = {"method": method, "value": value, "budget_points": budget, "primary_percent": "98"}
    return shown | {
        "private_percent": f"{private}",
        "unaware_percent": f"{unaware}",
        "ite_nats": "50",
        "elements": "120",
    }


def labels(svg: bytes) -> str:
    return " ".join(re.findall(r">([^<>]+)</text>", svg.decode()))


RISE = [*np.linspace(4, 40, 20), *np.linspace(40, 42, 10)]


@pytest.mark.parametrize(
    ("with_alpha", "without", "outcome"),
    [
        (RISE, [4.0, 3.0], "on a stand-in"),
        (RISE, [3.0, 4.0], "differs"),
        (list(np.linspace(4, 40, 30)), [4.0, 3.0], "differs"),  # rises on and on
    ],
)
def test_figure_5_wants_a_fall_without_alpha_and_a_rise_that_settles_with_it(
    with_alpha: list[float], without: list[float], outcome: str
) -> None:
    found = {one.step: one for one in (learning(0.01, with_alpha), learning(0.0, without))}
    assert figure5.verdict(found).outcome == outcome


def test_figure_5_wants_both_runs_and_says_what_drawing_costs_where_it_does() -> None:
    one, other = learning(0.01, RISE, drawn=98.5), learning(0.0, [4.0, 3.0], drawn=98.5)
    assert figure5.verdict({one.step: one}).outcome == "not reproduced"
    assert "costs more" not in figure5.verdict({each.step: each for each in (one, other)}).why
    dear = learning(0.01, RISE), learning(0.0, [4.0, 3.0])
    assert "costs more" in figure5.verdict({each.step: each for each in dear}).why


def test_figure_5_has_its_axes() -> None:
    runs = {0.0: learning(0.0, [4.0, 3.0]).figures, 0.01: learning(0.01, RISE).figures}
    shown = labels(figure5.picture_of({"lenet": runs}))
    for words in ("1/SNR", "iteration", "of the batch, %", "α = 0"):
        assert words in shown


def test_figure_7_reads_between_points_and_not_beyond() -> None:
    assert figure7.at_loss(STEEP, 1.5) == pytest.approx(235)
    assert figure7.at_loss(STEEP, 0.1) is None
    assert figure7.at_loss(STEEP, 11) is None


def test_figure_7_tells_a_plateau_from_a_straight_line() -> None:
    assert figure7.rises_then_flattens(STEEP) is True
    assert figure7.rises_then_flattens(STRAIGHT) is False


def test_figure_7_without_a_curve_that_tells_is_no_verdict_on_the_paper() -> None:
    for line, outcome in ((STEEP, "reproduced in part"), (STEEP[:3], "not reproduced"), (STRAIGHT[1:], "differs")):
        one = noise("laplace", line)
        assert figure7.verdict({one.step: one}).outcome == outcome, line


@pytest.mark.parametrize(("ours", "prefers"), [(STEEP, True), ([(loss, 299.0) for loss, _ in STEEP], False)])
def test_figure_7_says_what_the_estimate_prefers_only_where_it_does(
    ours: list[tuple[float, float]], prefers: bool
) -> None:
    bound = {"covariance_bits": 0.5, "mixture_bits": 0.5}
    better = [(loss, min(lost + 10, 299)) for loss, lost in STEEP]
    said = figure7._contradicted(
        {"lenet": {"laplace": noise("laplace", better), "channel": noise("channel", ours, **bound)}}
    )
    assert "is contradicted by" in said
    assert ("one would choose" in said) is prefers


def test_a_bound_above_the_estimate_is_still_read_off() -> None:
    one = noise("channel", STEEP, covariance_bits=400.0, mixture_bits=350.0)
    assert "| 350.0 |" in figure7._table({"lenet": {"channel": one}})


def test_figure_7_has_its_zero_leakage_line_and_the_bound() -> None:
    bound = {"covariance_bits": 9.0, "mixture_bits": 7.0}
    kinds = {"laplace": noise("laplace", STEEP), "channel": noise("channel", STEEP, **bound)}
    svg = figure7.picture_of({"lenet": kinds})
    assert "zero leakage" in labels(svg)
    assert "proven" in labels(svg)
    assert svg == figure7.picture_of({"lenet": kinds})
    assert len(svg) < 60_000


def test_figure_8_normalises_over_the_last_cut() -> None:
    assert figure8.normalised([200.0, 100.0, 50.0], first=300.0) == pytest.approx([0.4, 0.8, 1.0])
    assert figure8.plateaus([0.2, 0.97, 1.0]) is True
    assert figure8.plateaus([0.2, 0.6, 1.0]) is False


def test_figure_8_without_the_edges_times_has_no_section() -> None:
    assert figure8.verdict({}).outcome == "not made"


@pytest.mark.parametrize("quick", [True, False])
def test_a_cut_of_figure_8_is_one_step(quick: bool) -> None:
    names = [one.name for one in figure8.steps(quick=quick)]
    assert len(names) == len(set(names))
    assert Deeper("lenet", "pool1", "one-scale").name in names


def test_bound_of_one_scale_is_that_of_parallel_gaussian_channels() -> None:
    random = SeededRandom(0)
    tensors = random.normal((4000, 3)) * np.array([1.0, 2.0, 4.0], dtype=np.float32)
    on = Activations((tensors,), (), np.zeros(4000, dtype=np.int64), np.zeros((4000, 2), dtype=np.float32))
    bits = covariance_nats(of_one_scale({"a": (3,)}, 2.0), on, on) / math.log(2)
    assert bits == pytest.approx(0.5 * np.log2(1 + np.array([1.0, 4.0, 16.0]) / 4).sum(), rel=0.03)


def test_figure_9_is_judged_by_both_adversaries() -> None:
    clean, floor = rival("clean", 96.0, 96.0, budget="0.0"), rival("floor", 62.0, 62.0, budget="0.0")
    rows = [clean, floor, rival("equation-4", 94.0, 65.0), rival("dpfe", 79.0, 79.0, value="0.1")]
    found = {"figure9-dpfe": result("figure9-dpfe", rows=rows)}
    assert "turned round" in figure9.verdict(found).why
    assert "learned with noise" in labels(figure9.picture_of(rows))
    assert "learned without noise" in labels(figure9.picture_of(rows))


def test_figure_9_leaves_out_what_no_noise_keeps() -> None:
    missing = rival("equation-5", 0.0, 0.0, value="0.1") | {"private_percent": "", "primary_percent": ""}
    assert figure9.lines([missing], "private_percent") == {}
