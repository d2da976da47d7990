"""ELPV: 2,624 solar cells seen by electroluminescence, functional or defective (Buerhop-Lutz et al., 2018).

An expert gave each cell a probability of being defective, of 0, ⅓, ⅔ or 1; from ⅔ on it counts as defective here
(label 1). Pictures of 300×300 are averaged down to 96×96. A quarter, drawn once, is the test set.

Private label `module-type`: monocrystalline (0) or polycrystalline (1), which the maker may not want to tell. Guessed
from the defect alone it is right for 59.1 % of the test set.

The data are CC BY-NC-SA 4.0: fetched by who uses them, never shipped, nor weights trained on them.
"""

import io
import zipfile

import numpy as np
from numpy.typing import NDArray

from noise.datasets import packages, store
from noise.datasets.pictures import decode, require_pillow
from noise.datasets.records import Dataset, Split, shuffled_rows
from profiles.errors import DataError

REQUIREMENT = "elpv-dataset==1.0.0.post1"
SHA256 = "85e31c1126ee9b48e62d3a0232c58f58b2d189b0814a45c13642fa0415af4a4c"
MEGABYTES = 91
FOLDER = "elpv_dataset/data"
SIZE, DEFECTIVE_FROM, TEST_SHARE = 96, 0.5, 0.25
TYPES = ("mono", "poly")


def fetch(progress: packages.Progress) -> None:
    """Put the scaled pictures into the cache as 8-bit pixels, in the source's order."""
    require_pillow("elpv")
    wheel = packages.fetch_wheel(REQUIREMENT, sha256=SHA256, megabytes=MEGABYTES, progress=progress)
    store.save_arrays(store.cached("elpv"), unpack(wheel))


def unpack(wheel: bytes) -> dict[str, NDArray[np.uint8]]:
    """pixels [n, 96, 96], defect [n], type [n] of the package. Raises DataError: a line of its table is not one."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        lines = archive.read(f"{FOLDER}/labels.csv").decode().splitlines()
        pixels, defects, types = [], [], []
        for line in filter(None, lines):
            fields = line.split()
            if len(fields) != 3 or fields[2] not in TYPES:
                raise DataError(f"elpv: the table has the line {line[:60]!r}, expected file, probability, type")
            pixels.append(decode(archive.read(f"{FOLDER}/{fields[0]}"), mode="L", size=SIZE))
            defects.append(float(fields[1]) >= DEFECTIVE_FROM)
            types.append(TYPES.index(fields[2]))
    return {
        "pixels": np.stack(pixels),
        "defect": np.array(defects, np.uint8),
        "type": np.array(types, np.uint8),
    }


def load() -> Dataset:
    """inputs float32 [n, 1, 96, 96] in [0, 1]. Raises DataError where it was not fetched."""
    arrays = store.load_arrays(store.cached("elpv"), name="elpv")
    order = shuffled_rows(len(arrays["pixels"]), seed=0)
    kept = len(order) - round(TEST_SHARE * len(order))
    train, test = (
        Split(
            store.unit_interval(arrays["pixels"][rows][:, None]),
            arrays["defect"][rows].astype(np.int64),
            {"module-type": arrays["type"][rows].astype(np.int64)},
        )
        for rows in (order[:kept], order[kept:])
    )
    return Dataset("elpv", train, test)
