"""What was found, in plain words and a few figures, each with the word that says where it comes from."""

from dataclasses import dataclass

from noise.audit.record import Audit, Audited
from noise.auditing.tables import columns
from noise.collection import Accuracy, BoundFacts, NoiseFacts
from planner.plan import Plan
from planner.tables import figure, short
from profiles.terminal import size
from runtime.record import RunRecord
from runtime.reporting.sections import Section


@dataclass(frozen=True)
class Tile:
    """A figure that is told first."""

    label: str
    value: str
    unit: str
    words: tuple[str, ...]
    note: str


def lede(section: Section) -> list[str]:
    """A few sentences."""
    told = [_cut(section.plan.record)] if section.plan else [_planless(section)]
    if section.run is not None:
        told.append(_run(section.run.record))
    if section.noise is not None:
        told.append(_noise(section.noise.record, accuracy_of(section)))
    elif section.plan is not None and section.plan.record.cut.crossing and not section.audits:
        told.append("No noise has been learned for it yet, so what crosses is what the network computes.")
    if section.audits:
        told += of_audit(section.audits[0].audit.record, section.noise.record.kind if section.noise else None)
    return told


def tiles(section: Section) -> list[Tile]:
    made = []
    if section.plan is not None:
        made.append(_predicted(section.plan.record))
    if section.run is not None:
        made += _measured(section.run.record)
    accuracy = accuracy_of(section)
    kind = section.run.record.noise if section.run else section.noise.record.kind if section.noise else ""
    if accuracy is not None and accuracy.loss_points is not None:
        made.append(_lost(accuracy, kind))
    if section.noise is not None:
        made += _bound(section.noise.record)
    if section.audits:
        made += _attacked(section.audits[0].audit.record, section.noise.record.kind if section.noise else None)
    return made


def accuracy_of(section: Section) -> Accuracy | None:
    """As it was over the link, else as it was when the noise was learned."""
    if section.run is not None:
        return section.run.record.accuracy
    return section.noise.record.accuracy if section.noise else None


def _planless(section: Section) -> str:
    return f"The plan for the cut of {section.model} after {section.cut} is not in this folder."


def _cut(plan: Plan) -> str:
    if not plan.cut.crossing:
        where = plan.edge.label if plan.cut.edge_nodes else plan.cloud.label
        return f"{plan.model.name} is not cut: all of it runs on {where}."
    count = len(plan.cut.edge_nodes)
    sent, whole = plan.predicted.upload_bytes, plan.references.cloud_only.upload_bytes
    instead = f" instead of the input's {size(whole)}" if whole else ""
    return (
        f"{plan.model.name} is cut after {short(plan.cut.name)}: {count} nodes run on {plan.edge.label}, "
        f"the rest on {plan.cloud.label}. {size(sent)} cross{'es' if sent == 1 else ''} the link{instead}."
    )


def _run(run: RunRecord) -> str:
    over = "an emulated link" if run.emulated else "the link"
    return (
        f"An inference over {over} took {figure(run.latency_ms.total.p50)} ms in the middle of {run.samples:,}, and "
        f"{figure(run.latency_ms.total.p95)} ms or less in 95 of 100; {figure(run.predicted_ms.total)} ms were "
        "predicted."
    )


def _noise(facts: NoiseFacts, accuracy: Accuracy | None) -> str:
    lost, bound = accuracy.loss_points if accuracy else None, tightest(facts)
    if bound is None:
        told = "its file holds no bound on what still crosses"
    else:
        told = f"what crosses then tells at most {bound.bits:.2f} bits of an average input, which is proven"
    if accuracy is None or lost is None:
        return f"Of the {facts.kind} noise learned on {facts.data}: {told}."
    interval = accuracy.interval_points
    within = f" (95 % interval {interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
    return (
        f"The {facts.kind} noise learned on {facts.data} costs {lost:.2f} points of accuracy{within}, measured on "
        f"{accuracy.n:,} test inputs; {told}."
    )


def of_audit(audit: Audit, kind: str | None) -> list[str]:
    """What the attacks read through the noise of that kind, beside what needs no tensor; nothing without a floor."""
    name, one = subject(audit, kind)
    found, clean, floor = one.reconstruction, audit.clean.reconstruction, audit.floors.reconstruction
    if found is None or clean is None or floor is None:
        return []
    beyond = found.psnr_db - floor.psnr_db
    said = (
        "no better than the mean picture of the class, which the answer gives away anyway"
        if beyond <= 0
        else f"{beyond:.2f} dB closer to the original than the mean picture of the class, which the answer gives away"
    )
    attacks = "quick attacks" if audit.quick else "the attacks"
    if name == "clean":
        return [f"From the clean tensor {attacks} reconstruct the input at {found.psnr_db:.1f} dB: {said}."]
    return [
        f"Through the {name} noise {attacks} reconstruct the input at {found.psnr_db:.1f} dB, {said}; without "
        f"noise they get {clean.psnr_db:.1f} dB."
    ]


