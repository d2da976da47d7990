"""Learns noise of a kind for a plan's cut: the user gives a budget, the kind's learner finds the rest."""

import time
from pathlib import Path

import msgspec
import numpy as np

from noise import laplace_learning
from noise.checkpoint import Checkpoint
from noise.collection import Accuracy, Crossing, NoiseFacts
from noise.cut_network import CutNetwork
from noise.datasets.records import Dataset
from noise.laplace_learning import Schedule
from noise.log import LearningLog
from noise.mechanism import Mechanism
from noise.randomness import SeededRandom
from noise.task import Budget, Progress, Task, TradeOff
from planner.plan import Plan
from profiles.errors import NoiseError
from profiles.zoo.catalog import has_random_weights


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


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """seconds: of this run alone, where one was continued."""

    noise: Mechanism
    facts: NoiseFacts
    epochs: float
    parameters: int
    curve: tuple[TradeOff, ...]
    seconds: float


def learn(
    plan: Plan,
    data: Dataset,
    *,
    kind: str = "laplace",
    budget_points: float,
    confident: bool = False,
    count: int = 20,
    seed: int | None = None,
    schedule: Schedule | None = None,
    keep: Path | None = None,
    log: LearningLog | None = None,
    progress: Progress = lambda done, of: None,
) -> Learned:
    """Learn noise for a plan's cut, as strong as the budget allows.

    budget_points: accuracy in percentage points that may be lost on held-out data. count: distributions of `laplace`.
    keep: a file that holds what was reached, for a run that is killed and started again.
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
    task = Task(
        cut,
        cut.activations(data.without_holdout(), origin=data.name),
        cut.activations(data.holdout(), origin=data.name),
        Budget(budget_points, confident),
        seed,
        checkpoint=Checkpoint(keep, key=""),
        log=log or LearningLog(),
        progress=progress,
    )
    found = laplace_learning.learn(task, count=count, schedule=schedule or Schedule())
    test = cut.stream(data.test, origin=data.name)
    accuracy, snr_inverse = cut.judge(found.noise, test, random=SeededRandom(seed, 2))
    facts = NoiseFacts(
        kind=kind,
        architecture=plan.model.architecture,
        weights=plan.model.weights or cut.network.model.weights,
        crossing=tuple(Crossing(name, shape) for name, shape in cut.shapes.items()),
        wire=plan.settings.wire,
        data=data.name,
        budget_points=budget_points,
        accuracy=accuracy,
        snr_inverse=snr_inverse,
        settings={**found.settings, "seed": seed},
    )
    return Learned(
        noise=found.noise,
        facts=facts,
        epochs=found.epochs,
        parameters=found.parameters,
        curve=found.curve,
        seconds=time.perf_counter() - start,
    )
