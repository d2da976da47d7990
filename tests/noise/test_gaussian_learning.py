"""Learning of both kinds on a network of 12 crossing elements whose best accuracy is known."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import noise_networks
import numpy as np
import pytest
import torch

from noise import checkpoint, collection, learning
from noise.bounding import bounds
from noise.channel import ChannelNoise, PointwiseMap
from noise.checkpoint import Checkpoint
from noise.gaussian import GaussianNoise, LowRankNormal
from noise.gaussian_kinds import learn_channel, learn_gaussian
from noise.gaussian_learning import half_log_det
from noise.gaussian_schedule import GaussianSchedule
from noise.learned import Learned
from noise.learning import learn
from noise.learning_log import LearningLog
from noise.learning_options import Options
from noise.mechanism import Mechanism
from noise.randomness import SeededRandom
from noise.task import Found, Task
from noise.tensors import to_arrays
from planner.plan import Plan
from profiles import artifact
from profiles.errors import InfeasibleError, NoiseError

BRIEF = GaussianSchedule(steps=120, batch=128)
OPTIONS = Options(gaussian=BRIEF, map="linear")
KINDS = {"gaussian": learn_gaussian, "channel": learn_channel}


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noise.task.JUDGED_ROWS", 3000)


def task(**changes: Any) -> Task:
    return noise_networks.task(noise_networks.two_layers_plan(), noise_networks.data(), **changes)


def learned(kind: str, *, points: float = 1.5, plan: Plan | None = None, **changes: Any) -> Learned:
    return learn(
        plan or noise_networks.two_layers_plan(),
        changes.pop("data", None) or noise_networks.data(),
        **({"kind": kind, "budget_points": points, "seed": 1, "options": OPTIONS} | changes),
    )


def same(one: Mechanism, other: Mechanism) -> bool:
    first, second = to_arrays(one), to_arrays(other)
    return first.keys() == second.keys() and all(first[key].tobytes() == second[key].tobytes() for key in first)


@pytest.mark.parametrize("kind", KINDS)
def test_the_budget_holds_and_a_larger_one_tells_less(kind: str) -> None:
    bits = []
    for points in (0.5, 1.5, 3.0):
        work = task(points=points)
        found = KINDS[kind](work, schedule=BRIEF)
        assert work.needed_points(found.noise) <= points
        assert work.needed_points(found.noise) >= 0.3 * points  # or more noise would have been allowed
        bits.append(bounds(found.noise, work.train, work.holdout, seed=0)[0].bits)  # type: ignore[arg-type]
    assert bits[0] > bits[1] > bits[2] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_repeats_and_another_does_not(kind: str) -> None:
    one, again, other = learned(kind), learned(kind), learned(kind, seed=2)
    assert same(one.noise, again.noise)
    assert one.facts == again.facts
    assert not same(one.noise, other.noise)


def test_both_bounds_are_in_the_file_and_the_mixture_is_the_tighter() -> None:
    facts = learned("channel").facts
    assert facts.bound is not None
    assert facts.mixture_bound is not None
    assert facts.mixture_bound.bits < facts.bound.bits
    assert facts.bound.repeats["1"] == facts.bound.bits < facts.bound.repeats["10"] < facts.bound.repeats["100"]
    assert not facts.settings.get("gamma")  # nothing private was named


def test_weights_never_change() -> None:
    work = task()
    before = [one.clone() for one in work.cut.network.model.module.parameters()]
    cloud = {name: one.clone() for name, one in work.cut.cloud.state_dict().items()}
    learn_channel(work, schedule=replace(BRIEF, steps=20))
    assert all(torch.equal(a, b) for a, b in zip(before, work.cut.network.model.module.parameters(), strict=True))
    assert all(torch.equal(cloud[name], one) for name, one in work.cut.cloud.state_dict().items())
    assert all(one.grad is None for one in work.cut.cloud.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_every_crossing_tensor_gets_noise(kind: str) -> None:
    found = learned(kind, plan=noise_networks.residual_plan())
    assert found.noise.nodes == ("stem", "inner")
    assert found.noise.elements == 24
    drawn = found.noise.draw(2000, SeededRandom(0))
    assert all((one.std(axis=0) > 0.05).all() for one in drawn)
    assert found.facts.accuracy.loss_points is not None
    assert found.facts.accuracy.loss_points < 4


@pytest.mark.parametrize("kind", KINDS)
def test_large_tensors_get_low_rank_noise_and_a_pointwise_map(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noise.task.JUDGED_ROWS", 500)
    seen = noise_networks.pictures()
    options = Options(gaussian=GaussianSchedule(steps=30, batch=64), map="linear")
    found = learned(kind, points=5, plan=seen.plan, data=seen.data, options=options)
    assert isinstance(found.noise, GaussianNoise | ChannelNoise)
    assert isinstance(found.noise.normals["relu"], LowRankNormal)
    if isinstance(found.noise, ChannelNoise):
        one = found.noise.maps["relu"]
        assert isinstance(one, PointwiseMap)
        assert one.weight.shape == (4, 4)
    assert found.facts.bound is not None
    assert found.facts.bound.form == "held-out"


class _Killed(Exception):
    pass


@pytest.mark.parametrize(
    ("kind", "curve", "wire"),
    [("gaussian", False, "float32"), ("channel", True, "float32"), ("channel", False, "int8")],
)
def test_what_was_killed_ends_as_what_was_not(
    kind: str, curve: bool, wire: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY_S", -1.0)
    schedule = replace(BRIEF, steps=60)
    logged: dict[Path, Any] = {}

    def run(file: Path, killed_after: int | None = None) -> Found:
        calls = 0

        def progress(done: int, of: int) -> None:
            nonlocal calls
            calls += 1
            if calls == killed_after:
                raise _Killed

        log = LearningLog(file.with_suffix(".csv"))
        work = task(checkpoint=Checkpoint(file, key="k"), log=log, progress=progress)
        work = replace(work, cut=replace(work.cut, wire=wire))
        logged[file] = log.rows
        return KINDS[kind](work, schedule=schedule, curve=curve)

    undisturbed = run(tmp_path / "one")
    # Killed in the first stage, right at its end and, with a curve, in later stages.
    for after in (2, 2, *((2, 3) if curve else ())):
        with pytest.raises(_Killed):
            run(tmp_path / "other", killed_after=after)
    continued = run(tmp_path / "other")
    assert same(undisturbed.noise, continued.noise)
    assert undisturbed.settings == continued.settings
    assert undisturbed.curve == continued.curve
    first, other = (logged[tmp_path / name] for name in ("one", "other"))
    assert [repr(row) for row in first] == [repr(row) for row in other]
    assert len(first) >= schedule.steps
    assert len(undisturbed.curve) >= (4 if curve else 0)


def test_a_continued_run_keeps_the_seed_that_it_began_with(tmp_path: Path) -> None:
    keep = tmp_path / "keep"

    def stop(done: int, of: int) -> None:
        raise _Killed

    for _ in range(2):
        with pytest.raises(_Killed):
            learned("channel", seed=None, keep=keep, progress=stop)
        seed = learning._begin(keep, *_asked())[1]
    assert learned("channel", seed=None, keep=keep).facts.settings["seed"] == seed


def _asked() -> tuple[Any, ...]:
    return noise_networks.two_layers_plan(), noise_networks.data(), ("channel", 1.5, False, OPTIONS, None), None


def test_a_budget_that_nothing_keeps_names_one_that_does() -> None:
    data = noise_networks.border()
    for kind in KINDS:
        with pytest.raises(InfeasibleError, match=r"raise --budget to that") as caught:
            learned(kind, data=data, points=0.01)
        assert caught.value.exit_code == 3
    needed = float(str(caught.value).split("needs ")[1].split(";")[0])
    assert learned("gaussian", data=data, points=needed).facts.budget_points == needed


def test_confident_noise_keeps_the_upper_end_on_the_test_inputs() -> None:
    plain, sure = learned("channel", points=2.0), learned("channel", points=2.0, confident=True)
    assert plain.facts.accuracy.interval_points is not None
    assert sure.facts.accuracy.interval_points is not None
    assert sure.facts.accuracy.interval_points[1] <= 2.0
    assert plain.facts.accuracy.interval_points[1] > 2.0
    assert sure.facts.snr_inverse < plain.facts.snr_inverse


def test_a_private_label_is_hidden_better() -> None:
    """What an adversary's best linear guess of the side lives on: the distance of its means under the noise."""
    private = noise_networks.data().train.private["side"]

    def distance(found: Learned) -> float:
        assert isinstance(found.noise, ChannelNoise)
        work = task()
        side = noise_networks.data().without_holdout().private["side"]
        white = found.noise.whitened(work.train.tensors).astype(np.float64)
        difference = white[side == 1].mean(axis=0) - white[side == 0].mean(axis=0)
        centred = white - np.where(side[:, None] == 1, white[side == 1].mean(0), white[side == 0].mean(0))
        return float(difference @ np.linalg.solve(np.eye(12) + np.cov(centred.T), difference))

    plain, hiding = learned("channel"), learned("channel", private=private)
    assert hiding.facts.settings["gamma"] == learning.GAMMAS["channel"]
    assert distance(hiding) < 0.7 * distance(plain)


