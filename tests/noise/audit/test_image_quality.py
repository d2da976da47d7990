import numpy as np
import pytest
import torch

from noise.audit.image_quality import psnr, quality, ssim
from profiles.errors import DataError


def waves(shape: tuple[int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Two images [1, channels, h, w] in [0, 1] by formula."""
    channel, row, column = np.indices(shape).astype(float)
    first = 0.5 + 0.5 * np.sin(0.7 * column + 0.3 * row + channel)
    second = np.clip(first + 0.2 * np.cos(1.1 * column * row + channel), 0, 1)
    return torch.from_numpy(first)[None], torch.from_numpy(second)[None]


@pytest.mark.parametrize(
    ("shape", "similarity", "ratio"),
    [
        ((1, 11, 11), 0.9269293949252048, 17.74596460506888),
        ((1, 28, 28), 0.9070663736232027, 17.634894729163715),
        ((3, 20, 16), 0.9092653093769149, 17.96140332918818),
    ],
)
def test_scikit_image_says_the_same(shape: tuple[int, int, int], similarity: float, ratio: float) -> None:
    # scikit-image 0.26.0: structural_similarity(a, b, channel_axis=0, data_range=1, gaussian_weights=True, sigma=1.5,
    # use_sample_covariance=False), and peak_signal_noise_ratio(a, b, data_range=1).
    first, second = waves(shape)
    assert ssim(first, second).item() == pytest.approx(similarity, rel=1e-9)
    assert ssim(second, first).item() == pytest.approx(similarity, rel=1e-9)
    assert psnr(first, second).item() == pytest.approx(ratio, rel=1e-9)


def test_an_image_is_like_itself() -> None:
    image, _ = waves((3, 20, 16))
    assert ssim(image, image).item() == pytest.approx(1)
    assert psnr(image, image).item() == float("inf")


def test_constant_images_differ_in_luminance_alone() -> None:
    first, second = torch.full((1, 1, 15, 15), 0.2), torch.full((1, 1, 15, 15), 0.6)
    assert ssim(first, second).item() == pytest.approx((2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4))
    assert psnr(first, second).item() == pytest.approx(-20 * np.log10(0.4))
    # A wider range takes its peak along.
    assert ssim(255 * first, 255 * second, peak=255) == pytest.approx(ssim(first, second))
    assert psnr(255 * first, 255 * second, peak=255) == pytest.approx(psnr(first, second))


def test_the_mean_is_over_images_not_over_pixels() -> None:
    original = np.zeros((2, 1, 12, 12), dtype=np.float32)
    found = torch.stack([torch.full((1, 12, 12), 0.1), torch.full((1, 12, 12), 0.01)])
    result = quality(found, original)
    assert result.psnr_db == pytest.approx((20 + 40) / 2)
    assert result.n == 2


def test_small_images_have_no_similarity() -> None:
    small = torch.zeros(4, 1, 8, 8)
    with pytest.raises(DataError, match=r"images are \[1, 8, 8\], SSIM expects"):
        ssim(small, small)
    assert quality(small + 0.1, small.numpy()).ssim is None


def test_other_shapes_are_refused() -> None:
    with pytest.raises(DataError, match=r"are \[1, 2, 12, 12\], expected \[2, 1, 12, 12\]"):
        psnr(torch.zeros(1, 2, 12, 12), torch.zeros(2, 1, 12, 12))
