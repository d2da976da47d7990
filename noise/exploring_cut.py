"""One explored cut: noise is learned, unless it stands, and attacked, unless that stands."""

import math
from dataclasses import dataclass
from pathlib import Path

from noise import auditing, collection, prepared
from noise.audit import record
from noise.collection import NoiseFacts
from noise.preparing import Described, learn_into, loaded, stands
from noise.task import Progress
from planner import plan as plans
from planner.explored import Attacked, ExploredCut, LeftOut
from planner.plan import Plan
from profiles.errors import InfeasibleError

Outcome = ExploredCut | LeftOut


@dataclass(frozen=True)
class CutTask:
    """One cut with noise of one kind; its plan lies in the folder."""

    folder: Path
    learning: Described

    @property
    def noise_file(self) -> str:
        return named(prepared.NOISE, self.learning.kind)

    @property
    def audit_file(self) -> str:
        return named("audit.json", self.learning.kind)


def named(file: str, kind: str) -> str:
    """A file's name for a kind of noise: plain for the default kind."""
    stem, dot, ending = file.partition(".")
    return file if kind == "channel" else f"{stem}-{kind}{dot}{ending}"


def explore_cut(effort: auditing.Effort | None, task: CutTask, progress: Progress) -> Outcome:
    """What the process or worker does that a cut is given to. The outcome's price is the plan's.

    Raises as `learning.learn`, but for InfeasibleError: the cut is then left out.
    """
    plan = plans.read(task.folder / prepared.PLAN)
    out, audit_file = task.folder / task.noise_file, task.folder / task.audit_file
    wanted = task.learning.wanted()
    if not stands(out, plan, wanted):
        audit_file.unlink(missing_ok=True)
        try:
            learn_into(out, plan, wanted, progress=progress)
        except InfeasibleError as error:
            return LeftOut(
                name=plan.cut.name,
                folder=task.folder.name,
                noise=task.learning.kind,
                reason=str(error),
                asked=wanted.asked,
            )
    _, facts = collection.read(out)
    audit = _audited(task, plan, effort, progress)
    return _outcome(task, plan, facts, audit)


def _audited(task: CutTask, plan: Plan, effort: auditing.Effort | None, progress: Progress) -> record.Audit | None:
    """What stands, where it is of this noise and no weaker than asked for; else attacked now."""
    file, noise = task.folder / task.audit_file, task.folder / task.noise_file
    if file.is_file() and file.stat().st_mtime_ns >= noise.stat().st_mtime_ns:
        found = record.read(file)
        if effort is None or not found.quick or effort.name == auditing.QUICK.name:
            return found
    if effort is None:
        return None
    keep = file.with_name(f".{file.name}.auditing")
    noises = {task.learning.kind: collection.read(noise)}
    made = auditing.audit(
        plan,
        noises,
        loaded(task.learning.data),
        effort=effort,
        seed=task.learning.seed or 0,
        keep=keep,
        progress=progress,
    )
    record.write(file, made)
    keep.unlink(missing_ok=True)
    return made


def _outcome(task: CutTask, plan: Plan, facts: NoiseFacts, audit: record.Audit | None) -> ExploredCut:
    told = None if audit is None else getattr(audit, facts.kind)
    bound, interval, form = None, None, None
    if facts.bound is not None:
        bound, interval, form = facts.bound.bits, facts.bound.interval_bits, facts.bound.form
    elif told is not None and told.information.bound_nats is not None:
        bound, form = told.information.bound_nats / math.log(2), told.information.bound_form
        if (nats := told.information.bound_interval_nats) is not None:
            interval = nats[0] / math.log(2), nats[1] / math.log(2)
    return ExploredCut(
        name=plan.cut.name,
        edge_nodes=plan.cut.edge_nodes,
        crossing=plan.cut.crossing,
        predicted=plan.predicted,
        noise=facts.kind,
        linear=facts.kind == "channel" and facts.settings.get("map") != "bottleneck",
        hidden=_hidden(facts),
        accuracy_loss_points=facts.accuracy.loss_points,
        interval_points=facts.accuracy.interval_points,
        test_inputs=facts.accuracy.n,
        snr_inverse=facts.snr_inverse,
        bound_bits=bound,
        bound_interval_bits=interval,
        bound_form=form,
        mixture_bound_bits=None if facts.mixture_bound is None else facts.mixture_bound.bits,
        attacked=None if audit is None or told is None else _attacked(audit, told),
        folder=task.folder.name,
        noise_file=task.noise_file,
        audit_file=None if audit is None else task.audit_file,
    )


def _hidden(facts: NoiseFacts) -> int | None:
    found = facts.settings.get("hidden")
    return None if found is None else int(found)


def _attacked(audit: record.Audit, told: record.Audited) -> Attacked:
    seen, clean, floor = (one.reconstruction for one in (told, audit.clean, audit.floors))
    found = told.reidentification
    return Attacked(
        psnr_db=None if seen is None else seen.psnr_db,
        ssim=None if seen is None else seen.ssim,
        top1=None if found is None else found.top1,
        candidates=None if found is None else found.n,
        attributes=told.attributes,
        clean_psnr_db=None if clean is None else clean.psnr_db,
        floor_psnr_db=None if floor is None else floor.psnr_db,
        quick=audit.quick,
        seeds=audit.seeds,
    )
