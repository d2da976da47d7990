"""Noise learned for a benchmark network, and what the paper's estimate says before and after: of Table 3, Figure 7.

The estimate is ITE's "Shannon mutual information with KL divergence": a divergence by nearest neighbours between
pairs (x, a') and the shuffled product. It depends on k, the pairs, the dimensions and the scaling of either side.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.noise_kinds import estimate
from noise import learning
from noise.activations import Activations
from noise.bounding import bounds
from noise.checkpoint import Checkpoint
from noise.collection import Accuracy
from noise.cut_network import CutNetwork
from noise.learning_options import Options
from noise.mechanism import GaussianMechanism, Mechanism
from noise.randomness import SeededRandom
from noise.tensors import footprint_bytes
from profiles.zoo.catalog import ZOO
from reproduction.benchmark_networks import opened
from reproduction.step import Provenance, Step

BUDGET_POINTS = 1.5
#: Distributions of a collection, as the paper has it.
COUNT = 20
#: Strengths of the noise, over the one it was learned at, until more than MOST_POINTS are lost.
GAINS, MOST_POINTS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0), 12.0
QUICK_GAINS = (0.5, 1.0, 1.5, 2.0)
#: Pairs of the estimate: half of them are the joint sample.
PAIRS, QUICK_PAIRS = 10_000, 4_000
#: Rows that the bounds are fitted on.
TRAINING_ROWS = 20_000
#: How else the same estimate is made: k, pairs, and what the images are multiplied by.
VARIATIONS = (
    (3, 10_000, 1.0),
    (1, 10_000, 1.0),
    (10, 10_000, 1.0),
    (3, 2_000, 1.0),
    (3, 10_000, 4.0),
    (3, 10_000, 0.25),
)


@dataclass(frozen=True)
class Noised:
    """What a step learns and estimates. varied: the estimate is made in other ways too."""

    network: str
    kind: str
    seed: int
    gains: tuple[float, ...]
    pairs: int
    budget_points: float = BUDGET_POINTS
    varied: bool = False

    @property
    def name(self) -> str:
        return f"noise-{self.network}-{self.kind}-{self.seed}"


def noise_step(network: str, kind: str, seed: int, *, quick: bool) -> Step:
    asked = Noised(
        network,
        kind,
        seed,
        QUICK_GAINS if quick else GAINS,
        QUICK_PAIRS if quick else PAIRS,
        varied=not quick and (network, kind, seed) == ("lenet", "laplace", 0),
    )
    provenance: Provenance = "stand-in" if network == "svhn" else "measured"
    command = f"OMP_NUM_THREADS=1 python benchmarks/noise_kinds.py {network} --kinds {kind} --seeds {seed + 1}"
    return Step(asked.name, partial(_work, asked), provenance, {"noised": asdict(asked), "count": COUNT}, command)


def _work(asked: Noised, scratch: Path) -> Mapping[str, Any]:
    plan, cut, data = opened(asked.network)
    learned = learning.learn(
        plan,
        data,
        kind=asked.kind,
        budget_points=asked.budget_points,
        seed=asked.seed,
        options=Options(count=COUNT),
        keep=scratch / "learning.safetensors",
    )
    kept = Checkpoint(scratch / "estimates.safetensors", key=repr(asked))
    test = cut.activations(data.test, origin=data.name)
    pairs = partial(estimate, inputs=data.test.inputs, test=test, seed=asked.seed, pairs=asked.pairs)
    train = cut.activations(data.train[:TRAINING_ROWS], origin=data.name) if asked.kind != "laplace" else None
    facts = learned.facts
    return {
        "clean": _once(kept, "clean", lambda: pairs(None)),
        "accuracy": _accuracy(facts.accuracy),
        "epochs": learned.found.epochs,
        "settings": learned.found.settings,
        "snr_inverse": facts.snr_inverse,
        "parameters": learned.found.parameters,
        "network_parameters": ZOO[asked.network].parameters,
        "elements": cut.elements,
        "footprint_bytes": footprint_bytes(learned.noise),
        "bounds": None if facts.bound is None else [asdict_of(facts.bound), asdict_of(facts.mixture_bound)],
        "points": list(_points(asked, cut, learned.noise, train, test, kept, pairs)),
        "variations": _variations(learned.noise, kept, pairs) if asked.varied else [],
    }


def asdict_of(bound: Any) -> dict[str, Any]:
    return {"bits": bound.bits, "interval_bits": list(bound.interval_bits), "form": bound.form, "rows": bound.rows}


def _points(
    asked: Noised,
    cut: CutNetwork,
    noise: Mechanism,
    train: Activations | None,
    test: Activations,
    kept: Checkpoint,
    pairs: Any,
) -> Iterator[dict[str, Any]]:
    """The learned noise, made weaker and stronger: what is lost of the test set, and what is left of the estimate."""
    for gain in asked.gains:
        scaled = noise.scaled(gain)  # type: ignore[attr-defined]
        point = _once(kept, f"gain-{gain:g}", partial(_point, asked, cut, scaled, train, test, pairs))
        yield {"gain": gain, **point}
        if point["loss_points"] > MOST_POINTS:
            break


def _point(
    asked: Noised, cut: CutNetwork, noise: Any, train: Activations | None, test: Activations, pairs: Any
) -> dict[str, Any]:
    accuracy, _ = cut.judge(noise, test, random=SeededRandom(asked.seed, 2))
    found = _accuracy(accuracy) | {"bits": pairs(noise)["bits"]}
    if train is not None:
        proven: GaussianMechanism = noise
        covariance, mixture = bounds(proven, train, test, seed=asked.seed)
        found |= {"covariance_bits": covariance.bits, "mixture_bits": mixture.bits}
    return found


def _variations(noise: Mechanism, kept: Checkpoint, pairs: Any) -> list[dict[str, Any]]:
    found = []
    for k, count, scale in VARIATIONS:
        made = _once(
            kept,
            f"varied-{k}-{count}-{scale:g}",
            partial(_both, partial(pairs, k=k, pairs=count, scale=scale), noise),
        )
        found.append({"k": k, "samples": count // 2, "scale": scale, **made})
    return found


def _both(how: Any, noise: Mechanism) -> dict[str, Any]:
    return {"before": how(None)["bits"], "after": how(noise)["bits"]}


def _once(kept: Checkpoint, stage: str, work: Any) -> dict[str, Any]:
    """What was estimated before the step was stopped is not estimated again."""
    if (known := kept.get(stage)) is None:
        kept.put(stage, **work())
        return dict(kept.get(stage)[1])  # type: ignore[index]
    return dict(known[1])


def _accuracy(found: Accuracy) -> dict[str, Any]:
    return {
        "clean": found.clean,
        "noisy": found.noisy,
        "loss_points": found.loss_points,
        "interval_points": found.interval_points,
        "inputs": found.n,
    }
