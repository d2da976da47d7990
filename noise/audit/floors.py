"""What an adversary has without the tensors: the mean image, the class's mean image, the label alone.

The cloud is paid to learn the class, so an attack is judged by what it adds to these.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from noise.audit.image_quality import ImageQuality, quality
from profiles.errors import DataError

Array = NDArray[Any]


def mean_image(known: Array, images: Array) -> ImageQuality:
    """Answering every test image [rows, ...] with the mean of the known ones [rows, ...]."""
    guess = torch.from_numpy(known.mean(axis=0, dtype=np.float64).astype(images.dtype))
    return quality(guess.expand(len(images), *guess.shape), images)


def class_mean_image(known: Array, known_labels: Array, images: Array, labels: Array) -> ImageQuality:
    """Answering with the mean of the known images of the true class. Raises DataError for a class never seen."""
    _require_seen(known_labels, labels)
    means = np.zeros((int(known_labels.max()) + 1, *known.shape[1:]), dtype=images.dtype)
    for label in np.unique(known_labels):
        means[label] = known[known_labels == label].mean(axis=0, dtype=np.float64)
    return quality(torch.from_numpy(means[labels]), images)


def attribute_from_label_percent(
    *, known_labels: Array, known_attribute: Array, labels: Array, attribute: Array
) -> float:
    """Naming the attribute most frequent among the known inputs of the true class; right answers, percent.

    All [rows]; labels are the public classes. Raises DataError for a class never seen.
    """
    _require_seen(known_labels, labels)
    counts = np.zeros((int(known_labels.max()) + 1, int(known_attribute.max()) + 1), dtype=np.int64)
    np.add.at(counts, (known_labels, known_attribute), 1)
    return 100 * float((counts.argmax(axis=1)[labels] == attribute).mean())


def _require_seen(known_labels: Array, labels: Array) -> None:
    unseen = np.setdiff1d(labels, known_labels)
    if len(unseen):
        raise DataError(f"class {unseen[0]} is in the test data alone; expected every class among the known inputs")
