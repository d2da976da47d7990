"""Private labels: what they are computed from, and that they stay with their rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noise.datasets import attributes, catalog
from noise.datasets.private_labels import private_labels
from noise.datasets.records import Dataset, Split
from profiles.errors import DataError


def test_a_sheared_picture_has_the_shear_as_its_slant() -> None:
    upright = np.zeros((1, 41, 41))
    upright[0, 10:31, 20] = 1
    for shear in (-1, 0, 1):
        leaning = np.zeros_like(upright)
        for row in range(41):
            leaning[0, row] = np.roll(upright[0, row], shear * (row - 20))
        assert attributes.slant(leaning)[0] == pytest.approx(shear)
        assert attributes.slant(leaning[:, :, ::-1])[0] == pytest.approx(-shear)
    assert attributes.slant(np.zeros((2, 5, 5))).tolist() == [0, 0]


def test_slant_knows_neither_place_nor_ink() -> None:
    picture = np.zeros((1, 30, 30))
    picture[0, 5:15, 5:12] = np.random.default_rng(0).random((10, 7))
    moved = 3 * np.roll(picture, (7, 9), axis=(1, 2))
    assert attributes.slant(moved)[0] == pytest.approx(attributes.slant(picture)[0])


def test_half_of_the_training_part_lies_above_its_median() -> None:
    train, test = attributes.above_median(np.arange(100.0), np.array([-1.0, 49.4, 49.6, 500.0]))
    assert train.sum() == 50
    assert test.tolist() == [0, 0, 1, 1]


def test_the_slant_of_digits_is_not_told_by_the_digit(mnist: Dataset) -> None:
    train, test = private_labels(mnist, "slant")
    assert 0.49 < train.mean() <= 0.5
    majority = np.array([round(train[mnist.train.labels == digit].mean()) for digit in range(10)])
    assert 100 * (majority[mnist.test.labels] == test).mean() == pytest.approx(61.76, abs=0.005)


def numbered(rows: int) -> Split:
    return Split(np.arange(rows), np.arange(rows) % 7, {"parity": np.arange(rows) % 2})


def test_they_stay_with_their_rows() -> None:
    data = Dataset("numbers", numbered(200).shuffled(seed=3), numbered(30))
    for part in (data.train, data.holdout(), data.without_holdout(), data.test[5:9]):
        np.testing.assert_array_equal(part.private["parity"], part.inputs % 2)
    train, _ = private_labels(data, "parity")
    np.testing.assert_array_equal(train[data.holdout_rows], data.holdout().private["parity"])
    np.testing.assert_array_equal(train[data.learning_rows], data.without_holdout().private["parity"])


def own_data() -> Any:
    rows = np.arange(100.0)
    return (rows[:, None], rows % 3, rows % 2), (rows[:40, None], rows[:40] % 3, rows[:40] % 2)


def own_private() -> Any:
    return np.arange(100) // 50, np.arange(40) // 20


def short_private() -> Any:
    return np.arange(99) % 2, np.arange(40) % 2


def constant_private() -> Any:
    return np.zeros(100, int), np.zeros(40, int)


def no_private() -> Any:
    return 3


def test_a_functions_labels_follow_the_rows_that_loading_shuffled() -> None:
    data = catalog.load_dataset(f"{__name__}:own_data")
    assert data.train.inputs[:, 0].tolist() != list(range(100))
    train, test = private_labels(data, f"{__name__}:own_private")
    np.testing.assert_array_equal(train, data.train.inputs[:, 0] // 50)
    np.testing.assert_array_equal(test, data.test.inputs[:, 0] // 20)
    train, test = private_labels(data, "private")
    np.testing.assert_array_equal(train, data.train.inputs[:, 0] % 2)
    np.testing.assert_array_equal(test, data.test.inputs[:, 0] % 2)


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("colour", "no private label 'colour'; it has private"),
        (f"{__name__}:short_private", "99 labels for 100 inputs"),
        (f"{__name__}:constant_private", "every private label is 0"),
        (f"{__name__}:no_private", "expected two arrays of private labels"),
        (f"{__name__}:nothing_there", "has no 'nothing_there'"),
    ],
)
def test_what_is_no_private_label_is_refused(source: str, word: str) -> None:
    with pytest.raises(DataError) as caught:
        private_labels(catalog.load_dataset(f"{__name__}:own_data"), source)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_private_label_carried_by_mnist_is_found_by_name_only(tmp_path: Path) -> None:
    data = Dataset("bare", Split(np.zeros(20), np.zeros(20, np.int64)), Split(np.zeros(20), np.zeros(20, np.int64)))
    with pytest.raises(DataError, match="it has no private labels"):
        private_labels(data, "slant")
