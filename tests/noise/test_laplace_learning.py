from dataclasses import replace
from pathlib import Path

import noise_tasks
import numpy as np
import pytest
import torch

from noise import laplace
from noise.datasets.records import Dataset
from noise.laplace import LaplaceNoise
from noise.laplace_learning import CURVE_POINTS, Schedule, learn
from noise.objective import Equation
from noise.task import Budget, Found, Task
from planner.plan import Plan
from profiles.errors import InfeasibleError, NoiseError

SHORT = Schedule(steps=40, batch=64, alpha=0.0001)


@pytest.fixture(scope="module")
def task(lenet_plan: Plan, mnist: Dataset) -> Task:
    return noise_tasks.digits(lenet_plan, mnist)


def same(one: Found, other: Found) -> bool:
    assert isinstance(one.noise, LaplaceNoise)
    assert isinstance(other.noise, LaplaceNoise)
    tensors = zip(one.noise.tensors.values(), other.noise.tensors.values(), strict=True)
    alike = all(
        (mine.order == theirs.order).all() and (mine.loc == theirs.loc).all() and (mine.scale == theirs.scale).all()
        for mine, theirs in tensors
    )
    return alike and one.settings == other.settings and one.curve == other.curve


@pytest.mark.parametrize("points", [1.0, 8.0])
def test_the_budget_is_kept_and_spent(task: Task, points: float) -> None:
    asked = replace(task, budget=Budget(points))
    found = learn(asked, count=3, schedule=SHORT)
    assert 0.8 * points <= asked.needed_points(found.noise) <= points


def test_a_larger_budget_gives_stronger_noise(task: Task) -> None:
    strengths = []
    for points in (0.5, 8.0):
        noise = learn(replace(task, budget=Budget(points)), count=3, schedule=SHORT).noise
        assert isinstance(noise, LaplaceNoise)
        strengths.append(noise.snr_inverse(task.holdout.power))
    assert strengths[1] > 1.5 * strengths[0]


def test_confident_keeps_the_interval_within_the_budget(task: Task) -> None:
    asked = replace(task, budget=Budget(4.0, confident=True))
    accuracy = asked.judge(learn(asked, count=3, schedule=SHORT).noise)
    assert accuracy.interval_points is not None
    assert 3.0 <= accuracy.interval_points[1] <= 4.0


@pytest.mark.parametrize("equation", [3, 11])
def test_other_equations_keep_it_too(task: Task, equation: Equation) -> None:
    found = learn(task, count=2, schedule=Schedule(steps=40, batch=64, equation=equation))
    assert found.settings["equation"] == equation
    assert 2.4 <= task.needed_points(found.noise) <= 3.0


def test_private_labels_are_equation_5(task: Task) -> None:
    parity = replace(task, private=task.train.labels % 2, gamma=0.01)
    found = learn(parity, count=2, schedule=SHORT)
    assert found.settings["equation"] == 5
    assert task.needed_points(found.noise) <= 3.0
    with pytest.raises(NoiseError, match="needs private labels"):
        learn(task, count=2, schedule=replace(SHORT, equation=5))


def test_alpha_as_printed_is_left_where_samples_do_not_hold(task: Task) -> None:
    found = learn(task, count=2, schedule=Schedule(steps=150, batch=64))
    alpha = found.settings["alpha"]
    assert isinstance(alpha, float)
    assert alpha <= 0.001
    assert task.needed_points(found.noise) <= 3.0


def test_every_kept_tensor_is_laplace_and_they_differ(task: Task) -> None:
    noise = learn(task, count=4, schedule=SHORT).noise
    assert isinstance(noise, LaplaceNoise)
    (one,) = noise.tensors.values()
    assert one.order.shape == (4, 120)
    assert len({tuple(order) for order in one.order.tolist()}) == 4
    assert (one.scale > 0).all()


