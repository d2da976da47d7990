"""What a data set is to the rest: arrays of inputs and labels, split."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from profiles.errors import DataError

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """inputs: [n, ...] as the network takes them; labels: [n] class indices."""

    inputs: NDArray[Any]
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def shuffled(self, *, seed: int) -> "Split":
        """The same rows in another order: of data sorted by class the last tenth would be one class."""
        order = np.random.default_rng(seed).permutation(len(self))
        return Split(self.inputs[order], self.labels[order])

    def __getitem__(self, rows: slice) -> "Split":
        return Split(self.inputs[rows], self.labels[rows])


@dataclass(frozen=True)
class Dataset:
    name: str
    train: Split
    test: Split

    def without_holdout(self) -> Split:
        """The training data that learning may see: all but the last tenth."""
        return self.train[: len(self.train) - len(self.train) // 10]

    def holdout(self) -> Split:
        """The last tenth of the training data, which judges what was learned (Shredder, Section 2)."""
        return self.train[len(self.train) - len(self.train) // 10 :]


def as_split(pair: Any, *, origin: str) -> Split:
    """Inputs and labels, checked. Raises DataError: not a pair, lengths that differ, labels that are no classes."""
    try:
        inputs, labels = (np.asarray(part) for part in pair)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor that wants gradients is a RuntimeError
        reason = (str(error).splitlines() or [""])[0]
        raise DataError(
            f"{origin}: got {type(pair).__name__}, expected a pair (inputs, labels) of arrays ({reason[:120]})"
        ) from error
    if not inputs.ndim or not labels.ndim:
        kinds = " and ".join(type(part).__name__ for part in pair)
        raise DataError(f"{origin}: got {kinds}, expected two arrays; data for networks of one input are supported")
    if len(inputs) != len(labels) or len(labels) < 10:
        raise DataError(f"{origin}: {len(inputs)} inputs and {len(labels)} labels, expected as many, 10 or more")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"{origin}: labels are {labels.dtype} of shape {list(labels.shape)}, expected whole numbers [n]"
        )
    if inputs.dtype.kind not in "biuf":
        raise DataError(f"{origin}: inputs are {inputs.dtype}, expected numbers")
    if np.issubdtype(inputs.dtype, np.floating):
        with np.errstate(over="ignore"):
            inputs = inputs.astype(np.float32, copy=False)
        if not np.isfinite(inputs).all():
            raise DataError(f"{origin}: the inputs hold NaN or infinity, expected finite numbers")
    return Split(inputs, labels.astype(np.int64, copy=False))