def subject(audit: Audit, kind: str | None) -> tuple[str, Audited]:
    """What is told first of an audit: the noise that is told first, else one that is there, else clean tensors."""
    there = dict(columns(audit))
    kinds = [name for name in there if name not in ("clean", "floors")]
    name = kind if kind in there and kind is not None else (kinds or ["clean"])[-1]
    return name, there[name]


def tightest(facts: NoiseFacts) -> BoundFacts | None:
    return min((one for one in (facts.bound, facts.mixture_bound) if one), key=lambda one: one.bits, default=None)


def _predicted(plan: Plan) -> Tile:
    origins = f"edge {plan.edge.provenance}, cloud {plan.cloud.provenance}, link {plan.link.provenance}"
    modelled = tuple(dict.fromkeys(one for one in (plan.edge.provenance, plan.cloud.provenance) if one == "modelled"))
    return Tile("One inference", figure(plan.predicted.total_ms), "ms", ("predicted", *modelled), f"from: {origins}")


def _measured(run: RunRecord) -> list[Tile]:
    words = ("measured", "emulated") if run.emulated else ("measured",)
    p50 = run.latency_ms.total.p50
    off = 100 * (run.predicted_ms.total / p50 - 1) if p50 else 0.0
    note = f"median of {run.samples:,}; 95th percentile {figure(run.latency_ms.total.p95)} ms; the prediction is "
    made = [
        Tile("One inference", figure(p50), "ms", words, f"{note}{abs(off):.1f} % {'above' if off > 0 else 'below'}")
    ]
    if run.speedup_vs_cloud_only is not None:
        made.append(
            Tile(
                "Speed against sending the input",
                f"{run.speedup_vs_cloud_only:.2f}",
                "×",
                words,
                f"cloud-only took {figure(run.cloud_only_ms)} ms on the same link, the input's "
                f"{size(run.input_bytes)}",
            )
        )
    return made


def _lost(accuracy: Accuracy, kind: str) -> Tile:
    assert accuracy.loss_points is not None
    interval = accuracy.interval_points
    within = f"95 % interval {interval[0]:.2f} to {interval[1]:.2f}; " if interval else ""
    clean = f"{accuracy.clean:.2f} % before, " if accuracy.clean is not None else ""
    note = f"{within}{clean}{accuracy.noisy:.2f} % with {kind} noise, on {accuracy.n:,} test inputs"
    return Tile("Accuracy lost", f"{accuracy.loss_points:.2f}", "points", ("measured",), note)


def _bound(facts: NoiseFacts) -> list[Tile]:
    bound = tightest(facts)
    if bound is None:
        return []
    several = ", ".join(f"{bits:.1f} after {count}" for count, bits in bound.repeats.items() if count != "1")
    more = f"; of one input asked again with fresh noise {several}" if several else ""
    note = f"{facts.kind} noise, bound by {'a mixture' if bound.form == 'mixture' else 'covariance'}{more}"
    return [Tile("An average input tells at most", f"{bound.bits:.2f}", "bits", ("proven",), note)]


def _attacked(audit: Audit, kind: str | None) -> list[Tile]:
    name, one = subject(audit, kind)
    made = []
    if one.reconstruction and audit.clean.reconstruction and audit.floors.reconstruction:
        note = (
            f"{name}, {one.reconstruction.attack}; without noise {audit.clean.reconstruction.psnr_db:.1f}, the class "
            f"alone {audit.floors.reconstruction.psnr_db:.1f}"
        )
        made.append(Tile("Best reconstruction", f"{one.reconstruction.psnr_db:.1f}", "dB", ("attacked",), note))
    found = one.reidentification
    if found is not None:
        floor = audit.floors.reidentification
        at_most = f"; at most {found.bound_top1:.1f} % is proven" if found.bound_top1 is not None else ""
        alone = f"; the class alone {floor.top1:.1f} %" if floor else ""
        clean = audit.clean.reidentification
        without = f"without noise {clean.top1:.0f} %" if clean and name != "clean" else f"{name}, {found.attack}"
        label = f"Input recognised among {found.n:,}"
        made.append(Tile(label, f"{found.top1:.1f}", "%", ("attacked",), f"{without}{alone}{at_most}"))
    return made
