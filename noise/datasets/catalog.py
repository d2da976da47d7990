"""Data sets by name, or the user's own by `package.module:function`."""

import importlib
from collections.abc import Callable

from noise.datasets import store
from noise.datasets.records import Dataset, as_split
from profiles.errors import DataError
from profiles.models import import_function

#: Name → the module whose `fetch()` and `load()` make it.
DATASETS: dict[str, str] = {"mnist": "noise.datasets.mnist"}


def fetch(name: str) -> bool:
    """Fetch a data set unless the cache has it; True where it was fetched now."""
    if name not in DATASETS:
        raise DataError(f"no data set {name!r}; there are: {', '.join(DATASETS)}")
    if store.cached(name).exists():
        return False
    action: Callable[[], None] = importlib.import_module(DATASETS[name]).fetch
    action()
    return True


def load_dataset(source: str) -> Dataset:
    """A data set by name, or what `package.module:function` returns: ((inputs, labels), (inputs, labels)).

    Raises DataError: unknown, not fetched, or of the wrong form.
    """
    if source in DATASETS:
        made: Dataset = importlib.import_module(DATASETS[source]).load()
        return made
    if ":" not in source:
        raise DataError(f"no data set {source!r}; there are: {', '.join(DATASETS)}, or package.module:function")
    pairs = import_function(source, wrong=DataError)()
    try:
        train, test = pairs
    except (TypeError, ValueError):
        raise DataError(
            f"{source} returned {type(pairs).__name__}, expected train and test pairs of arrays"
        ) from None
    training = as_split(train, origin=f"{source} (train)")
    return Dataset(source, training.shuffled(seed=0), as_split(test, origin=f"{source} (test)"))
