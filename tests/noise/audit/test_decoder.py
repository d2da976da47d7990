import dataclasses

import numpy as np
import pytest
import torch
from blobs import SMALL, Blobs, blobs, under_noise
from torch import Tensor

from noise.audit.decoder import Decoder, train_decoder
from noise.audit.floors import mean_image
from noise.audit.training import Observe


@pytest.fixture(scope="module")
def known() -> Blobs:
    return blobs(4000, seed=1)


@pytest.fixture(scope="module")
def unseen() -> Blobs:
    return blobs(1000, seed=2)


@pytest.fixture(scope="module")
def clean(known: Blobs) -> Decoder:
    return train_decoder(lambda rows: known.tensors[rows], known.images, seed=0, strength=SMALL)


def test_without_noise_the_picture_is_there(clean: Decoder, known: Blobs, unseen: Blobs) -> None:
    found = clean.quality(unseen.tensors, unseen.images)
    assert found.psnr_db > mean_image(known.images, unseen.images).psnr_db + 15
    assert found.ssim is not None
    assert found.ssim > 0.95
    assert found.n == 1000


def test_a_fixed_noise_tensor_is_worthless(clean: Decoder, known: Blobs, unseen: Blobs) -> None:
    fixed = 100 * torch.randn(20, generator=torch.Generator().manual_seed(0))
    decoder = train_decoder(lambda rows: known.tensors[rows] + fixed, known.images, seed=0, strength=SMALL)
    found = decoder.quality(unseen.tensors + fixed, unseen.images)
    assert found.psnr_db == pytest.approx(clean.quality(unseen.tensors, unseen.images).psnr_db, abs=0.5)


def test_noise_without_end_leaves_the_mean_image(known: Blobs, unseen: Blobs) -> None:
    decoder = train_decoder(under_noise(known.tensors, 1e6), known.images, seed=0, strength=SMALL)
    observed = under_noise(unseen.tensors, 1e6)(torch.arange(1000))
    floor = mean_image(known.images, unseen.images)
    assert decoder.quality(observed, unseen.images).psnr_db == pytest.approx(floor.psnr_db, abs=0.2)


def test_more_noise_leaves_less(clean: Decoder, known: Blobs, unseen: Blobs) -> None:
    found = [clean.quality(unseen.tensors, unseen.images).psnr_db]
    for scale in (0.1, 0.5, 2.0):
        decoder = train_decoder(under_noise(known.tensors, scale), known.images, seed=0, strength=SMALL)
        observed = under_noise(unseen.tensors, scale)(torch.arange(1000))
        found.append(decoder.quality(observed, unseen.images).psnr_db)
    assert found == sorted(found, reverse=True)


def test_of_gaussians_it_comes_to_the_least_error_there_is() -> None:
    # Images N(0, I) under noise of variance 1: no estimate has less squared error an element than 1/2.
    generator = torch.Generator().manual_seed(0)
    images, unseen = (torch.randn(rows, 1, 2, 3, generator=generator) for rows in (8000, 4000))
    decoder = train_decoder(under_noise(images.flatten(1), 1.0), images.numpy(), seed=0, strength=SMALL)
    observed = under_noise(unseen.flatten(1), 1.0)(torch.arange(4000))
    error = float((decoder(observed) - unseen).square().mean())
    assert 0.5 - 0.01 < error < 0.5 * 1.04


def test_every_step_observes_anew(known: Blobs) -> None:
    asked: list[Tensor] = []

    def observe(rows: Tensor) -> Tensor:
        asked.append(rows)
        return known.tensors[rows]

    train_decoder(observe, known.images, seed=0, strength=dataclasses.replace(SMALL, epochs=2))
    steps = [rows for rows in asked if len(rows) == SMALL.batch]
    assert len(steps) == 2 * (3600 // SMALL.batch)
    # The last tenth judges, and is never learned from.
    assert max(int(rows.max()) for rows in steps) == 3599


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-2.0, 3.0)])
def test_it_answers_in_the_range_of_the_images(low: float, high: float) -> None:
    known = blobs(1000, seed=1)
    images = (low + (high - low) * known.images).astype(np.float32)
    decoder = train_decoder(lambda rows: known.tensors[rows], images, seed=0, strength=SMALL)
    found = decoder(known.tensors)
    assert found.shape == images.shape
    assert float((found - torch.from_numpy(images)).square().mean()) < 0.2 * images.var()
    assert (float(found.min()) >= 0 and float(found.max()) <= 1) == (low == 0)


def test_a_seed_repeats_it_and_leaves_the_callers_generator(known: Blobs) -> None:
    observe: Observe = under_noise(known.tensors, 0.5)
    small = dataclasses.replace(SMALL, epochs=1)
    state = torch.random.get_rng_state()
    one, same, other = (train_decoder(observe, known.images, seed=seed, strength=small) for seed in (3, 3, 4))
    assert torch.equal(one(known.tensors), same(known.tensors))
    assert not torch.equal(one(known.tensors), other(known.tensors))
    assert torch.equal(state, torch.random.get_rng_state())