def test_numbers_that_run_away_are_reported_with_step_and_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    work = task()
    monkeypatch.setattr("noise.gaussian_kinds.balance", lambda task, noise: float("inf"))
    with pytest.raises(NoiseError, match=r"NaN or infinity at step \d+ \(channel-1, beta inf"):
        learn_channel(work, schedule=BRIEF)


def test_a_determinant_of_no_numbers_is_none() -> None:
    assert half_log_det([torch.eye(3)]).item() == pytest.approx(1.5 * np.log(2))
    for wrong in (float("nan"), float("inf")):
        assert not torch.isfinite(half_log_det([torch.full((3, 4), wrong)]))


def command(folder: Path, plan: Path, out: Path) -> list[str]:
    call = ["learn", str(plan), "--data", "noise_networks:pairs", "--seed", "3", "--steps", "2500"]
    code = "import noise.checkpoint as c; c.EVERY_S = 0.2; from runtime import cli; cli.main()"
    return [sys.executable, "-c", code, *call, "--out", str(out)]


@pytest.mark.long
def test_a_process_that_was_really_killed_writes_the_same_bytes(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    artifact.write(plan, noise_networks.two_layers_plan())
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])}
    subprocess.run(command(tmp_path, plan, tmp_path / "one"), check=True, env=here)
    kept = tmp_path / ".other.learning"
    for _ in range(2):
        process = subprocess.Popen(command(tmp_path, plan, tmp_path / "other"), env=here)
        before = kept.stat().st_mtime_ns if kept.exists() else 0
        while process.poll() is None and (not kept.exists() or kept.stat().st_mtime_ns == before):
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command(tmp_path, plan, tmp_path / "other"), check=True, env=here)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert not kept.exists()
    assert collection.read(tmp_path / "other")[1].settings["seed"] == 3
