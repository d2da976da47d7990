"""A network of the zoo with its weights and data, fetched and trained where this machine lacks them."""

from noise.datasets import catalog
from noise.datasets.records import Dataset
from noise.zoo_training import train
from profiles.zoo.catalog import ZOO


def data_of(name: str) -> Dataset:
    """A network's data, as `plan data fetch` and, where it has no weights yet, `plan models train` make them ready.

    Raises DataError where they cannot be fetched.
    """
    entry = ZOO[name]
    catalog.fetch(entry.data)
    if not entry.trained:
        train(name, seed=0)
    return catalog.load_dataset(entry.data)
