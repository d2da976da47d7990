"""Predictor: the latency of layers never run, one model a kind (`plan.predictor/1`). No torch, no pickle.

Two models a kind, as Neurosurgeon (Kang et al., ASPLOS 2017) proposed and as it can be done today:

- *linear*: ordinary least squares on the features;
- *boosted*: a non-negative cost model (launch + price · feature, each price ≥ 0) that extrapolates beyond the layers
  seen, times what boosted trees on logarithms of the features correct it by.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from profiles import artifact
from profiles.artifact import Count, NonNegative, Positive
from profiles.errors import ArtifactError
from profiles.layer_table import FEATURES
from profiles.trees import Trees

Floats = NDArray[np.float64]

#: e^50 corrects any time that a clock has measured; beyond it a product could overflow.
_LARGEST_LOGARITHM = 50.0


class Scores(msgspec.Struct, frozen=True):
    """On layers held out. r2: of latency in milliseconds, not of its logarithm; None where it is not defined."""

    r2: float | None
    median_relative_error: NonNegative
    within_10_percent: NonNegative


class LinearModel(msgspec.Struct, frozen=True):
    """intercept + coefficients · features, in milliseconds."""

    intercept: float
    coefficients: tuple[float, ...]

    def predict(self, features: Floats) -> Floats:
        """[rows, features] → [rows]; a straight line can go below zero."""
        line: Floats = self.intercept + features @ np.array(self.coefficients)
        return line


class BoostedModel(msgspec.Struct, frozen=True):
    """`cost` · exp(`correction` of the logarithms): milliseconds."""

    cost: LinearModel
    correction: Trees

    def predict(self, features: Floats) -> Floats:
        correction = self.correction.predict(logarithms(features))
        product: Floats = self.cost.predict(np.abs(features)) * np.exp(
            np.clip(correction, -_LARGEST_LOGARITHM, _LARGEST_LOGARITHM)
        )
        return product


class KindModel(msgspec.Struct, frozen=True, kw_only=True):
    """The models of one kind; `boosted` is None where there were too few layers to learn one.

    rows: layers in the table, held_out of them only scored. lowest, highest: of each feature among the layers
    learned from. lowest_ms: the fastest of them, which no prediction undercuts. better: the model that predicts, the
    one with the smaller median relative error in cross-validation on the layers learned from.
    """

    rows: Count
    held_out: Count
    lowest: tuple[float, ...]
    highest: tuple[float, ...]
    lowest_ms: Positive
    linear: LinearModel
    linear_scores: Scores
    boosted: BoostedModel | None = None
    boosted_scores: Scores | None = None
    better: Literal["linear", "boosted"] = "boosted"

    def predict(self, features: ArrayLike) -> Floats:
        """[rows, features] → [rows] milliseconds, by the better model; never less than the fastest layer seen."""
        given = np.asarray(features, dtype=float)
        best = self.boosted if self.boosted is not None and self.better == "boosted" else self.linear
        return np.maximum(np.nan_to_num(best.predict(given), nan=self.lowest_ms), self.lowest_ms)

    def covers(self, features: Sequence[float]) -> bool:
        """Whether every feature lies between those learned from."""
        return all(low <= one <= high for low, one, high in zip(self.lowest, features, self.highest, strict=True))


class Predictor(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="plan.predictor/1"
):
    """features: names, in the order of the models' columns. device: where the layers were timed, where known."""

    features: tuple[str, ...]
    seed: Count
    kinds: dict[str, KindModel]
    device: str | None = None

    def __post_init__(self) -> None:
        if self.features[: len(FEATURES)] != FEATURES:
            raise ArtifactError(f"features are {list(self.features)}, expected {list(FEATURES)} first; fit it anew")
        for name, kind in self.kinds.items():
            lengths = {len(kind.lowest), len(kind.highest), len(kind.linear.coefficients)}
            if kind.boosted is not None:
                lengths.add(len(kind.boosted.cost.coefficients))
                if kind.boosted.correction.columns > columns_of(len(self.features)):
                    raise ArtifactError(f"kinds.{name}: trees ask for columns that are not there; fit it anew")
            if lengths != {len(self.features)}:
                raise ArtifactError(f"kinds.{name}: expected {len(self.features)} numbers a row; fit it anew")


def logarithms(features: Floats) -> Floats:
    """What the trees see: [rows, features] → [rows, `columns_of(features)`], logarithms of features and ratios.

    arsinh is the logarithm that also takes zero and less. The ratios are FLOPs to each of the bytes and to all of
    them: a tree asks for one column at a time, and a roofline's ridge is a line between two.
    """
    logs = np.arcsinh(features)
    total = np.arcsinh(features[:, 1 : len(FEATURES)].sum(axis=1))
    ratios = [logs[:, 0] - logs[:, index] for index in range(1, len(FEATURES))]
    return np.column_stack([logs, total, logs[:, 0] - total, *ratios])


def columns_of(features: int) -> int:
    """How many columns `logarithms` makes of so many features."""
    return features + 1 + len(FEATURES)


def write(path: Path, predictor: Predictor) -> None:
    """On one line: some hundred thousand numbers, one a line, would be all indentation."""
    artifact.write_bytes(path, msgspec.json.encode(predictor) + b"\n")


def read(path: Path) -> Predictor:
    """Raises ArtifactError, naming file and field."""
    return artifact.read(path, Predictor)
