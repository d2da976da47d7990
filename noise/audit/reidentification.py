"""Re-identification: which of N candidate inputs was it that crossed?

The adversary has the candidates and computes what each would send. Of noise whose density is known it names the most
likely one, which with equal odds no adversary does better than; of the paper's noise the nearest, once the named
distribution's expected noise is taken away, or one of those that the saved orders leave possible, whichever is right
more often; of clean tensors the nearest. The candidates are as hard to tell apart as the data are: among a million
fewer are named right, among photographs of one person too.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from torch import Tensor

from noise.activations import Activations
from noise.audit.adversary import Adversary
from noise.audit.contrast import NORMAL_95, contrast
from noise.audit.elimination import eliminate
from noise.audit.intervals import over_seeds
from noise.audit.naming import Namer
from noise.audit.white_box import whitening_by_element
from noise.cut_network import CutNetwork
from noise.gaussian import OfNormals
from noise.laplace import LaplaceNoise
from noise.mechanism import Mechanism
from profiles.codec import Quantisation
from profiles.errors import DataError

Array = NDArray[Any]

#: Candidates; of them those whose tensor is gone through order by order; queries that elimination goes through.
CANDIDATES, ELIMINATED, ELIMINATING_QUERIES = 1000, 200, 10
#: Squared distances nearer than this share of the tensors' size are a tie.
TIED = 1e-9


@dataclass(frozen=True)
class Identified:
    """How often the true one of `candidates` is named, percent, the mean over seeds; each has other candidates.

    bound_percent: what no adversary exceeds, where the density is known: the least of what maximum likelihood could
    still have got by its sampling error, and Fano's inequality at the contrast's upper end.
    """

    top1_percent: float
    interval: tuple[float, float] | None
    candidates: int
    attack: str
    queries: int
    by_seed: tuple[float, ...]
    bound_percent: float | None = None


def reidentify(
    noise: Mechanism | None,
    on: Activations,
    *,
    seeds: Sequence[int],
    queries: int = 1,
    candidates: int = CANDIDATES,
    namer: Namer | None = None,
    cut: CutNetwork | None = None,
    levels: Mapping[str, Quantisation] | None = None,
) -> Identified:
    """on: inputs that no noise was learned from; each seed draws its candidates among them. The rest as `Adversary`
    takes it; where the density is known the wire's rounding is left out, which only helps the adversary.

    Raises DataError for fewer than three candidates.
    """
    found = []
    for seed in seeds:
        random = np.random.default_rng([seed, 80])
        chosen = on.take(np.sort(random.permutation(len(on))[:candidates]))
        if len(chosen) < 3:
            raise DataError(f"{len(chosen)} candidates, expected 3 or more")
        if isinstance(noise, OfNormals):
            found.append(_by_likelihood(noise, chosen, queries, random))
            continue
        adversary = Adversary(chosen, noise, seed=seed, queries=queries, namer=namer, cut=cut, levels=levels)
        tries = [_by_distance(adversary, chosen)]
        if isinstance(noise, LaplaceNoise) and tries[0].percent < 100:
            tries.append(_by_elimination(noise, chosen, queries, seed, cut, levels))
        found.append(max(tries, key=lambda one: one.percent))
    percents = tuple(one.percent for one in found)
    bounds = [one.bound for one in found if one.bound is not None]
    return Identified(
        top1_percent=math.fsum(percents) / len(percents),
        interval=over_seeds(percents),
        candidates=min(candidates, len(on)),
        attack=max(found, key=lambda one: one.percent).attack,
        queries=queries,
        by_seed=percents,
        bound_percent=max(bounds, default=None),
    )


@dataclass(frozen=True)
class _Try:
    percent: float
    attack: str
    bound: float | None = None


def _by_likelihood(noise: OfNormals, on: Activations, queries: int, random: np.random.Generator) -> _Try:
    # The mean of k queries tells all that they tell, and has noise of Σn / k.
    whitened = torch.from_numpy(np.asarray(noise.whitened(on.tensors), dtype=np.float64)) * math.sqrt(queries)
    found = contrast(whitened, random)
    share = found.identified_percent / 100
    # Agresti and Coull, 1998: holds where nothing, or everything, was named right.
    count = found.samples + NORMAL_95**2
    middle = (share * found.samples + NORMAL_95**2 / 2) / count
    sampled = middle + NORMAL_95 * math.sqrt(middle * (1 - middle) / count)
    bound = min(100.0, 100 * sampled, fano_percent(found.interval_nats[1], found.samples))
    return _Try(found.identified_percent, "maximum likelihood", max(bound, found.identified_percent))


def _by_distance(adversary: Adversary, on: Activations) -> _Try:
    candidates = torch.from_numpy(adversary.carried)
    whiten: Callable[[Tensor], Tensor] = lambda tensors: tensors  # noqa: E731
    if adversary.noise is not None:
        whiten = whitening_by_element(adversary.noise_deviations)
        # What is seen may lie about another place than the candidate: by the mean of the noise.
        candidates = candidates + torch.from_numpy(adversary.noise_mean)
    percent = nearest_percent(whiten(adversary.everything()), whiten(candidates), np.arange(len(on)))
    return _Try(percent, "nearest" if adversary.namer is None else "nearest after naming")


def _by_elimination(
    noise: LaplaceNoise,
    on: Activations,
    queries: int,
    seed: int,
    cut: CutNetwork | None,
    levels: Mapping[str, Quantisation] | None,
) -> _Try:
    adversary = Adversary(on, noise, seed=seed, cut=cut, levels=levels)
    true = np.linspace(0, len(on) - 1, min(ELIMINATED, len(on))).astype(np.int64)
    seen = [adversary.observe(torch.from_numpy(true)).numpy() for _ in range(min(queries, ELIMINATING_QUERIES))]
    wire = "float32" if cut is None else cut.wire
    found = eliminate(noise, seen, adversary.carried, true, wire=wire, levels=levels)
    return _Try(found.identified_percent, "elimination by order")


def nearest_percent(observed: Tensor, candidates: Tensor, true: NDArray[np.int64]) -> float:
    """How often the nearest of the candidates [N, d] to what is seen [m, d] is the true one [m], percent; of those
    that are equally near one is drawn."""
    centre = candidates.double().mean(dim=0)
    seen, all_ = observed.double() - centre, candidates.double() - centre
    norms = all_.square().sum(dim=1)
    total = 0.0
    for part, own in zip(torch.split(seen, 1000), torch.split(torch.from_numpy(true), 1000), strict=True):
        ranking = norms - 2 * part @ all_.T
        least = ranking.min(dim=1, keepdim=True).values
        size = part.square().sum(dim=1, keepdim=True) + norms
        tied = ranking <= least + TIED * size
        total += float((tied.gather(1, own[:, None]).squeeze(1) / tied.sum(dim=1)).sum())
    return 100 * total / len(true)


def fano_percent(nats: float, candidates: int) -> float:
    """How often anyone names the right one of N equally likely inputs at most, from I(index; a') in nats.

    R. M. Fano, 1961: h(e) + e ln(N − 1) ≥ ln N − I for a share e of errors. The contrast among the N is the mean of
    a quantity whose expectation is that I.
    """
    missing = math.log(candidates) - nats
    if missing <= 0:
        return 100.0

    def short(error: float) -> float:
        entropy = -sum(one * math.log(one) for one in (error, 1 - error) if one > 0)
        return entropy + error * math.log(candidates - 1) - missing

    chance = 1 - 1 / candidates  # where the left side is largest: ln N
    return 100.0 / candidates if short(chance) <= 0 else 100 * (1 - float(brentq(short, 0.0, chance)))
