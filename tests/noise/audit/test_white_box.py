import numpy as np
import pytest
import torch
from blobs import SMALL, blobs, crossing, under_noise
from torch import Tensor

from noise.audit import white_box
from noise.audit.adversary import Adversary
from noise.audit.decoder import train_decoder
from noise.audit.image_quality import quality
from noise.audit.white_box import invert, prepare, whitening_of
from noise.gaussian import DenseNormal, GaussianNoise
from noise.laplace import LaplaceNoise, OrderedLaplace
from profiles.errors import DataError

EDGE = torch.from_numpy(np.random.default_rng(0).standard_normal((144, 20)) / 6).float()


def half(images: Tensor) -> Tensor:
    """The edge half of the blobs: 144 pixels → 20 elements."""
    return torch.tanh(images.flatten(1) @ EDGE)


def test_of_a_linear_half_without_noise_it_is_the_image() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(50, 1, 4, 5, generator=generator)
    weight = torch.linalg.qr(torch.randn(30, 20, generator=generator))[0]
    start = torch.full_like(images, 0.5)
    found = invert(lambda x: x.flatten(1) @ weight.T, images.flatten(1) @ weight.T, start, steps=150)
    assert quality(found, images.numpy()).psnr_db > 60


def test_it_is_the_most_likely_image_where_that_has_a_closed_form() -> None:
    # x ~ N(m, v), a' = x + L z: x̂ = m + v (v + L Lᵀ)⁻¹ (a' − m), far from 0 and 1.
    random = np.random.default_rng(1)
    n, v = 12, 0.01
    factor = torch.from_numpy(0.1 * (np.tril(random.standard_normal((n, n)) / n) + np.eye(n))).float()
    mean = torch.full((40, 1, 3, 4), 0.5)
    observed = 0.5 + 0.1 * torch.from_numpy(random.standard_normal((40, n))).float()
    found = invert(
        lambda x: x.flatten(1),
        observed,
        mean,
        whiten=lambda t: torch.linalg.solve_triangular(factor, t.T, upper=False).T,
        steps=200,
        spread=v**0.5 * torch.linalg.qr(torch.from_numpy(random.standard_normal((n, n))).float())[0],
    )
    gain = v * torch.linalg.inv(v * torch.eye(n) + factor @ factor.T)
    expected = (0.5 + (observed - 0.5) @ gain.T).clamp(0, 1)
    assert torch.allclose(found.flatten(1), expected, atol=2e-3)


def test_of_clean_tensors_it_beats_the_decoder_it_starts_from() -> None:
    known, unseen = blobs(2000, seed=1), blobs(100, seed=2)
    near = Adversary(crossing(known.tensors), None, seed=0)
    decoder = train_decoder(near.observe, known.images, seed=0, strength=SMALL)
    attack = prepare(half, near.observe, known.images, whiten=whitening_of(near), decoder=decoder, steps=60)
    plain = decoder.quality(unseen.tensors, unseen.images).psnr_db
    assert quality(attack(unseen.tensors), unseen.images).psnr_db > plain + 1
    # What it chose is the best of what it tried on images of its own.
    assert len(attack.scores_db) == 6
    chosen = max(attack.scores_db, key=lambda name: attack.scores_db[name])
    assert chosen.startswith(attack.guess.name)
    assert attack.words.startswith(f"60 steps of Adam from the {attack.guess.name}")


def test_noise_without_end_leaves_the_mean_image() -> None:
    known, unseen = blobs(500, seed=1), blobs(50, seed=2)
    noise = GaussianNoise({"t": DenseNormal(1e5 * np.eye(20, dtype=np.float32))})
    near = Adversary(crossing(known.tensors), noise, seed=0)
    seen = Adversary(crossing(unseen.tensors), noise, seed=1).everything()
    attack = prepare(half, near.observe, known.images, whiten=whitening_of(near), steps=60, smoothness=[0.0])
    mean = torch.from_numpy(known.images).mean(dim=0)
    assert torch.allclose(attack(seen), mean.expand(50, 1, 12, 12), atol=0.01)


def test_whitening_makes_the_noise_of_any_kind_and_number_of_queries_of_one_size() -> None:
    known = blobs(3000, seed=1)
    orders = np.argsort(np.random.default_rng(3).standard_normal((4, 20)), axis=1)
    laplace = LaplaceNoise({"t": OrderedLaplace(np.zeros(4), np.full(4, 0.7), orders)})
    gaussian = GaussianNoise({"t": DenseNormal(np.diag(np.linspace(0.5, 2, 20)).astype(np.float32))})
    for noise in (laplace, gaussian):
        for queries in (1, 7):
            near = Adversary(crossing(known.tensors), noise, seed=0, queries=queries)
            whiten = whitening_of(near)
            left = whiten(near.everything()) - whiten(known.tensors)
            assert left.std(dim=0).numpy() == pytest.approx(np.ones(20), rel=0.1)


def test_smoothness_is_total_variation() -> None:
    image = torch.tensor([[[[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]]])
    assert white_box.total_variation(image).tolist() == [2 + 1]
    assert white_box.total_variation(torch.tensor([[0.0, 2.0, 1.0]])).tolist() == [3]
    known, unseen = blobs(500, seed=1), blobs(50, seed=2)
    observe = under_noise(known.tensors, 0.3)
    torch.manual_seed(0)
    rough, smooth = (
        prepare(half, observe, known.images, whiten=lambda t: t / 0.3, steps=60, smoothness=[share])
        for share in (0.0, 1.0)
    )
    seen = under_noise(unseen.tensors, 0.3)(torch.arange(50))
    assert white_box.total_variation(smooth(seen)).mean() < white_box.total_variation(rough(seen)).mean()


def test_images_beyond_the_peak_and_guesses_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match=r"images from -1 to 1, expected values in \[0, 1\]"):
        prepare(half, lambda rows: EDGE[rows], np.array([[-1.0], [1.0]], np.float32))
    with pytest.raises(DataError, match="3 tensors and 2 first guesses"):
        invert(half, torch.zeros(3, 20), torch.zeros(2, 1, 12, 12))
