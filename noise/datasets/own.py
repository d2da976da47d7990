"""Data of the users' own: what `package.module:function` returns, checked before hours are spent on it.

The function takes nothing and returns train and test. Each is a pair (inputs, labels), a triple (inputs, labels,
private), of arrays or torch tensors, or a map-style torch data set of such items. Labels are class indices from 0:
whole numbers of any type, floats and truth values among them. Inputs are numbers: floats become float32, whole
numbers (token ids) int64, bytes and truth values stay. Of a network with several inputs they are a tuple of arrays in
the order of its forward, or a dictionary of them by its parameters' names; an item of a data set has them likewise.
private: an array, named `private`, or a dictionary of arrays.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.datasets.records import Dataset, Labels, Split, shuffled_rows
from profiles.errors import DataError
from profiles.functions import import_function

#: Fewer rows leave nothing to hold out; larger labels are identifiers, not classes.
FEWEST_ROWS, MOST_CLASSES = 10, 2**20


def load_own(source: str) -> Dataset:
    """The data set of a function; its training rows are shuffled, `Dataset.order` says how.

    Raises DataError: nothing of that name, it failed, or what it returned is not data (module docstring).
    """
    expected = "train and test pairs (inputs, labels) of arrays, or two torch data sets"
    return as_dataset(*train_and_test(source, expected=expected), name=source)


def as_dataset(train: Any, test: Any, *, name: str = "own") -> Dataset:
    """A data set of arrays, torch tensors or torch data sets; its training rows are shuffled (`Dataset.order`).

    train, test: (inputs [n, ...], labels [n]) each, or with private labels third (module docstring). name: by which
    the noise's file and errors call it.
    Raises DataError where they are not data, or not alike.
    """
    training, testing = as_split(train, origin=f"{name} (train)"), as_split(test, origin=f"{name} (test)")
    _require_alike(training, testing, name)
    order = shuffled_rows(len(training), seed=0)
    return Dataset(name, training.shuffled(seed=0), testing, order)


def train_and_test(source: str, *, expected: str) -> tuple[Any, Any]:
    """The two things that a function of the user's returns. Raises DataError where it returns another number."""
    returned = import_function(source, wrong=DataError)()
    try:
        train, test = returned
    except (TypeError, ValueError):
        raise DataError(f"{source} returned {type(returned).__name__}, expected {expected}") from None
    return train, test


def as_split(given: Any, *, origin: str) -> Split:
    """Inputs, labels and private labels, checked. Raises DataError."""
    parts = _parts(given, origin)
    labels = _array(parts[1], origin)
    inputs = _inputs(parts[0], labels, origin)
    named: Any = parts[2] if parts[2:] else {}
    named = named if isinstance(named, Mapping) else {"private": named}
    private = {
        str(name): class_indices(_array(one, origin), rows=len(labels), origin=f"{origin}, private label {name!r}")
        for name, one in named.items()
    }
    return Split(inputs, class_indices(labels, rows=len(labels), origin=origin), private)


def _inputs(given: Any, labels: NDArray[Any], origin: str) -> Any:
    """An array for every input: by name as they were given, in a tuple, or one alone."""
    # A list as long as the labels holds the rows of one input.
    several = _is_several(given) and (isinstance(given, Mapping) or (len(given),) != labels.shape[:1])
    arrays = {name: _array(given[name] if several else given, origin) for name in (_names(given) if several else [0])}
    if not arrays or not labels.ndim or not all(one.ndim for one in arrays.values()):
        raise DataError(
            f"{origin}: got {type(given).__name__} and labels {list(labels.shape)}, expected two arrays; "
            "of several inputs give a tuple of arrays, or a dict by name"
        )
    for name, one in arrays.items():
        which = "inputs" if len(arrays) == 1 else f"rows of input {name!r}"
        if len(one) != len(labels) or len(labels) < FEWEST_ROWS:
            raise DataError(
                f"{origin}: {len(one)} {which} and {len(labels)} labels, expected as many, {FEWEST_ROWS} or more"
            )
        arrays[name] = _numbers(one, origin if len(arrays) == 1 else f"{origin}, input {name!r}")
    if isinstance(given, Mapping):
        return arrays
    return tuple(arrays.values()) if len(arrays) > 1 else arrays[0]


def class_indices(labels: NDArray[Any], *, rows: int, origin: str) -> Labels:
    """[rows] class indices from 0, as int64. Raises DataError: another shape, or values that are no classes."""
    shape = list(labels.shape)
    if len(shape) == 2 and shape[1] > 1:
        raise DataError(f"{origin}: labels of shape {shape}, expected [n]; of one-hot rows give labels.argmax(1)")
    if labels.ndim != 1:
        raise DataError(f"{origin}: labels of shape {shape}, expected [n]; give labels.reshape(-1)")
    if len(labels) != rows:
        raise DataError(f"{origin}: {len(labels)} labels for {rows} inputs, expected as many")
    if labels.dtype.kind not in "biuf":
        raise DataError(f"{origin}: labels are {labels.dtype}, expected whole numbers; number the classes from 0")
    odd = labels[~(np.isfinite(labels) & (labels == np.floor(labels)))] if labels.dtype.kind == "f" else labels[:0]
    if len(odd):
        raise DataError(f"{origin}: labels are {labels.dtype} with {odd[0]:g} among them, expected whole numbers")
    if labels.min() < 0 or labels.max() >= MOST_CLASSES:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise DataError(f"{origin}: labels hold {wrong:g}, expected class indices; number the classes from 0")
    return labels.astype(np.int64)


