"""What an audit says of I(x; a'): estimates, lower bounds, and the proven upper bounds, as stages."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import torch

from noise.audit import nearest_neighbours
from noise.audit.contrast import contrast
from noise.audit.record import Information
from noise.audit_effort import Effort
from noise.audit_grounds import Subject
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
        name = self.subject.name
        yield Stage(name, "ite", self.seed, self.ite)
        if self.subject.noise is not None and self.subject.laplace is None:
            yield Stage(name, "bounds", self.seed, self.bounds)
            yield Stage(name, "contrast", self.seed, self.contrast)

    def ite(self) -> Result:
        """The paper's estimate."""
        seen = self.subject.adversary(self.subject.grounds.pairs, seed=4000 + self.seed).everything().numpy()
        found = nearest_neighbours.information(self.subject.grounds.inputs, seen, seed=self.seed)
        return Result(asdict(found) | {"remarks": []})

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
    ite = done.facts(subject, "ite")
    lower = done.facts(subject, "contrast")
    upper = done.facts(subject, "bounds")
    covariance: Mapping[str, Any] = upper.get("covariance", {})
    mixture: Mapping[str, Any] = upper.get("mixture", {})
    return Information(
        ite_nats=ite.get("nats"),
        ksg_nats=None,
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
        remarks=tuple(ite.get("remarks", ())),
    )


def _pair(found: Any) -> tuple[float, float] | None:
    return None if found is None or not all(map(math.isfinite, found)) else (found[0], found[1])
