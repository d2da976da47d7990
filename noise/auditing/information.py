"""What an audit says of I(x; a'): estimates, lower bounds, and the proven upper bounds, as stages."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import torch

from noise.audit import kraskov, nearest_neighbours
from noise.audit.contrast import ContrastEstimate, contrast
from noise.audit.covariance_bound import Bound
from noise.audit.infonce import InfoNCE, infonce
from noise.audit.neighbours import NeighbourEstimate
from noise.audit.ordered_laplace_bound import MOST_ELEMENTS, ordered_laplace_bounds
from noise.audit.record import Information
from noise.audit.remarks import remarks
from noise.audit.training import Strength, Training
from noise.auditing.effort import Effort
from noise.auditing.grounds import CLEAN, Array, Subject, side_by_side
from noise.auditing.stage import Done, Result, Stage
from noise.bounding import bounds, judged_rows
from noise.collection import BoundFacts
from noise.gaussian_start import bound_rows
from noise.mechanism import GaussianMechanism

#: How both sides of the estimates enter.
SCALING = "ITE: images in [0, 1], tensors as they are; KSG: each side to a total variance of 1"


@dataclass(frozen=True)
class Estimates:
    """Stages that estimate or bound what a subject tells."""

    subject: Subject
    effort: Effort
    seed: int

    def stages(self) -> Iterator[Stage]:
        name, noise = self.subject.name, self.subject.noise
        yield Stage(name, "ite", self.seed, self.ite)
        yield Stage(name, "ksg", self.seed, self.ksg)
        yield Stage(name, "infonce", self.seed, self.infonce)
        if self.subject.laplace is not None and noise is not None and noise.elements <= MOST_ELEMENTS:
            yield Stage(name, "bounds", self.seed, self.ordered)
        elif noise is not None and self.subject.laplace is None:
            yield Stage(name, "bounds", self.seed, self.bounds)
            yield Stage(name, "contrast", self.seed, self.contrast)

    def ite(self) -> Result:
        """The paper's estimate."""
        return Result(asdict(nearest_neighbours.information(*self._pairs(), seed=self.seed)))

    def ksg(self) -> Result:
        """Kraskov's, of the same pairs."""
        return Result(asdict(kraskov.information(*self._pairs(), seed=self.seed)))

    def infonce(self) -> Result:
        """Learned, from below; of the clean tensor instead of the input, of which it tells as much."""
        on = self.subject.grounds
        near, far = (
            self.subject.adversary(rows, seed=seed + self.seed) for rows, seed in ((on.known, 5000), (on.pairs, 6000))
        )
        found = infonce(
            near.observe,
            side_by_side(on.known.tensors),
            far.observe,
            side_by_side(on.pairs.tensors),
            seed=self.seed,
            strength=self.effort.critic,
        )
        return Result(asdict(found))

    def _pairs(self) -> tuple[Array, Array]:
        seen = self.subject.adversary(self.subject.grounds.pairs, seed=4000 + self.seed).everything().numpy()
        return self.subject.grounds.inputs, seen

    def ordered(self) -> Result:
        """Proven, of the paper's noise: for one query and several."""
        noise, on = self.subject.laplace, self.subject.grounds
        assert noise is not None
        inside, outside = (side_by_side(one.tensors) for one in (bound_rows(on.known), judged_rows(on.every)))
        found = ordered_laplace_bounds(noise, inside, outside, repeats=self.effort.queries)
        once = found[0]
        facts = {
            "nats": once.nats,
            "interval": list(once.interval),
            "form": f"ordered Laplace, {once.form}",
            "by_queries": {str(one.repeats): one.nats for one in found},
        }
        return Result({"covariance": facts})

    def bounds(self) -> Result:
        """Proven, for one query and several: covariance and mixture."""
        noise, on = cast(GaussianMechanism, self.subject.noise), self.subject.grounds
        covariance, mixture = bounds(noise, on.known, on.every, seed=self.seed)
        return Result({"covariance": _nats(covariance), "mixture": _nats(mixture)})

    def contrast(self) -> Result:
        """Proven from below, and how often the best adversary is right among as many candidates."""
        noise, random = cast(GaussianMechanism, self.subject.noise), np.random.default_rng(self.seed)
        whitened = noise.whitened(judged_rows(self.subject.grounds.pairs).tensors)
        return Result(asdict(contrast(torch.from_numpy(whitened).float(), random)))


def _nats(bound: BoundFacts) -> dict[str, Any]:
    one = math.log(2)
    return {
        "nats": one * bound.bits,
        "interval": [one * bits for bits in bound.interval_bits],
        "form": bound.form,
        "by_queries": {count: one * bits for count, bits in bound.repeats.items()},
    }


def information(done: Done, subject: str, seed: int) -> Information:
    """What stages found, as the record has it."""
    ite, ksg, learned, lower, upper = (
        done.facts(subject, work) for work in ("ite", "ksg", "infonce", "contrast", "bounds")
    )
    covariance: Mapping[str, Any] = upper.get("covariance", {})
    mixture: Mapping[str, Any] = upper.get("mixture", {})
    return Information(
        ite_nats=ite.get("nats"),
        ksg_nats=ksg.get("nats"),
        infonce_nats=learned.get("nats"),
        infonce_cap_nats=learned.get("cap_nats"),
        infonce_interval_nats=_pair(learned.get("interval_nats")),
        bound_nats=covariance.get("nats"),
        mixture_bound_nats=mixture.get("nats"),
        k=ite.get("k"),
        n=ite.get("samples"),
        dimensions=ite.get("dimensions"),
        contrast_nats=lower.get("nats"),
        contrast_interval_nats=_pair(lower.get("interval_nats")),
        bound_interval_nats=_pair(covariance.get("interval")),
        bound_form=covariance.get("form"),
        mixture_interval_nats=_pair(mixture.get("interval")),
        bound_by_queries=dict(covariance.get("by_queries", {})),
        mixture_by_queries=dict(mixture.get("by_queries", {})),
        scaling=SCALING,
        seed=seed,
        remarks=_remarks(done, subject),
    )


def _remarks(done: Done, subject: str) -> tuple[str, ...]:
    """What each figure does not show, and where two contradict each other."""
    ite, ksg, *clean = (
        None if not (found := done.facts(name, work)) else NeighbourEstimate(**found)
        for name in (subject, CLEAN)
        for work in ("ite", "ksg")
    )
    learned, lower = done.facts(subject, "infonce"), done.facts(subject, "contrast")
    upper = done.facts(subject, "bounds")
    return remarks(
        ite=ite,
        ksg=ksg,
        clean=(None, None) if subject == CLEAN else (clean[0], clean[1]),
        infonce=InfoNCE(**{**learned, "training": _training(learned["training"])}) if learned else None,
        contrast=ContrastEstimate(**lower) if lower else None,
        bound=_bound(upper.get("covariance")),
        mixture=_bound(upper.get("mixture")),
    )


def _training(found: Mapping[str, Any]) -> Training:
    return Training(**{**found, "strength": Strength(**found["strength"])})


def _bound(found: Mapping[str, Any] | None) -> Bound | None:
    return None if found is None else Bound(found["nats"], tuple(found["interval"]), found["form"])


def _pair(found: Any) -> tuple[float, float] | None:
    return None if found is None or not all(map(math.isfinite, found)) else (found[0], found[1])
