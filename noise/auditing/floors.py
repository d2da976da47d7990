"""What is got without the tensor: the class alone, which the cloud is paid to learn."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.audit.floors import attribute_from_label_percent, class_mean_image, mean_image
from noise.audit.image_quality import ImageQuality
from noise.audit.record import Attempt, Attribute, Audited, Information, Reconstruction, Reidentification
from noise.auditing.effort import Effort
from noise.auditing.grounds import Grounds, evenly
from noise.datasets.records import Dataset, Labels

Array = NDArray[Any]

CLASS_MEAN, MEAN, LABEL = "mean image of the class", "mean image", "label alone"


def floors(on: Grounds, data: Dataset, private: Mapping[str, tuple[Labels, Labels]], *, effort: Effort) -> Audited:
    """Raises DataError for a class that is among the test rows alone."""
    attributes = {
        name: attribute_from_label_percent(
            known_labels=data.train.labels[data.learning_rows],
            known_attribute=train[data.learning_rows],
            labels=on.judged.labels,
            attribute=on.attributes[name][1],
        )
        for name, (train, _) in private.items()
    }
    labels = on.judged.labels[evenly(len(on.judged), effort.candidates)]
    return Audited(
        reconstruction=_reconstruction(on),
        reidentification=Reidentification(top1=among_class_percent(labels), n=len(labels), attack=LABEL),
        attributes=attributes,
        attribute_details={name: Attribute(accuracy=one, label_alone=one) for name, one in attributes.items()},
        information=Information(
            ite_nats=None,
            ksg_nats=None,
            infonce_nats=None,
            bound_nats=entropy_nats(on.every.labels),
            mixture_bound_nats=None,
            k=None,
            n=None,
            dimensions=None,
            bound_form="entropy of the classes",
        ),
    )


def _reconstruction(on: Grounds) -> Reconstruction | None:
    images = on.images
    if images is None:
        return None
    known, labels = images.known, on.known.labels
    of_class = class_mean_image(known, labels, images.judged, on.judged.labels)
    attempts = (_attempt(CLASS_MEAN, of_class), _attempt(MEAN, mean_image(known, images.judged)))
    return Reconstruction(psnr_db=of_class.psnr_db, ssim=of_class.ssim, attack=CLASS_MEAN, attempts=attempts)


def _attempt(attack: str, found: ImageQuality) -> Attempt:
    return Attempt(attack=attack, psnr_db=found.psnr_db, ssim=found.ssim, images=found.n)


def among_class_percent(labels: Array) -> float:
    """How often a guess among the candidates [n] of the true class is right, percent."""
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return 100 * float((1 / counts[places]).mean())


def entropy_nats(labels: Array) -> float:
    """Of the classes as often as they are: what an answer that is always right tells."""
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return float(-(shares * np.log(shares)).sum())


def class_means(on: Grounds, rows: Array) -> Array:
    """The mean known image of each judged row's class [rows, ...]."""
    assert on.images is not None
    return np.stack([on.images.known[on.known.labels == on.judged.labels[row]].mean(axis=0) for row in rows])
