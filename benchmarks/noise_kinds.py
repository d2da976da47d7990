"""The kinds of noise side by side: what each costs in accuracy, and what an informed adversary still gets.

    OMP_NUM_THREADS=1 python benchmarks/noise_kinds.py lenet --seeds 3 --attacks
    OMP_NUM_THREADS=1 python benchmarks/noise_kinds.py cifar10 svhn newsgroups

Each network is cut where the paper cuts it; every kind learns at the same budget. `loss` is that of the test set as
learned. Attacks and bounds are compared at equal loss: the noise's strength is set once more, on the test set, to
just the budget, so that no kind is flattered by a hold-out easier than the test set. Needs the data sets and the
trained networks (`plan data fetch`, `plan models train`). Printed as JSON lines and a table; not asserted.
"""

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from noise import learning
from noise.activations import Activations
from noise.audit.adversary import Adversary
from noise.audit.attribute import train_attribute_classifier
from noise.audit.contrast import contrast
from noise.audit.covariance_bound import covariance_bound
from noise.audit.decoder import DECODER, train_decoder
from noise.audit.floors import attribute_from_label_percent, class_mean_image, mean_image
from noise.audit.mixture_bound import mixture_bound
from noise.audit.nearest_neighbours import information
from noise.audit.neighbours import NEIGHBOURS
from noise.audit.training import Strength
from noise.calibration import calibrated
from noise.cut_network import CutNetwork
from noise.datasets import catalog
from noise.datasets.records import Dataset
from noise.gaussian_start import bound_rows
from noise.mechanism import Mechanism
from noise.randomness import SeededRandom
from noise.task import Budget, Task
from noise.tensors import footprint_bytes
from planner.plan import Plan
from planner.planning import cut
from profiles.link import presets
from profiles.profiling import profile
from profiles.zoo.catalog import ZOO

KINDS = ("laplace", "gaussian", "channel")
#: Near the strength that the marks were measured with; the default is stronger.
WEAK = Strength(width=512, hidden_layers=2, epochs=8, batch=256, learning_rate=2e-3)
PRIVATE = {"mnist": "slant", "cifar10": "brightness", "elpv": "module-type"}
PAIRS = 10_000


def attacks(
    noise: Mechanism | None, data: Dataset, train: Activations, test: Activations, seed: int
) -> dict[str, Any]:
    """Decoders of two strengths and the private attribute, on the whole test set."""
    near, seen = Adversary(train, noise, seed=seed), Adversary(test, noise, seed=seed + 1).everything()
    found: dict[str, Any] = {}
    images, tests = data.train.inputs[: len(train)], data.test.inputs
    strengths = {"weak": WEAK} | ({"default": DECODER} if seed == 0 else {})  # the dearer one once
    for name, strength in strengths.items():
        quality = train_decoder(near.observe, images, seed=seed, strength=strength).quality(seen, tests)
        found[f"psnr_{name}"], found[f"ssim_{name}"] = quality.psnr_db, quality.ssim
    label = PRIVATE[data.name]
    classifier = train_attribute_classifier(near.observe, data.train.private[label][: len(train)], seed=seed)
    found[label] = classifier.accuracy_percent(seen, data.test.private[label])
    return found


def floors(data: Dataset) -> dict[str, Any]:
    known, label = data.without_holdout(), PRIVATE[data.name]
    mean = mean_image(known.inputs, data.test.inputs)
    of_class = class_mean_image(known.inputs, known.labels, data.test.inputs, data.test.labels)
    guess = attribute_from_label_percent(
        known_labels=known.labels,
        known_attribute=known.private[label],
        labels=data.test.labels,
        attribute=data.test.private[label],
    )
    return {
        "mean_image": [mean.psnr_db, mean.ssim],
        "class_mean": [of_class.psnr_db, of_class.ssim],
        f"{label} from the label": guess,
    }


