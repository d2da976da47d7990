import math

import numpy as np
import pytest
import torch
from blobs import Fixed, crossing

from noise.audit.contrast import contrast
from noise.audit.naming import namer_of
from noise.audit.reidentification import fano_percent, nearest_percent, reidentify
from noise.gaussian import DenseNormal, GaussianNoise
from noise.laplace import LaplaceNoise, OrderedLaplace, order_of
from noise.mechanism import Mechanism
from profiles.errors import DataError

N = 12


def inputs(rows: int, *, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, N, generator=torch.Generator().manual_seed(seed))


def gaussian(strength: float) -> GaussianNoise:
    return GaussianNoise({"t": DenseNormal(strength * np.eye(N, dtype=np.float32))})


def laplace(strength: float) -> LaplaceNoise:
    orders = order_of(np.random.default_rng(5).standard_normal((3, N)))
    return LaplaceNoise({"t": OrderedLaplace(np.zeros(3), np.full(3, strength), orders)})


def named(noise: Mechanism | None, queries: int = 1, *, candidates: int = 400) -> float:
    namer = namer_of(noise, inputs(2000, seed=3), seed=0) if isinstance(noise, LaplaceNoise) else None
    on = crossing(inputs(1000))
    return reidentify(noise, on, seeds=[0, 1], queries=queries, candidates=candidates, namer=namer).top1_percent


def test_without_noise_every_input_is_named_and_copies_by_chance() -> None:
    assert named(None) == 100
    twice = torch.cat([inputs(20), inputs(20)])
    assert reidentify(None, crossing(twice), seeds=[0]).top1_percent == pytest.approx(50)


def test_noise_without_end_leaves_chance() -> None:
    assert named(gaussian(1e4)) < 1.5
    assert named(laplace(1e4)) < 3


def test_a_fixed_tensor_is_worthless() -> None:
    fixed = Fixed(100 * np.random.default_rng(1).standard_normal(N).astype(np.float32))
    assert named(fixed) == 100


def test_saved_orders_name_inputs_that_lie_too_near_each_other_for_distances() -> None:
    on = crossing(inputs(1000))
    found = reidentify(laplace(1.5), on, seeds=[0])
    assert found.attack == "elimination by order"
    assert found.top1_percent > reidentify(gaussian(1.5 * 2**0.5), on, seeds=[0]).top1_percent + 10


@pytest.mark.parametrize("make", [gaussian, laplace])
def test_more_queries_name_more(make: type) -> None:
    noise = make(1.5)
    found = [named(noise, queries) for queries in (1, 10, 100)]
    assert found[0] <= found[1] + 0.5 <= found[2] + 1
    assert found[2] > 99


def test_it_is_maximum_likelihood_and_stays_below_its_bound() -> None:
    for strength in (0.3, 1.0, 3.0):
        found = reidentify(gaussian(strength), crossing(inputs(1000)), seeds=[0, 1, 2], candidates=300)
        assert found.attack == "maximum likelihood"
        assert found.bound_percent is not None
        assert found.top1_percent <= found.bound_percent <= 100
        assert found.interval is not None
        assert found.interval[0] <= found.top1_percent <= found.interval[1]
        estimate = contrast(inputs(1000)[:300] / strength, np.random.default_rng(9))
        # The same number from elsewhere, within its sampling error.
        assert found.top1_percent == pytest.approx(estimate.identified_percent, abs=7)
        assert estimate.identified_percent < fano_percent(estimate.nats, 300) + 1


def test_the_nearest_is_the_definition() -> None:
    seen, candidates = inputs(50), inputs(80, seed=1) + 1000
    true = np.arange(50)
    distances = torch.cdist(seen.double() + 1000, candidates.double(), compute_mode="donot_use_mm_for_euclid_dist")
    expected = 100 * (distances.argmin(dim=1).numpy() == true).mean()
    assert nearest_percent(seen + 1000, candidates, true) == pytest.approx(expected)


def test_fanos_bound_is_tight_where_errors_are_evenly_spread() -> None:
    # A channel that is right with probability 1 − e and else names any other: equality.
    candidates, error = 50, 0.3
    entropy = -error * math.log(error / (candidates - 1)) - (1 - error) * math.log(1 - error)
    assert fano_percent(math.log(candidates) - entropy, candidates) == pytest.approx(70)
    assert fano_percent(0.0, candidates) == pytest.approx(2, abs=0.01)
    assert fano_percent(math.log(candidates), candidates) == 100


def test_too_few_candidates_are_refused() -> None:
    with pytest.raises(DataError, match="2 candidates, expected 3 or more"):
        reidentify(None, crossing(inputs(2)), seeds=[0])
