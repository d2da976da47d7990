"""Exploring small networks: what the folder says, what stands is kept, what cannot be is left out."""

import contextlib
import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from dask_cluster import cluster

from noise import auditing, collection, exploring_cut, learning
from noise.audit import record
from noise.exploring import Measured, Question, chosen_cuts, explore
from noise.preparing import Described
from planner import explored
from planner import plan as plans
from planner.cost import CostModel
from planner.explored import ExploredCut, LeftOut
from planner.legality import CutRules
from planner.plan import Plan
from planner.search import Search
from profiles import artifact
from profiles.device import DeviceProfile
from profiles.errors import ArtifactError, CutError, DataError, InfeasibleError
from profiles.link import presets
from profiles.profiling import profile

WIFI = presets()["wifi"]
EFFORT = replace(
    auditing.QUICK,
    decoder=replace(auditing.QUICK.decoder, width=16, epochs=1),
    classifier=replace(auditing.QUICK.classifier, width=16, epochs=1),
    seeds=1,
    train_rows=400,
    test_rows=200,
    pairs=300,
    candidates=50,
    white_box_images=4,
    white_box_steps=3,
    queries=(1,),
)
QUESTION = Question(
    Described("noise_networks:pairs", "channel", 5.0, seed=1),
    ("gaussian",),
    count=2,
    effort=EFFORT,
    steps=40,
)


@pytest.fixture(scope="module")
def given() -> Measured:
    measured = profile("noise_networks:residual", seconds=0.02, pause_ms=0)
    return Measured(measured, measured, WIFI)


@pytest.fixture(autouse=True)
def _few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noise.task.JUDGED_ROWS", 500)


