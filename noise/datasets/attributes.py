"""Private labels that images carry themselves: a figure for each image, and on which side of the median it lies.

An attribute is of use where the class does not decide it: of one that is a function of the class nothing can be
hidden, since the cloud learns the class (PRIVATE LABELS in each data set's module say what the class alone tells).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.datasets.records import Labels

Figures = NDArray[np.float64]


def slant(pixels: NDArray[Any]) -> Figures:
    """How far the strokes lean: the second moments' μ11 / μ02, columns a row down. pixels: [n, h, w].

    It is the shear that sets a digit upright (deslanting). A blank image has 0.
    """
    rows, columns = (np.arange(size, dtype=np.float64) for size in pixels.shape[1:])
    across = pixels.sum(axis=1, dtype=np.float64)  # [n, w]
    down = pixels.sum(axis=2, dtype=np.float64)  # [n, h]
    mass = np.maximum(down.sum(axis=1), np.finfo(np.float64).tiny)
    row, column = down @ rows / mass, across @ columns / mass
    mixed = np.einsum("nij,i,j->n", pixels, rows, columns, optimize=True) / mass - row * column
    vertical = down @ rows**2 / mass - row**2
    leaning: Figures = np.divide(mixed, vertical, out=np.zeros_like(mixed), where=vertical > 1e-9)
    return leaning


def brightness(pixels: NDArray[Any]) -> Figures:
    """The mean over channels and pixels. pixels: [n, ...]."""
    mean: Figures = pixels.reshape(len(pixels), -1).mean(axis=1, dtype=np.float64)
    return mean


def above_median(train: Figures, test: Figures) -> tuple[Labels, Labels]:
    """1 where a figure is above the median of the training part, else 0."""
    middle = np.median(train)
    return (train > middle).astype(np.int64), (test > middle).astype(np.int64)
