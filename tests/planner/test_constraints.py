from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import random_graphs
from hypothesis import assume, given, settings
from legal_cuts import legal_cuts

from planner.constraints import Constraints
from planner.cost import CostModel
from planner.legality import CutRules
from planner.planning import cut
from profiles.device import DeviceProfile, PowerMilliwatts
from profiles.errors import CutError, InfeasibleError
from profiles.link import LinkProfile, presets

WIFI = presets()["wifi"]


@pytest.mark.parametrize(
    ("constraints", "name"),
    [
        (Constraints(max_upload=400), "relu4"),
        (Constraints(max_upload=2000, pin_cloud=frozenset({"conv3"})), "pool2"),
        (Constraints(pin_cloud=frozenset({"fc1"})), "flatten"),
        (Constraints(pin_edge=frozenset({"fc1"})), "relu4"),
        (Constraints(forbid=frozenset({"relu4"}), min_depth=3), "flatten"),
        (Constraints(min_depth=4), "relu4"),
        (Constraints(max_edge_memory=100_000, min_depth=2), "pool2"),
    ],
)
def test_a_constraint_is_met(lenet_profile: DeviceProfile, constraints: Constraints, name: str) -> None:
    assert cut(lenet_profile, lenet_profile, WIFI, constraints=constraints).cut.name == name


@pytest.mark.parametrize(
    ("constraints", "ways"),
    [
        (Constraints(max_upload=100), ["--max-upload 336 B (now 100 B)"]),
        (Constraints(max_upload=400, min_depth=5), ["--min-depth 4 (now 5)"]),
        (Constraints(max_crossing=0), ["--max-crossing 1 (now 0)"]),
        (Constraints(max_edge_memory=60_000, min_depth=3), ["--max-edge-memory", "--min-depth 2 (now 3)"]),
        (Constraints(pin_cloud=frozenset({"conv2"}), min_depth=2), ["no --pin-cloud conv2", "--min-depth 1 (now 2)"]),
        (
            Constraints(pin_edge=frozenset({"fc1"}), forbid=frozenset({"relu4"})),
            ["no --pin-edge fc1", "no --forbid relu4"],
        ),
        (Constraints(pin_edge=frozenset({"fc2"})), ["no --pin-edge fc2"]),
        (Constraints(max_upload=10, max_crossing=0), ["no single one"]),
    ],
)
def test_where_nothing_meets_them_each_single_way_out_is_named(
    lenet_profile: DeviceProfile, constraints: Constraints, ways: list[str]
) -> None:
    with pytest.raises(InfeasibleError) as caught:
        cut(lenet_profile, lenet_profile, WIFI, constraints=constraints)
    assert all(way in str(caught.value) for way in ways)


def test_the_way_out_that_is_named_is_one(lenet_profile: DeviceProfile) -> None:
    tight = Constraints(deadline=1.0, min_depth=2)
    with pytest.raises(InfeasibleError, match=r"--deadline (\d+\.\d+)") as caught:
        cut(lenet_profile, lenet_profile, WIFI, constraints=tight)
    needed = float(str(caught.value).split("--deadline ")[1].split()[0])
    with pytest.raises(InfeasibleError):
        cut(lenet_profile, lenet_profile, WIFI, constraints=replace(tight, deadline=needed - 0.002))
    assert cut(lenet_profile, lenet_profile, WIFI, constraints=replace(tight, deadline=needed + 0.002))


@pytest.mark.parametrize(
    ("constraints", "word"),
    [
        (Constraints(max_upload=-1), "--max-upload -1"),
        (Constraints(deadline=float("nan")), "--deadline nan"),
        (Constraints(pin_edge=frozenset({"conv9"})), "nearest: conv3"),
        (Constraints(forbid=frozenset({"pol1"})), "nearest: pool1"),
        (Constraints(public_inputs=frozenset({"mask"})), "is not an input"),
    ],
)
def test_what_cannot_be_is_refused(lenet_profile: DeviceProfile, constraints: Constraints, word: str) -> None:
    with pytest.raises(CutError, match=word):
        cut(lenet_profile, lenet_profile, WIFI, constraints=constraints)


