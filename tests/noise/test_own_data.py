"""Data of the users' own: what is taken, and the line each wrong thing gets."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import IterableDataset, TensorDataset

from noise.datasets.own import as_split
from profiles.errors import DataError

X, Y = np.random.default_rng(0).random((20, 3)), np.arange(20) % 4


class Pairs(torch.utils.data.Dataset[Any]):
    """A map-style data set as people write them: a tensor and a plain number an item."""

    def __init__(self, item: Callable[[int], Any] | None = None, length: int = 20) -> None:
        self.item = item or (lambda index: (torch.from_numpy(X[index]), int(Y[index])))
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.item(index)


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        yield from ()


@pytest.mark.parametrize(
    "given",
    [
        (X, Y),
        [X, Y],
        (X.tolist(), Y.tolist()),
        (X, Y.astype(np.float64)),
        (X, Y.astype(np.uint8)),
        (torch.from_numpy(X), torch.from_numpy(Y)),
        (torch.from_numpy(X).requires_grad_(), torch.from_numpy(Y)),
        TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),
        Pairs(),
        torch.utils.data.Subset(Pairs(), range(20)),
    ],
    ids=lambda given: type(given).__name__,
)
def test_the_same_rows_in_any_form_are_the_same_data(given: Any) -> None:
    made = as_split(given, origin="mine")
    assert (made.inputs.dtype, made.labels.dtype) == (np.float32, np.int64)
    np.testing.assert_allclose(made.inputs, X, rtol=1e-6)
    np.testing.assert_array_equal(made.labels, Y)
    assert not made.private


def test_truth_values_tokens_and_bytes_are_taken_as_they_are() -> None:
    made = as_split((np.arange(60, dtype=np.int32).reshape(20, 3), Y > 1), origin="mine")
    assert made.inputs.dtype == np.int64
    assert set(made.labels.tolist()) == {0, 1}
    assert as_split((np.zeros((20, 2), np.uint8), Y), origin="mine").inputs.dtype == np.uint8


@pytest.mark.parametrize(
    "given",
    [
        (X, Y, {"odd": Y % 2, "high": Y // 2}),
        Pairs(lambda index: (X[index], Y[index], {"odd": Y[index] % 2, "high": Y[index] // 2})),
    ],
)
def test_private_labels_come_third(given: Any) -> None:
    made = as_split(given, origin="mine")
    np.testing.assert_array_equal(made.private["odd"], Y % 2)
    np.testing.assert_array_equal(made.private["high"], Y // 2)
    np.testing.assert_array_equal(as_split((X, Y, Y % 2), origin="mine").private["private"], Y % 2)


def broken(index: int) -> Any:
    raise KeyError("file 7 is gone")


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ((X, np.eye(4)[Y]), "of one-hot rows give labels.argmax(1)"),
        ((X, Y[:, None]), "give labels.reshape(-1)"),
        ((X, Y + 0.5), "with 0.5 among them"),
        ((X, np.where(Y == 2, np.nan, Y)), "with nan among them"),
        ((X, Y - 1), "labels hold -1"),
        ((X, Y * 10**7), "number the classes from 0"),
        ((X, np.array(["cat"] * 20)), "expected whole numbers"),
        ((X, Y[:15]), "20 inputs and 15 labels"),
        ((X[:9], Y[:9]), "10 or more"),
        ((np.where(X > 0.9, np.nan, X), Y), "NaN or infinity, first in row"),
        ((X * 1e300, Y), "NaN or infinity"),
        ((X.astype(str), Y), "encode words as token ids"),
        (([[1.0], [2.0, 3.0]] * 10, Y), "expected rows of one shape"),
        ((X + 1j, Y), "expected numbers"),
        ((3, 4), "expected two arrays"),
        ((X, Y, Y, Y), "got 4 parts"),
        (X, "got ndarray, expected a pair"),
        (None, "got NoneType, expected a pair"),
        ({"x": X, "y": Y}, "got dict, expected a pair"),
        ((X, Y, {"odd": Y[:5]}), "private label 'odd': 5 labels for 20 inputs"),
        (Endless(), "it must have indices and a length"),
        (Pairs(broken), "item 0 failed with KeyError"),
        (Pairs(lambda index: X[index]), "expected (input, label) in every item"),
        (Pairs(lambda index: (X[index, : 1 + index % 2], 0)), "items of shapes [1] and [2]"),
        (Pairs(length=0), "a data set without items"),
    ],
)
def test_what_is_no_data_gets_one_line(given: Any, word: str) -> None:
    with pytest.raises(DataError) as caught:
        as_split(given, origin="mine (train)")
    message = str(caught.value)
    assert word in message
    assert message.startswith("mine (train)")
    assert "\n" not in message


def other_shapes() -> Any:
    return (X, Y), (X[:, :2], Y)


def other_names() -> Any:
    return (X, Y, Y % 2), (X, Y)


@pytest.mark.parametrize(
    ("name", "word"), [("other_shapes", "[3] in train and [2] in test"), ("other_names", "none in test")]
)
def test_train_and_test_must_be_alike(name: str, word: str) -> None:
    from noise.datasets.catalog import load_dataset

    with pytest.raises(DataError) as caught:
        load_dataset(f"{__name__}:{name}")
    assert word in str(caught.value)
