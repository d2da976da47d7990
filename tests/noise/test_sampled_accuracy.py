from dataclasses import replace

import noise_tasks
import numpy as np
import pytest
import torch

from noise import laplace, sampled_accuracy
from noise.datasets.records import Dataset
from noise.laplace import LaplaceNoise, OrderedLaplace
from noise.sampled_accuracy import SampledHoldout
from noise.task import Budget, Task
from planner.plan import Plan


@pytest.fixture(scope="module")
def task(lenet_plan: Plan, mnist: Dataset) -> Task:
    return noise_tasks.digits(lenet_plan, mnist, rows=2000)


def some(task: Task, count: int = 3, strength: float = 2.0) -> dict[str, OrderedLaplace]:
    random = np.random.default_rng(0)
    return {
        name: laplace.ordered(random.laplace(0.3, strength, size=(count, one.shape[1])))
        for name, one in zip(task.cut.shapes, task.train.tensors, strict=True)
    }


def test_it_is_the_collections_own_draw_at_the_same_random_numbers(task: Task) -> None:
    kept, judged = some(task), SampledHoldout(task)
    found = judged.change(kept, gain=1.5)
    (name,) = task.cut.shapes
    for index, change in enumerate(found):
        one = kept[name].take([index]).scaled(1.5)
        drawn = one.draw(np.zeros(len(change), np.int64), laplace.SeededRandom(task.seed, 3, 0))
        rows = np.linspace(0, len(task.holdout) - 1, len(change)).astype(int)
        with torch.inference_mode():
            logits = task.cut.logits([torch.from_numpy(task.holdout.tensors[0][rows] + drawn)])
        right = logits.argmax(1).numpy() == task.holdout.labels[rows]
        clean = task.holdout.clean[rows] == task.holdout.labels[rows]
        assert (change == clean.astype(float) - right).mean() > 0.998  # float32 sums in another order


def test_without_noise_nothing_changes(task: Task) -> None:
    assert not SampledHoldout(task).change(some(task), gain=0.0).any()


def test_it_estimates_what_gates(task: Task) -> None:
    kept = some(task, count=8)
    for confident in (False, True):
        asked = replace(task, budget=Budget(3.0, confident))
        estimate = SampledHoldout(asked).judge(kept)
        assert estimate.needed_points == pytest.approx(asked.needed_points(LaplaceNoise(kept)), abs=1.2)
        assert estimate.needed_points >= estimate.loss_points - 1e-9


def test_stronger_noise_loses_more(task: Task) -> None:
    judged, kept = SampledHoldout(task), some(task)
    losses = [judged.judge(kept, gain=gain).loss_points for gain in (0.25, 0.5, 1, 2, 4)]
    assert losses == sorted(losses)


def test_few_sets_of_samples_and_several_parts_do_as_well(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = some(task)
    whole = SampledHoldout(task).judge(kept).loss_points
    monkeypatch.setattr(sampled_accuracy, "SET_ELEMENTS", 120 * 100)
    monkeypatch.setattr(sampled_accuracy, "CHUNK_ELEMENTS", 120 * 170)
    assert SampledHoldout(task).judge(kept).loss_points == pytest.approx(whole, abs=1.5)
    monkeypatch.setattr(sampled_accuracy, "ROW_ELEMENTS", 1)
    assert SampledHoldout(task).change(kept).shape == (3, sampled_accuracy.LEAST_ROWS)
