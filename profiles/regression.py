"""A table of timed layers → a Predictor, with its errors on layers it has not seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from profiles.errors import DataError, PlanError
from profiles.installing import extra
from profiles.layer_table import Layers, LayerTable
from profiles.predictor import BoostedModel, KindModel, LinearModel, Predictor, Scores, logarithms
from profiles.trees import LEAF, Trees

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]

#: Fewer layers of a kind than this give no model; fewer than the second no trees.
LEAST_ROWS, LEAST_ROWS_FOR_TREES = 5, 20
HELD_OUT = 0.1
FOLDS = 4

#: Two ways to grow trees, each on a part of rows and columns; cross-validation chooses. Shallow ones where timings
#: scatter, since deeper ones learn the scatter; deeper ones and more of them where they do not.
SHALLOW = {
    "n_estimators": 300,
    "learning_rate": 0.05,
    "max_depth": 3,
    "min_samples_leaf": 5,
    "subsample": 0.6,
    "max_features": 0.5,
}
DEEP = SHALLOW | {"n_estimators": 1000, "max_depth": 4, "min_samples_leaf": 3}
Settings = Mapping[str, float]


@dataclass(frozen=True)
class Fit:
    """predictor, and a line about each kind that has too few layers."""

    predictor: Predictor
    remarks: tuple[str, ...]


def fit(table: LayerTable, *, seed: int = 0, progress: Progress = lambda done, of: None) -> Fit:
    """One model a kind, learned from nine tenths of its layers and scored on the tenth that the seed holds out.

    The predictor keeps the very models that were scored. Raises DataError where no kind has enough layers, PlanError
    where scikit-learn is missing.
    """
    kinds: dict[str, KindModel] = {}
    remarks = []
    for done, (kind, layers) in enumerate(sorted(table.kinds.items())):
        progress(done, len(table.kinds))
        if len(layers) < LEAST_ROWS:
            remarks.append(f"{kind}: {len(layers)} layers, no model: at least {LEAST_ROWS} are needed")
            continue
        kinds[kind] = fit_kind(layers, seed=seed)
        if len(layers) < LEAST_ROWS_FOR_TREES:
            least = LEAST_ROWS_FOR_TREES
            remarks.append(f"{kind}: {len(layers)} layers, linear model alone: trees need at least {least}")
    if not kinds:
        most = max(map(len, table.kinds.values()))
        raise DataError(f"no kind has more than {most} layers, expected at least {LEAST_ROWS}; time more of them")
    return Fit(Predictor(features=table.features, seed=seed, kinds=kinds, device=table.device), tuple(remarks))


def fit_kind(layers: Layers, *, seed: int) -> KindModel:
    """The models of one kind; as `fit`."""
    order = np.random.default_rng(seed).permutation(len(layers))
    count = max(1, round(HELD_OUT * len(layers)))
    held, seen = order[:count], order[count:]
    features, latency_ms = layers.features[seen], layers.latency_ms[seen]
    truth = layers.latency_ms[held]
    linear = fit_linear(features, latency_ms)
    enough = len(layers) >= LEAST_ROWS_FOR_TREES
    better, settings = choose(features, latency_ms, seed=seed) if enough else ("linear", SHALLOW)
    boosted = fit_boosted(features, latency_ms, settings, seed=seed) if enough else None
    return KindModel(
        rows=len(layers),
        held_out=count,
        lowest=tuple(features.min(axis=0).tolist()),
        highest=tuple(features.max(axis=0).tolist()),
        lowest_ms=float(latency_ms.min()),
        linear=linear,
        linear_scores=score(linear.predict(layers.features[held]), truth),
        boosted=boosted,
        boosted_scores=score(boosted.predict(layers.features[held]), truth) if boosted else None,
        better=better,
    )


def choose(features: Floats, latency_ms: Floats, *, seed: int) -> tuple[Literal["linear", "boosted"], Settings]:
    """Which model has the smaller median relative error in cross-validation, and with which trees.

    The held-out layers take no part.
    """
    fold = np.random.default_rng(seed).permutation(len(features)) % FOLDS
    linear, boosted = np.empty(len(features)), np.empty((2, len(features)))
    for one in range(FOLDS):
        seen, left = fold != one, fold == one
        linear[left] = fit_linear(features[seen], latency_ms[seen]).predict(features[left])
        for row, settings in enumerate((SHALLOW, DEEP)):
            found = fit_boosted(features[seen], latency_ms[seen], settings, seed=seed)
            boosted[row, left] = found.predict(features[left])
    plain, shallow, deep = (score(one, latency_ms).median_relative_error for one in (linear, *boosted))
    return "linear" if plain < min(shallow, deep) else "boosted", DEEP if deep < shallow else SHALLOW


def fit_linear(features: Floats, latency_ms: Floats) -> LinearModel:
    """Ordinary least squares: the regression of the original work."""
    # Bytes and FLOPs differ by many powers of ten; columns of one size keep the solution exact.
    sizes = _sizes(features)
    design = np.column_stack([np.ones(len(features)), features / sizes])
    found = np.linalg.lstsq(design, latency_ms, rcond=None)[0]
    return LinearModel(float(found[0]), tuple((found[1:] / sizes).tolist()))


def fit_boosted(features: Floats, latency_ms: Floats, settings: Settings = SHALLOW, *, seed: int) -> BoostedModel:
    """Non-negative least squares on relative errors, then trees on the logarithm of what is left."""
    try:
        from sklearn.ensemble import GradientBoostingRegressor
    except ModuleNotFoundError as error:
        raise PlanError(
            f"fitting a predictor needs scikit-learn, which is not installed; {extra('predict')}"
        ) from error
    cost = fit_cost(features, latency_ms)
    rest = np.log(latency_ms / cost.predict(np.abs(features)))
    found = GradientBoostingRegressor(**settings, random_state=seed).fit(logarithms(features), rest)
    return BoostedModel(cost, trees_of(found))


def fit_cost(features: Floats, latency_ms: Floats) -> LinearModel:
    """launch + Σ price · |feature|, no price below zero, with the least squares of relative errors.

    The launch is at least half the fastest layer's time, so that no prediction is zero.
    """
    sizes = _sizes(features)
    launch = float(latency_ms.min()) / 2
    design = np.column_stack([np.ones(len(features)), np.abs(features) / sizes]) / latency_ms[:, None]
    found, _ = nnls(design, 1 - launch / latency_ms)
    return LinearModel(launch + float(found[0]), tuple((found[1:] / sizes).tolist()))


def _sizes(features: Floats) -> Floats:
    largest: Floats = np.abs(features).max(axis=0)
    return np.where(largest > 0, largest, 1.0)


def trees_of(model: object) -> Trees:
    """A fitted `GradientBoostingRegressor` as plain arrays, the learning rate in the leaves' values."""
    from sklearn.ensemble import GradientBoostingRegressor

    assert isinstance(model, GradientBoostingRegressor)
    parts = [one.tree_ for one in model.estimators_[:, 0]]
    starts = np.cumsum([0, *(part.node_count for part in parts)])
    leaf = np.concatenate([part.children_left for part in parts]) == LEAF
    shift = np.repeat(starts[:-1], np.diff(starts))
    values = model.learning_rate * np.concatenate([part.value[:, 0, 0] for part in parts])
    return Trees(
        initial=float(model.init_.constant_.item()),
        roots=tuple(starts[:-1].tolist()),
        feature=_where(leaf, LEAF, np.concatenate([part.feature for part in parts])),
        threshold=tuple(np.where(leaf, 0.0, np.concatenate([part.threshold for part in parts])).tolist()),
        left=_where(leaf, LEAF, shift + np.concatenate([part.children_left for part in parts])),
        right=_where(leaf, LEAF, shift + np.concatenate([part.children_right for part in parts])),
        value=tuple(np.where(leaf, values, 0.0).tolist()),
    )


def _where(leaf: NDArray[np.bool_], at_leaf: int, elsewhere: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(np.where(leaf, at_leaf, elsewhere).tolist())


def score(predicted_ms: Floats, truth_ms: Floats) -> Scores:
    """R² of latency, median of |error| / truth, share of rows with at most a tenth of it."""
    relative = np.abs(predicted_ms - truth_ms) / truth_ms
    spread = float(((truth_ms - truth_ms.mean()) ** 2).sum())
    r2 = 1 - float(((predicted_ms - truth_ms) ** 2).sum()) / spread if spread > 0 else None
    return Scores(r2, float(np.median(relative)), float((relative <= 0.1).mean()))
