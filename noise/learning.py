"""Learns noise of a kind for a plan's cut: the user gives a budget, the kind's learner finds the rest."""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from noise import laplace_learning
from noise.activations import Activations, holdout_bytes
from noise.bottleneck_learning import learn_bottleneck
from noise.bounding import bounds
from noise.calibration import calibrated, sufficient
from noise.checkpoint import Checkpoint
from noise.collection import Accuracy, Crossing, NoiseFacts
from noise.cut_network import CutNetwork
from noise.datasets.records import Dataset, Labels
from noise.gaussian_kinds import learn_channel, learn_gaussian
from noise.learned import Learned
from noise.learning_log import LearningLog
from noise.learning_options import Options
from noise.mechanism import GaussianMechanism, Mechanism
from noise.memory import keep_freed
from noise.randomness import SeededRandom
from noise.task import Budget, Found, Progress, Task
from noise.threads import threads_for
from noise.work_key import digest, work_key
from planner.noise_cost import NoiseKind, noise_share, require_kind
from planner.plan import Plan
from profiles.errors import InfeasibleError, NoiseError
from profiles.zoo.catalog import has_random_weights

DEFAULT_KIND: NoiseKind = "channel"
#: How often noise is made weaker where its loss on the test inputs is not confidently within the budget.
TIGHTENINGS = 6
#: Weight of hiding a private label, where none is given: of a cross-entropy (Table 2), or beside the bound.
GAMMAS = {"laplace": 0.01, "gaussian": 10.0, "channel": 10.0}
#: Elements of noise that the test inputs are judged with at most: of large tensors not every test input is taken.
TEST_ELEMENTS = 800_000_000
#: From here on it counts how memory is given back.
LARGE_ELEMENTS = 10_000


def learn(
    plan: Plan,
    data: Dataset,
    *,
    kind: str = DEFAULT_KIND,
    budget_points: float,
    confident: bool = False,
    seed: int | None = None,
    private: Labels | None = None,
    options: Options | None = None,
    keep: Path | None = None,
    log: LearningLog | None = None,
    progress: Progress = lambda done, of: None,
) -> Learned:
    """Learn noise for a plan's cut, as strong as the budget allows.

    budget_points: accuracy in percentage points that may be lost on held-out data. confident: the upper end of the
    loss's 95 % interval must stay within it. private: labels of `data.train` to be hidden, [n].
    keep: a file that holds what was reached, for a run that is killed and started again.
    Raises NoiseError (the plan does not fit the model, or nothing crosses), DataError (data of another shape),
    InfeasibleError (no noise fits the budget; the smallest budget that would is named).
    """
    start = time.perf_counter()
    require_kind(kind)
    _require_trained(plan)
    options = options or Options()
    checkpoint, seed = _begin(keep, plan, data, (kind, budget_points, confident, options, _digest(private)), seed)
    with checkpoint.until_refused():
        cut = CutNetwork.of(plan)
        if cut.elements > LARGE_ELEMENTS:
            keep_freed()
        train = cut.activations(data.without_holdout(), origin=data.name)
        _require_signal(cut, train, data)
        task = Task(
            cut,
            train,
            cut.activations(data.holdout(), origin=data.name, most_bytes=holdout_bytes(cut.elements)),
            Budget(budget_points, confident),
            seed,
            private=None if private is None else private[data.learning_rows][: len(train)],
            gamma=0.0 if private is None else GAMMAS[kind] if options.gamma is None else options.gamma,
            checkpoint=checkpoint,
            log=log or LearningLog(),
            progress=progress,
        )
        with threads_for(cut):
            found = _LEARNERS[kind](task, options)
        judged = _judged(task, found.noise, data)
        if confident:
            found, judged = _confident(task, found, judged, data, options)
        accuracy, snr_inverse = judged
        bound, mixture = None, None
        if kind != "laplace":
            bound, mixture = bounds(cast(GaussianMechanism, found.noise), task.train, task.holdout, seed=seed)
    if not options.curve:
        found = replace(found, curve=())
    facts = NoiseFacts(
        kind=kind,
        architecture=plan.model.architecture,
        weights=plan.model.weights or cut.network.model.weights,
        crossing=tuple(Crossing(name, shape) for name, shape in cut.shapes.items()),
        wire=plan.settings.wire,
        quantisation=task.quantised(found.noise) or None,
        data=data.name,
        budget_points=budget_points,
        accuracy=accuracy,
        snr_inverse=snr_inverse,
        bound=bound,
        mixture_bound=mixture,
        settings={**found.settings, "seed": seed, "asked": asked_for(options, confident=confident, private=private)},
        curve=found.curve,
    )
    share = noise_share(
        cut.network.graph, kind, cut.shapes, plan.cut.edge_nodes, batch=plan.settings.batch, **_form(found)
    )
    return Learned(found.noise, facts, found, cut.beside, share, time.perf_counter() - start)


def _laplace(task: Task, options: Options) -> Found:
    return laplace_learning.learn(task, count=options.count, schedule=options.laplace)


