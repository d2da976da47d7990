"""What an audit says of I(x; a'): estimates, lower bounds, and the proven upper bounds, as stages."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import torch

from noise.audit import kraskov, nearest_neighbours
from noise.audit.contrast import contrast
from noise.audit.ordered_laplace_bound import MOST_ELEMENTS, ordered_laplace_bounds
from noise.audit.record import Information
from noise.audit_effort import Effort
from noise.audit_grounds import Array, Subject, side_by_side
from noise.audit_stages import Done, Result, Stage
from noise.bounding import bounds
from noise.collection import BoundFacts
from noise.gaussian_kinds import bound_rows
from noise.mechanism import GaussianMechanism

#: How both sides of the estimates enter.
SCALING = "images in [0, 1], tensors as they are"


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
        found = kraskov.information(*self._pairs(), seed=self.seed)
        return Result(asdict(found) | {"ceiling": kraskov.ceiling_nats(found)})

    def _pairs(self) -> tuple[Array, Array]:
        seen = self.subject.adversary(self.subject.grounds.pairs, seed=4000 + self.seed).everything().numpy()
        return self.subject.grounds.inputs, seen

    def ordered(self) -> Result:
        """Proven, of the paper's noise: for one query and several."""
        noise, on = self.subject.laplace, self.subject.grounds
        assert noise is not None
        inside, outside = (side_by_side(bound_rows(one).tensors) for one in (on.known, on.every))
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
        rows = bound_rows(self.subject.grounds.every)
        found = contrast(torch.from_numpy(noise.whitened(rows.tensors)).float(), random)
        return Result({"nats": found.nats, "interval": list(found.interval_nats)})


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
    ite, ksg = done.facts(subject, "ite"), done.facts(subject, "ksg")
    lower = done.facts(subject, "contrast")
    upper = done.facts(subject, "bounds")
    covariance: Mapping[str, Any] = upper.get("covariance", {})
    mixture: Mapping[str, Any] = upper.get("mixture", {})
    return Information(
        ite_nats=ite.get("nats"),
        ksg_nats=ksg.get("nats"),
        infonce_nats=None,
        bound_nats=covariance.get("nats"),
        mixture_bound_nats=mixture.get("nats"),
        k=ite.get("k"),
        n=ite.get("samples"),
        dimensions=ite.get("dimensions"),
        contrast_nats=lower.get("nats"),
        contrast_interval_nats=_pair(lower.get("interval")),
        bound_interval_nats=_pair(covariance.get("interval")),
        bound_form=covariance.get("form"),
        mixture_interval_nats=_pair(mixture.get("interval")),
        bound_by_queries=dict(covariance.get("by_queries", {})),
        mixture_by_queries=dict(mixture.get("by_queries", {})),
        scaling=SCALING,
        seed=seed,
        remarks=tuple(_remarks(ite, ksg)),
    )


def _remarks(ite: Mapping[str, Any], ksg: Mapping[str, Any]) -> Iterator[str]:
    """What an estimate cannot say."""
    if ite and ite["nats"] > (most := math.log(ite["samples"])):
        yield f"ITE says {ite['nats']:.1f} nats, more than {ite['samples']} samples can support ({most:.1f})"
    if ksg and ksg["nats"] > 0.9 * ksg["ceiling"]:
        yield f"KSG is near the most that it can say of {ksg['samples']} samples ({ksg['ceiling']:.1f} nats)"


def _pair(found: Any) -> tuple[float, float] | None:
    return None if found is None or not all(map(math.isfinite, found)) else (found[0], found[1])
