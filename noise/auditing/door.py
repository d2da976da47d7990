"""Audits a plan's cut: what an adversary who knows everything but the input gets of what crosses.

Given: the model, the cut, the collection of noise, the data distribution, and fresh noise as often as it likes.
Attacked: clean tensors, each kind of noise, all at the same loss of accuracy; beside them the floors. A figure of an
attack says what this attack got, never that no other gets more; of the bounds alone is something proven.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from noise.audit import record
from noise.auditing import page, stage
from noise.auditing import pictures as picture_files
from noise.auditing.assembly import audited
from noise.auditing.attacks import Attacks
from noise.auditing.effort import FULL, QUICK, Effort
from noise.auditing.equal_loss import Compared, at_equal_loss
from noise.auditing.floors import floors
from noise.auditing.grounds import CLEAN, Grounds, Subject, grounds, private_input
from noise.auditing.information import Estimates
from noise.auditing.stage import Done, Stage
from noise.checkpoint import Checkpoint
from noise.collection import NoiseFacts, require_match
from noise.cut_network import CutNetwork
from noise.datasets.records import Dataset, Labels
from noise.mechanism import Mechanism
from noise.task import Progress
from noise.tensors import to_arrays
from noise.work_key import digest, work_key
from planner.plan import Plan
from profiles.errors import NoiseError

__all__ = ["FULL", "QUICK", "Effort", "audit"]

Private = Mapping[str, tuple[Labels, Labels]]
Noises = Mapping[str, tuple[Mechanism, NoiseFacts]]


def audit(
    plan: Plan,
    noises: Noises,
    data: Dataset,
    *,
    effort: Effort = FULL,
    seed: int = 0,
    private: Private | None = None,
    keep: Path | None = None,
    progress: Progress = lambda done, of: None,
    pictures: Path | None = None,
    kept: Path | None = None,
    cut: CutNetwork | None = None,
) -> record.Audit:
    """Run every attack, estimate and bound.

    noises: by kind; the first is audited as it is, the others at its loss of accuracy. private: name → labels of
    `data.train` and `data.test`; None: those that the data have. keep: a file that holds what was reached, for a run
    that is killed and started again; it is the caller's to delete. pictures: a page of what was reconstructed.
    kept: the pictures themselves. cut: as `checked` returned it.
    Raises NoiseError (noise for another plan, nothing crosses), DataError (data of another shape, several private
    inputs), InfeasibleError (noise that cannot be brought to the same loss).
    """
    cut = cut or checked(plan, noises)
    private_input(plan, cut)
    labels = _private(data) if private is None else private
    arrays = [array for noise, _ in noises.values() for _, array in sorted(to_arrays(noise).items())]
    levels, weights = [facts.quantisation for _, facts in noises.values()], cut.network.model.weights
    asked = ("audit", tuple(noises), digest(*arrays), levels, effort, seed, _digests(labels), weights)
    checkpoint = Checkpoint(keep, key=work_key(plan, data, asked))
    on = grounds(plan, cut, data, effort=effort, private=labels)
    floor = floors(on, data, labels, effort=effort)
    compared = at_equal_loss(cut, noises, on.every, seed=seed)
    subjects = [Subject(CLEAN, None, cut.levels_of(on.known.tensors, on.known.beside), on)]
    subjects += [Subject(kind, one.noise, one.levels, on) for kind, one in compared.items()]
    stages: list[Stage] = []
    for subject in subjects:
        stages += Attacks(subject, effort, seed).stages()
        stages += Estimates(subject, effort, seed).stages()
    done = stage.run(stages, checkpoint, progress)
    made = _record(plan, data, noises, on, done, floor, compared, effort=effort, seed=seed)
    if (pictures is not None or kept is not None) and has_pictures(data):
        shown = page.lines(made, on, done)
        if pictures is not None:
            page.write(pictures, shown)
        pairs = [(one.what, one.images) for one in shown]
        if kept is not None and picture_files.fits(pairs):
            picture_files.write(kept, made, pairs)
    return made


def checked(plan: Plan, noises: Noises) -> CutNetwork:
    """The plan's network, cut. Raises NoiseError where the noise is not for it."""
    for kind, (_, facts) in noises.items():
        require_match(facts, plan, origin=f"{kind} noise")
    cut = CutNetwork.of(plan)
    for kind, (noise, facts) in noises.items():
        if facts.weights != cut.network.model.weights:
            raise NoiseError(f"{kind} noise: learned for other weights of {plan.model.name}; learn it anew")
        if noise.nodes != tuple(cut.shapes):
            raise NoiseError(
                f"{kind} noise: for {', '.join(noise.nodes)}, the plan sends {', '.join(cut.shapes)}; learn it anew"
            )
    return cut


def has_pictures(data: Dataset) -> bool:
    """Whether the inputs are pictures that a page can show."""
    inputs = list(data.test.by_input.values())
    return len(inputs) == 1 and inputs[0].dtype.kind == "f" and page.drawable(inputs[0].shape)


def with_seeds(effort: Effort, seeds: int | None) -> Effort:
    """The same effort with so many attacks of each sort; None: as many as it has."""
    return effort if seeds is None else replace(effort, seeds=seeds)


def _private(data: Dataset) -> Private:
    return {name: (labels, data.test.private[name]) for name, labels in data.train.private.items()}


def _digests(private: Private) -> tuple[tuple[str, str], ...]:
    return tuple((name, digest(*pair)) for name, pair in private.items())


def _record(
    plan: Plan,
    data: Dataset,
    noises: Noises,
    on: Grounds,
    done: Done,
    floor: record.Audited,
    compared: Mapping[str, Compared],
    *,
    effort: Effort,
    seed: int,
) -> record.Audit:
    found = {
        name: audited(
            done, name, floor, effort=effort, seed=seed, compared=compared.get(name), noise=_told(noises, name)
        )
        for name in (CLEAN, *compared)
    }
    settings: dict[str, float | int | str | None] = {
        "effort": effort.name,
        "attacker_rows": len(on.known),
        "judged_rows": len(on.judged),
        "accuracy_rows": len(on.every),
        "elements": on.cut.elements,
    }
    if on.images is not None:
        settings |= {"input_low": on.images.low, "input_high": on.images.high}
    return record.Audit(
        model=plan.model.name,
        cut=plan.cut.name,
        data=data.name,
        accuracy_loss_points=next(iter(compared.values())).loss_points if compared else 0.0,
        floors=floor,
        architecture=plan.model.architecture,
        weights=on.cut.network.model.weights,
        wire=plan.settings.wire,
        quick=effort.name == QUICK.name,
        seeds=effort.seeds,
        seed=seed,
        seconds=done.seconds,
        settings=settings,
        **found,
    )


def _told(noises: Noises, kind: str) -> str | None:
    if kind not in noises:
        return None
    noise, facts = noises[kind]
    several = f"{noise.distributions} distributions, " if noise.distributions > 1 else ""
    return f"{several}learned for {facts.budget_points:g} points on {facts.data}"