def _gaussian(task: Task, options: Options) -> Found:
    return learn_gaussian(task, schedule=options.gaussian, curve=options.curve)


def _channel(task: Task, options: Options) -> Found:
    if options.map != "linear":
        found = learn_bottleneck(task, schedule=options.gaussian, curve=options.curve, hidden=options.hidden)
        if found is not None:
            return found
        if options.map == "bottleneck":
            raise InfeasibleError(
                f"no bottleneck keeps a budget of {task.budget.points:g} points; raise --budget or --hidden, or take "
                "--map linear"
            )
    return learn_channel(task, schedule=options.gaussian, curve=options.curve)


_LEARNERS: dict[str, Callable[[Task, Options], Found]] = {
    "laplace": _laplace,
    "gaussian": _gaussian,
    "channel": _channel,
}


def _form(found: Found) -> dict[str, int | bool]:
    """Of a channel's map, as it is priced."""
    if found.settings.get("map") != "bottleneck":
        return {"linear": True}
    return {"hidden": int(found.settings["hidden"] or 0)}


def _require_trained(plan: Plan) -> None:
    if plan.model.source is not None and has_random_weights(plan.model.source):
        raise NoiseError(
            f"{plan.model.name} has random weights here, so there is no accuracy to keep; plan with it, "
            "and learn for a trained network by package.module:function"
        )


def _require_signal(cut: CutNetwork, train: Activations, data: Dataset) -> None:
    """Noise is of the activation's own size."""
    if not train.power:
        raise NoiseError(
            f"{', '.join(cut.shapes)} crosses and is zero for every input of {data.name}, so noise has no measure; "
            "check the network and the data, or cut elsewhere"
        )


def _begin(
    keep: Path | None, plan: Plan, data: Dataset, asked: tuple[object, ...], seed: int | None
) -> tuple[Checkpoint, int]:
    """What was reached of this very work, and its seed. Other work is begun anew."""
    checkpoint = Checkpoint(keep, key=work_key(plan, data, (asked, seed)))
    begun = checkpoint.get("begun")
    if begun is None:
        chosen = int(np.random.default_rng().integers(2**31)) if seed is None else seed
        checkpoint.put("begun", seed=chosen)
        return checkpoint, chosen
    return checkpoint, int(begun[1]["seed"])


def asked_for(options: Options | None, *, confident: bool, private: Labels | None) -> str:
    """A digest of how noise was looked for: noise that was looked for otherwise is not what is asked for now."""
    facts = (replace(options or Options(), curve=False), confident, _digest(private))
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _digest(labels: Labels | None) -> str | None:
    return None if labels is None else digest(labels)


def _judged(task: Task, noise: Mechanism, data: Dataset) -> tuple[Accuracy, float]:
    cut = task.cut
    # Every so many-fold row: test data may be sorted by class. `Accuracy.n` says how many were taken.
    every = math.ceil(len(data.test) * cut.elements / TEST_ELEMENTS)
    test = data.test[:: max(1, every)]
    stream, random = cut.stream(test, origin=data.name), SeededRandom(task.seed, 2)
    return cut.judge(noise, stream, random=random, levels=task.quantised(noise))


def _confident(
    task: Task, found: Found, judged: tuple[Accuracy, float], data: Dataset, options: Options
) -> tuple[Found, tuple[Accuracy, float]]:
    """Weaker noise, until the upper end of the loss's interval on the test inputs is within the budget too.

    Only ever weaker than what the held-out data allow, so the test inputs make nothing look better than it is.
    judged: of the noise that was found, on the test inputs; and so of the noise that is returned.
    """
    points = task.budget.points
    for turn in range(TIGHTENINGS + 1):
        needed = task.budget.needed_by(judged[0])
        excess = needed - task.budget.points
        if excess <= 0:
            return found, judged
        points = max(points - 1.2 * excess, points / 3)
        weaker = None if turn == TIGHTENINGS else _tightened(task, found, points, options)
        if weaker is None:
            break
        found = replace(weaker, settings={**weaker.settings, "tightened": turn + 1, "tightened_points": points})
        judged = _judged(task, found.noise, data)
    raise InfeasibleError(
        f"no noise keeps the upper end of the interval within {task.budget.points:g} points on the test inputs; "
        f"it needs {sufficient(needed)}: raise --budget to that, or leave out --confident"
    )


def _tightened(task: Task, found: Found, points: float, options: Options) -> Found | None:
    """The noise at a smaller budget; None where none keeps it, of which nobody is told: nobody gave that budget."""
    tighter = replace(task, budget=Budget(points, True), checkpoint=Checkpoint(), log=LearningLog())
    with threads_for(task.cut):
        if found.noise.kind == "laplace":
            try:
                return _laplace(tighter, options)
            except InfeasibleError:
                return None
        gained = calibrated(tighter, cast(GaussianMechanism, found.noise))
    return None if gained.noise is None else replace(found, noise=gained.noise)
