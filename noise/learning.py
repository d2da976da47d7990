"""Phase I: learn noise distributions that leave the network its accuracy (Shredder, Section 2).

Weights and topology never change: gradients reach the noise and nothing else. All tensors are learned as one batch.
What gates is the accuracy under *sampled* noise on data held out from learning: that is what an inference gets, and
a learned tensor can keep its accuracy where samples with its order lose tens of points.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from noise import laplace
from noise.accuracy import compare
from noise.collection import Accuracy, Crossing, NoiseFacts
from noise.datasets.records import Dataset
from noise.laplace import LaplaceNoise, OrderedLaplace
from noise.objective import alpha_at, equation_4
from noise.randomness import SeededRandom
from planner.plan import Plan
from profiles import halves
from profiles.engine import TorchEngine, run_in_batches
from profiles.errors import DataError, InfeasibleError, NoiseError
from profiles.models import load_model
from profiles.trace import TracedNetwork, trace

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


@dataclass(frozen=True)
class Activations:
    """The crossing tensors of one split, flattened, and what the network says without noise.

    tensors: for each crossing tensor [rows, n]. labels, clean: [rows].
    """

    tensors: tuple[Array, ...]
    labels: Array
    clean: Array

    def __len__(self) -> int:
        return len(self.labels)


def learn(
    plan: Plan,
    data: Dataset,
    *,
    budget_points: float,
    count: int = 20,
    seed: int | None = None,
    schedule: Schedule = Schedule(),  # noqa: B008  frozen
    progress: Progress = lambda done, of: None,
) -> Learned:
    """Learn `count` Laplace distributions for a plan's cut, as strong as the budget allows.

    budget_points: accuracy in percentage points that may be lost on held-out data.
    Raises NoiseError (the plan does not fit the model, or nothing crosses), DataError (data of another shape),
    InfeasibleError (no noise fits the budget; the smallest budget that would is named).
    """
    start = time.perf_counter()
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
            "alpha": schedule.alpha,
            "learning_rate": schedule.learning_rate,
            "steps": schedule.steps,
            "batch": schedule.batch,
            "seed": seed,
        },
    )
    epochs = schedule.steps * schedule.batch / len(train)
    return Learned(found.noise, facts, epochs, time.perf_counter() - start)


@dataclass(frozen=True)
class CutNetwork:
    """A plan's network, cut: both halves ready to run in this process."""

    network: TracedNetwork
    edge: TorchEngine
    cloud: fx.GraphModule
    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, plan: Plan) -> "CutNetwork":
        """Load the plan's model and cut it. Raises NoiseError where it is not the model that was planned."""
        if not plan.cut.crossing or plan.cut.name == "cloud-only":
            raise NoiseError(f"the plan is {plan.cut.name}: no tensor crosses that noise could be learned for; cut it")
        if plan.model.source is None:
            raise NoiseError("the plan does not say where its model is (model.source); profile it with `plan profile`")
        network = trace(load_model(plan.model.source), batch=plan.settings.batch)
        if network.architecture != plan.model.architecture:
            raise NoiseError(f"{plan.model.source} is not the network that was planned; profile and cut it again")
        if plan.model.weights not in (None, network.model.weights):
            raise NoiseError(f"{plan.model.source} has other weights than were planned; profile and cut it again")
        made = halves.split(network, plan.cut.edge_nodes)
        whole_numbers = [one.node for one in plan.cut.crossing if not one.dtype.startswith("float")]
        if whole_numbers:
            raise NoiseError(f"{whole_numbers[0]} crosses and holds whole numbers; noise is for floats, cut elsewhere")
        shapes = {one.node: one.shape[1:] for one in plan.cut.crossing}
        return cls(network, TorchEngine(made.edge), made.cloud.requires_grad_(False), shapes)

    def activations(self, split: Any, *, origin: str) -> Activations:
        """Run the edge half over a split once. Raises DataError where the inputs do not fit the network."""
        expected = tuple(self.network.example[0].shape[1:])
        if len(self.network.example) != 1 or tuple(split.inputs.shape[1:]) != expected:
            raise DataError(
                f"{origin}: inputs of shape {list(split.inputs.shape[1:])}, the model takes {list(expected)}"
            )
        outputs = run_in_batches(self.edge, split.inputs)
        clean = self.classes([torch.from_numpy(one) for one in outputs])
        return Activations(tuple(one.reshape(len(one), -1) for one in outputs), split.labels, clean)

    def logits(self, flat: Sequence[torch.Tensor]) -> torch.Tensor:
        """Cloud half on flattened crossing tensors [rows, n] each → logits [rows, classes]."""
        shaped = [one.reshape(-1, *shape) for one, shape in zip(flat, self.shapes.values(), strict=True)]
        result: torch.Tensor = self.cloud(*shaped)[0]
        return result

    def classes(self, flat: Sequence[torch.Tensor], *, size: int = 4000) -> Array:
        with torch.inference_mode():
            parts = zip(*(one.split(size) for one in flat), strict=True)
            return torch.cat([self.logits(part).argmax(1) for part in parts]).numpy()

    def judge(self, noise: LaplaceNoise, on: Activations, *, random: SeededRandom) -> tuple[Accuracy, float]:
        """Accuracy with fresh noise for every input, in this process, and 1/SNR of that noise."""
        drawn = noise.draw(len(on), random)
        noisy = [torch.from_numpy(one + more) for one, more in zip(on.tensors, drawn, strict=True)]
        variance = sum(float(one.var()) * one.shape[1] for one in drawn)
        power = sum(float((one**2).mean()) * one.shape[1] for one in on.tensors)
        return compare(on.clean, self.classes(noisy), on.labels), variance / power


