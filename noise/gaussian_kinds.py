"""The two kinds of noise that hold against an informed adversary: how each is found for a budget.

`gaussian`: the inverse Fisher form at the best ε, and up to DENSE_ELEMENTS elements a covariance learned from there.
`channel`, where the map is linear: map and covariance learned together; `bottleneck_learning` has the other map.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from noise.calibration import calibrated
from noise.channel import ChannelNoise
from noise.collection import TradeOff
from noise.covariance import spread
from noise.gaussian import GaussianNoise, LowRankNormal
from noise.gaussian_learning import Learner
from noise.gaussian_parameters import (
    RATE,
    DenseFactor,
    Learnable,
    LearnedMap,
    LearnedNormal,
    LinearLearnable,
    LowRankFactor,
    matrix_rate,
)
from noise.gaussian_schedule import GaussianSchedule
from noise.gaussian_start import COARSE, Settled, balance, best_inverse, coarse_inverse, nats
from noise.mechanism import GaussianMechanism
from noise.task import Found, Task
from planner.noise_cost import DENSE_ELEMENTS, layout, map_form
from profiles.errors import NoiseError

#: ε of the inverse Fisher form that are tried; the smallest bound wins.
EPSILONS = (0.3, 0.1, 0.03, 0.01, 0.003)
#: A channel starts from a larger ε than noise alone would take, nearer to equal strength in all directions: its map
#: makes room in others than the Fisher information names. The less, the shorter the way that learning goes.
STARTING_EPSILONS, STARTING_MULTIPLE = (0.1, 0.03, 0.01, 0.003), 10.0
#: Budgets at which the trade-off is drawn (Figure 7), as multiples of what was asked; each for a share of the steps.
CURVE, CURVE_SHARE = (1 / 6, 1 / 3, 2 / 3, 1.0, 2.0, 4.0), 3
#: Where a map loses more than the budget by itself, learning aims lower: by these shares of the budget.
RETREATS = (1.0, 0.5, 0.2)


def learn_gaussian(task: Task, *, schedule: GaussianSchedule, curve: bool = False) -> Found:
    """Additive Gaussian noise; curve: the trade-off as well. Raises InfeasibleError where none keeps the budget,
    NoiseError where a private label is to be hidden by noise that is not learned."""
    whole = _all_dense(task)
    if not whole and task.private is not None:
        raise NoiseError(
            f"gaussian noise of {task.cut.elements} elements is not learned, so it cannot hide a private label "
            f"(learned up to {DENSE_ELEMENTS} a tensor); learn --noise channel, or cut where less crosses"
        )
    settled = best_inverse(task, EPSILONS)
    if not whole:
        points = _scaled_points(task, settled.noise) if curve else ()
        return found(task, settled, schedule, 0, points)
    work = Work(
        task,
        lambda: balance(task, settled.noise),
        lambda: _covariances(task, settled.noise),
        schedule,
        "covariance",
    )
    learned = work.settled()
    if learned is None or (learned.nats > settled.nats and task.private is None):
        learned = settled
    return found(task, learned, schedule, schedule.steps, work.curve() if curve else ())


def learn_channel(task: Task, *, schedule: GaussianSchedule, curve: bool = False) -> Found:
    """A linear map and Gaussian noise; as `learn_gaussian`."""
    best = coarse_inverse(task, STARTING_EPSILONS)
    start = best_inverse(task, (_multiple(task) * float(best.settings["epsilon"]),))  # type: ignore[arg-type]
    work = Work(task, lambda: balance(task, start.noise), lambda: _channels(task, start.noise), schedule, "channel")
    settled = work.settled()
    if settled is None or (settled.nats > best.nats and task.private is None):
        # A map can spend the budget by itself; without one the loss goes to nothing with the noise.
        additive = best_inverse(task, STARTING_EPSILONS)
        settled = replace(additive, noise=_unmapped(task, additive.noise))
    return found(task, settled, schedule, schedule.steps, work.curve() if curve else ())


def _multiple(task: Task) -> float:
    largest = max(math.prod(shape) for shape in task.cut.shapes.values())
    return max(1.0, STARTING_MULTIPLE * matrix_rate(largest) / RATE)


def _all_dense(task: Task) -> bool:
    return all(math.prod(shape) <= DENSE_ELEMENTS for shape in task.cut.shapes.values())


def _low_rank(noise: GaussianMechanism) -> list[LowRankNormal]:
    assert isinstance(noise, GaussianNoise)
    return [one for one in noise.normals.values() if isinstance(one, LowRankNormal)]


def _covariances(task: Task, start: GaussianMechanism) -> list[Learnable]:
    """Whole covariances alone."""
    pairs = zip(spread(task.train), _low_rank(start), strict=True)
    return [LinearLearnable(DenseFactor(one, normal), None) for one, normal in pairs]


def _channels(task: Task, start: GaussianMechanism) -> list[Learnable]:
    """Maps that start as the identity, and noise."""
    made = list[Learnable]()
    for node, one, first in zip(task.cut.shapes, spread(task.train), _low_rank(start), strict=True):
        normal: LearnedNormal = DenseFactor(one, first) if len(one) <= DENSE_ELEMENTS else LowRankFactor(first)
        made.append(LinearLearnable(normal, _map(task, node, one)))
    return made


def _map(task: Task, node: str, spread: torch.Tensor) -> LearnedMap:
    shape, tokens = layout(task.cut.network.graph, node, task.cut.shapes[node])
    return LearnedMap(spread, shape, map_form(shape, tokens=tokens))


def _unmapped(task: Task, noise: GaussianMechanism) -> ChannelNoise:
    """Additive noise as a channel whose map changes nothing."""
    assert isinstance(noise, GaussianNoise)
    maps, offsets = {}, {}
    for node, one in noise.normals.items():
        made = _map(task, node, torch.ones(one.elements))
        maps[node], offsets[node] = made.map(), made.offset()
    return ChannelNoise(maps, offsets, noise.normals)


@dataclass(frozen=True)
class Work:
    """Learning of one form of noise, at the budget and beside it."""

    task: Task
    beta: Callable[[], float]
    learnables: Callable[[], Sequence[Learnable]]
    schedule: GaussianSchedule
    stage: str

    def settled(self, retreats: Sequence[float] = RETREATS) -> Settled | None:
        """Learned and calibrated; None where even at the lowest aim no gain keeps the budget."""
        for retreat in retreats:
            points = retreat * self.task.budget.points
            learner = self._run(self.learnables(), points, self.schedule, f"{self.stage}-{retreat:g}")
            if learner.abandoned:
                continue
            found = calibrated(self.task, learner.mechanism())
            if found.noise is not None:
                settings = learner.settings() | {"gain": found.gain, "aim_points": points}
                return Settled(found.noise, settings, nats(self.task, found.noise))
        return None

    def curve(self) -> tuple[TradeOff, ...]:
        """The trade-off: shorter runs at other budgets, each from where the one before ended."""
        schedule = replace(self.schedule, steps=max(1, self.schedule.steps // CURVE_SHARE))
        learnables, points = self.learnables(), []
        for multiple in CURVE:
            aim = multiple * self.task.budget.points
            learner = self._run(learnables, aim, schedule, f"{self.stage}-curve-{multiple:g}")
            found = calibrated(self.task, learner.mechanism(), points=aim, precision=COARSE)
            if found.noise is not None:
                points.append(_trade_off(self.task, found.noise))
        return tuple(points)

    @cached_property
    def _beta(self) -> float:
        return self.beta()

    def _run(self, learnables: Sequence[Learnable], points: float, schedule: GaussianSchedule, name: str) -> Learner:
        learner = Learner(self.task, learnables, schedule, name=name, beta=self._beta)
        learner.take_up()
        learner.run(points=points)
        learner.keep()
        return learner


def _scaled_points(task: Task, noise: GaussianMechanism) -> tuple[TradeOff, ...]:
    """The trade-off of noise that only its strength changes."""
    found = [calibrated(task, noise, points=one * task.budget.points, precision=COARSE) for one in CURVE]
    return tuple(_trade_off(task, one.noise) for one in found if one.noise is not None)


def _trade_off(task: Task, noise: GaussianMechanism) -> TradeOff:
    accuracy, snr_inverse = task.judged(noise)
    assert accuracy.loss_points is not None
    return TradeOff(accuracy.loss_points, snr_inverse, nats(task, noise) / math.log(2))


def found(task: Task, settled: Settled, schedule: GaussianSchedule, steps: int, curve: Sequence[TradeOff]) -> Found:
    batch = schedule.batch_of(task.cut.elements)
    settings = {"gamma": task.gamma} | settled.settings | ({"steps": steps, "batch": batch} if steps else {})
    epochs = steps * batch / len(task.train)
    return Found(settled.noise, settings, epochs, settled.noise.parameters, tuple(curve))
