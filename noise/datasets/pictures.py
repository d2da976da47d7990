"""PNG files → pixels, by Pillow (extra `data`)."""

import io

import numpy as np
from numpy.typing import NDArray

from profiles.errors import DataError
from profiles.installing import extra


def require_pillow(name: str) -> None:
    """Before a long download: raises DataError where Pillow is not installed."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise DataError(f"{name} comes as PNG pictures, which need Pillow; {extra('data')}") from None


def decode(png: bytes, *, mode: str, size: int | None = None) -> NDArray[np.uint8]:
    """[h, w, 3] of mode RGB, [h, w] of mode L; scaled to size×size by averaging where a size is given."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            picture = image.convert(mode)
    except (OSError, Image.DecompressionBombError) as error:
        raise DataError(f"a picture cannot be decoded ({error}); fetch the data set anew") from error
    if size is not None:
        picture = picture.resize((size, size), Image.Resampling.BOX)
    return np.asarray(picture)
