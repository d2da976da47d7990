"""How close a reconstructed image is to the original: PSNR and SSIM."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from profiles.errors import DataError

#: Wang et al. 2004, Section III-C: an 11×11 Gaussian window of σ = 1.5, and the constants C = (K · peak)².
WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03

#: Images that are scored at once: bounds the memory of the five filtered maps.
ROWS = 1000


@dataclass(frozen=True)
class ImageQuality:
    """Means over n images. ssim: None where the images are smaller than its window."""

    psnr_db: float
    ssim: float | None
    n: int


def psnr(reconstructed: Tensor, original: Tensor, *, peak: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio of each image in dB [rows]; images [rows, ...]. Infinite where they are equal."""
    _require_same_shape(reconstructed, original)
    error = (reconstructed - original).flatten(1).square().mean(dim=1)
    return 10 * (2 * math.log10(peak) - error.log10())


def ssim(reconstructed: Tensor, original: Tensor, *, peak: float = 1.0) -> Tensor:
    """Mean structural similarity of each image [rows]; images [rows, channels, height, width].

    Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image quality assessment: from error visibility to
    structural similarity", 2004, Equation 13, averaged over the places where the window lies wholly inside, and over
    channels. The moments are the window's own (no correction for the sample's size), as there.
    Raises DataError where an image is smaller than the window.
    """
    _require_same_shape(reconstructed, original)
    if original.ndim != 4 or min(original.shape[2:]) < WINDOW:
        raise DataError(
            f"images are {list(original.shape[1:])}, SSIM expects [channels, height, width] of {WINDOW} pixels or "
            "more each way; judge by PSNR alone"
        )
    first, second = reconstructed.flatten(0, 1).double(), original.flatten(0, 1).double()
    mean_1, mean_2 = _windowed(first), _windowed(second)
    variance_1 = _windowed(first**2) - mean_1**2
    variance_2 = _windowed(second**2) - mean_2**2
    covariance = _windowed(first * second) - mean_1 * mean_2
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1**2 + mean_2**2 + c1)
    structure = (2 * covariance + c2) / (variance_1 + variance_2 + c2)
    return (luminance * structure).flatten(1).mean(dim=1).reshape(len(original), -1).mean(dim=1)


def quality(reconstructed: Tensor, original: NDArray[Any]) -> ImageQuality:
    """PSNR (peak 1) and SSIM, mean over images [rows, channels, height, width] with values in [0, 1]."""
    pairs = list(zip(torch.split(reconstructed, ROWS), torch.split(torch.from_numpy(original), ROWS), strict=True))
    ratio = torch.cat([psnr(found, real) for found, real in pairs]).double().mean()
    if original.ndim != 4 or min(original.shape[2:]) < WINDOW:
        return ImageQuality(float(ratio), None, len(original))
    similarity = torch.cat([ssim(found, real) for found, real in pairs]).mean()
    return ImageQuality(float(ratio), float(similarity), len(original))


def _windowed(maps: Tensor) -> Tensor:
    """Gaussian-weighted means [rows, h − 10, w − 10] of maps [rows, h, w]; the window is separable."""
    return _bands(maps.shape[1]) @ maps @ _bands(maps.shape[2]).T


def _bands(size: int) -> Tensor:
    """Row i holds the window's weights at i … i + 10 [size − 10, size]. Products in float64, which convolutions on a
    processor are slow at; in float32 the variances of bright even areas cancel."""
    offsets = torch.arange(size, dtype=torch.float64) - torch.arange(size - WINDOW + 1)[:, None] - WINDOW // 2
    weights = torch.exp(-(offsets**2) / (2 * SIGMA**2)) * (offsets.abs() <= WINDOW // 2)
    return weights / weights.sum(dim=1, keepdim=True)


def _require_same_shape(reconstructed: Tensor, original: Tensor) -> None:
    if reconstructed.shape != original.shape:
        raise DataError(
            f"reconstructed images are {list(reconstructed.shape)}, expected {list(original.shape)} as the originals"
        )
