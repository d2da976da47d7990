"""What the cloud shall not learn of an input (Shredder, Equation 5), by name or from a function of the user's own."""

import numpy as np

from noise.datasets.own import class_indices, train_and_test
from noise.datasets.records import Dataset, Labels
from profiles.errors import DataError


def private_labels(dataset: Dataset, source: str) -> tuple[Labels, Labels]:
    """Private labels of `dataset.train` and `dataset.test`, row for row: [n] each, from 0, both classes or more.

    source: a name that the data set has (`Split.private`), or `package.module:function` that returns train and test
    arrays of whole numbers, one a row, in the order in which the data's own function gave its rows (of a built-in
    data set: the order of `load_dataset(name)`). Slice them by `Dataset.learning_rows` and `holdout_rows`.
    Raises DataError: no such name, or labels that are none.
    """
    if ":" in source:
        train, test = _from_function(dataset, source)
    elif source in dataset.train.private:
        train, test = dataset.train.private[source], dataset.test.private[source]
    else:
        known = ", ".join(dataset.train.private) or "no private labels"
        raise DataError(f"{dataset.name} has no private label {source!r}; it has {known}; or package.module:function")
    if len(np.unique(train)) < 2:
        raise DataError(f"{source}: every private label is {train[0]}, expected two classes or more")
    return train, test


def _from_function(dataset: Dataset, source: str) -> tuple[Labels, Labels]:
    train, test = train_and_test(source, expected="two arrays of private labels, train and test")
    rows = class_indices(np.asarray(train), rows=len(dataset.train), origin=f"{source} (train)")
    others = class_indices(np.asarray(test), rows=len(dataset.test), origin=f"{source} (test)")
    return (rows if dataset.order is None else rows[dataset.order]), others
