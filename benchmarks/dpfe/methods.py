"""The rivals at a budget: DPFE, Shredder by Equation 4 and by Equation 5, and `channel` told of the private label.

All are compared at equal loss of primary accuracy: each is learned at the budget, then its noise's strength is set
once more, on the test set, to just the budget.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from autoencoder import ROWS, Dpfe, Fit, train
from bench import Bench, Sent
from scaled_noise import ScaledNoise, strongest

from noise import learning
from noise.augmentation import augmented
from noise.calibration import calibrated
from noise.gaussian_start import covariance_nats
from noise.learning_options import Options
from noise.recipes import recipe_of
from noise.task import Budget, Task
from profiles.errors import InfeasibleError, NoiseError
from profiles.zoo.catalog import ZOO

#: What each is swept over beside the budget: DPFE's weight of its second and third term (0: cross-entropy alone),
#: γ of Equation 5 (Table 2 has 0.01) and of `channel`.
SWEPT: dict[str, tuple[float, ...]] = {
    "equation-4": (0.0,),
    "equation-5": (0.01, 0.1),
    "channel": (10.0,),
    "dpfe": (0.0, 0.01, 0.1, 1.0),
}


@dataclass(frozen=True)
class Point:
    """A method at a budget. reached_points: lost, on the test set; None where nothing was learned. sent: None where
    no noise keeps the budget.
    parameters: learned numbers. elements: numbers that cross. bound_nats: proven, where the noise is Gaussian."""

    budget_points: float
    reached_points: float | None
    sent: Sent | None
    parameters: int
    elements: int
    bound_nats: float | None


def points(
    bench: Bench, method: str, value: float, budgets: Sequence[float], *, seed: int, quick: bool
) -> Iterator[Point]:
    """The method at each budget, smallest first."""
    if method == "dpfe":
        yield from _dpfe(bench, value, budgets, seed=seed, quick=quick)
        return
    for budget in budgets:
        yield _added(bench, method, value, budget, seed=seed, quick=quick)


def _added(bench: Bench, method: str, value: float, budget: float, *, seed: int, quick: bool) -> Point:
    """Noise added to the network as it is."""
    kind = "channel" if method == "channel" else "laplace"
    private = None if method == "equation-4" else bench.data.train.private[bench.setting.private]
    options = Options(gamma=value or None)
    if quick:
        laplace, gaussian = replace(options.laplace, steps=100), replace(options.gaussian, steps=300)
        options = replace(options, count=4, laplace=laplace, gaussian=gaussian)
    try:
        learned = learning.learn(
            bench.plan, bench.data, kind=kind, budget_points=budget, seed=seed, private=private, options=options
        )
    except (InfeasibleError, NoiseError) as error:  # none fits; no Laplace fits what a large γ makes
        print(f"{method}, {value:g}, {budget:g} points: {error}", file=sys.stderr)
        return Point(budget, None, None, 0, bench.cut.elements, None)
    judged = Task(bench.cut, bench.train, bench.test, Budget(budget), seed)
    found = calibrated(judged, learned.noise)  # type: ignore[arg-type]
    if found.noise is None:
        return Point(budget, found.needed, None, learned.found.parameters, bench.cut.elements, None)
    bound = None
    if kind == "channel":
        bound = covariance_nats(found.noise, bench.train, bench.test)
    sent = bench.under(found.noise, seed=seed)
    return Point(budget, found.needed, sent, learned.found.parameters, bench.cut.elements, bound)


def _dpfe(bench: Bench, weight: float, budgets: Sequence[float], *, seed: int, quick: bool) -> Iterator[Point]:
    """One network, retrained once; the budget decides how much noise is added to its features."""
    setting, data = bench.setting, bench.data.without_holdout()
    inputs, recipe = torch.from_numpy(data.inputs), recipe_of(setting.network)
    layers = ZOO[setting.network].build()
    assert isinstance(layers, torch.nn.Sequential)
    network = Dpfe.of(layers, at=setting.at, inputs=inputs[:20_000])
    fit = Fit(steps=setting.steps // (10 if quick else 1), batch=setting.batch)
    labels, private = torch.from_numpy(data.labels), torch.from_numpy(bench.private_train)
    train(
        network,
        inputs,
        labels,
        private,
        weight=weight,
        fit=fit,
        seed=seed,
        augmented=lambda batch: augmented(batch, recipe),
    )
    network.requires_grad_(False)
    near, far = (_features(network, one) for one in (inputs, torch.from_numpy(bench.data.test.inputs)))
    noise = ScaledNoise.of(near)
    parameters, elements = sum(one.numel() for one in network.parameters()), far.shape[1]
    for budget in budgets:
        scale = strongest(lambda one: _loss_points(bench, network, far, noise.scaled(one)), budget_points=budget)
        if scale is None:
            lost = bench.clean_percent - _percent(bench, network.answer(far))
            yield Point(budget, lost, None, parameters, elements, None)
            continue
        set_to = noise.scaled(scale)
        lost = _loss_points(bench, network, far, set_to)
        sent = _sent(network, near, far, set_to, weight=weight, seed=seed)
        yield Point(budget, lost, sent, parameters, elements, set_to.bound_nats)


def _sent(
    network: Dpfe, near: torch.Tensor, far: torch.Tensor, noise: ScaledNoise, *, weight: float, seed: int
) -> Sent:
    first, second = (torch.Generator().manual_seed(1000 * seed + one) for one in (1, 2))
    return Sent(
        f"dpfe {weight:g}",
        lambda rows: near[rows],
        lambda rows: noise.add(near[rows], first),
        lambda: noise.add(far, second),
        lambda: network.auto_encoder.decode(noise.add(far, second)),
    )


def _features(network: Dpfe, inputs: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        found = torch.cat([network.features(one) for one in torch.split(inputs, ROWS)])
    return found.clone()


def _loss_points(bench: Bench, network: Dpfe, features: torch.Tensor, noise: ScaledNoise) -> float:
    """Points lost on the test set against the network as it was; the same draws for every scale."""
    random = torch.Generator().manual_seed(0)
    draws = max(2, 20_000 // len(features))
    found = [_percent(bench, network.answer(noise.add(features, random))) for _ in range(draws)]
    return bench.clean_percent - sum(found) / draws


def _percent(bench: Bench, logits: torch.Tensor) -> float:
    return 100 * float((logits.argmax(1) == torch.from_numpy(bench.test.labels)).double().mean())
