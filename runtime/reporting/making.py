"""What made the files: settings as pairs, and the commands that repeat them as far as the files tell."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from noise.audit.record import Audit
from noise.collection import NoiseFacts
from planner.explored import Explored
from planner.plan import Plan
from profiles.device import DeviceProfile
from profiles.link import LinkProfile, presets
from profiles.terminal import size
from runtime.record import RunRecord
from runtime.reporting.gathering import Kept
from runtime.reporting.sections import Section

Pairs = list[tuple[str, str]]


def settings(section: Section) -> list[tuple[str, Pairs]]:
    """Heading → pairs, of the plan and of each file that belongs to it."""
    made: list[tuple[str, Pairs]] = []
    if section.plan is not None:
        made.append(("Plan", _plan(section.plan.record)))
    made += [(f"{one.record.kind} noise", _noise(one.record)) for one in section.noises]
    made += [(f"Run with {one.record.noise} noise", _run(one.record)) for one in section.runs]
    made += [("Audit", _audit(one.audit.record)) for one in section.audits]
    return made


def _plan(plan: Plan) -> Pairs:
    pairs = [("objective", plan.objective), ("wire", plan.settings.wire), ("batch", str(plan.settings.batch))]
    for side, device in (("edge", plan.edge), ("cloud", plan.cloud)):
        memory = f"; {device.memory_bytes / 1e9:.1f} GB of memory" if device.memory_bytes else ""
        pairs.append((side, f"{device.label}{memory}"))
        pairs += [(f"{side}, software", device.software)] if device.software else []
        pairs += [(f"{side}, profile", f"{device.profile[:19]}…")] if device.profile else []
    pairs.append(("link", plan.link.label))
    pairs += [("link, source", plan.link.source)] if plan.link.source else []
    pairs += [("noise priced", plan.settings.noise)] if plan.settings.noise else []
    pairs += [("asked for", plan.settings.at)] if plan.settings.at else []
    for name, value in _constraints(plan):
        inner = value if isinstance(value, dict) else {"": value}
        pairs += [(f"{name} {key}".replace("_", " ").strip(), _shown(one)) for key, one in inner.items()]
    pairs += [("public inputs", ", ".join(plan.settings.public_inputs))] if plan.settings.public_inputs else []
    pairs.append(("network", plan.model.architecture))
    pairs += [("weights", plan.model.weights)] if plan.model.weights else []
    return pairs


def _constraints(plan: Plan) -> list[tuple[str, Any]]:
    """Public inputs have a place of their own."""
    return [(name, value) for name, value in plan.settings.constraints.items() if name != "public_inputs"]


def _noise(facts: NoiseFacts) -> Pairs:
    named = [("data", facts.data), ("budget", f"{facts.budget_points:g} points"), ("wire", facts.wire)]
    return [*named, ("1/SNR", f"{facts.snr_inverse:.3g}"), *_values(facts.settings)]


def _run(run: RunRecord) -> Pairs:
    pairs = [
        ("server", run.server),
        ("link", f"{run.link}{', emulated' if run.emulated else ''}"),
        ("engine", f"edge {run.engine}, cloud {run.cloud_engine or 'unknown'}"),
        ("timed inferences", f"{run.samples:,}"),
        ("noise drawn", run.draw),
        ("wire", f"{run.wire}; {size(run.bytes_up)} up and {size(run.bytes_down)} down, headers too"),
        ("errors, retries", f"{run.errors}, {run.retries}"),
    ]
    if run.equal_to_whole is not None:
        equal = "equal" if run.equal_to_whole else "NOT equal"
        pairs.append(("halves and whole, without noise", f"{equal}, largest difference {run.largest_difference:.1e}"))
    return pairs


def _audit(audit: Audit) -> Pairs:
    took = f"; took {audit.seconds:.0f} s" if audit.seconds is not None else ""
    pairs = [("data", audit.data), ("seeds", f"{audit.seeds}, from {audit.seed}{took}")]
    pairs += [("effort", "quick: fewer rows and weaker attacks, which flatter the noise" if audit.quick else "full")]
    return [*pairs, *_values({name: one for name, one in audit.settings.items() if name != "effort"})]


def _values(values: Mapping[str, float | int | str | None]) -> Pairs:
    return [(name.replace("_", " "), _shown(value)) for name, value in values.items()]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def commands(section: Section, links: list[Kept[LinkProfile]]) -> list[str]:
    """In the order in which they are given."""
    if section.plan is None:
        return []
    plan = section.plan.record
    edge = section.edge.name if section.edge else "edge.json"
    cloud = section.cloud.name if section.cloud else "cloud.json"
    link = _link_of(plan, links)
    made = [_profile(section.edge, plan, edge)] + ([_profile(section.cloud, plan, cloud)] if cloud != edge else [])
    made.append(_joined("plan cut", edge, cloud, "--link", link, *_cut_options(plan), "--out", section.plan.name))
    name = section.plan.name
    for noise in section.noises:
        made.append(_joined("plan learn", name, *_learn_options(noise.record), "--out", noise.name))
    by_kind = {one.record.kind: one.name for one in section.noises}
    for run in section.runs:
        noise_name = by_kind.get(run.record.noise, "noise.safetensors")
        server = () if run.record.server == "local process" else ("--server", run.record.server)
        keyed = ("--draw", "keyed") if run.record.draw == "keyed" else ()
        samples = ("--samples", str(run.record.samples))
        made.append(_joined("plan run", name, "--noise", noise_name, *server, *keyed, *samples, "--out", run.name))
    for one in section.audits:
        audit = one.audit.record
        named = [part for kind in by_kind if getattr(audit, kind, None) for part in ("--noise", by_kind[kind])]
        options = [*named, "--data", audit.data, *(["--quick"] if audit.quick else [])]
        seeds = ("--seeds", str(audit.seeds), "--seed", str(audit.seed))
        made.append(_joined("plan audit", name, *options, *seeds, "--out", one.audit.name))
    return made


def explore_command(found: Explored) -> str:
    at = [part for name in dict.fromkeys(cut.name for cut in found.cuts) for part in ("--at", name)]
    kinds = [part for kind in dict.fromkeys(cut.noise for cut in found.cuts) for part in ("--noise", kind)]
    wire = ("--wire", found.wire) if found.wire != "float32" else ()
    given = ("--edge", "edge.json", "--cloud", "cloud.json", "--link", "link.json")
    asked = ("--data", found.data, "--budget", f"{found.budget_points:g}", *at, *kinds, *wire, *given)
    return _joined("plan explore", found.model.source or found.model.name, *asked, "--cuts", "0", "--out", ".")


def _joined(command: str, *parts: str) -> str:
    return f"{command} {shlex.join(parts)}"


def _profile(profile: Kept[DeviceProfile] | None, plan: Plan, name: str) -> str:
    source = plan.model.source or plan.model.name
    if profile is None:
        return _joined("plan profile", source, "--out", name)
    device = profile.record.device
    if device.provenance == "modelled":
        return _joined("plan profile", source, "--as", device.name, "--out", name)
    threads = ("--threads", str(device.threads)) if device.threads else ()
    batch = ("--batch", str(profile.record.batch)) if profile.record.batch > 1 else ()
    return _joined("plan profile", source, "--engine", device.engine, *threads, *batch, "--out", name)


def _link_of(plan: Plan, links: list[Kept[LinkProfile]]) -> str:
    """The file that is here, else the preset's name."""
    same = next((one.name for one in links if one.record == plan.link), None)
    return same or (plan.link.name if plan.link.name in presets() else f"{plan.link.name}.json")


def _cut_options(plan: Plan) -> Iterator[str]:
    settings = plan.settings
    if plan.objective != "latency":
        yield from ("--objective", plan.objective)
    if settings.wire != "float32":
        yield from ("--wire", settings.wire)
    if settings.noise:
        yield from ("--noise", settings.noise)
    if settings.at:
        yield from ("--at", settings.at)
    for name in settings.public_inputs:
        yield from ("--public-input", name)
    for name, value in _constraints(plan):
        if name == "explored":
            yield from ("--explored", "explored")
            continue
        option = f"--{name.replace('_', '-')}"
        for each in value if isinstance(value, list | tuple) else [value]:
            yield from (option, str(each))


def _learn_options(facts: NoiseFacts) -> Iterator[str]:
    yield from ("--data", facts.data, "--noise", facts.kind, "--budget", f"{facts.budget_points:g}")
    if "tightened" in facts.settings:
        yield "--confident"
    if facts.curve:
        yield "--curve"
    if "seed" in facts.settings:
        yield from ("--seed", str(facts.settings["seed"]))
