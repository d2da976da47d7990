from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from noise_networks import pictures, residual_plan

from noise import collection, learning, prepared, preparing
from noise.gaussian_schedule import GaussianSchedule
from noise.learning_options import Options, options_for
from noise.preparing import Described, Wanted, prepare
from planner.plan import Breakpoint, Plan
from profiles.errors import ArtifactError, CutError, InfeasibleError

OPTIONS = options_for("laplace", count=2, gamma=None, equation=None, alpha=None, steps=20, curve=False)

FEW = GaussianSchedule(steps=40)


@pytest.fixture(scope="module")
def plan() -> Plan:
    names = [one.name for one in pictures().plan.candidates]
    deep = next(name for name in names if name != "relu")
    segments = (Breakpoint(0.1, 20, deep), Breakpoint(20, 1000, "relu"))
    return msgspec.structs.replace(pictures().plan, breakpoints=segments)


def wanted(budget: float = 20.0) -> Wanted:
    return Wanted(pictures().data, "laplace", budget, seed=1, options=OPTIONS)


def told(cut: str) -> Any:
    return nullcontext(lambda done, of: None)


def test_every_cut_gets_a_plan_and_noise_of_its_own_and_what_stands_is_kept(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list(prepare(plan, wanted(), tmp_path / "cuts", watch=told))
    found = prepared.read(tmp_path / "cuts")
    assert found.plan == plan
    assert list(found.cuts) == [one.cut for one in made] == [one.cut for one in plan.breakpoints]
    for one in found.cuts.values():
        _, facts = collection.read(one.noise)
        collection.require_match(facts, one.plan, origin="noise")
    before = [one.noise.read_bytes() for one in found.cuts.values()]

    # Killed before the second: its noise is made anew, the first one's is not.
    list(found.cuts.values())[1].noise.unlink()
    learned = []
    real = learning.learn
    monkeypatch.setattr(
        preparing.learning, "learn", lambda plan, *given, **more: learned.append(plan) or real(plan, *given, **more)
    )
    again = list(prepare(plan, wanted(), tmp_path / "cuts", watch=told))
    assert [one.learned is not None for one in again] == [False, True]
    assert [one.cut.name for one in learned] == [made[1].cut]
    assert [one.noise.read_bytes() for one in found.cuts.values()] == before
    assert not list((tmp_path / "cuts").glob("*/.*"))

    with pytest.raises(ArtifactError, match="prepared for another plan"):
        list(prepare(pictures().plan, wanted(), tmp_path / "cuts", watch=told))


def test_a_cut_that_no_noise_keeps_the_budget_at_is_left_out(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = plan.breakpoints[0].cut
    real = learning.learn

    def refusing(one: Plan, *given: Any, **more: Any) -> Any:
        if one.cut.name == deep:
            raise InfeasibleError("no noise keeps it")
        return real(one, *given, **more)

    monkeypatch.setattr(preparing.learning, "learn", refusing)
    made = {one.cut: one.left_out for one in prepare(plan, wanted(), tmp_path, watch=told)}
    assert made == {deep: "no noise keeps it", "relu": None}
    assert list(prepared.read(tmp_path).cuts) == ["relu"]


def test_a_folder_with_something_else_in_it_is_left_alone(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(ArtifactError, match="something else"):
        list(prepare(plan, wanted(), tmp_path, watch=told))
    assert [one.name for one in tmp_path.iterdir()] == ["mine"]


def test_a_breakpoint_that_is_no_candidate_stops_before_anything_is_learned(plan: Plan, tmp_path: Path) -> None:
    odd = msgspec.structs.replace(plan, breakpoints=(*plan.breakpoints, Breakpoint(30, 60, "stem+relu")))
    with pytest.raises(CutError, match="--at stem\\+relu"):
        list(prepare(odd, wanted(), tmp_path / "cuts", watch=told))
    assert not (tmp_path / "cuts").exists()


@pytest.mark.long
def test_cuts_that_are_shared_out_to_processes_are_learned_as_here(tmp_path: Path) -> None:
    described = Described("noise_networks:pairs", "gaussian", 5.0, seed=1, options=replace(Options(), gaussian=FEW))
    names = [one.name for one in residual_plan().candidates]
    segments = tuple(Breakpoint(10.0**number, 10.0 ** (number + 1), name) for number, name in enumerate(names))
    odd = msgspec.structs.replace(residual_plan(), breakpoints=segments)
    there = list(prepare(odd, described, tmp_path / "there", jobs=2))
    here = list(prepare(odd, described, tmp_path / "here", watch=told))
    assert sorted(one.cut for one in there) == sorted(one.cut for one in here)
    assert len(here) > 1
    for one in (tmp_path / "here").rglob("*.safetensors"):
        again = tmp_path / "there" / one.relative_to(tmp_path / "here")
        assert again.read_bytes() == one.read_bytes()