def test_several_crossing_tensors_all_get_noise_of_their_own_strength() -> None:
    task = noise_tasks.two_tensors()
    found = learn(task, count=3, schedule=replace(SHORT, steps=20))
    assert isinstance(found.noise, LaplaceNoise)
    assert list(found.noise.tensors) == ["first", "relu"]
    assert found.parameters == 2 * 4 * 64
    strengths = [one.scale.mean() for one in found.noise.tensors.values()]
    sizes = [np.sqrt((tensor**2).mean()) for tensor in task.train.tensors]
    assert strengths[0] / sizes[0] == pytest.approx(strengths[1] / sizes[1], rel=0.2)
    assert task.needed_points(found.noise) <= 5.0


def test_the_curve_spans_two_decades_of_loss(task: Task) -> None:
    found = learn(task, count=2, schedule=replace(SHORT, curve=True))
    losses = [one.loss_points for one in found.curve]
    assert len(losses) >= len(CURVE_POINTS)
    assert min(losses) < 0.5
    assert max(losses) > 6
    strengths = [one.snr_inverse for one in found.curve]
    assert strengths == sorted(strengths)
    assert np.corrcoef(losses, strengths)[0, 1] > 0.7


def test_the_strength_said_is_that_of_what_is_drawn(task: Task) -> None:
    random = np.random.default_rng(0)
    noise = LaplaceNoise({"flatten": laplace.ordered(random.laplace(random.normal(size=(5, 1)), 2, size=(5, 120)))})
    (drawn,) = noise.draw(4000, laplace.SeededRandom(0))
    assert noise.tensors["flatten"].variance == pytest.approx(drawn.var(), rel=0.02)
    assert noise.snr_inverse(60.0) == pytest.approx(drawn.var() * 120 / 60, rel=0.02)
    assert noise.scaled(2.0).snr_inverse(60.0) == pytest.approx(4 * noise.snr_inverse(60.0))


def test_the_budget_named_as_enough_is_enough(task: Task) -> None:
    # Labels are what the network sees of blends of two digits: the least noise changes some answers.
    blended = (task.train.tensors[0][:1500] + task.train.tensors[0][1500:]) / 2
    given = replace(task.train.take(slice(0, 1500)), tensors=(blended,))
    with torch.inference_mode():
        logits = task.cut.logits([torch.from_numpy(blended)]).numpy()
    hard = replace(given, logits=logits, labels=logits.argmax(1).astype(np.int64))
    asked = replace(task, train=hard, holdout=hard, budget=Budget(1e-6))
    with pytest.raises(InfeasibleError, match="raise --budget to that") as caught:
        learn(asked, count=2, schedule=SHORT)
    enough = float(str(caught.value).split("needs ")[1].split(";")[0])
    found = learn(replace(asked, budget=Budget(enough)), count=2, schedule=SHORT)
    assert asked.needed_points(found.noise) <= enough


class _Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def interruptible(task: Task) -> tuple[Task, Schedule, Found]:
    """A task with everything that keeps a stage, its schedule, and what it finds undisturbed."""
    asked = replace(task, private=task.train.labels % 2, gamma=0.01)
    schedule = replace(SHORT, steps=6, curve=True)
    return asked, schedule, learn(asked, count=2, schedule=schedule)


@pytest.mark.parametrize("turn", [1, 9])
def test_learning_that_was_stopped_ends_as_if_it_had_not_been(
    interruptible: tuple[Task, Schedule, Found], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turn: int
) -> None:
    noise_tasks.always_kept(monkeypatch)
    asked, schedule, undisturbed = interruptible
    file = tmp_path / "kept"

    def stop(done: int, of: int) -> None:
        assert done <= of
        if done >= turn:
            raise _Stopped

    with pytest.raises(_Stopped):
        learn(noise_tasks.kept_in(replace(asked, progress=stop), file), count=2, schedule=schedule)
    again = noise_tasks.kept_in(asked, file)
    assert again.checkpoint.continued
    assert same(undisturbed, learn(again, count=2, schedule=schedule))
