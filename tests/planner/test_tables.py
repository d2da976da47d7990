import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner import curve, tables
from planner.plan import Breakpoint, Plan
from planner.planning import cut
from profiles.device import DeviceProfile
from profiles.link import presets

WIFI = presets()["wifi"]
names = st.lists(st.text("abcdef.1_", min_size=1, max_size=70), min_size=1, max_size=9).map("+".join)


@given(names, st.integers(12, 60))
def test_a_name_keeps_to_its_room(name: str, width: int) -> None:
    lines = tables.folded(name, width).split("\n")
    assert len(lines) <= tables.NAME_LINES
    assert all(len(line) <= width for line in lines)
    assert len(tables.short(name, max(width, 20))) <= max(width, 20)
    if len(name) < width:
        assert lines == [name]


def test_names_are_broken_at_their_tensors_and_the_rest_is_counted() -> None:
    assert tables.folded("layer1.0.conv1+layer1.0.relu", 16) == "layer1.0.conv1+\nlayer1.0.relu"
    assert tables.folded("+".join(f"tensor{index}" for index in range(9)), 10) == "tensor0+\ntensor1\nand 7 more"
    assert tables.short("bert.encoder.layer.11.output+mask", 24) == "bert…1.output and 1 more"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (0.0412, "0.041"), (1.234, "1.23"), (12.34, "12.3"), (99.96, "100"), (1234.5, "1234"),
     (99_999.4, "99999"), (123_456, "1.2e5"), (0.00012, "1.2e-4")],
)  # fmt: skip
def test_figures_have_three_digits(value: float | None, text: str) -> None:
    assert tables.figure(value) == text


@given(st.floats(0, 1e12))
def test_no_figure_is_wider_than_its_column(value: float) -> None:
    assert len(tables.figure(value)) <= 6
    shown = float(tables.figure(value))
    assert shown == pytest.approx(value, rel=0.05, abs=5e-4)


def test_every_objective_is_in_the_row(tiny: dict[str, Any]) -> None:
    tiny["device"]["power_mw"] = {"busy": 5000, "idle": 1000}
    profile = msgspec.convert(tiny, DeviceProfile)
    plan = cut(profile, profile, WIFI)
    columns, rows = tables.candidates(plan, plan.candidates)
    row = dict(zip(columns, rows[0].cells, strict=True))
    assert row[""] == "→"
    assert float(row["mJ"]) == pytest.approx(plan.predicted.energy_mj or 0, rel=1e-2)
    assert float(row["per s"]) == pytest.approx(plan.predicted.throughput_per_s or 0, rel=1e-2)
    assert float(row["total"]) == pytest.approx(plan.predicted.total_ms, rel=1e-2)
    assert float(row["edge"]) == pytest.approx(plan.predicted.edge_ms, rel=1e-2)
    assert [rows[-2].cells[1], rows[-1].cells[1]] == ["cloud-only", "edge-only"]


def test_energy_that_is_unknown_is_a_dash(tiny_profile: DeviceProfile) -> None:
    plan = cut(tiny_profile, tiny_profile, WIFI)
    columns, rows = tables.candidates(plan, plan.candidates)
    assert {row.cells[columns.index("mJ")] for row in rows} == {"-"}


def many(plan: Plan, count: int) -> Plan:
    """A plan with copies of its candidate, ever slower."""
    (one,) = plan.candidates
    slower = [
        msgspec.structs.replace(
            one,
            name=f"n{index}",
            edge_nodes=(f"n{index}",),
            predicted=msgspec.structs.replace(one.predicted, total_ms=1000.0 + (count - index)),
        )
        for index in range(count)
    ]
    return msgspec.structs.replace(plan, candidates=(*slower, one))


def test_of_many_candidates_the_best_and_the_chosen_are_shown_in_graph_order(tiny_profile: DeviceProfile) -> None:
    plan = many(cut(tiny_profile, tiny_profile, WIFI), 50)
    shown = [one.name for one in tables.worth_showing(plan)]
    assert shown == [*(f"n{index}" for index in range(31, 50)), "relu"]


def test_the_curve_is_the_best_latency_at_every_bandwidth(lenet_profile: DeviceProfile) -> None:
    plan = cut(lenet_profile, lenet_profile, WIFI)
    for one, other in itertools.pairwise(plan.breakpoints):
        assert one.latency_ms_to == pytest.approx(other.latency_ms_from)
    for segment in plan.breakpoints:
        middle = (segment.uplink_mbps_from * segment.uplink_mbps_to) ** 0.5
        there = cut(lenet_profile, lenet_profile, msgspec.structs.replace(WIFI, uplink_mbps=middle))
        assert curve.latency_ms(segment, middle) == pytest.approx(there.predicted.total_ms)


def test_the_curve_shows_stretches_links_and_keeps_to_80_columns(tiny_profile: DeviceProfile) -> None:
    plan = cut(tiny_profile, tiny_profile, WIFI)
    segments = (Breakpoint(0.1, 10, "deep", 80.9, 1.7), Breakpoint(10, 1000, "early", 1.7, 0.9))
    plan = msgspec.structs.replace(plan, breakpoints=segments)
    lines = curve.drawn(plan, {"wifi": 18.88, "lte": 5.85, "3g": 1.1, "cat1": 0.13})
    assert all(len(line) <= 80 for line in lines)
    text = "\n".join(lines)
    assert all(mark in text for mark in ("◆wifi", "▲lte", "▲3g", "▲cat1", "A", "B", "0.1", "1000"))
    # 10 Mbps is the middle of four decades: what is drawn before it is A, after it B.
    for line in lines[1 : 1 + curve.ROWS]:
        cells = line[curve.MARGIN :]
        assert "A" not in cells[curve.COLUMNS // 2 :]
        assert "B" not in cells[: curve.COLUMNS // 2]
    assert curve.drawn(msgspec.structs.replace(plan, breakpoints=(Breakpoint(0.1, 1000, "deep"),)), {}) == []
