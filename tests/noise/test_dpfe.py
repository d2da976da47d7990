"""The rival of benchmarks/dpfe: its loss by the definition, its auto-encoder, its noise; no comparison is run."""

import importlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "dpfe"


@pytest.fixture(scope="module")
def dpfe() -> Iterator[Any]:
    """Its files, which import one another as a script's do; their names are no one else's afterwards."""
    names = [one.stem for one in BENCHMARK.glob("*.py")]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARK))
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    for name in names:
        sys.modules.pop(name, None)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_pair_terms_are_their_definition(dpfe: Any) -> None:
    features, private = 3 * drawn(9, 4).double(), torch.tensor([0, 1, 2, 0, 1, 2, 0, 0, 1])
    near, far, count = 0.0, 0.0, 0
    for i in range(9):
        for j in range(i):
            distance = math.dist(features[i].tolist(), features[j].tolist())
            count += 1
            if private[i] == private[j]:
                far += max(0.0, 5.0 - distance) ** 2
            else:
                near += distance**2
    assert float(dpfe.losses.attraction(features, private)) == pytest.approx(near / count / 2)
    assert float(dpfe.losses.repulsion(features, private, margin=5.0)) == pytest.approx(far / count / 2)


def test_the_weight_is_of_both_pair_terms_and_of_them_alone(dpfe: Any) -> None:
    terms = dpfe.losses.three_terms(drawn(6, 3), torch.tensor([0, 1, 2] * 2), drawn(6, 2), torch.tensor([0, 1] * 3))
    both = float(terms.attraction + terms.repulsion)
    assert float(terms.loss(weight=0.0)) == float(terms.cross_entropy)
    assert float(terms.loss(weight=0.5)) == pytest.approx(float(terms.cross_entropy) + 0.5 * both)


def test_features_that_coincide_have_a_gradient(dpfe: Any) -> None:
    features = torch.zeros(4, 3, requires_grad=True)
    private = torch.tensor([0, 0, 1, 1])
    (dpfe.losses.attraction(features, private) + dpfe.losses.repulsion(features, private)).backward()
    assert features.grad is not None
    assert bool(torch.isfinite(features.grad).all())


def test_it_starts_as_the_projection_on_principal_components(dpfe: Any) -> None:
    tensors = drawn(300, 6) @ drawn(6, 6, seed=1) + 2
    mean = tensors.mean(dim=0)
    _, _, vectors = torch.linalg.svd(tensors - mean, full_matrices=False)
    for features in (2, 6):
        made = dpfe.autoencoder.AutoEncoder.of_principal_components(tensors, features).eval()
        kept = vectors[:features].T @ vectors[:features]
        code = made.encode(tensors)
        assert torch.allclose(made.decode(code), (tensors - mean) @ kept + mean, atol=1e-3)
        assert torch.allclose(code.var(dim=0), torch.ones(features), atol=1e-3)


def test_the_noise_has_its_covariance_and_its_bound_is_exact_for_gaussian_features(dpfe: Any) -> None:
    features = drawn(200_000, 3) @ torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 1.0, 1.0]])
    noise = dpfe.scaled_noise.ScaledNoise.of(features).scaled(0.3)
    covariance = torch.cov(features.T)
    added = torch.cov((noise.add(features, torch.Generator().manual_seed(1)) - features).T)
    assert torch.allclose(added, 0.3 * covariance, atol=0.03)
    channel = 0.5 * float(torch.logdet(covariance + 0.3 * covariance) - torch.logdet(0.3 * covariance))
    assert noise.bound_nats == pytest.approx(channel, rel=1e-4)


def test_the_strongest_noise_just_keeps_the_budget(dpfe: Any) -> None:
    found = dpfe.scaled_noise.strongest(lambda scale: 3 * scale, budget_points=1.5)
    assert 0.5 / 1.02 <= found <= 0.5
    assert dpfe.scaled_noise.strongest(lambda scale: 2 + scale, budget_points=1.5) is None


def separation(dpfe: Any, *, weight: float, seed: int) -> tuple[float, float]:
    """Squared distance of the private classes' means, of features of variance 1, and the primary accuracy."""
    inputs = drawn(1000, 4) * torch.tensor([1.0, 2.0, 0.5, 0.5])
    labels, private = (inputs[:, 0] > 0).long(), (inputs[:, 1] > 0).long()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Sequential()
        for name, layer in (("a", nn.Linear(4, 16)), ("b", nn.Tanh()), ("c", nn.Linear(16, 2))):
            layers.add_module(name, layer)
    network = dpfe.autoencoder.Dpfe.of(layers, at="b", inputs=inputs, features=3)
    fit = dpfe.autoencoder.Fit(steps=120, batch=64, learning_rate=1e-2)
    dpfe.autoencoder.train(network, inputs, labels, private, weight=weight, fit=fit, seed=seed)
    with torch.inference_mode():
        features = network.features(inputs)
        right = float((network.answer(features).argmax(1) == labels).float().mean())
    return float((features[private == 0].mean(0) - features[private == 1].mean(0)).square().sum()), right


def test_the_pair_terms_hide_what_cross_entropy_leaves(dpfe: Any) -> None:
    plain, hidden = (separation(dpfe, weight=weight, seed=0) for weight in (0.0, 1.0))
    assert hidden[0] < 0.4 * plain[0]
    assert min(plain[1], hidden[1]) > 0.95
    assert separation(dpfe, weight=1.0, seed=0) == hidden


def test_a_row_that_was_kept_is_not_made_again(dpfe: Any, tmp_path: Path) -> None:
    row = dpfe.run.Row("mnist", "dpfe", 0.01, 1.5, 0, "full", primary_percent=98.0)
    for seed in (0, 1):
        dpfe.run.keep(tmp_path / "rows.csv", dpfe.run.Row(*row.key[:4], seed, "full"))
    assert row.key in (found := dpfe.run.done(tmp_path / "rows.csv"))
    assert len(found) == 2


@pytest.mark.parametrize("network", ["lenet", "cifar10", "svhn", "alexnet"])
def test_learned_parameters_are_the_share_that_the_paper_prints(dpfe: Any, network: str) -> None:
    entry = dpfe.run.ZOO[network]
    share = dpfe.run.share_percent(entry.paper_elements, entry.parameters)
    assert share == pytest.approx(dpfe.run.PRINTED_PERCENT[network], abs=0.0055)


def test_the_auto_encoder_counts_as_what_it_has(dpfe: Any) -> None:
    layers = nn.Sequential()
    layers.add_module("a", nn.Linear(4, 16))
    layers.add_module("b", nn.Linear(16, 2))
    network = dpfe.autoencoder.Dpfe.of(layers, at="a", inputs=drawn(100, 4), features=3)
    own = sum(one.numel() for one in layers.parameters())
    whole = sum(one.numel() for one in network.parameters())
    assert 100 * 16 / whole == pytest.approx(dpfe.run.share_percent(16, own, features=3))