@dataclass(frozen=True)
class _Found:
    noise: LaplaceNoise
    multiple: float


@dataclass(frozen=True)
class _Learner:
    cut: CutNetwork
    train: Activations
    holdout: Activations
    schedule: Schedule
    seed: int
    tries: int
    count: int

    def attempt(self, multiple: float, budget_points: float) -> tuple[LaplaceNoise | None, float]:
        """Learn `tries` tensors from one starting scale; the collection where `count` pass both gates.

        Second: the budget that would have been enough here, in points.
        """
        for alpha in (self.schedule.alpha, self.schedule.alpha / 10, 0.0):
            fitted, passes = self._fitted(multiple, alpha)
            # α pushes elements outward until no Laplace fits them, the sooner the weaker the noise is.
            if passes.sum() >= self.count:
                break
        loss = np.array([self._loss_points(fitted, index) if passes[index] else np.inf for index in range(self.tries)])
        best = np.argsort(loss, kind="stable")[: self.count]
        needed = float(loss[best].max())
        if needed > budget_points:
            return None, needed
        return LaplaceNoise({name: one.take(best) for name, one in fitted.items()}), needed

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
            logits = self.cut.logits([one.flatten(0, 1) for one in noisy]).unflatten(0, (self.tries, -1))
            now = alpha_at(step, alpha=alpha)
            loss = equation_4(logits, labels[rows], torch.cat(noise, dim=1), alpha=now)
            if not bool(torch.isfinite(loss).all()):
                raise NoiseError(
                    f"learning gave NaN or infinity at step {step} with b = {multiple:.3g} × RMS, "
                    f"alpha {alpha:g}, rate {self.schedule.learning_rate:g}; lower --learning-rate"
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
        noise, needed = learner.attempt(multiple, budget_points)
        smallest = min(smallest, needed)
        if noise is None:
            high = multiple
        else:
            low, best = multiple, _Found(noise, multiple)
        multiple = float(np.sqrt(low * high))
        progress(turn + 1, ROUNDS)
    if best is None:
        noise, needed = learner.attempt(WEAKEST, budget_points)
        if noise is None:
            raise InfeasibleError(
                f"no noise fits a budget of {budget_points:g} points: the weakest tried needs "
                f"{min(smallest, needed):.2f}; raise --budget to that or cut elsewhere"
            )
        best = _Found(noise, WEAKEST)
    return best