def test_memory_needs_parameter_bytes(tiny_profile: DeviceProfile) -> None:
    with pytest.raises(CutError, match="has no parameter_bytes"):
        cut(tiny_profile, tiny_profile, WIFI, constraints=Constraints(max_edge_memory=10**9))


def test_energy_by_hand_and_refused_without_powers(tiny_profile: DeviceProfile) -> None:
    with pytest.raises(CutError, match=r"device\.power_mw"):
        cut(tiny_profile, tiny_profile, WIFI, objective="energy")
    device = msgspec.structs.replace(tiny_profile.device, power_mw=PowerMilliwatts(busy=5000, idle=1000))
    powered = msgspec.structs.replace(tiny_profile, device=device)
    with pytest.raises(CutError, match="radio_power_mw"):
        cut(powered, powered, presets()["cat1"], objective="energy")
    found = cut(powered, powered, WIFI, objective="energy").predicted
    up_ms, down_ms = 8 * 1024 / 18_880, 8 * 40 / 54_970
    radio = (283.17 * 18.88 + 132.86) * up_ms + (137.01 * 54.97 + 132.86) * down_ms
    assert found.energy_mj == pytest.approx((5000 * 2.4 + radio + 1000 * (5 + 0.6)) / 1000)


def test_top_lists_different_cuts_best_first(lenet_profile: DeviceProfile) -> None:
    plan = cut(lenet_profile, lenet_profile, WIFI, top=10)
    assert sorted(plan.settings.top) == ["flatten", "pool1", "pool2", "relu4"]
    totals = {one.name: one.predicted.total_ms for one in plan.candidates}
    assert [totals[name] for name in plan.settings.top] == sorted(totals.values())


@settings(max_examples=40, deadline=None)
@given(random_graphs.profiles(most_nodes=10, dead_ends=False), random_graphs.links)
def test_the_pareto_front_is_what_no_cut_beats(pair: tuple[DeviceProfile, DeviceProfile], link: LinkProfile) -> None:
    rules, cost = CutRules(pair[0].graph), CostModel(*pair, link)
    prices = [cost.price(edge, rules.crossing(edge)) for edge in legal_cuts(rules)]
    points = {(one.total_ms, one.upload_bytes, one.edge_ms) for one in prices}
    assume(points)

    def beaten(point: tuple[float, float, float], by: float) -> bool:
        """Whether another is as good in all three and better in one by more than what solvers can tell apart."""
        return any(
            all(a <= b for a, b in zip(other, point, strict=True))
            and any(a < b - by for a, b in zip(other, point, strict=True))
            for other in points
        )

    plan = cut(*pair, link, pareto=True)
    assert plan.settings.pareto is not None
    assert plan.settings.pareto.complete
    by_name = {one.name: one.predicted for one in plan.candidates}
    shown = [by_name[name] for name in plan.settings.pareto.cuts]
    found = {(one.total_ms, one.upload_bytes, one.edge_ms) for one in shown}
    assert not any(beaten(point, 1e-4) for point in found)
    for point in points:
        near = any(all(abs(a - b) <= 1e-4 for a, b in zip(point, other, strict=True)) for other in found)
        assert (
            near
            or beaten(point, 0)
            or any(all(a <= b + 1e-4 for a, b in zip(other, point, strict=True)) for other in found)
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("20000", 20000), ("20kB", 20000), ("64MB", 64_000_000), ("1.5MiB", 1_572_864), ("2 GB", 2 * 10**9), ("7B", 7)],
)
def test_sizes(text: str, expected: int) -> None:
    from planner.commands import size_bytes

    assert size_bytes("--max-upload", text) == expected


@pytest.mark.parametrize("text", ["", "MB", "-5", "5 apples", "1e3", "nan"])
def test_what_is_no_size(text: str, tiny: Any, plan_command: Callable[..., Any], tmp_path: Any) -> None:
    file = tmp_path / "edge.json"
    file.write_text(__import__("json").dumps(tiny))
    done = plan_command("cut", file, file, "--link", "wifi", f"--max-upload={text}")
    assert done.code == 2
    assert "expected bytes" in done.err
