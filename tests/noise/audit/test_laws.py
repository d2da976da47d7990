"""What holds of every attack, whatever it is: a fixed tensor is worthless, no noise is the ceiling, noise without end
leaves the floor, and who sees more queries gets no less."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from blobs import SMALL, Blobs, Fixed, blobs, crossing

from noise.audit.adversary import Adversary
from noise.audit.attribute import train_attribute_classifier
from noise.audit.decoder import train_decoder
from noise.audit.floors import mean_image
from noise.audit.image_quality import quality
from noise.audit.naming import namer_of
from noise.audit.reidentification import reidentify
from noise.audit.white_box import prepare, whitening_of
from noise.gaussian import DenseNormal, GaussianNoise
from noise.laplace import LaplaceNoise, OrderedLaplace, order_of
from noise.mechanism import Mechanism

N = 20
FAST = replace(SMALL, epochs=4)
EDGE = torch.from_numpy(np.random.default_rng(0).standard_normal((144, N)) / 6).float()
FIXED = Fixed(20 * np.random.default_rng(1).standard_normal(N).astype(np.float32))


@cache
def inputs(rows: int, seed: int) -> Blobs:
    return blobs(rows, seed=seed)


def known() -> Blobs:
    return inputs(1500, 1)


def unseen() -> Blobs:
    return inputs(400, 2)


def adversaries(noise: Mechanism | None, queries: int) -> tuple[Adversary, Adversary]:
    tensors = known().tensors
    namer = namer_of(noise, tensors, seed=0) if isinstance(noise, LaplaceNoise) else None
    near, far = (crossing(one.tensors) for one in (known(), unseen()))
    return (
        Adversary(near, noise, seed=0, queries=queries, namer=namer),
        Adversary(far, noise, seed=1, queries=queries, namer=namer),
    )


def decoded(noise: Mechanism | None, queries: int = 1) -> float:
    near, far = adversaries(noise, queries)
    decoder = train_decoder(near.observe, known().images, seed=0, strength=FAST)
    return decoder.quality(far.everything(), unseen().images).psnr_db


def searched(noise: Mechanism | None, queries: int = 1) -> float:
    near, far = adversaries(noise, queries)
    shift = torch.from_numpy(FIXED.noise) if isinstance(noise, Fixed) else torch.zeros(N)
    attack = prepare(
        lambda images: torch.tanh(images.flatten(1) @ EDGE) + shift,
        near.observe,
        known().images,
        # A fixed tensor hides nothing, so it is what crosses that is known as well as clean.
        whiten=whitening_of(adversaries(None, 1)[0] if isinstance(noise, Fixed) else near),
        steps=40,
        smoothness=[0.0],
    )
    return quality(attack(far.everything()), unseen().images).psnr_db


def read(noise: Mechanism | None, queries: int = 1) -> float:
    near, far = adversaries(noise, queries)
    reader = train_attribute_classifier(near.observe, known().attribute, seed=0, strength=FAST)
    return reader.accuracy_percent(far.everything(), unseen().attribute)


def identified(noise: Mechanism | None, queries: int = 1) -> float:
    namer = adversaries(noise, 1)[0].namer
    return reidentify(noise, crossing(unseen().tensors), seeds=[0], queries=queries, namer=namer).top1_percent


def gaussian(strength: float) -> GaussianNoise:
    return GaussianNoise({"t": DenseNormal(strength * np.eye(N, dtype=np.float32))})


def laplace(strength: float) -> LaplaceNoise:
    orders = order_of(np.random.default_rng(5).standard_normal((4, N)))
    return LaplaceNoise({"t": OrderedLaplace(np.zeros(4), np.full(4, strength), orders)})


#: Each attack, what it scores where nothing crosses, and by how much two trainings of it may differ.
ATTACKS: dict[str, tuple[Callable[..., float], Callable[[], float], float]] = {
    "decoder": (decoded, lambda: mean_image(known().images, unseen().images).psnr_db, 0.5),
    "white box": (searched, lambda: mean_image(known().images, unseen().images).psnr_db, 0.3),
    "attribute": (read, lambda: 50.0, 6.0),
    "reidentification": (identified, lambda: 100 / 400, 1.5),
}


@pytest.fixture(params=ATTACKS)
def attack(request: pytest.FixtureRequest) -> tuple[Callable[..., float], Callable[[], float], float]:
    return ATTACKS[request.param]


def test_no_noise_is_the_ceiling_and_a_fixed_tensor_is_worthless(attack: tuple) -> None:
    score, floor, tolerance = attack
    clean = score(None)
    assert clean > floor() + 5
    assert score(FIXED) == pytest.approx(clean, abs=tolerance)
    assert score(gaussian(0.5)) < clean - tolerance


def test_noise_without_end_leaves_the_floor(attack: tuple) -> None:
    score, floor, tolerance = attack
    assert score(gaussian(1e4)) == pytest.approx(floor(), abs=tolerance)


@pytest.mark.parametrize("noise", [gaussian(1.5), laplace(1.5)], ids=["gaussian", "laplace"])
def test_more_queries_never_help_less(attack: tuple, noise: Mechanism) -> None:
    score, floor, tolerance = attack
    found = [score(noise, queries) for queries in ((1, 10, 100) if noise.kind == "gaussian" else (1, 100))]
    assert floor() - tolerance < found[0]
    assert all(fewer < more + tolerance for fewer, more in itertools.pairwise(found))
    assert found[-1] > found[0] + tolerance / 2 or found[-1] == 100
