"""What must be said beside the figures of information: what each does and does not show, in plain words."""

import math
from collections.abc import Iterator

from noise.audit.contrast import ContrastEstimate
from noise.audit.covariance_bound import Bound
from noise.audit.infonce import InfoNCE
from noise.audit.neighbours import NeighbourEstimate

#: x and a' together; from here on neighbours are about as far as any other sample.
MANY_DIMENSIONS = 100

#: Relative difference of two estimates that counts as none: translations move digits alone.
SAME = 1e-6

#: A lower bound this near to its cap (nats) tells of the number of samples.
NEAR_CAP = 0.5

Named = tuple[str, float]


def remarks(
    *,
    ite: NeighbourEstimate | None = None,
    ksg: NeighbourEstimate | None = None,
    clean: tuple[NeighbourEstimate | None, NeighbourEstimate | None] = (None, None),
    infonce: InfoNCE | None = None,
    contrast: ContrastEstimate | None = None,
    bound: Bound | None = None,
    mixture: Bound | None = None,
) -> tuple[str, ...]:
    """One line each, of one thing that crossed. clean: the same two estimates without noise, of the same pairs.

    Bounds are compared by the end of their interval that is the safe one, so that no contradiction is chance's alone.
    """
    lower = _lower(infonce, contrast)
    upper = _upper(bound, mixture)
    found: list[str] = []
    for name, one, without in (("ite", ite, clean[0]), ("ksg", ksg, clean[1])):
        if one is not None:
            found += _of_estimate(name, one, without)
            found += _contradictions(name, one, lower, upper)
    found += _of_lower(infonce, contrast)
    found += _of_upper(upper, max((one.samples for one in (infonce, contrast) if one), default=None))
    if lower and upper and lower[1] > upper[1]:
        found.append(
            f"contradiction: {lower[0]} says at least {lower[1]:.1f} nats, {upper[0]} at most {upper[1]:.1f}; one of "
            "the two was computed for something else: do not trust this row"
        )
    return tuple(found)


def _of_estimate(name: str, one: NeighbourEstimate, without: NeighbourEstimate | None) -> Iterator[str]:
    supported = math.log(one.samples)
    if without is not None and math.isclose(one.nats, without.nats, rel_tol=SAME, abs_tol=SAME):
        yield (
            f"{name}: unchanged from the clean tensor's; what was added is a mere translation, which this estimate "
            "does not see and which hides nothing"
        )
    else:
        yield f"{name}: an estimate, no bound; a mere translation (one fixed noise tensor) leaves it unchanged"
    if one.beyond_samples:
        yield f"{name}: {one.nats:.1f} nats exceeds what {one.samples} samples can support ({supported:.1f})"
    if one.dimensions >= MANY_DIMENSIONS:
        yield (
            f"{name}: taken in {one.dimensions} dimensions from {one.samples} samples, where neighbours tell little; "
            "a small value is no sign of privacy"
        )
    if one.left_out:
        yield f"{name}: {one.left_out} of {one.samples} samples had {one.k} or more copies and were left out"


def _contradictions(name: str, one: NeighbourEstimate, lower: Named | None, upper: Named | None) -> Iterator[str]:
    if lower and one.nats < lower[1]:
        yield (
            f"{name}: contradiction found: {one.nats:.1f} nats is below what {lower[0]} shows to be there "
            f"({lower[1]:.1f}); the estimate is too low by {lower[1] - one.nats:.1f} or more"
        )
    if upper and one.nats > upper[1]:
        yield (
            f"{name}: contradiction found: {one.nats:.1f} nats is above the proven upper bound, {upper[0]} "
            f"({upper[1]:.1f}); the estimate is too high by {one.nats - upper[1]:.1f} or more"
        )


def _of_lower(infonce: InfoNCE | None, contrast: ContrastEstimate | None) -> Iterator[str]:
    capped = [("infonce", one.nats, one.cap_nats, one.samples) for one in (infonce,) if one]
    capped += [("contrast", one.nats, one.ceiling_nats, one.samples) for one in (contrast,) if one]
    for name, nats, cap, samples in capped:
        if nats > cap - NEAR_CAP:
            yield f"{name}: {nats:.1f} nats is at its cap, ln {samples} = {cap:.1f}; more may be there"
    if infonce and not infonce.training.stopped_improving:
        yield "infonce: the critic was still improving, or had one cycle alone; a longer training may find more"


def _of_upper(upper: Named | None, samples: int | None) -> Iterator[str]:
    if upper and samples and upper[1] > math.log(samples):
        yield (
            f"{upper[0]} is more ({upper[1]:.1f} nats) than it takes to tell {samples} inputs apart "
            f"({math.log(samples):.1f}): proven, but alone it excludes no re-identification among so many"
        )


def _lower(infonce: InfoNCE | None, contrast: ContrastEstimate | None) -> Named | None:
    """The greater of the lower bounds, by its interval's lower end; its name."""
    found: list[Named] = []
    if infonce:
        found.append(("the learned lower bound (infonce)", infonce.interval_nats[0]))
    if contrast:
        found.append(("the lower bound by contrast", contrast.interval_nats[0]))
    return max(found, key=lambda one: one[1], default=None)


def _upper(bound: Bound | None, mixture: Bound | None) -> Named | None:
    """The smaller of the upper bounds, by its interval's upper end; its name."""
    found: list[Named] = []
    if bound:
        found.append(("the bound by covariance", bound.interval[1]))
    if mixture:
        found.append(("the bound by a mixture", mixture.interval[1]))
    return min(found, key=lambda one: one[1], default=None)
