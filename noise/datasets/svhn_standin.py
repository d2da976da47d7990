"""A stand-in for SVHN, which no package registry has: MNIST's digits over patches of CIFAR-10, 3×32×32.

As MNIST-M is made (Ganin and Lempitsky, 2015): the picture is the absolute difference of the patch and the digit,
which lies anywhere in it. Digits and patches of a part are those of the same part of their sets. What is measured
on it is not SVHN, and whatever shows it says so.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.datasets import packages, store
from noise.datasets.records import Dataset, Split

SIZE, SEED = 32, 0
#: Rows blended at a time, so that no more than these are wider than 8 bits.
CHUNK = 5000


def fetch(progress: packages.Progress) -> None:
    """Blend the two cached sets into a third."""
    digits = store.load_arrays(store.cached("mnist"), name="mnist")
    patches = store.load_arrays(store.cached("cifar10"), name="cifar10")
    generator = np.random.default_rng(SEED)
    arrays: dict[str, NDArray[Any]] = {}
    for part in ("train", "test"):
        drawn = generator.integers(len(patches[f"{part}_pixels"]), size=len(digits[f"{part}_pixels"]))
        arrays[f"{part}_pixels"] = blended(digits[f"{part}_pixels"], patches[f"{part}_pixels"], drawn, generator)
        arrays[f"{part}_labels"] = digits[f"{part}_labels"]
    store.save_arrays(store.cached("svhn-standin"), arrays)


def blended(
    digits: NDArray[np.uint8],
    patches: NDArray[np.uint8],
    drawn: NDArray[np.int64],
    generator: np.random.Generator,
) -> NDArray[np.uint8]:
    """digits: [n, h, w]; patches: [m, 3, 32, 32]; drawn: [n] rows of patches → [n, 3, 32, 32]."""
    made = patches[drawn]  # [n, 3, 32, 32]
    corners = generator.integers(SIZE - np.array(digits.shape[1:]) + 1, size=(len(digits), 2))
    for start in range(0, len(digits), CHUNK):
        rows = slice(start, start + CHUNK)
        canvas = np.zeros((len(digits[rows]), SIZE, SIZE), np.int16)
        for place, digit, (top, left) in zip(canvas, digits[rows], corners[rows], strict=True):
            place[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
        made[rows] = np.abs(made[rows].astype(np.int16) - canvas[:, None])
    return made


def load() -> Dataset:
    """inputs float32 [n, 3, 32, 32] in [0, 1]. Raises DataError where it was not made."""
    arrays = store.load_arrays(store.cached("svhn-standin"), name="svhn-standin")
    train, test = (
        Split(store.unit_interval(arrays.pop(f"{part}_pixels")), arrays[f"{part}_labels"].astype(np.int64))
        for part in ("train", "test")
    )
    return Dataset("svhn-standin", train, test)
