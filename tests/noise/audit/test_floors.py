import numpy as np
import pytest
from numpy.typing import NDArray

from noise.audit.floors import attribute_from_label_percent, class_mean_image, mean_image
from noise.datasets.records import Dataset
from profiles.errors import DataError


def flat(*values: float) -> NDArray[np.float32]:
    """Images of one grey each [rows, 1, 12, 12]."""
    return np.broadcast_to(np.array(values, dtype=np.float32)[:, None, None, None], (len(values), 1, 12, 12)).copy()


def test_means_by_hand() -> None:
    known, labels = flat(0.1, 0.3, 0.7, 0.9), np.array([0, 0, 2, 2])
    images, truth = flat(0.3, 0.9), np.array([0, 2])
    # The mean of all is 0.5; of the classes 0.2 and 0.8.
    assert mean_image(known, images).psnr_db == pytest.approx(-10 * (np.log10(0.04) + np.log10(0.16)) / 2, rel=1e-5)
    assert class_mean_image(known, labels, images, truth).psnr_db == pytest.approx(20, rel=1e-5)
    assert class_mean_image(known, labels, flat(0.2, 0.8), truth).ssim == pytest.approx(1)


def test_what_the_label_alone_says_by_hand() -> None:
    # Class 0 has attribute 1 twice of three, class 1 has 2 always.
    found = attribute_from_label_percent(
        known_labels=np.array([0, 0, 0, 1]),
        known_attribute=np.array([1, 0, 1, 2]),
        labels=np.array([0, 0, 1, 1]),
        attribute=np.array([1, 0, 2, 2]),
    )
    assert found == 75


def test_an_attribute_that_is_the_label_cannot_be_hidden() -> None:
    digits = np.arange(50) % 10
    found = attribute_from_label_percent(
        known_labels=digits, known_attribute=digits % 2, labels=digits, attribute=digits % 2
    )
    assert found == 100


def test_a_class_never_seen_is_refused() -> None:
    with pytest.raises(DataError, match="class 3 is in the test data alone"):
        class_mean_image(flat(0.1, 0.2), np.array([0, 1]), flat(0.5), np.array([3]))


def slant(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Second mixed central moment μ₁₁ of each image [rows, 1, h, w], its pixels' sum taken as 1."""
    mass = images[:, 0] / images.sum(axis=(1, 2, 3))[:, None, None]
    row, column = np.indices(images.shape[2:])
    down, across = ((mass * axis).sum(axis=(1, 2))[:, None, None] for axis in (row, column))
    moment: NDArray[np.float64] = (mass * (row - down) * (column - across)).sum(axis=(1, 2))
    return moment


def test_the_slant_of_a_digit_is_hardly_told_by_its_class(mnist: Dataset) -> None:
    train, test = slant(mnist.train.inputs), slant(mnist.test.inputs)
    found = attribute_from_label_percent(
        known_labels=mnist.train.labels,
        known_attribute=(train > np.median(train)).astype(np.int64),
        labels=mnist.test.labels,
        attribute=(test > np.median(train)).astype(np.int64),
    )
    assert found == pytest.approx(62.4, abs=0.1)


def test_the_floors_of_the_digits(mnist: Dataset) -> None:
    train, test = mnist.train, mnist.test
    mean = mean_image(train.inputs, test.inputs)
    assert (mean.psnr_db, mean.ssim) == (pytest.approx(11.86, abs=0.01), pytest.approx(0.118, abs=0.001))
    of_class = class_mean_image(train.inputs, train.labels, test.inputs, test.labels)
    assert (of_class.psnr_db, of_class.ssim) == (pytest.approx(13.04, abs=0.01), pytest.approx(0.307, abs=0.002))
