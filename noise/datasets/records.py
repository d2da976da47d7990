"""What a data set is to the rest: arrays of inputs and labels, split."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """inputs: [n, ...] as the network takes them; of several inputs a tuple of such arrays in the network's order, or
    a mapping from the inputs' names. labels: [n] class indices, what the network is asked for.

    private: name → [n] class indices of what the cloud shall not learn (Shredder, Equation 5).
    """

    inputs: Any
    labels: Labels
    private: Mapping[str, Labels] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def by_input(self) -> dict[str, NDArray[Any]]:
        """The arrays of all inputs by name; by number, from 0, where they have none."""
        if isinstance(self.inputs, Mapping):
            return dict(self.inputs)
        several = self.inputs if isinstance(self.inputs, tuple) else (self.inputs,)
        return {str(index): one for index, one in enumerate(several)}

    def shuffled(self, *, seed: int) -> "Split":
        """The same rows in another order: of data sorted by class the last tenth would be one class."""
        return self._taken(shuffled_rows(len(self), seed=seed))

    def __getitem__(self, rows: slice) -> "Split":
        return self._taken(rows)

    def _taken(self, rows: Any) -> "Split":
        private = {name: labels[rows] for name, labels in self.private.items()}
        inputs: Any = {name: one[rows] for name, one in self.by_input.items()}
        if not isinstance(self.inputs, Mapping):
            inputs = tuple(inputs.values()) if isinstance(self.inputs, tuple) else inputs["0"]
        return Split(inputs, self.labels[rows], private)


@dataclass(frozen=True)
class Dataset:
    """order: row i of `train` is row order[i] of what the source gave; None: it was not shuffled."""

    name: str
    train: Split
    test: Split
    order: NDArray[np.int64] | None = None

    @property
    def learning_rows(self) -> slice:
        """The rows of `train` that learning may see: all but the last tenth."""
        return slice(0, len(self.train) - len(self.train) // 10)

    @property
    def holdout_rows(self) -> slice:
        """The rows of `train` that judge what was learned: the last tenth (Shredder, Section 2)."""
        return slice(self.learning_rows.stop, len(self.train))

    def without_holdout(self) -> Split:
        """The rows of `train` that learning may see."""
        return self.train[self.learning_rows]

    def holdout(self) -> Split:
        """The rows of `train` that judge what was learned."""
        return self.train[self.holdout_rows]


def shuffled_rows(count: int, *, seed: int) -> NDArray[np.int64]:
    """A permutation of `count` rows, the same for a seed everywhere."""
    order: NDArray[np.int64] = np.random.default_rng(seed).permutation(count)
    return order
