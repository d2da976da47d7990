"""Phase I: learn noise distributions that leave the network its accuracy (Shredder, Section 2).

Weights and topology never change: gradients reach the noise and nothing else. All tensors are learned as one batch.
What gates is the accuracy under *sampled* noise on data held out from learning: that is what an inference gets, and
a learned tensor can keep its accuracy where samples with its order lose tens of points.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from noise import laplace
from noise.collection import Accuracy, Crossing, NoiseFacts
from noise.cut_network import Activations, CutNetwork
from noise.datasets.records import Dataset
from noise.laplace import LaplaceNoise, OrderedLaplace
from noise.objective import alpha_at, equation_4
from noise.randomness import SeededRandom
from planner.plan import Plan
from profiles.errors import InfeasibleError, NoiseError
from profiles.zoo.catalog import has_random_weights

Array = NDArray[Any]
Progress = Callable[[int, int], None]

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


class LearnResult(msgspec.Struct, frozen=True, kw_only=True):
    """What `plan learn --json` prints. snr_inverse: σ²(n) / E[a²] of sampled noise."""

    kind: str
    budget_points: float
    accuracy: Accuracy
    snr_inverse: float
    bound_bits: float | None
    mixture_bound_bits: float | None
    distributions: int
    elements: int
    epochs: float
    learnable_parameters: int
    footprint_bytes: int
    seconds: float


@dataclass(frozen=True)
class Learned:
    noise: LaplaceNoise
    facts: NoiseFacts
    epochs: float
    seconds: float


def learn(
    plan: Plan,
    data: Dataset,
    *,
    budget_points: float,
    count: int = 20,
    seed: int | None = None,
    schedule: Schedule = Schedule(),
    progress: Progress = lambda done, of: None,
) -> Learned:
    """Learn `count` Laplace distributions for a plan's cut, as strong as the budget allows.

    budget_points: accuracy in percentage points that may be lost on held-out data.
    Raises NoiseError (the plan does not fit the model, or nothing crosses), DataError (data of another shape),
    InfeasibleError (no noise fits the budget; the smallest budget that would is named).
    """
    start = time.perf_counter()
    if plan.model.source is not None and has_random_weights(plan.model.source):
        raise NoiseError(
            f"{plan.model.name} has random weights here, so there is no accuracy to keep; plan with it, "
            "and learn for a trained network by package.module:function"
        )
    if seed is None:
        seed = int(np.random.default_rng().integers(2**31))
    cut = CutNetwork.of(plan)
    train = cut.activations(data.without_holdout(), origin=data.name)
    holdout = cut.activations(data.holdout(), origin=data.name)
    learner = _Learner(cut, train, holdout, schedule, seed, tries=int(np.ceil(count * SPARE)), count=count)
    found = _strongest(learner, budget_points, progress)
    test = cut.activations(data.test, origin=data.name)
    accuracy, snr_inverse = cut.judge(found.noise, test, random=SeededRandom(seed))
    facts = NoiseFacts(
        kind="laplace",
        architecture=plan.model.architecture,
        weights=plan.model.weights or cut.network.model.weights,
        crossing=tuple(Crossing(name, shape) for name, shape in cut.shapes.items()),
        wire=plan.settings.wire,
        data=data.name,
        budget_points=budget_points,
        accuracy=accuracy,
        snr_inverse=snr_inverse,
        settings={
            "start_over_rms": found.multiple,
            "alpha": found.alpha,
            "learning_rate": schedule.learning_rate,
            "steps": schedule.steps,
            "batch": schedule.batch,
            "seed": seed,
        },
    )
    epochs = schedule.steps * schedule.batch / len(train)
    return Learned(found.noise, facts, epochs, time.perf_counter() - start)


@dataclass(frozen=True)
class _Found:
    """A collection, and the starting scale and α that made it."""

    noise: LaplaceNoise
    multiple: float
    alpha: float


@dataclass(frozen=True)
class _Learner:
    cut: CutNetwork
    train: Activations
    holdout: Activations
    schedule: Schedule
    seed: int
    tries: int
    count: int

    def attempt(self, multiple: float, budget_points: float) -> tuple[_Found | None, float]:
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
        if needed > budget_points:
            return None, needed
        kept = LaplaceNoise({name: one.take(best) for name, one in fitted.items()})
        return _Found(kept, multiple, alpha), needed

    def _fitted(self, multiple: float, alpha: float) -> tuple[dict[str, OrderedLaplace], NDArray[np.bool_]]:
        """Learned tensors as distributions, and which of them a Laplace fits."""
        learned = self._tensors(multiple, alpha)
        fitted = {name: laplace.ordered(one) for name, one in zip(self.cut.shapes, learned, strict=True)}
        passes = np.ones(self.tries, dtype=bool)
        for one, kept in zip(learned, fitted.values(), strict=True):
            passes &= laplace.fit_error(one, kept.loc, kept.scale) <= laplace.fit_threshold(one.shape[1])
        return fitted, passes

    def _loss_points(self, fitted: dict[str, OrderedLaplace], index: int) -> float:
        alone = LaplaceNoise({name: one.take([index]) for name, one in fitted.items()})
        accuracy, _ = self.cut.judge(alone, self.holdout, random=SeededRandom(self.seed + index))
        assert accuracy.loss_points is not None
        return accuracy.loss_points

    def _tensors(self, multiple: float, alpha: float) -> list[Array]:
        """Adam on the noise alone; for each crossing tensor [tries, n]."""
        generator = torch.Generator().manual_seed(self.seed)
        start = SeededRandom(self.seed)
        rms = [float(np.sqrt((one**2).mean())) for one in self.train.tensors]
        noise = [
            torch.from_numpy(laplace.quantile(start.uniform((self.tries, one.shape[1]))).astype(np.float32))
            .mul_(multiple * scale)
            .requires_grad_(True)
            for one, scale in zip(self.train.tensors, rms, strict=True)
        ]
        rates = [
            {"params": [one], "lr": self.schedule.learning_rate * multiple * scale}
            for one, scale in zip(noise, rms, strict=True)
        ]
        optimiser = torch.optim.Adam(rates)
        activations = [torch.from_numpy(one) for one in self.train.tensors]
        labels = torch.from_numpy(self.train.labels)
        for step in range(self.schedule.steps):
            rows = torch.randint(len(labels), (self.schedule.batch,), generator=generator)
            noisy = [one[rows][None] + more[:, None] for one, more in zip(activations, noise, strict=True)]
            logits = self.cut.logits([one.flatten(0, 1) for one in noisy])
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


def _strongest(learner: _Learner, budget_points: float, progress: Progress) -> _Found:
    """The strongest starting scale at which enough tensors pass, by bisection on its logarithm."""
    low, high, multiple = WEAKEST, STRONGEST, FIRST
    best: _Found | None = None
    smallest = np.inf
    for turn in range(ROUNDS):
        found, needed = learner.attempt(multiple, budget_points)
        smallest = min(smallest, needed)
        if found is None:
            high = multiple
        else:
            low, best = multiple, found
        multiple = float(np.sqrt(low * high))
        progress(turn + 1, ROUNDS)
    if best is None:
        best, needed = learner.attempt(WEAKEST, budget_points)
    if best is None:
        raise InfeasibleError(
            f"no noise fits a budget of {budget_points:g} points: the weakest tried needs "
            f"{min(smallest, needed):.2f}; raise --budget to that or cut elsewhere"
        )
    return best
