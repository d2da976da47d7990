"""Explored cuts: dominance, and the choice under a promise, against looking at all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner import explored, promised
from planner.constraints import Constraints
from planner.cost import CostModel
from planner.dominance import Figures, dominates, figures, unbeaten
from planner.explored import Attacked, Explored, ExploredCut, LeftOut
from planner.plan import Plan
from planner.planning import cut
from planner.promises import Promise
from profiles import artifact
from profiles.device import DeviceProfile
from profiles.errors import ArtifactError, CutError, InfeasibleError
from profiles.link import presets

WIFI = presets()["wifi"]

rows = st.dictionaries(st.sampled_from("abcd"), st.one_of(st.none(), st.integers(0, 3).map(float)))


def slowly_dominates(one: Figures, other: Figures) -> bool:
    """By the definition: the same figures are known, none is worse, not all are equal."""
    known = {name: value for name, value in one.items() if value is not None}
    theirs = {name: value for name, value in other.items() if value is not None}
    return known.keys() == theirs.keys() and known != theirs and all(known[name] <= theirs[name] for name in known)


@given(st.lists(rows, max_size=8))
def test_the_front_is_what_looking_at_all_pairs_finds(those: list[Figures]) -> None:
    slow = [all(not slowly_dominates(other, one) for other in those) for one in those]
    assert unbeaten(those) == slow
    assert any(slow) or not those


@given(rows, rows, rows)
def test_dominance_is_a_strict_order_and_more_knowledge_of_one_alone_decides_nothing(
    one: Figures, two: Figures, three: Figures
) -> None:
    assert not dominates(one, one)
    assert not (dominates(one, two) and dominates(two, one))
    assert not (dominates(one, two) and dominates(two, three)) or dominates(one, three)
    assert not dominates({**one, "more": 0.0}, {**two, "more": None})


def explored_of(plan: Plan, told: dict[str, tuple[str, float | None, float | None]]) -> Explored:
    """told: `cut/kind` → noise kind, bound in bits, PSNR."""
    found = {one.name: one for one in plan.candidates}
    cuts = tuple(
        ExploredCut(
            **msgspec.structs.asdict(found[key.partition("/")[0]]),
            noise=kind,
            accuracy_loss_points=1.0,
            bound_bits=bound,
            attacked=None if psnr is None else Attacked(psnr_db=psnr),
            folder=f"{number}-{key.partition('/')[0]}",
            noise_file="noise.safetensors",
        )
        for number, (key, (kind, bound, psnr)) in enumerate(told.items(), start=1)
    )
    return Explored(
        model=plan.model,
        data="mnist",
        budget_points=1.5,
        edge=plan.edge,
        cloud=plan.cloud,
        link=plan.link,
        cuts=cuts,
        left_out=(LeftOut(name="conv1", folder="1-conv1", noise="laplace", reason="no noise keeps it"),),
    )


@pytest.fixture(scope="module")
def plan(lenet_profile: DeviceProfile) -> Plan:
    return cut(lenet_profile, lenet_profile, WIFI)


def test_where_nothing_is_proven_the_bound_is_infinite_and_what_was_not_tried_is_unknown(plan: Plan) -> None:
    pair = explored_of(plan, {"pool2": ("channel", 5.0, 14.0), "pool2/2": ("laplace", None, None)}).cuts
    proven, unproven = map(figures, pair)
    assert unproven["bound"] == float("inf")
    assert unproven["psnr"] is None
    assert not dominates(proven, unproven)
    assert dominates(proven, {**unproven, "psnr": 14.0})


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_choice_is_the_cheapest_of_all_that_keep_the_promise(
    plan: Plan, lenet_profile: DeviceProfile, data: st.DataObject
) -> None:
    figure = st.one_of(st.none(), st.integers(0, 20).map(float))
    names = [f"{one.name}/{kind}" for one in plan.candidates for kind in ("channel", "laplace")]
    explored_cuts = data.draw(st.lists(st.sampled_from(names), unique=True, min_size=1))
    found = explored_of(
        plan, {name: (name.partition("/")[2], data.draw(figure), data.draw(figure)) for name in explored_cuts}
    )
    limits = data.draw(st.tuples(figure, figure))
    link = msgspec.structs.replace(WIFI, uplink_mbps=data.draw(st.sampled_from([0.1, 2.0, 500.0])))

    # Slowly: of each cut the noise that tells least among those that keep it, at its own price.
    best: dict[str, tuple[float, float]] = {}
    price: dict[str, float] = {}
    for one in found.cuts:
        reached = (one.bound_bits, None if one.attacked is None else one.attacked.psnr_db)
        pairs = list(zip(reached, limits, strict=True))
        if any(limit is not None and (value is None or value > limit) for value, limit in pairs):
            continue
        bound, psnr = (float("inf") if value is None else value for value in reached)
        if one.name in best and best[one.name] <= (bound, psnr):
            continue
        best[one.name] = (bound, psnr)
        cost = CostModel(lenet_profile, lenet_profile, link, noise=one.noise)
        price[one.name] = cost.price(one.edge_nodes, cost.graph.crossing(one.edge_nodes)).total_ms

    asked: dict[str, Any] = {"explored": found, "promise": Promise(*limits)}
    if not best:
        with pytest.raises(InfeasibleError, match="the nearest is"):
            promised.cut(lenet_profile, lenet_profile, link, **asked)
        return
    made = promised.cut(lenet_profile, lenet_profile, link, **asked)
    assert made.plan.predicted.total_ms == min(price.values())
    assert (made.plan.cut.name, made.plan.settings.noise) == (made.chosen.name, made.chosen.noise)
    assert price[made.chosen.name] == min(price.values())
    assert {one.cut for one in made.plan.breakpoints} <= set(price)


def test_a_channel_is_priced_with_the_map_that_was_learned(plan: Plan, lenet_profile: DeviceProfile) -> None:
    found = explored_of(plan, {plan.candidates[1].name: ("channel", 5.0, None)})

    def share(**form: Any) -> float:
        one = msgspec.structs.replace(found.cuts[0], **form)
        known = msgspec.structs.replace(found, cuts=(one,))
        made = promised.cut(lenet_profile, lenet_profile, WIFI, explored=known, promise=Promise(9.0))
        assert made.plan.settings.noise_share is not None
        return made.plan.settings.noise_share

    assert share(hidden=16) == share()
    assert share(hidden=512) > 8 * share()
    assert share(linear=True) > 8 * share()


FOUND = (("channel", 12.0, 18.0), ("channel", 8.0, 14.5), ("channel", 4.0, 13.0))


@pytest.fixture(scope="module")
def told(plan: Plan) -> dict[str, tuple[str, float | None, float | None]]:
    """Three cuts of LeNet from shallow to deep, the deeper the less they tell."""
    names = [one.name for one in plan.candidates]
    return dict(zip(names, FOUND, strict=False))


@pytest.fixture
def folder(plan: Plan, told: Any, lenet_profile: DeviceProfile, tmp_path: Path) -> Path:
    artifact.write(tmp_path / "edge.json", lenet_profile)
    explored.write(tmp_path / "explored", explored_of(plan, told))
    return tmp_path


def test_the_file_comes_back_as_it_went(plan: Plan, told: Any, folder: Path) -> None:
    assert explored.read(folder / "explored") == explored_of(plan, told)
    assert explored.read(folder / "explored" / "explored.json") == explored_of(plan, told)
    with pytest.raises(ArtifactError, match="take one of its folders: explored"):
        explored.read(folder)


def command(plan_command: Callable[..., Any], folder: Path, *more: str) -> Any:
    edge = folder / "edge.json"
    return plan_command("cut", edge, edge, "--link", "wifi", "--explored", folder / "explored", *more)


def test_the_command_chooses_and_says_where_the_noise_is(
    told: Any, folder: Path, plan_command: Callable[..., Any]
) -> None:
    second = list(told)[1]
    out = folder / "plan.json"
    done = command(
        plan_command, folder, "--max-bound-bits", "8", "--max-reconstruction-db", "14.5", "--out", str(out)
    )
    assert done.code == 0
    written = artifact.read(out, Plan)
    assert written.cut.name in list(told)[1:]
    assert written.settings.constraints["max_bound_bits"] == 8
    assert written.settings.constraints["max_reconstruction_db"] == 14.5
    assert written.settings.noise == "channel"
    place = next(one.folder for one in explored.read(folder / "explored").cuts if one.name == written.cut.name)
    assert str(folder / "explored" / place / "noise.safetensors") in done.out.replace("\n", "")
    assert "bounds no other attack" in " ".join(done.out.split())
    assert all(len(line) <= 80 for line in done.out.splitlines() if "─" in line or "→" in line)

    named = command(plan_command, folder, "--max-bound-bits", "8", "--at", second, "--json")
    assert json.loads(named.out)["cut"]["name"] == second


def test_an_exploration_that_was_stopped_is_told(folder: Path, plan_command: Callable[..., Any]) -> None:
    whole = explored.read(folder / "explored")
    assert "not complete" not in command(plan_command, folder, "--max-bound-bits", "8").err
    explored.write(folder / "explored", msgspec.structs.replace(whole, complete=False))
    assert "not complete" in command(plan_command, folder, "--max-bound-bits", "8").err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--max-bound-bits", "3"), 3, ("no explored cut keeps --max-bound-bits 3", "4.00 bits")),
        (("--max-reconstruction-db", "12.5"), 3, ("the nearest is", "13.00 dB")),
        (("--max-bound-bits", "8", "--deadline", "0.001"), 3, ("the other constraints", "--deadline")),
        (("--max-bound-bits", "-1"), 2, ("expected a number of 0 or more",)),
        (("--max-bound-bits", "8", "--pareto"), 2, ("leave one out",)),
        (("--max-bound-bits", "8", "--noise", "laplace"), 2, ("explored was channel",)),
        (("--max-bound-bits", "8", "--wire", "int8"), 2, ("--wire float32",)),
        (("--at", "edge-only"), 2, ("was not explored",)),
    ],
)
def test_what_no_explored_cut_keeps_is_said_in_one_line(
    folder: Path, plan_command: Callable[..., Any], arguments: Any, code: int, words: Any
) -> None:
    done = command(plan_command, folder, *arguments, "--out", str(folder / "plan.json"))
    assert done.code == code
    assert all(word in done.err for word in words)
    assert len(done.err.splitlines()) == 1
    assert not (folder / "plan.json").exists()


def test_a_promise_needs_the_folder_and_the_cut_must_keep_it(
    told: Any, folder: Path, plan_command: Callable[..., Any]
) -> None:
    edge = folder / "edge.json"
    done = plan_command("cut", edge, edge, "--link", "wifi", "--max-bound-bits", "8")
    assert done.code == 2
    assert "--explored DIR" in done.err
    first = next(iter(told))
    refused = command(plan_command, folder, "--max-bound-bits", "8", "--at", first)
    assert refused.code == 3
    assert f"no noise that was explored at {first} keeps --max-bound-bits 8" in refused.err


def test_other_constraints_hold_as_well(plan: Plan, told: Any, lenet_profile: DeviceProfile) -> None:
    found = explored_of(plan, told)
    deepest = found.cuts[-1]
    asked: dict[str, Any] = {"explored": found, "promise": Promise(max_bound_bits=12)}
    made = promised.cut(
        lenet_profile,
        lenet_profile,
        WIFI,
        constraints=Constraints(pin_edge=frozenset({deepest.edge_nodes[-1]})),
        **asked,
    )
    assert made.chosen == deepest
    upload = Constraints(max_upload=min(one.predicted.upload_bytes for one in found.cuts) - 1)
    with pytest.raises(InfeasibleError, match="meets the other constraints"):
        promised.cut(lenet_profile, lenet_profile, WIFI, constraints=upload, **asked)


def test_another_network_is_refused(plan: Plan, told: Any, lenet_profile: DeviceProfile) -> None:
    found = explored_of(plan, told)
    for change, word in (
        ({"architecture": "sha256:o"}, "profiles are of"),
        ({"weights": "sha256:o"}, "other weights"),
    ):
        model = msgspec.structs.replace(found.model, **change)
        other = msgspec.structs.replace(found, model=model)
        with pytest.raises(CutError, match=word):
            promised.cut(lenet_profile, lenet_profile, WIFI, explored=other, promise=Promise())


def test_nothing_is_promised_of_what_is_not_known(plan: Plan) -> None:
    (one,) = explored_of(plan, {plan.cut.name: ("laplace", None, None)}).cuts
    assert Promise().kept_by(one)
    assert not Promise(max_bound_bits=1e9).kept_by(one)
    assert not Promise(max_reconstruction_db=1e9).kept_by(one)