def _parts(given: Any, origin: str) -> tuple[Any, ...]:
    """(inputs, labels) or (inputs, labels, private)."""
    if isinstance(given, tuple | list):
        if len(given) in (2, 3):
            return tuple(given)
        raise DataError(f"{origin}: got {len(given)} parts, expected a pair (inputs, labels) or, with private, three")
    if _is_map_style(given):
        return _items(given, origin)
    advice = "; it must have indices and a length" if hasattr(given, "__iter__") else ""
    raise DataError(
        f"{origin}: got {type(given).__name__}, expected a pair (inputs, labels) or a torch data set{advice}"
    )


def _is_map_style(given: Any) -> bool:
    return (
        hasattr(given, "__getitem__")
        and hasattr(given, "__len__")
        and not hasattr(given, "dtype")  # an array, a tensor
        and not isinstance(given, str | Mapping)
    )


def _items(given: Any, origin: str) -> tuple[Any, ...]:
    """A map-style data set's items, stacked."""
    rows: list[tuple[Any, ...]] = []
    for index in range(len(given)):
        try:
            item = given[index]
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0]
            raise DataError(f"{origin}: item {index} failed with {type(error).__name__}: {reason[:120]}") from error
        if not isinstance(item, tuple | list) or len(item) != (len(rows[0]) if rows else min(max(len(item), 2), 3)):
            kind = f"{len(item)} parts" if isinstance(item, tuple | list) else type(item).__name__
            raise DataError(f"{origin}: item {index} is {kind}, expected (input, label) in every item")
        rows.append(tuple(part if _is_several(part) else _array(part, origin) for part in item))
    if not rows:
        raise DataError(f"{origin}: a data set without items, expected {FEWEST_ROWS} or more")
    return tuple(_stacked(column, origin) for column in zip(*rows, strict=True))


def _is_several(part: Any) -> bool:
    """Whether an item's part holds several arrays: several inputs, or private labels by name."""
    return isinstance(part, Mapping) or (
        isinstance(part, tuple | list) and len(part) > 1 and all(getattr(one, "ndim", 0) for one in part)
    )


def _stacked(column: tuple[Any, ...], origin: str) -> Any:
    """The items' arrays as one [n, ...]; of items with several one for each, by name or in order."""
    if any(map(_is_several, column)):
        names = [_names(row) for row in column]
        if odd := next((one for one in names if set(one) != set(names[0])), None):
            raise DataError(f"{origin}: items of {names[0]} and {odd}, expected the same in every item")
        taken = {one: _stacked(tuple(_array(row[one], origin) for row in column), origin) for one in names[0]}
        return taken if isinstance(column[0], Mapping) else tuple(taken.values())
    shapes = {row.shape for row in column}
    if len(shapes) > 1:
        one, other = sorted(map(list, shapes))[:2]
        raise DataError(f"{origin}: items of shapes {one} and {other}, expected one shape; pad or crop them")
    return np.stack(column)


def _names(row: Any) -> list[Any]:
    """Names or numbers of an item's arrays."""
    if isinstance(row, Mapping):
        return list(row)
    return list(range(len(row))) if _is_several(row) else [0]


def _array(part: Any, origin: str) -> NDArray[Any]:
    """An array of an array, a list or a torch tensor (one that wants gradients or lies on a GPU, too)."""
    try:
        if hasattr(part, "detach"):
            part = part.detach().cpu()
        return np.asarray(part)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise DataError(
            f"{origin}: got {type(part).__name__} that is no array ({reason[:120]}), expected rows of one shape"
        ) from error


def _numbers(inputs: NDArray[Any], origin: str) -> NDArray[Any]:
    kind = inputs.dtype.kind
    if kind not in "biuf":
        raise DataError(f"{origin}: inputs are {inputs.dtype}, expected numbers; encode words as token ids")
    if kind == "f":
        with np.errstate(over="ignore"):
            inputs = inputs.astype(np.float32, copy=False)
        if not np.isfinite(inputs).all():
            row = int(np.argmin(np.isfinite(inputs).reshape(len(inputs), -1).all(axis=1)))
            raise DataError(f"{origin}: the inputs hold NaN or infinity, first in row {row}, expected finite numbers")
        return inputs
    return inputs if inputs.dtype.itemsize == 1 else inputs.astype(np.int64, copy=False)


def _require_alike(train: Split, test: Split, source: str) -> None:
    one, other = ({name: list(a.shape[1:]) for name, a in split.by_input.items()} for split in (train, test))
    if one.keys() != other.keys():
        raise DataError(f"{source}: inputs {list(one)} in train and {list(other)} in test, expected the same")
    for name, shape in one.items():
        if shape != other[name]:
            raise DataError(f"{source}: one input is {shape} in train and {other[name]} in test, expected the same")
    if train.private.keys() != test.private.keys():
        names = ", ".join(sorted(train.private)) or "none", ", ".join(sorted(test.private)) or "none"
        raise DataError(f"{source}: private labels {names[0]} in train and {names[1]} in test, expected the same")
