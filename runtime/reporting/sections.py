"""Which files belong together: noise, runs and audits to a plan by network and cut, profiles by digest."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from noise.audit.record import Audit
from noise.auditing.pictures import Pictures, audit_digest
from noise.collection import NoiseFacts
from planner.plan import Plan, PlannedDevice
from profiles.device import DeviceProfile
from runtime.record import RunRecord
from runtime.reporting.gathering import Gathered, Kept


@dataclass(frozen=True)
class Pictured:
    """An audit and its pictures, or the sheet of them where the pictures themselves were not kept."""

    audit: Kept[Audit]
    pictures: Kept[Pictures] | None = None
    sheet: bytes | None = None


@dataclass
class Section:
    """What was found of one plan; or of one network's cut whose plan is not here."""

    model: str
    cut: str
    plan: Kept[Plan] | None = None
    edge: Kept[DeviceProfile] | None = None
    cloud: Kept[DeviceProfile] | None = None
    noises: list[Kept[NoiseFacts]] = field(default_factory=list)
    runs: list[Kept[RunRecord]] = field(default_factory=list)
    audits: list[Pictured] = field(default_factory=list)
    architecture: str | None = None

    @property
    def noise(self) -> Kept[NoiseFacts] | None:
        """The one to be told first: it hides most of those that something is proven of."""
        return self.noises[0] if self.noises else None

    @property
    def run(self) -> Kept[RunRecord] | None:
        """Of the noise to be told first, where that one ran."""
        return self.runs[0] if self.runs else None


def sections(found: Gathered) -> tuple[list[Section], list[Kept[DeviceProfile]]]:
    """Sections, those with a plan first; and the profiles that none of them is of. Takes the sheets that are shown
    out of what was found, and says why the others are left out."""
    made = [_of_plan(one, found.profiles) for one in found.plans]
    for noise in found.noises:
        for section in _homes(made, noise.record.architecture, None, crossing(noise.record), where=noise.name):
            section.noises.append(noise)
    for run in found.runs:
        homes = _homes(made, None, run.record.model, run.record.cut, where=run.name)
        same = [one for one in homes if one.plan and one.plan.record.link.label == run.record.link]
        for section in same or homes:
            section.runs.append(run)
    for audit in found.audits:
        pictured = _pictured(audit, found)
        record = audit.record
        for section in _homes(made, record.architecture, record.model, record.cut, where=audit.name):
            section.audits.append(pictured)
    for section in made:
        section.noises.sort(key=_hides_most)
        kinds = [one.record.kind for one in section.noises]
        section.runs.sort(key=lambda one: kinds.index(one.record.noise) if one.record.noise in kinds else len(kinds))
    shown = {id(one.pictures) for section in made for one in section.audits}
    for pictures in [one for one in found.pictures if id(one) not in shown]:
        found.pictures.remove(pictures)
        found.left_out[pictures.name] = "pictures of an audit that is not here, or was made anew"
    for path in found.sheets:
        found.left_out[path.relative_to(found.folder).as_posix()] = "a picture of no audit that is shown"
    used = {id(one) for section in made for one in (section.edge, section.cloud)}
    planned = {one.architecture for one in made}
    explored = {one.record.model.architecture for one in found.explored}
    loose = [
        one
        for one in found.profiles
        if id(one) not in used and one.record.model.architecture not in planned | explored
    ]
    return made, loose


def crossing(noise: NoiseFacts) -> str:
    return "+".join(one.node for one in noise.crossing)


def _hides_most(one: Kept[NoiseFacts]) -> tuple[float, str]:
    facts = one.record
    bounds = [each.bits for each in (facts.bound, facts.mixture_bound) if each]
    return min(bounds, default=math.inf), one.name


def _of_plan(one: Kept[Plan], profiles: Iterable[Kept[DeviceProfile]]) -> Section:
    plan = one.record
    same = [each for each in profiles if each.record.model.architecture == plan.model.architecture]
    return Section(
        model=plan.model.name,
        cut=plan.cut.name,
        plan=one,
        edge=_profile(plan.edge, same[::-1]),
        cloud=_profile(plan.cloud, same),
        architecture=plan.model.architecture,
    )


def _profile(device: PlannedDevice, profiles: list[Kept[DeviceProfile]]) -> Kept[DeviceProfile] | None:
    """The very file the plan was made from, else one of the same device."""
    exact = [one for one in profiles if one.digest == device.profile]
    alike = [one for one in profiles if one.record.device.label == device.label]
    return next(iter(exact or alike), None)


def _homes(
    made: list[Section], architecture: str | None, model: str | None, cut: str, *, where: str
) -> list[Section]:
    """The sections a file belongs to. Several plans may cut one network alike (for two links): then those beside it
    in its folder, if there are any. None: a section of its own."""
    fits = [one for one in made if _is_of(one, architecture, model, cut)]
    near = [one for one in fits if one.plan and _folder(one.plan.name) == _folder(where)]
    if not fits:
        fits = [Section(model or "a network", cut, architecture=architecture)]
        made.extend(fits)
    return near or fits


def _is_of(section: Section, architecture: str | None, model: str | None, cut: str) -> bool:
    if architecture is not None and section.architecture is not None:
        same = architecture == section.architecture
    else:
        same = model is None or model == section.model
    return same and (section.cut == cut or (section.plan is not None and _floats_of(section.plan.record, cut)))


def _floats_of(plan: Plan, cut: str) -> bool:
    """Noise is for the floats that cross and are not public: some of the crossing tensors, in their order."""
    names = [tensor.node for tensor in plan.cut.crossing if "float" in tensor.dtype]
    wanted = cut.split("+")
    return bool(names) and [name for name in names if name in wanted] == wanted


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _pictured(audit: Kept[Audit], found: Gathered) -> Pictured:
    digest = audit_digest(audit.record)
    kept = next((one for one in found.pictures if one.record.facts.audit == digest), None)
    sheet = found.sheets.pop(audit.path.with_suffix(".png"), None)
    if kept is None:
        return Pictured(audit, sheet=sheet)
    if sheet is not None:
        name = audit.path.with_suffix(".png").relative_to(found.folder).as_posix()
        found.left_out[name] = f"its pictures are shown from {kept.name}"
    return Pictured(audit, kept)
