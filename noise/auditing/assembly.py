"""What an audit's stages found, as the record has it: means over seeds, with their intervals."""

from collections.abc import Sequence

import numpy as np

from noise.audit.intervals import over_seeds
from noise.audit.record import (
    DECODER,
    NAMED,
    WHITE_BOX,
    Attempt,
    Attribute,
    Audited,
    Elimination,
    Naming,
    Reconstruction,
    Reidentification,
)
from noise.auditing.effort import Effort
from noise.auditing.equal_loss import Compared
from noise.auditing.information import information
from noise.auditing.stage import Done, Result


def audited(
    done: Done,
    subject: str,
    floor: Audited,
    *,
    effort: Effort,
    seed: int,
    compared: Compared | None,
    noise: str | None,
) -> Audited:
    """compared: None of clean tensors. floor: what the label alone gives."""
    attributes = {name: _attribute(done, subject, name, floor, effort) for name in floor.attributes}
    naming, elimination = done.facts(subject, "naming"), done.facts(subject, "elimination")
    return Audited(
        reconstruction=_reconstruction(done, subject, effort),
        reidentification=_reidentification(done, subject, effort),
        attributes={name: one.accuracy for name, one in attributes.items()},
        attribute_details=attributes,
        information=information(done, subject, seed),
        elimination=None if not elimination else Elimination(**elimination),
        naming=Naming(**naming) if naming else None,
        accuracy_loss_points=compared.loss_points if compared else None,
        gain=compared.gain if compared else None,
        noise=noise,
    )


def _reconstruction(done: Done, subject: str, effort: Effort) -> Reconstruction | None:
    made = [_attempt(attack, 1, found) for attack in (DECODER, NAMED) if (found := done.of(subject, attack))]
    if not made:
        return None
    if through := through_edge(done, subject):
        made.append(_attempt(WHITE_BOX, 1, through))
    best = max(made, key=lambda one: one.psnr_db)
    for queries in effort.several:
        for attack in (DECODER, NAMED):
            if found := done.of(subject, f"{attack} of {queries}"):
                made.append(_attempt(attack, queries, found))
    return Reconstruction(psnr_db=best.psnr_db, ssim=best.ssim, attack=best.attack, attempts=tuple(made))


def through_edge(done: Done, subject: str) -> list[Result]:
    """What the white box made, by the way of one decoder or the other."""
    return [one for attack in (DECODER, NAMED) for one in done.part(subject, attack, WHITE_BOX)]


def _attempt(attack: str, queries: int, found: Sequence[Result]) -> Attempt:
    ratios = [one.facts["psnr_db"] for one in found]
    similarities = [one.facts["ssim"] for one in found if one.facts["ssim"] is not None]
    first = found[0].facts
    return Attempt(
        attack=attack,
        psnr_db=float(np.mean(ratios)),
        ssim=float(np.mean(similarities)) if similarities else None,
        psnr_interval_db=over_seeds(ratios),
        ssim_interval=over_seeds(similarities),
        seeds=len(found),
        images=first["images"],
        queries=queries,
        strength=first.get("strength"),
        stopped_improving=_all_stopped(found),
    )


def _reidentification(done: Done, subject: str, effort: Effort) -> Reidentification:
    found = done.of(subject, "reidentification")
    rates = [one.facts["top1"] for one in found]
    bounds = [one.facts["bound"] for one in found if one.facts["bound"] is not None]
    by_queries = {"1": float(np.mean(rates))}
    for queries in effort.several:
        if more := done.of(subject, f"reidentification of {queries}"):
            # Whoever sees more can do what it did before.
            by_queries[str(queries)] = max(float(np.mean([one.facts["top1"] for one in more])), *by_queries.values())
    return Reidentification(
        top1=by_queries["1"],
        n=found[0].facts["n"],
        attack=found[0].facts["attack"],
        interval=over_seeds(rates),
        bound_top1=max(bounds, default=None),
        by_queries=by_queries if len(by_queries) > 1 else {},
    )


def _attribute(done: Done, subject: str, name: str, floor: Audited, effort: Effort) -> Attribute:
    found = done.of(subject, f"attribute {name}")
    rates = [one.facts["accuracy"] for one in found]
    by_queries = {"1": float(np.mean(rates))}
    for queries in effort.several:
        if more := done.of(subject, f"attribute {name} of {queries}"):
            by_queries[str(queries)] = float(np.mean([one.facts["accuracy"] for one in more]))
    return Attribute(
        accuracy=by_queries["1"],
        label_alone=floor.attributes[name],
        interval=over_seeds(rates),
        seeds=len(found),
        by_queries=by_queries if len(by_queries) > 1 else {},
        strength=found[0].facts["strength"],
        stopped_improving=_all_stopped(found),
    )


def _all_stopped(found: Sequence[Result]) -> bool | None:
    known = [one.facts["stopped_improving"] for one in found if "stopped_improving" in one.facts]
    return all(known) if known else None