def estimate(
    noise: Mechanism | None,
    inputs: np.ndarray,
    test: Activations,
    seed: int,
    *,
    pairs: int = PAIRS,
    k: int = NEIGHBOURS,
    scale: float = 1.0,
) -> dict[str, Any]:
    """The paper's estimate, with all that it depends on. scale: the inputs are multiplied by it."""
    seen = Adversary(test.take(slice(0, pairs)), noise, seed=seed).everything().numpy()
    shown = np.float32(scale) * inputs[:pairs].reshape(len(seen), -1).astype(np.float32)
    found = information(shown, seen, seed=seed, k=k)
    return {"bits": found.bits, "k": found.k, "samples": found.samples, "dimensions": found.dimensions}


def bounds(noise: Mechanism, train: Activations, test: Activations, seed: int) -> dict[str, Any]:
    fitted, judged = bound_rows(train), bound_rows(test)
    inside, outside = noise.whitened(fitted.tensors), noise.whitened(judged.tensors)  # type: ignore[attr-defined]
    mixture = mixture_bound(inside, fitted.labels, outside, random=SeededRandom(seed, 4))
    lower = contrast(torch.from_numpy(outside).float(), np.random.default_rng(seed))
    covariance = covariance_bound(inside, outside)
    return {"covariance_nats": covariance.nats, "mixture_nats": mixture.nats, "contrast_nats": lower.nats}


def rows(name: str, plan: Plan, data: Dataset, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    network = CutNetwork.of(plan)
    train = network.activations(data.without_holdout(), origin=data.name)
    test = network.activations(data.test, origin=data.name)
    inputs = data.test.inputs
    image = data.name in PRIVATE and arguments.attacks
    yield {"network": name, "noise": "none", "estimate": estimate(None, inputs, test, 0), "elements": train.elements}
    if image:
        yield {"network": name, "noise": "floors", **floors(data)}
        for seed in range(arguments.seeds):
            yield {"network": name, "noise": "none", "seed": seed, **attacks(None, data, train, test, seed)}
    for kind in arguments.kinds:
        for seed in range(arguments.seeds):
            start = time.perf_counter()
            learned = learning.learn(plan, data, kind=kind, budget_points=arguments.budget, seed=seed)
            seconds = time.perf_counter() - start
            row = {"network": name, "noise": kind, "seed": seed, "seconds": seconds, **_learned(learned)}
            judged = Task(network, train, test, Budget(arguments.budget), seed)
            matched = calibrated(judged, learned.noise)  # type: ignore[arg-type]
            if matched.noise is not None:
                row |= {"matched_loss": matched.needed, "matched_gain": matched.gain}
                row["estimate"] = estimate(matched.noise, inputs, test, seed)
                if kind != "laplace":
                    row |= bounds(matched.noise, train, test, seed)
                if image:
                    row |= attacks(matched.noise, data, train, test, seed)
            yield row


def _learned(learned: learning.Learned) -> dict[str, Any]:
    facts = learned.facts
    return {
        "loss_points": facts.accuracy.loss_points,
        "interval_points": facts.accuracy.interval_points,
        "clean": facts.accuracy.clean,
        "snr_inverse": facts.snr_inverse,
        "bound_bits": facts.bound.bits if facts.bound else None,
        "mixture_bound_bits": facts.mixture_bound.bits if facts.mixture_bound else None,
        "footprint_bytes": footprint_bytes(learned.noise),
        "epochs": learned.found.epochs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--at", help="cut here instead of the paper's place")
    parser.add_argument("--kinds", nargs="+", default=KINDS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--budget", type=float, default=1.5)
    parser.add_argument("--attacks", action="store_true", help="decoders and attributes as well; minutes each")
    arguments = parser.parse_args()
    for name in arguments.networks:
        entry = ZOO[name]
        measured = profile(name, threads=1, seconds=0.5)
        plan = cut(measured, measured, presets()["wifi"], at=arguments.at or entry.paper_cut)
        for row in rows(name, plan, catalog.load_dataset(entry.data), arguments):
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
