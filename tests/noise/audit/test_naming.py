import math

import numpy as np
import pytest
import torch

from noise.audit.naming import fit_namer
from noise.laplace import LaplaceNoise, OrderedLaplace, order_of
from noise.randomness import SeededRandom
from profiles.errors import DataError


def test_the_papers_distributions_are_named_from_one_tensor() -> None:
    random = np.random.default_rng(0)
    tensors = torch.from_numpy(random.standard_normal((2000, 60)).astype(np.float32))
    noise = OrderedLaplace(np.zeros(20), np.ones(20), order_of(random.standard_normal((20, 60))))
    draws = noise.draw(np.repeat(np.arange(20), 200), SeededRandom(1)).reshape(20, 200, 60)
    namer = fit_namer(tensors, torch.from_numpy(draws))
    which = random.integers(20, size=2000)
    drawn = torch.from_numpy(noise.draw(which, SeededRandom(2)))
    observed = tensors + drawn
    assert (namer(observed).numpy() == which).mean() > 0.999
    # What is left of the noise is the little that is random.
    assert (namer.without_expected_noise(observed) - tensors).var() < 0.1 * drawn.var()


def test_two_gaussians_are_told_apart_as_often_as_can_be() -> None:
    # Means 2 apart under a deviation of √2 in all: right with probability Φ(1 / √2).
    random = np.random.default_rng(3)
    means = torch.tensor([[-1.0], [1.0]])
    tensors = torch.from_numpy(random.standard_normal((20000, 1)))
    namer = fit_namer(tensors, means[:, None] + torch.from_numpy(random.standard_normal((2, 20000, 1))))
    which = torch.from_numpy(random.integers(2, size=20000))
    observed = torch.from_numpy(random.normal(0, math.sqrt(2), (20000, 1))) + means[which]
    best = 0.5 * (1 + math.erf(1 / math.sqrt(2) / math.sqrt(2)))
    assert (namer(observed) == which).double().mean().item() == pytest.approx(best, abs=0.01)


def test_elements_that_never_vary_do_no_harm() -> None:
    tensors = torch.randn(500, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.0, 1.0, 0.0])
    noise = LaplaceNoise({"a": OrderedLaplace(np.zeros(2), np.zeros(2), np.tile(np.arange(4), (2, 1)))})
    (drawn,) = noise.draw(20, SeededRandom(0))
    namer = fit_namer(tensors, torch.from_numpy(drawn).reshape(2, 10, 4))
    assert torch.isfinite(namer.without_expected_noise(tensors)).all()


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match=r"expected \[N, n\], \[d, r, n\]"):
        fit_namer(torch.zeros(10, 3), torch.zeros(2, 10, 4))
