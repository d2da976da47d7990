"""Phase I of Shredder (Section 2): learn noise distributions that leave the network its accuracy.

What gates is the accuracy under *sampled* noise on data held out from learning: that is what an inference gets, and
a learned tensor can keep its accuracy where samples with its order lose tens of points.

A few tensors look for the starting scale b and for α: learned once, then judged at several gains, which costs little;
learned on at the gain that spends the budget, until that is near 1. Then the collection is learned from scratch at
that scale, half as many tensors more than are wanted; the best are kept, and the last percents of the budget are
spent by a gain on them all.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise import laplace, private_classifier
from noise.calibration import sufficient
from noise.collection import TradeOff
from noise.descent import Descent, Run
from noise.gain import strongest
from noise.laplace import LaplaceNoise, OrderedLaplace
from noise.objective import Equation
from noise.sampled_accuracy import Estimate, SampledHoldout
from noise.starting_values import ladder, starting_values
from noise.task import Found, Task
from profiles.errors import InfeasibleError, NoiseError

Array = NDArray[Any]
Distributions = Mapping[str, OrderedLaplace]

#: The noise starts at b = multiple × the activation's root mean square.
WEAKEST, FIRST, STRONGEST = 1 / 32, 1.5, 24.0
#: Rounds of the search at most; a gain nearer to 1 than NEAR ends it.
ROUNDS, NEAR = 8, 1.25
#: Tensors that search, and of how many elements together at most.
SEARCHERS, SEARCH_ELEMENTS = 8, 100_000
#: Elements of the tensors that are learned beyond those wanted, and so many at least.
SPARE_ELEMENTS, LEAST_SPARE = 200_000, 2
#: Losses, in points, at which the trade-off curve is learned.
CURVE_POINTS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Schedule:
    """How noise tensors are learned.

    equation: the loss; None: 5 with private labels, else 4. alpha: of Equations 3 to 5; Equation 11 has λ = 1 / α.
    learning_rate: Adam's, in units of the starting b. None: Table 2's for a network of the zoo (`starting_values`).
    spare: tensors learned for each that is kept, since some fail a gate. curve: learn the whole trade-off too.
    """

    steps: int = 300
    batch: int = 128
    equation: Equation | None = None
    alpha: float | None = None
    learning_rate: float | None = None
    spare: float = 1.5
    curve: bool = False


def learn(task: Task, *, count: int, schedule: Schedule = Schedule()) -> Found:
    """Learn `count` distributions, as strong as the budget allows.

    Raises NoiseError (learning diverged, or no Laplace fits what was learned), InfeasibleError (no noise fits; the
    smallest budget that would is named).
    """
    learner = _Learner.of(task, schedule, count)
    rounds = learner.search()
    last = rounds[-1]
    found = None if last.gain is None else learner.collect(last.multiple * last.gain, last.alpha, number=100)
    if found is None:
        found = learner.weakest()
    curve = [TradeOff(one.loss_points, one.snr_inverse) for one in rounds]
    curve.append(TradeOff(found.loss_points, found.noise.snr_inverse(learner.descent.power)))
    if schedule.curve:
        curve += learner.curve(last)
    task.progress(ROUNDS + 2, ROUNDS + 2)
    descent = learner.descent
    settings: dict[str, float | int | str | None] = {
        "equation": descent.equation,
        "start_over_rms": found.multiple,
        "gain": found.gain,
        "alpha": found.alpha,
        "learning_rate": descent.learning_rate,
        "steps": schedule.steps,
        "batch": descent.inputs,
    }
    epochs = schedule.steps * descent.inputs / len(task.train)
    ordered = tuple(sorted(curve, key=lambda one: one.snr_inverse))
    return Found(found.noise, settings, epochs, found.noise.elements, ordered)


@dataclass(frozen=True)
class _Round:
    """A round of the search. gain: what its noise may be multiplied by; None: the weakest noise is too strong.
    loss_points, snr_inverse: at a gain of 1."""

    multiple: float
    alpha: float
    gain: float | None
    loss_points: float
    snr_inverse: float
    tensors: list[Array]


@dataclass(frozen=True)
class _Collected:
    noise: LaplaceNoise
    multiple: float
    alpha: float
    gain: float
    loss_points: float


@dataclass(frozen=True)
class _Learner:
    task: Task
    schedule: Schedule
    count: int
    alpha: float
    descent: Descent

    @classmethod
    def of(cls, task: Task, schedule: Schedule, count: int) -> "_Learner":
        values = starting_values(task.cut.network.model.name)
        equation = schedule.equation or (4 if task.private is None else 5)
        if equation == 5 and task.private is None:
            raise NoiseError("Equation 5 needs private labels; give them, or choose another equation")
        private = private_classifier.train(task) if equation == 5 else None
        rate = values.learning_rate if schedule.learning_rate is None else schedule.learning_rate
        descent = Descent(task, equation, schedule.batch, rate, private)
        # Table 2 is for Equations 4 and 5. Of the others each starts where its two terms are of one size.
        alpha = {3: descent.power / task.cut.elements / 4, 11: 1.0}.get(equation, values.alpha)
        return cls(task, schedule, count, alpha if schedule.alpha is None else schedule.alpha, descent)

    @cached_property
    def holdout(self) -> SampledHoldout:
        return SampledHoldout(self.task)

    @property
    def searchers(self) -> int:
        return max(2, min(SEARCHERS, SEARCH_ELEMENTS // self.task.cut.elements))

    @property
    def tries(self) -> int:
        """Tensors that a collection is chosen from: of large ones, which a Laplace nearly always fits, few more."""
        spare = math.ceil(self.count * self.schedule.spare) - self.count
        return self.count + min(spare, max(LEAST_SPARE, SPARE_ELEMENTS // self.task.cut.elements))

    @property
    def warm_steps(self) -> int:
        """For tensors that were learned at another scale already."""
        return math.ceil(self.schedule.steps / 3)

    def search(self) -> list[_Round]:
        """Rounds until the gain is near 1. α falls where too few of the searchers can be sampled from."""
        multiple, alphas, start = FIRST, list(ladder(self.alpha)), None
        found: list[_Round] = []
        for number in range(ROUNDS):
            steps = self.schedule.steps if start is None else self.warm_steps
            run = Run(f"search-{number}", number, self.searchers, multiple, alphas[0], steps)
            learned = self.descent.run(run, start)
            self.task.progress(number + 1, ROUNDS + 2)
            fitted, passes = self._fitted(learned)
            if passes.mean() * self.schedule.spare < 1 and len(alphas) > 1:
                alphas, start = alphas[1:], None
                continue
            found.append(self._round(run, learned, fitted))
            gain = found[-1].gain
            if gain is None or max(gain, 1 / gain) < NEAR:
                break
            multiple, start = multiple * gain, [np.float32(gain) * one for one in learned]
        return found

    def _round(self, run: Run, learned: list[Array], fitted: Distributions) -> _Round:
        gain = self._gain(fitted, run.multiple)
        at_one = self.holdout.judge(fitted).loss_points
        noise = LaplaceNoise(fitted)
        return _Round(run.multiple, run.alpha, gain, at_one, noise.snr_inverse(self.descent.power), learned)

    def _gain(self, fitted: Distributions, multiple: float, budget: float | None = None) -> float | None:
        """The gain that spends the budget, estimated; None where the weakest noise is too strong."""
        return strongest(
            lambda gain: self.holdout.judge(fitted, gain=gain).needed_points,
            budget=self.task.budget.points if budget is None else budget,
            lowest=WEAKEST / multiple,
            highest=STRONGEST / multiple,
        )

    def _fitted(self, learned: list[Array]) -> tuple[dict[str, OrderedLaplace], NDArray[np.bool_]]:
        """Learned tensors as distributions, and of which of them a Laplace fits every crossing tensor."""
        fitted = {name: laplace.ordered(one) for name, one in zip(self.task.cut.shapes, learned, strict=True)}
        passes = np.ones(len(learned[0]), dtype=bool)
        level = 1 - 0.01 / len(learned)
        for one, kept in zip(learned, fitted.values(), strict=True):
            error = laplace.fit_error(one, kept.loc, kept.scale)
            passes &= error <= laplace.fit_threshold(one.shape[1], level=level)
        return fitted, passes

    def collect(self, multiple: float, alpha: float, *, number: int) -> _Collected | None:
        """The best `count` of more tensors learned from one starting scale, at the gain that spends the budget.

        None where not even the weakest noise keeps it.
        """
        best, alpha = self._best(multiple, alpha, number)
        some = {name: one.take(range(min(self.count, self.searchers))) for name, one in best.tensors.items()}
        estimated = self._gain(some, multiple)
        judged: dict[float, Estimate] = {}

        def needed(gain: float) -> float:
            judged[gain] = self.judged(f"judged-{number}-{gain!r}", best.scaled(gain))
            return judged[gain].needed_points

        gain = strongest(
            needed,
            budget=self.task.budget.points,
            start=estimated or WEAKEST / multiple,
            lowest=WEAKEST / multiple,
            highest=STRONGEST / multiple,
        )
        if gain is None:
            return None
        return _Collected(best.scaled(gain), multiple, alpha, gain, judged[gain].loss_points)

    def _best(self, multiple: float, alpha: float, number: int) -> tuple[LaplaceNoise, float]:
        """Of those that a Laplace fits the `count` tensors with the best sampled accuracy, and their α."""
        tries = self.tries
        for turn, lower in enumerate(one for one in ladder(self.alpha) if one <= alpha):
            run = Run(f"collect-{number + turn}", number + turn, tries, multiple, lower, self.schedule.steps)
            fitted, passes = self._fitted(self.descent.run(run))
            if passes.sum() >= self.count:
                break
        else:
            raise NoiseError(
                f"a Laplace fits {passes.sum()} of {tries} learned tensors, {self.count} are wanted; "
                "learn for fewer --steps, or with a smaller --gamma where a private label is hidden"
            )
        self.task.progress(ROUNDS + 1, ROUNDS + 2)
        passing = {name: one.take(np.flatnonzero(passes)) for name, one in fitted.items()}
        loss = self.holdout.change(passing).mean(axis=1)
        best = np.sort(np.argsort(loss, kind="stable")[: self.count])
        return LaplaceNoise({name: one.take(best) for name, one in passing.items()}), lower

    def weakest(self) -> _Collected:
        """The weakest noise there is. It does not depend on the budget, so that a budget it needs is enough."""
        found = self.collect(WEAKEST, 0.0, number=200)
        if found is not None:
            return found
        noise, _ = self._best(WEAKEST, 0.0, 200)
        needed = self.judged("judged-weakest", noise).needed_points
        raise InfeasibleError(
            f"no noise fits a budget of {self.task.budget.points:g} points: the weakest tried needs "
            f"{sufficient(needed)}; raise --budget to that or cut elsewhere"
        )

    def judged(self, name: str, noise: LaplaceNoise) -> Estimate:
        """What this noise loses, drawn as an inference draws; a stage, for large tensors take long to draw."""
        if (kept := self.task.checkpoint.get(name)) is not None:
            return Estimate(**kept[1])
        accuracy = self.task.judge(noise)
        assert accuracy.loss_points is not None
        found = Estimate(accuracy.loss_points, self.task.budget.needed_by(accuracy))
        self.task.checkpoint.put(name, loss_points=found.loss_points, needed_points=found.needed_points)
        return found

    def curve(self, start: _Round) -> list[TradeOff]:
        """Points of Figure 7 at losses spread over two decades: a few tensors, learned on from one to the next."""
        points = []
        multiple, tensors = start.multiple, start.tensors
        fitted, _ = self._fitted(tensors)
        for number, loss in enumerate(sorted(CURVE_POINTS, reverse=True)):
            gain = self._gain(fitted, multiple, budget=loss)
            if gain is None:
                continue
            multiple, begun = multiple * gain, [np.float32(gain) * one for one in tensors]
            run = Run(f"curve-{number}", 300 + number, len(begun[0]), multiple, start.alpha, self.warm_steps)
            tensors = self.descent.run(run, begun)
            fitted, _ = self._fitted(tensors)
            noise = LaplaceNoise(fitted)
            lost = self.judged(f"judged-{run.name}", noise).loss_points
            points.append(TradeOff(lost, noise.snr_inverse(self.descent.power)))
        return points
