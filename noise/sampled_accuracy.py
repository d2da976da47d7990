"""Accuracy of many distributions at once, cheaply: a few hold-out rows, the same random numbers for all.

Samples of one distribution differ from those of another by location, scale and order alone. So sorted samples of the
standard Laplace are drawn once and laid out anew for every distribution; differences between two are then theirs, not
the draw's. It guides the search. What gates is `Task.needed_points`, with noise drawn as an inference draws it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noise.activations import CHUNK_ELEMENTS
from noise.laplace import LaplaceNoise, OrderedLaplace
from noise.randomness import SeededRandom
from noise.task import Task
from profiles.codec import Quantisation

#: Hold-out rows, fewer where tensors are large but never below LEAST_ROWS; sets of sorted samples likewise. The order
#: statistics of a large tensor hardly vary, so that a few sets stand for all.
ROWS, ROW_ELEMENTS, LEAST_ROWS = 3000, 8_000_000, 100
SET_ELEMENTS, LEAST_SETS = 4_000_000, 4


@dataclass(frozen=True)
class Estimate:
    """loss_points: on the hold-out. needed_points: the smallest budget kept."""

    loss_points: float
    needed_points: float


class SampledHoldout:
    """Some rows of a task's hold-out, judged under distributions for each of its crossing tensors."""

    def __init__(self, task: Task) -> None:
        self._task = task
        elements = task.cut.elements
        rows = min(len(task.holdout), max(LEAST_ROWS, min(ROWS, ROW_ELEMENTS // elements)))
        self._part = task.holdout.take(np.linspace(0, len(task.holdout) - 1, rows).astype(np.int64))
        sets = min(rows, max(LEAST_SETS, SET_ELEMENTS // elements))
        random = SeededRandom(task.seed, 3, 0)
        one = np.ones(1)
        self._sorted = [
            OrderedLaplace(0 * one, one, np.arange(tensor.shape[1])[None]).draw(np.zeros(sets, np.int64), random)
            for tensor in self._part.tensors
        ]  # for each crossing tensor [sets, n], largest first

    def change(self, kept: Mapping[str, OrderedLaplace], *, gain: float = 1.0) -> NDArray[np.float64]:
        """Right without noise − right with it [d, rows], for each distribution and row, at a gain."""
        right = (self._part.clean == self._part.labels).astype(float)
        distributions = next(iter(kept.values())).distributions
        levels = self._task.quantised(LaplaceNoise(kept).scaled(gain))
        return np.stack([right - self._right(kept, index, gain, levels) for index in range(distributions)])

    def _right(
        self, kept: Mapping[str, OrderedLaplace], index: int, gain: float, levels: Mapping[str, Quantisation]
    ) -> NDArray[np.bool_]:
        answers, cut = [], self._task.cut
        most = max(1, CHUNK_ELEMENTS // cut.elements)
        columns = [_ranks(one.order[index]) for one in kept.values()]
        for start in range(0, len(self._part), most):
            part = self._part.take(slice(start, start + most))
            sets = np.arange(start, start + len(part)) % len(self._sorted[0])
            noisy: list[NDArray[np.float32]] = []
            for tensor, samples, rank, one in zip(part.tensors, self._sorted, columns, kept.values(), strict=True):
                drawn = np.take(samples[sets], rank, axis=1) * np.float32(gain * one.scale[index])
                noisy.append(tensor + drawn + np.float32(gain * one.loc[index]))
            answers.append(cut.classes(*cut.received(noisy, part.beside, levels)) == part.labels)
        return np.concatenate(answers)

    def judge(self, kept: Mapping[str, OrderedLaplace], *, gain: float = 1.0) -> Estimate:
        """What these distributions lose as a collection, estimated."""
        change = self.change(kept, gain=gain).mean(axis=0)
        loss = 100 * float(change.mean())
        margin = 196 * float(change.std()) / math.sqrt(len(self._task.holdout))
        return Estimate(loss, loss + margin if self._task.budget.confident else loss)


def _ranks(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each element in a falling order [n]: the inverse of the permutation."""
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    return ranks
