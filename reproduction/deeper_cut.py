"""The strongest noise at a cut that loses no more than 5 points, and what is left there: a point of Figure 8."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from benchmarks.noise_kinds import estimate
from noise import learning
from noise.activations import Activations
from noise.cut_network import CutNetwork
from noise.datasets.records import Dataset
from noise.gain import strongest
from noise.gaussian_start import covariance_nats
from noise.learning_options import Options
from noise.mechanism import GaussianMechanism, Mechanism
from noise.randomness import SeededRandom
from planner.plan import Plan
from reproduction.benchmark_networks import opened
from reproduction.gaussian_of_one_scale import of_one_scale
from reproduction.step import Step

#: Of its strength over the activation's own, while the budget's is looked for.
WEAKEST, STRONGEST = 1 / 64, 64.0


@dataclass(frozen=True)
class Deeper:
    """kind: `laplace`, `channel`, or `one-scale`: Gaussian noise of one strength for all elements, not learned.
    pairs: of the estimate. judged: test rows that a strength is judged on. known: training rows of the bound."""

    network: str
    at: str
    kind: str
    budget_points: float = 5.0
    pairs: int = 4_000
    judged: int = 2_000
    known: int = 4_000
    seed: int = 0

    @property
    def name(self) -> str:
        return f"figure8-{self.network}-{self.at}-{self.kind}"


def deeper_step(asked: Deeper) -> Step:
    return Step(asked.name, partial(_work, asked), "stand-in", asdict(asked))


def _work(asked: Deeper, scratch: Path) -> Mapping[str, Any]:
    plan, cut, data = opened(asked.network, at=asked.at)
    test = cut.activations(data.test[: asked.pairs], origin=data.name)
    if asked.kind == "one-scale":
        noise, loss = one_scale(asked, cut, test)
    else:
        noise, loss = _learned(asked, plan, data, scratch)
    bits = None
    if asked.kind != "laplace":
        train = cut.activations(data.train[: asked.known], origin=data.name)
        bits = covariance_nats(cast(GaussianMechanism, noise), train, test) / math.log(2)
    inputs = data.test.inputs
    return {
        "elements": cut.elements,
        "loss_points": loss,
        "clean": estimate(None, inputs, test, asked.seed, pairs=asked.pairs),
        "noisy": estimate(noise, inputs, test, asked.seed, pairs=asked.pairs),
        "covariance_bits": bits,
    }


def one_scale(asked: Deeper, cut: CutNetwork, test: Activations) -> tuple[Mechanism, float]:
    """N(0, s² I) of the largest s that keeps the budget, and what it loses."""
    rows = test.take(slice(0, asked.judged))
    unit = of_one_scale(cut.shapes, (test.power / test.elements) ** 0.5)
    judged: dict[float, float] = {}

    def needed(gain: float) -> float:
        accuracy, _ = cut.judge(unit.scaled(gain), rows, random=SeededRandom(asked.seed, 2))
        judged[gain] = accuracy.loss_points or 0.0
        return judged[gain]

    gain = strongest(needed, budget=asked.budget_points, lowest=WEAKEST, highest=STRONGEST)
    gain = WEAKEST if gain is None else gain
    return unit.scaled(gain), judged[gain]


def _learned(asked: Deeper, plan: Plan, data: Dataset, scratch: Path) -> tuple[Mechanism, float]:
    learned = learning.learn(
        plan,
        data,
        kind=asked.kind,
        budget_points=asked.budget_points,
        seed=asked.seed,
        options=Options(),
        keep=scratch / "learning.safetensors",
    )
    return learned.noise, learned.facts.accuracy.loss_points or 0.0
