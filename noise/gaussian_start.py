"""What Gaussian noise is learned from: the inverse Fisher form with the smallest proven bound within the budget."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from noise.activations import Activations
from noise.audit.covariance_bound import ROWS_AN_ELEMENT, covariance_bound
from noise.calibration import calibrated, sufficient
from noise.fisher import Sensitivity, inverse_fisher, sensitivities
from noise.mechanism import GaussianMechanism
from noise.randomness import SeededRandom
from noise.task import Task
from profiles.errors import InfeasibleError

#: Rows that the bound is computed from while noise is chosen, and elements of them at most.
BOUND_ROWS, BOUND_ELEMENTS = 20_000, 64_000_000
#: And of the products of those rows with one another: so many multiplications at most.
BOUND_PRODUCTS = 20_000_000_000
#: Elements of the rows on which divergence and bound are balanced.
BALANCE_ELEMENTS = 4_000_000
#: While ε is looked for, gains need not be exact, and of large tensors fewer held-out rows do.
COARSE, COARSE_ELEMENTS, COARSE_ROWS = 1.05, 25_000_000, 100


@dataclass(frozen=True)
class Settled:
    noise: GaussianMechanism
    settings: dict[str, float | int | str | None]
    nats: float


def infeasible(task: Task, needed: float) -> InfeasibleError:
    return InfeasibleError(
        f"no noise fits a budget of {task.budget.points:g} points: the weakest tried needs {sufficient(needed)}; "
        "raise --budget to that or cut elsewhere"
    )


def best_inverse(task: Task, epsilons: Sequence[float]) -> Settled:
    """The inverse Fisher form at the ε with the smallest bound. Raises InfeasibleError."""
    best = coarse_inverse(task, epsilons)
    final = calibrated(task, best.noise)
    if final.noise is None:
        if len(_few(task).holdout) < len(task.holdout):
            raise infeasible(task, final.needed)
        return best
    return replace(best, noise=final.noise, nats=nats(task, final.noise))


def _few(task: Task) -> Task:
    """The same, with fewer held-out rows where tensors are large."""
    rows = max(COARSE_ROWS, COARSE_ELEMENTS // task.cut.elements)
    return replace(task, holdout=task.holdout.take(slice(None, None, math.ceil(len(task.holdout) / rows))))


def coarse_inverse(task: Task, epsilons: Sequence[float]) -> Settled:
    """As `best_inverse`, its gain not settled."""
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
        told = nats(task, found.noise)
        if best is not None and told > best.nats:
            break  # the bound has one valley in ε
        best = Settled(found.noise, {"epsilon": epsilon, "gain": found.gain}, told)
    if best is None:
        raise infeasible(task, needed)
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


def balance(task: Task, noise: GaussianMechanism) -> float:
    """β at which the noise's own strength is just right: there divergence grows with the strength as fast as
    β · bound falls."""
    step = 1.1
    rows = task.train.take(slice(0, min(len(task.train), max(64, BALANCE_ELEMENTS // task.train.elements))))
    slopes = []
    for gain in (1 / step, step):
        one = noise.scaled(gain)
        slopes.append((task.cut.divergence(one, rows, random=SeededRandom(task.seed, 5)), nats(task, one)))
    (less, high), (more, low) = slopes
    return max(more - less, 1e-9) / max(high - low, 1e-9)


def nats(task: Task, noise: GaussianMechanism) -> float:
    """The covariance bound on training rows, to compare noises by."""
    return covariance_nats(noise, task.train, task.holdout)


def covariance_nats(noise: GaussianMechanism, train: Activations, holdout: Activations) -> float:
    """The covariance bound on I(x; a') from the first rows of both."""
    inside, outside = (noise.whitened(bound_rows(one).tensors) for one in (train, holdout))
    return covariance_bound(inside, outside).nats


def bound_rows(on: Activations) -> Activations:
    """As many rows as a bound is computed from, the first: learning's are in no order."""
    return on.take(slice(0, most_bound_rows(on)))


def most_bound_rows(on: Activations) -> int:
    """How many rows a bound is computed from at most."""
    most = min(BOUND_ROWS, BOUND_ELEMENTS // on.elements)
    if most < ROWS_AN_ELEMENT * on.elements:
        most = min(most, math.isqrt(BOUND_PRODUCTS // on.elements))
    return max(16, most)
