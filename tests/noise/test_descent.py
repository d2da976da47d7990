from dataclasses import replace
from pathlib import Path
from typing import Any

import noise_tasks
import numpy as np
import pytest
import torch

from noise import descent, private_classifier
from noise.datasets.records import Dataset
from noise.descent import Descent, Run
from noise.learning_log import LearningLog
from noise.objective import Equation
from noise.task import Task
from planner.plan import Plan
from profiles.errors import NoiseError

RUN = Run("run", 0, tensors=3, multiple=1.0, alpha=0.001, steps=12)


@pytest.fixture(scope="module")
def task(lenet_plan: Plan, mnist: Dataset) -> Task:
    return noise_tasks.digits(lenet_plan, mnist, rows=1000)


def described(task: Task, equation: Equation = 4) -> Descent:
    return Descent(task, equation, batch=32, learning_rate=0.02)


def test_tensors_learned_together_are_those_learned_one_after_another(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    (together,) = described(task).run(RUN)
    alone = described(task)
    monkeypatch.setattr(descent, "STEP_BYTES", 32 * alone._row_bytes)
    assert alone.together == 1
    assert alone.inputs == 32
    (one_by_one,) = alone.run(RUN)
    np.testing.assert_allclose(together, one_by_one, rtol=1e-3, atol=1e-4)


def test_a_step_is_adams_on_the_gradient_of_the_equation(task: Task) -> None:
    """The plain way: the whole network's own cloud half, a loop over tensors, torch's autograd."""
    found = described(task)
    (learned,) = found.run(replace(RUN, steps=1))
    (start,) = found._fresh(RUN, range(3))
    rows = descent.SeededRandom(task.seed, 3, 2, 0, 0).integers(len(task.train), 32)
    labels = torch.from_numpy(task.train.labels[rows])
    for before, after in zip(start, learned, strict=True):
        noise = torch.tensor(before, requires_grad=True)
        logits = task.cut.cloud(torch.from_numpy(task.train.tensors[0][rows]) + noise)[0]
        (torch.nn.functional.cross_entropy(logits, labels) - 0.001 * noise.abs().sum()).backward()
        assert noise.grad is not None
        # Adam's first step is the rate times the gradient's sign.
        moved = after - before
        clear = noise.grad.abs().numpy() > 1e-4
        np.testing.assert_allclose(moved[clear], -0.02 * found.rms[0] * np.sign(noise.grad.numpy()[clear]), rtol=1e-2)


def test_what_was_learned_lowers_the_loss_of_the_tensors_themselves(task: Task) -> None:
    found = described(task)
    (before,), (after,) = found.run(replace(RUN, steps=0)), found.run(replace(RUN, alpha=0.0, steps=60))
    activations, labels = task.train.tensors[0], torch.from_numpy(task.train.labels)
    with torch.inference_mode():
        losses = [
            torch.nn.functional.cross_entropy(task.cut.logits([torch.from_numpy(activations + one)]), labels)
            for rows in (before, after)
            for one in rows
        ]
    assert sum(losses[3:]) < 0.8 * sum(losses[:3])


def test_root_mean_squares_scales_and_power_are_those_of_the_tensors(task: Task) -> None:
    found, values = described(task), task.train.tensors[0].astype(np.float64)
    assert found.rms == pytest.approx([np.sqrt((values**2).mean())])
    assert found.scales == pytest.approx([values.std() / np.sqrt(2)])
    assert found.power == pytest.approx((values**2).sum(axis=1).mean())


@pytest.mark.parametrize("equation", [3, 4, 11])
def test_each_equation_lets_the_noise_grow(task: Task, equation: Equation) -> None:
    strong, alpha = described(task, equation), {3: 10.0, 4: 0.1, 11: 100.0}[equation]
    (grown,), (plain,) = (strong.run(replace(RUN, alpha=value, steps=30)) for value in (alpha, 0.0))
    assert grown.var() > 1.1 * plain.var()


def test_in_vivo_there_is_a_row_a_step(task: Task, tmp_path: Path) -> None:
    logged = replace(task, log=LearningLog(tmp_path / "log.csv"))
    (learned,) = described(logged).run(RUN)
    assert [row["step"] for row in logged.log.rows] == list(range(12))
    assert {"multiple", "alpha", "loss", "accuracy", "snr_inverse"} < set(logged.log.rows[0])
    again = described(logged)
    (longer,) = again.run(replace(RUN, name="longer", steps=13))
    # The last row is of the tensors before its step: those of a run one step shorter.
    power = float((task.train.tensors[0].astype(np.float64) ** 2).mean())
    assert logged.log.rows[-1]["snr_inverse"] == pytest.approx(learned.var(axis=1).mean() / power, rel=1e-4)
    assert not np.array_equal(longer, learned)


def test_nothing_is_logged_where_nobody_looks(task: Task) -> None:
    described(task).run(RUN)
    assert not task.log.rows


class _Stopped(Exception):
    pass


class _Stopping(LearningLog):
    """Stands for a kill at a step: the log is called in every one."""

    def __init__(self, path: Path, after: int) -> None:
        super().__init__(path)
        self.after = after

    def add(self, **figures: Any) -> None:
        super().add(**figures)
        if len(self.rows) == self.after:
            raise _Stopped


@pytest.mark.parametrize("after", [1, 7, 14, 30])
def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    noise_tasks.always_kept(monkeypatch)
    monkeypatch.setattr(descent, "STEP_BYTES", 32 * described(task)._row_bytes)  # three groups of 12 steps each
    file, whole = tmp_path / "kept", replace(task, log=LearningLog(tmp_path / "log.csv"))
    undisturbed = described(whole).run(RUN)
    with pytest.raises(_Stopped):
        described(noise_tasks.kept_in(replace(task, log=_Stopping(tmp_path / "log.csv", after)), file)).run(RUN)
    again = noise_tasks.kept_in(replace(task, log=LearningLog(tmp_path / "log.csv")), file)
    assert again.checkpoint.continued or after == 1
    continued = described(again).run(RUN)
    assert all((one == other).all() for one, other in zip(undisturbed, continued, strict=True))
    assert again.log.rows == whole.log.rows


def test_a_loss_that_is_no_number_is_told_with_step_and_settings(task: Task) -> None:
    with pytest.raises(NoiseError, match=r"at step 0 with b = 1 × RMS, alpha inf, rate 0.02"):
        described(task).run(replace(RUN, alpha=float("inf")))


def test_private_answers_become_worse_than_without_the_private_term(task: Task) -> None:
    parity = task.train.labels % 2
    both = replace(task, private=parity, gamma=1.0)
    classifier = private_classifier.train(both)
    tensors = torch.from_numpy(task.train.tensors[0])
    right = (classifier.logits([tensors]).argmax(1).numpy() == parity).mean()
    assert right > 0.97
    hiding = Descent(both, 5, batch=32, learning_rate=0.02, private=classifier)
    weak = replace(RUN, multiple=0.2, alpha=0.0, steps=60)
    (hidden,), (plain,) = (one.run(weak) for one in (hiding, described(task)))
    unsure, sure = (
        np.mean(
            [
                torch.nn.functional.cross_entropy(
                    classifier.logits([tensors + torch.from_numpy(one)]), torch.from_numpy(parity)
                ).item()
                for one in rows
            ]
        )
        for rows in (hidden, plain)
    )
    assert unsure > 1.2 * sure
