"""The two kinds of noise that hold against an informed adversary: how each is found for a budget.

`gaussian`: the inverse Fisher form at the best ε, and up to DENSE_ELEMENTS elements a covariance learned from there.
`channel`, where the map is linear: map and covariance learned together; `bottleneck_learning` has the other map.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from noise.activations import Activations
from noise.audit.covariance_bound import ROWS_AN_ELEMENT, covariance_bound
from noise.calibration import calibrated, sufficient
from noise.channel import ChannelNoise
from noise.collection import TradeOff
from noise.covariance import spread
from noise.fisher import Sensitivity, inverse_fisher, sensitivities
from noise.gaussian import GaussianNoise, LowRankNormal
from noise.gaussian_learning import GaussianSchedule, Learner
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
from noise.mechanism import GaussianMechanism
from noise.randomness import SeededRandom
from noise.task import Found, Task
from planner.noise_cost import DENSE_ELEMENTS, layout, map_form
from profiles.errors import InfeasibleError, NoiseError

#: ε of the inverse Fisher form that are tried; the smallest bound wins.
EPSILONS = (0.3, 0.1, 0.03, 0.01, 0.003)
#: Rows that the bound is computed from while noise is chosen, and elements of them at most.
BOUND_ROWS, BOUND_ELEMENTS = 20_000, 64_000_000
#: And of the products of those rows with one another: so many multiplications at most.
BOUND_PRODUCTS = 20_000_000_000
#: A channel starts from a larger ε than noise alone would take, nearer to equal strength in all directions: its map
#: makes room in others than the Fisher information names. The less, the shorter the way that learning goes.
STARTING_EPSILONS, STARTING_MULTIPLE = (0.1, 0.03, 0.01, 0.003), 10.0
#: Elements of the rows on which divergence and bound are balanced.
BALANCE_ELEMENTS = 4_000_000
#: Budgets at which the trade-off is drawn (Figure 7), as multiples of what was asked; each for a share of the steps.
CURVE, CURVE_SHARE = (1 / 6, 1 / 3, 2 / 3, 1.0, 2.0, 4.0), 3
#: While ε is looked for, gains need not be exact, and of large tensors fewer held-out rows do.
COARSE, COARSE_ELEMENTS, COARSE_ROWS = 1.05, 25_000_000, 100
#: Where a map loses more than the budget by itself, learning aims lower: by these shares of the budget.
RETREATS = (1.0, 0.5, 0.2)


@dataclass(frozen=True)
class Settled:
    noise: GaussianMechanism
    settings: dict[str, float | int | str | None]
    nats: float


def learn_gaussian(task: Task, *, schedule: GaussianSchedule, curve: bool = False) -> Found:
    """Additive Gaussian noise; curve: the trade-off as well. Raises InfeasibleError where none keeps the budget,
    NoiseError where a private label is to be hidden by noise that is not learned."""
    whole = _all_dense(task)
    if not whole and task.private is not None:
        raise NoiseError(
            f"gaussian noise of {task.cut.elements} elements is not learned, so it cannot hide a private label "
            f"(learned up to {DENSE_ELEMENTS} a tensor); learn --noise channel, or cut where less crosses"
        )
    settled = _best_inverse(task, EPSILONS)
    if not whole:
        points = _scaled_points(task, settled.noise) if curve else ()
        return found(task, settled, schedule, 0, points)
    work = Work(
        task,
        lambda: _balance(task, settled.noise),
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
    best = _coarse_inverse(task, STARTING_EPSILONS)
    start = _best_inverse(task, (_multiple(task) * float(best.settings["epsilon"]),))  # type: ignore[arg-type]
    work = Work(task, lambda: _balance(task, start.noise), lambda: _channels(task, start.noise), schedule, "channel")
    settled = work.settled()
    if settled is None or (settled.nats > best.nats and task.private is None):
        # A map can spend the budget by itself; without one the loss goes to nothing with the noise.
        additive = _best_inverse(task, STARTING_EPSILONS)
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
                return Settled(found.noise, settings, _nats(self.task, found.noise))
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
    return TradeOff(accuracy.loss_points, snr_inverse, _nats(task, noise) / math.log(2))


def _infeasible(task: Task, needed: float) -> InfeasibleError:
    return InfeasibleError(
        f"no noise fits a budget of {task.budget.points:g} points: the weakest tried needs {sufficient(needed)}; "
        "raise --budget to that or cut elsewhere"
    )


def _best_inverse(task: Task, epsilons: Sequence[float]) -> Settled:
    """The inverse Fisher form at the ε with the smallest bound. Raises InfeasibleError."""
    best = _coarse_inverse(task, epsilons)
    final = calibrated(task, best.noise)
    if final.noise is None:
        if len(_few(task).holdout) < len(task.holdout):
            raise _infeasible(task, final.needed)
        return best
    return replace(best, noise=final.noise, nats=_nats(task, final.noise))


def _few(task: Task) -> Task:
    """The same, with fewer held-out rows where tensors are large."""
    rows = max(COARSE_ROWS, COARSE_ELEMENTS // task.cut.elements)
    return replace(task, holdout=task.holdout.take(slice(None, None, math.ceil(len(task.holdout) / rows))))


def _coarse_inverse(task: Task, epsilons: Sequence[float]) -> Settled:
    """As `_best_inverse`, its gain not settled."""
    sensitivity, few = _sensitivities(task), _few(task)
    best: Settled | None = None
    needed = math.inf
    for epsilon in epsilons:
        noise = inverse_fisher(sensitivity, epsilon=epsilon)
        level = math.sqrt(task.train.power / task.cut.elements)  # of the activation's own size
        found = calibrated(few, noise.scaled(level * math.sqrt(epsilon)), precision=COARSE)
        needed = min(needed, found.needed)
        if found.noise is None:
            continue
        nats = _nats(task, found.noise)
        if best is not None and nats > best.nats:
            break  # the bound has one valley in ε
        best = Settled(found.noise, {"epsilon": epsilon, "gain": found.gain}, nats)
    if best is None:
        raise _infeasible(task, needed)
    return best


def _sensitivities(task: Task) -> dict[str, Sensitivity]:
    """Fisher information, kept: it takes the cloud half over some thousand rows."""
    kept = task.checkpoint.get("fisher")
    if kept is None:
        found = sensitivities(task.cut, task.train, seed=task.seed)
        arrays: dict[str, Any] = {}
        for index, one in enumerate(found.values()):
            arrays |= {f"{index}.basis": one.basis, f"{index}.eigenvalues": one.eigenvalues}
        task.checkpoint.put("fisher", arrays)
        return found
    arrays, _ = kept
    return {
        node: Sensitivity(arrays[f"{index}.basis"], arrays[f"{index}.eigenvalues"])
        for index, node in enumerate(task.cut.shapes)
    }


def _balance(task: Task, noise: GaussianMechanism) -> float:
    """β at which the noise's own strength is just right: there divergence grows with the strength as fast as
    β · bound falls."""
    step = 1.1
    rows = task.train.take(slice(0, min(len(task.train), max(64, BALANCE_ELEMENTS // task.train.elements))))
    slopes = []
    for gain in (1 / step, step):
        one = noise.scaled(gain)
        slopes.append((task.cut.divergence(one, rows, random=SeededRandom(task.seed, 5)), _nats(task, one)))
    (less, high), (more, low) = slopes
    return max(more - less, 1e-9) / max(high - low, 1e-9)


def _nats(task: Task, noise: GaussianMechanism) -> float:
    """The covariance bound on training rows, to compare noises by."""
    train, holdout = (noise.whitened(bound_rows(one).tensors) for one in (task.train, task.holdout))
    return covariance_bound(train, holdout).nats


def bound_rows(on: Activations) -> Activations:
    """As many rows as a bound is computed from, the first: learning's are in no order."""
    return on.take(slice(0, most_bound_rows(on)))


def most_bound_rows(on: Activations) -> int:
    """How many rows a bound is computed from at most."""
    most = min(BOUND_ROWS, BOUND_ELEMENTS // on.elements)
    if most < ROWS_AN_ELEMENT * on.elements:
        most = min(most, math.isqrt(BOUND_PRODUCTS // on.elements))
    return max(16, most)


def found(task: Task, settled: Settled, schedule: GaussianSchedule, steps: int, curve: Sequence[TradeOff]) -> Found:
    batch = schedule.batch_of(task.cut.elements)
    settings = {"gamma": task.gamma} | settled.settings | ({"steps": steps, "batch": batch} if steps else {})
    epochs = steps * batch / len(task.train)
    return Found(settled.noise, settings, epochs, settled.noise.parameters, tuple(curve))
