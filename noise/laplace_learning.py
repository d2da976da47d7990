"""Phase I of Shredder (Section 2): learn noise distributions that leave the network its accuracy.

Weights and topology never change: gradients reach the noise and nothing else. All tensors are learned as one batch.
What gates is the accuracy under *sampled* noise on data held out from learning: that is what an inference gets, and
a learned tensor can keep its accuracy where samples with its order lose tens of points.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from noise import laplace
from noise.laplace import LaplaceNoise, OrderedLaplace
from noise.objective import alpha_at, equation_4
from noise.randomness import SeededRandom
from noise.task import Found, Task
from profiles.errors import InfeasibleError, NoiseError

Array = NDArray[Any]

#: The noise starts at b = multiple × the activation's root mean square. The strongest multiple that fits the budget
#: is looked for in this range, by bisection on its logarithm.
WEAKEST, FIRST, STRONGEST, ROUNDS = 1 / 32, 1.5, 24.0, 7
#: Tensors learned for each one kept: some fail a gate.
SPARE = 1.5


@dataclass(frozen=True)
class Schedule:
    """How a noise tensor is learned. alpha: of Equation 4; learning_rate: Adam's, in units of b."""

    steps: int = 300
    batch: int = 128
    alpha: float = 0.0001
    learning_rate: float = 0.01


def learn(task: Task, *, count: int, schedule: Schedule = Schedule()) -> Found:
    """Learn `count` distributions, as strong as the budget allows.

    Raises NoiseError (learning diverged), InfeasibleError (no noise fits; the smallest budget that would is named).
    """
    found = _strongest(_Learner(task, schedule, tries=int(np.ceil(count * SPARE)), count=count))
    settings: dict[str, float | int | str | None] = {
        "start_over_rms": found.multiple,
        "alpha": found.alpha,
        "learning_rate": schedule.learning_rate,
        "steps": schedule.steps,
        "batch": schedule.batch,
    }
    epochs = schedule.steps * schedule.batch / len(task.train)
    return Found(found.noise, settings, epochs, found.noise.elements)


@dataclass(frozen=True)
class _Found:
    """A collection, and the starting scale and α that made it."""

    noise: LaplaceNoise
    multiple: float
    alpha: float


@dataclass(frozen=True)
class _Learner:
    task: Task
    schedule: Schedule
    tries: int
    count: int

    def attempt(self, multiple: float) -> tuple[_Found | None, float]:
        """Learn `tries` tensors from one starting scale; the collection where `count` pass both gates.

        Second: the budget that would have been enough here, in points.
        """
        for alpha in (self.schedule.alpha, self.schedule.alpha / 10, 0.0):
            fitted, passes = self._fitted(multiple, alpha)
            # α pushes elements outward until no Laplace fits them, the sooner the weaker the noise is.
            if passes.sum() >= self.count:
                break
        loss = np.array(
            [self._loss_points(fitted, index) if passes[index] else np.inf for index in range(self.tries)]
        )
        best = np.argsort(loss, kind="stable")[: self.count]
        needed = float(loss[best].max())
        if needed > self.task.budget.points:
            return None, needed
        kept = LaplaceNoise({name: one.take(best) for name, one in fitted.items()})
        return _Found(kept, multiple, alpha), needed

    def _fitted(self, multiple: float, alpha: float) -> tuple[dict[str, OrderedLaplace], NDArray[np.bool_]]:
        """Learned tensors as distributions, and which of them a Laplace fits."""
        learned = self._tensors(multiple, alpha)
        fitted = {name: laplace.ordered(one) for name, one in zip(self.task.cut.shapes, learned, strict=True)}
        passes = np.ones(self.tries, dtype=bool)
        for one, kept in zip(learned, fitted.values(), strict=True):
            passes &= laplace.fit_error(one, kept.loc, kept.scale) <= laplace.fit_threshold(one.shape[1])
        return fitted, passes

    def _loss_points(self, fitted: dict[str, OrderedLaplace], index: int) -> float:
        alone = LaplaceNoise({name: one.take([index]) for name, one in fitted.items()})
        return self.task.needed_points(alone)

    def _tensors(self, multiple: float, alpha: float) -> list[Array]:
        """Adam on the noise alone; for each crossing tensor [tries, n]."""
        generator = torch.Generator().manual_seed(self.task.seed)
        start = SeededRandom(self.task.seed)
        rms = [float(np.sqrt((one**2).mean())) for one in self.task.train.tensors]
        noise = [
            torch.from_numpy(laplace.quantile(start.uniform((self.tries, one.shape[1]))).astype(np.float32))
            .mul_(multiple * scale)
            .requires_grad_(True)
            for one, scale in zip(self.task.train.tensors, rms, strict=True)
        ]
        rates = [
            {"params": [one], "lr": self.schedule.learning_rate * multiple * scale}
            for one, scale in zip(noise, rms, strict=True)
        ]
        optimiser = torch.optim.Adam(rates)
        activations = [torch.from_numpy(one) for one in self.task.train.tensors]
        labels = torch.from_numpy(self.task.train.labels)
        for step in range(self.schedule.steps):
            rows = torch.randint(len(labels), (self.schedule.batch,), generator=generator)
            noisy = [one[rows][None] + more[:, None] for one, more in zip(activations, noise, strict=True)]
            logits = self.task.cut.logits([one.flatten(0, 1) for one in noisy], self._beside(rows))
            logits = logits.reshape(self.tries, self.schedule.batch, -1)
            now = alpha_at(step, alpha=alpha)
            loss = equation_4(logits, labels[rows], torch.cat(noise, dim=1), alpha=now)
            if not bool(torch.isfinite(loss).all()):
                raise NoiseError(
                    f"learning gave NaN or infinity at step {step} with b = {multiple:.3g} × RMS, "
                    f"alpha {alpha:g}, rate {self.schedule.learning_rate:g}; lower --alpha"
                )
            optimiser.zero_grad()
            loss.sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        return [one.detach().numpy() for one in noise]

    def _beside(self, rows: torch.Tensor) -> list[Array]:
        """What is left alone, once for each tensor that is learned."""
        kept = [one[rows.numpy()] for one in self.task.train.beside]
        return [np.tile(one, (self.tries, *[1] * (one.ndim - 1))) for one in kept]


def _strongest(learner: _Learner) -> _Found:
    """The strongest starting scale at which enough tensors pass, by bisection on its logarithm."""
    low, high, multiple = WEAKEST, STRONGEST, FIRST
    best: _Found | None = None
    smallest = np.inf
    for turn in range(ROUNDS):
        found, needed = learner.attempt(multiple)
        smallest = min(smallest, needed)
        if found is None:
            high = multiple
        else:
            low, best = multiple, found
        multiple = float(np.sqrt(low * high))
        learner.task.progress(turn + 1, ROUNDS)
    if best is None:
        best, needed = learner.attempt(WEAKEST)
    if best is None:
        raise InfeasibleError(
            f"no noise fits a budget of {learner.task.budget.points:g} points: the weakest tried needs "
            f"{min(smallest, needed):.2f}; raise --budget to that or cut elsewhere"
        )
    return best