@pytest.fixture(scope="module")
def folder(given: Measured, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Explored once; tests take copies."""
    made = tmp_path_factory.mktemp("explored") / "residual"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("noise.task.JUDGED_ROWS", 500)
        list(explore(made, given, QUESTION, jobs=1))
    return made


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_the_record_says_what_the_files_of_each_cut_say(folder: Path, given: Measured) -> None:
    found = explored.read(folder)
    assert found.complete
    assert not found.left_out
    assert len(found.cuts) == 2
    assert (found.model, found.data, found.budget_points) == (given.edge.model, "noise_networks:pairs", 5.0)
    for one in found.cuts:
        place = folder / one.folder
        _, facts = collection.read(place / one.noise_file)
        plan = plans.read(place / "plan.json")
        assert (plan.cut.name, plan.cut.edge_nodes) == (one.name, one.edge_nodes)
        collection.require_match(facts, plan, origin="noise")
        assert facts.bound is not None
        assert (one.noise, one.bound_bits) == ("gaussian", facts.bound.bits)
        assert one.accuracy_loss_points == facts.accuracy.loss_points
        assert one.audit_file is not None
        audit = record.read(place / one.audit_file)
        assert audit.gaussian is not None
        assert audit.cut == one.name
        assert one.attacked is not None
        assert one.attacked.quick
        assert one.attacked.attributes == audit.gaussian.attributes
        assert one.attacked.top1 == (audit.gaussian.reidentification and audit.gaussian.reidentification.top1)
        cost = CostModel(given.edge, given.cloud, given.link, noise="gaussian")
        assert one.predicted == cost.price(one.edge_nodes, cost.graph.crossing(one.edge_nodes))
    assert any(one.unbeaten for one in found.cuts)
    assert not list(folder.rglob(".*"))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The work that is really done from here on."""
    done: list[str] = []
    learn, audit = learning.learn, auditing.audit

    def learned(plan: Plan, *more: Any, **given: Any) -> Any:
        done.append(f"learn {plan.cut.name}")
        return learn(plan, *more, **given)

    def audited(plan: Plan, *more: Any, **given: Any) -> Any:
        done.append(f"audit {plan.cut.name}")
        return audit(plan, *more, **given)

    monkeypatch.setattr("noise.preparing.learning.learn", learned)
    monkeypatch.setattr(exploring_cut.auditing, "audit", audited)
    return done


def test_what_stands_is_kept_and_what_is_gone_is_made_anew(
    copy: Path, given: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = explored.read(copy)
    first, second = before.cuts
    done = counted(monkeypatch)
    list(explore(copy, given, QUESTION, jobs=1))
    assert not done
    assert explored.read(copy) == before

    assert first.audit_file is not None
    (copy / first.folder / first.audit_file).unlink()
    (copy / second.folder / second.noise_file).unlink()
    list(explore(copy, given, QUESTION, jobs=1))
    assert done == [f"audit {first.name}", f"learn {second.name}", f"audit {second.name}"]
    again = explored.read(copy)
    assert [one.bound_bits for one in again.cuts] == [one.bound_bits for one in before.cuts]
    assert [one.attacked for one in again.cuts] == [one.attacked for one in before.cuts]


def test_noise_that_was_looked_for_otherwise_does_not_stand(
    copy: Path, given: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = counted(monkeypatch)
    first, second = explored.read(copy).cuts
    only = replace(QUESTION, count=0, at=(first.name,))
    for other in (replace(only, steps=41), replace(only, learning=replace(only.learning, confident=True))):
        done.clear()
        with contextlib.suppress(InfeasibleError):
            list(explore(copy, given, other, jobs=1))
        assert done[:1] == [f"learn {first.name}"]
    # And a cut that is not asked for, whose noise is gone, is no choice any more.
    (copy / second.folder / second.noise_file).unlink()
    list(explore(copy, given, only, jobs=1))
    assert [one.name for one in explored.read(copy).cuts] == [first.name]


def test_other_profiles_and_more_cuts_add_to_the_folder_and_price_anew(
    copy: Path, given: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = counted(monkeypatch)
    before = explored.read(copy)
    slower = replace(given, link=presets()["lte"])
    only = replace(QUESTION, count=0, deeper=0, at=("stem+inner",))
    outcomes = [one for one, _, _ in explore(copy, slower, only, jobs=1)]
    assert [one.name for one in outcomes] == ["stem+inner"]
    assert done == ["learn stem+inner", "audit stem+inner"]
    found = explored.read(copy)
    assert {one.name for one in found.cuts} == {"stem+inner", *(one.name for one in before.cuts)}
    cost = CostModel(slower.edge, slower.cloud, slower.link, noise="gaussian")
    for one in found.cuts:
        assert one.predicted == cost.price(one.edge_nodes, cost.graph.crossing(one.edge_nodes))
        assert plans.read(copy / one.folder / "plan.json").link == slower.link


def test_a_cut_that_no_noise_keeps_the_budget_at_is_left_out_and_not_tried_again(
    given: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def refusing(plan: Plan, *more: Any, **given: Any) -> Any:
        tried.append(plan.cut.name)
        raise InfeasibleError("no noise keeps it")

    monkeypatch.setattr("noise.preparing.learning.learn", refusing)
    with pytest.raises(InfeasibleError, match="at none of 2 cuts noise keeps 5 points"):
        list(explore(tmp_path / "x", given, QUESTION, jobs=1))
    found = explored.read(tmp_path / "x")
    assert [one.reason for one in found.left_out] == ["no noise keeps it"] * 2
    assert found.complete
    with pytest.raises(InfeasibleError):
        list(explore(tmp_path / "x", given, QUESTION, jobs=1))
    assert len(tried) == 2
    with pytest.raises(InfeasibleError):
        list(explore(tmp_path / "x", given, replace(QUESTION, steps=80), jobs=1))
    assert len(tried) == 4


def test_a_profile_of_the_users_own_is_not_written_over(given: Measured, tmp_path: Path) -> None:
    mine = msgspec.structs.replace(given.edge, whole_ms=given.edge.whole_ms + 1)
    artifact.write(tmp_path / "edge.json", mine)
    with pytest.raises(ArtifactError, match=r"edge.json: another file is there"):
        list(explore(tmp_path, given, QUESTION, jobs=1))
    assert artifact.read(tmp_path / "edge.json", DeviceProfile) == mine
    assert [one.name for one in tmp_path.iterdir()] == ["edge.json"]


def test_a_folder_of_something_else_is_left_alone(copy: Path, given: Measured, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(ArtifactError, match="something else"):
        list(explore(tmp_path, given, QUESTION, jobs=1))
    other = replace(QUESTION, learning=replace(QUESTION.learning, budget_points=2.0))
    with pytest.raises(ArtifactError, match=r"a budget of 5.0, asked for is 2.0; choose a new folder"):
        list(explore(copy, given, other, jobs=1))


def test_an_exploration_that_found_nothing_yet_is_in_nobodys_way(copy: Path, given: Measured, tmp_path: Path) -> None:
    wrong = replace(QUESTION, learning=replace(QUESTION.learning, data="noise_networks:vectors_of_two"))
    with pytest.raises(DataError, match="inputs of shape"):
        list(explore(tmp_path / "x", given, wrong, jobs=1))
    assert explored.read(tmp_path / "x").data == "noise_networks:vectors_of_two"
    for one in copy.glob("*-*"):
        shutil.copytree(one, tmp_path / "x" / one.name, dirs_exist_ok=True)
    list(explore(tmp_path / "x", given, QUESTION, jobs=1))
    assert explored.read(tmp_path / "x").data == "noise_networks:pairs"


def test_a_profile_of_the_users_is_never_written_over(tmp_path: Path, plan_command: Callable[..., Any]) -> None:
    (tmp_path / "edge.json").write_text("the user's")
    done = plan_command("explore", "noise_networks:residual", "--data", "noise_networks:pairs", "--out", tmp_path)
    assert done.code == 2
    assert "holds something else" in done.err
    assert (tmp_path / "edge.json").read_text() == "the user's"


def test_the_command_never_explores_the_network_of_before(copy: Path, plan_command: Callable[..., Any]) -> None:
    done = plan_command("explore", "noise_networks:two_layers", "--data", "noise_networks:pairs", "--out", copy)
    assert done.code == 2
    assert "profiles of noise_networks:residual, explored is noise_networks:two_layers" in done.err


@pytest.mark.parametrize(("count", "deeper"), [(1, 0), (2, 1), (1, 2), (9, 0), (0, 2)])
def test_the_best_legal_cuts_and_those_beyond_the_deepest(
    lenet_profile: DeviceProfile, count: int, deeper: int
) -> None:
    search = Search(CutRules(lenet_profile.graph), CostModel(lenet_profile, lenet_profile, WIFI))
    found = chosen_cuts(search, replace(QUESTION, count=count, deeper=deeper))
    every = search.linear  # in graph order
    best = sorted(every, key=lambda one: one.predicted.total_ms)[:count]
    last = max((every.index(one) for one in best), default=-1)
    assert found == [one for index, one in enumerate(every) if one in best or last < index <= last + deeper]
    with pytest.raises(CutError, match="no tensor of a layer"):
        chosen_cuts(search, replace(QUESTION, at=("edge-only",)))


def test_the_command_explores_and_plan_cut_chooses(
    folder: Path, given: Measured, tmp_path: Path, plan_command: Callable[..., Any]
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    asked = ("--data", "noise_networks:pairs", "--budget", "5", "--seed", "1", "--steps", "40", "--noise", "gaussian")
    done = plan_command("explore", "noise_networks:residual", *asked, "--cuts", "1", "--out", copy, "--json")
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record["schema"] == "plan.explored/1"
    assert len(record["cuts"]) == 2
    assert f"profiles: those of {copy}" in done.err
    assert all(len(line) <= 80 for line in done.err.splitlines() if "─" in line)

    least = min(record["cuts"], key=lambda one: one["bound_bits"])
    profiles = (copy / "edge.json", copy / "cloud.json", "--link", "wifi", "--explored", copy)
    chosen = plan_command("cut", *profiles, "--max-bound-bits", str(least["bound_bits"]), "--json")
    assert chosen.code == 0
    assert json.loads(chosen.out)["cut"]["name"] == least["name"]
    none = plan_command("cut", *profiles, "--max-bound-bits", str(least["bound_bits"] - 0.01))
    assert none.code == 3
    assert least["name"] in none.err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--cuts", "0"), "name a cut with --at"),
        (("--edge", "edge.json"), "give both or neither"),
        (("--noise", "pink"), "expected laplace"),
        (("--budget", "0"), "--budget 0"),
        (("--objective", "beauty"), "--objective beauty"),
        (("--on", "scheduler", "--edge", "edge.json", "--cloud", "edge.json"), "tcp://scheduler:8786"),
    ],
)
def test_what_cannot_be_is_one_line(
    given: Measured,
    tmp_path: Path,
    plan_command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    arguments: Any,
    word: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    artifact.write(tmp_path / "edge.json", given.edge)
    done = plan_command("explore", "noise_networks:residual", "--data", "noise_networks:pairs", *arguments)
    assert done.code == 2
    assert word in done.err.splitlines()[-1]
    assert msgspec.json.encode(done.out)


def test_outcomes_are_told_as_they_come(folder: Path, given: Measured, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    told = list(explore(copy, given, QUESTION, jobs=1))
    assert [(done, of) for _, done, of in told] == [(1, 2), (2, 2)]
    assert all(isinstance(one, ExploredCut) and not isinstance(one, LeftOut) for one, _, _ in told)


@pytest.mark.long
def test_a_cluster_explores_and_a_worker_that_is_killed_costs_its_cut_alone(
    given: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers on loopback, three cuts; one worker is killed once both learn."""
    monkeypatch.undo()  # the workers judge on all rows
    folder = tmp_path / "there"
    longer = replace(QUESTION, at=("stem+inner",), steps=2000, effort=None)
    with cluster(2) as (address, workers):
        killer = threading.Thread(target=lambda: _kill_at_work(folder, workers[0]), daemon=True)
        killer.start()
        told = [one for one, _, _ in explore(folder, given, longer, on=address)]
        assert workers[0].wait(timeout=1) == -signal.SIGKILL
    found = explored.read(folder)
    assert found.complete
    assert len(told) == len(found.cuts) == 3
    list(explore(tmp_path / "here", given, longer, jobs=1))
    assert [one.bound_bits for one in explored.read(tmp_path / "here").cuts] == [one.bound_bits for one in found.cuts]


def _kill_at_work(folder: Path, worker: "subprocess.Popen[str]") -> None:
    while len(list(folder.glob("*/.*.learning"))) < 2:
        time.sleep(0.1)
    worker.kill()
