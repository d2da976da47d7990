"""How a bottleneck is found for a budget: the narrowest perceptron whose answers keep it with noise to spare."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from noise.bottleneck_parameters import LearnedBottleneck
from noise.covariance import MOST_ELEMENTS, spread
from noise.gaussian_kinds import Work, found
from noise.gaussian_parameters import Learnable
from noise.gaussian_schedule import GaussianSchedule, Steering
from noise.gaussian_start import Settled
from noise.task import Found, Task
from planner.noise_cost import CODE, HIDDEN, noise_share

#: β begins low, as the map has to be found before noise can be; it may go far from there, as nothing balanced it.
BETA, STEERING = 1e-3, Steering(begin=0.15, least=1e-3, most=1e3, memory=0.8, abandon=2.5)


@dataclass(frozen=True)
class Width:
    """hidden: units of the perceptron. steps: of learning, as a multiple of what is asked; batch: rows a step;
    blends: share of these that are blends."""

    hidden: int
    steps: int
    batch: int
    blends: float


#: Tried from the narrowest. LeNet's cuts need 16. CIFAR-10's early one (400 elements) loses 7.9, 1.6, 1.0 and 0.5
#: points of test accuracy by the map alone at 14, 128, 256 and 512 units.
WIDTHS = (Width(HIDDEN, 1, 256, 0.0), Width(64, 2, 512, 0.5), Width(512, 3, 512, 0.5))
#: A wider one may take so many FLOPs of those of the edge half: beyond, a deeper cut is the better map.
MOST_SHARE = 0.5
#: Noise that had to be made weaker than this share of what it was learned at, to keep the budget: the map spends most
#: of it, and a wider one is tried too.
STARVED = 0.7


@dataclass(frozen=True)
class _Learned:
    """What was found at a width, and the work that found it."""

    width: Width
    settled: Settled
    work: Work


def learn_bottleneck(
    task: Task, *, schedule: GaussianSchedule, curve: bool = False, hidden: int | None = None
) -> Found | None:
    """The channel whose map is a bottleneck; None where none keeps the budget. hidden: this width alone."""
    best: _Learned | None = None
    for width in _widths(task, hidden):
        steps, batch = width.steps * schedule.steps, max(schedule.batch, width.batch)
        longer = replace(schedule, steps=steps, batch=batch, steering=STEERING, blends=width.blends)
        stage = f"bottleneck-{width.hidden}"
        work = Work(task, lambda: BETA, lambda width=width: _learnables(task, width.hidden), longer, stage)  # type: ignore[misc]
        settled = work.settled(retreats=(1.0,))
        if settled is None:
            continue
        if best is None or settled.nats < best.settled.nats:
            best = _Learned(width, settled, work)
        if float(settled.settings["gain"] or 0) >= STARVED:
            break
    if best is None:
        return None
    told = replace(best.settled, settings=best.settled.settings | {"map": "bottleneck", "hidden": best.width.hidden})
    longer = best.work.schedule
    return found(task, told, longer, longer.steps, best.work.curve() if curve else ())


def _widths(task: Task, hidden: int | None) -> Sequence[Width]:
    if hidden is None:
        return [one for one in WIDTHS if one.hidden == HIDDEN or (_share(task, one.hidden) or 0) <= MOST_SHARE]
    like = next((one for one in WIDTHS if hidden <= one.hidden), WIDTHS[-1])
    return (replace(like, hidden=hidden),)


def _share(task: Task, hidden: int) -> float | None:
    network = task.cut.network
    edge_nodes = network.graph.with_needs(task.cut.halves.crossing)
    return noise_share(network.graph, "channel", task.cut.shapes, edge_nodes, batch=network.batch, hidden=hidden)


def _learnables(task: Task, hidden: int) -> list[Learnable]:
    made = list[Learnable]()
    for index, (tensor, unit) in enumerate(zip(task.train.tensors, spread(task.train), strict=True)):
        rows = tensor[: max(2, MOST_ELEMENTS // tensor.shape[1])]
        mean = torch.from_numpy(rows.mean(axis=0, dtype=np.float64).astype(np.float32))
        seed = int(np.random.SeedSequence([task.seed, 8, index]).generate_state(1)[0])
        # More numbers than units or elements would be copies of one another.
        width = min(CODE, hidden, len(unit))
        made.append(LearnedBottleneck(mean, unit, hidden=hidden, width=width, seed=seed))
    return made
