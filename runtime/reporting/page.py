"""The page: what was gathered, as views that the template lays out. Names are escaped by the template, every one."""

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any

from noise.collection import BoundFacts, NoiseFacts
from planner import explored_tables
from planner.commands import verdict
from planner.explored import Explored
from planner.tables import short
from profiles.device import DeviceProfile
from profiles.errors import PlanError
from profiles.installing import MODULES, extra
from profiles.terminal import ms, size
from runtime.reporting import (
    audit_view,
    explored_charts,
    graph,
    headline,
    latency_charts,
    making,
    palette,
    privacy_charts,
)
from runtime.reporting.audit_view import AuditView
from runtime.reporting.charts import Chart, Table
from runtime.reporting.gathering import Gathered, Kept
from runtime.reporting.graph import GraphView
from runtime.reporting.headline import Tile
from runtime.reporting.sections import Section, sections

SHORT = 60
#: Control characters and the like, which no page may hold (HTML, 13.2.3.5) and any name may.
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(0x10000 * plane + 0xFFFE)}{chr(0x10000 * plane + 0xFFFF)}" for plane in range(17))
    + "]"
)


@dataclass(frozen=True)
class Part:
    """A section of the page."""

    id: str
    title: str
    lede: Sequence[str]
    tiles: Sequence[Tile]
    graph: GraphView | None
    noise_line: str
    latency: Sequence[Chart]
    said: Sequence[str]
    accuracy: Sequence[Chart]
    noises: Table | None
    audits: Sequence[AuditView]
    settings: Sequence[tuple[str, making.Pairs]]
    commands: Sequence[str]


@dataclass(frozen=True)
class ExploredPart:
    id: str
    title: str
    lede: str
    charts: Sequence[Chart]
    table: Table
    caption: str
    command: str
    left_out: Sequence[str] = field(default=())


def require() -> None:
    """Raises PlanError where what the page is made with is not installed."""
    missing = [name for name in MODULES["plot"] if importlib.util.find_spec(name) is None]
    if missing:
        raise PlanError(
            f"plan report needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed; "
            f"{extra('plot')}"
        )


def rendered(found: Gathered) -> bytes:
    """The whole page; the same files give the same bytes."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made, loose = sections(found)
    parts = [_part(section, found, f"plan-{number}") for number, section in enumerate(made, start=1)]
    explored = [_explored(one, f"explored-{number}") for number, one in enumerate(found.explored, start=1)]
    loader = PackageLoader("runtime.reporting")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    title = parts[0].title if len(parts) == 1 and not explored else f"Results in {found.folder.resolve().name}"
    if len(parts) == 1 and not explored:
        parts = [replace(parts[0], title="In short")]
    contents = [(one.id, one.title) for one in explored] + [(one.id, one.title) for one in parts]
    contents += [("profiles", "Profiles without a plan")] if loose else []
    text = environment.get_template("report.html").render(
        title=title,
        subtitle=_subtitle(found),
        contents=[*contents, ("about", "About this page")],
        parts=parts,
        explored=explored,
        profiles=_profiles(loose) if loose else None,
        files=_files(found),
        left_out=Table(("file", "why"), sorted(found.left_out.items())),
        words=palette.WORDS,
        light=palette.variables(palette.LIGHT),
        dark=palette.variables(palette.DARK),
        version=metadata.version("shredder-plan"),
    )
    return FORBIDDEN.sub("\ufffd", text).encode("utf-8", "replace")


def _part(section: Section, found: Gathered, id: str) -> Part:
    plan = section.plan.record if section.plan else None
    edge = section.edge.record if section.edge else None
    cloud = section.cloud.record if section.cloud else None
    latency: list[Chart] = []
    if plan is not None:
        latency.append(latency_charts.candidates(plan, f"{id}-cuts"))
    if section.runs:
        latency.append(latency_charts.runs(section.runs, f"{id}-runs"))
    if plan is not None and (bandwidth := latency_charts.bandwidth(plan, f"{id}-bandwidth")) is not None:
        latency.append(bandwidth)
    accuracy = privacy_charts.accuracy(section.noises, section.runs, f"{id}-accuracy")
    audits = [audit_view.view(one, f"{id}-attack-{number}") for number, one in enumerate(section.audits, start=1)]
    return Part(
        id=id,
        title=f"{section.model}, {_where(section)}",
        lede=headline.lede(section),
        tiles=headline.tiles(section),
        graph=graph.view(plan, edge, cloud) if plan else None,
        noise_line=f"with {section.noise.record.kind} noise" if section.noise else "without noise here",
        latency=latency,
        said=[_unticked(line) for line in verdict(plan) if not line.startswith("cut: ")] if plan else [],
        accuracy=[*([accuracy] if accuracy else []), *privacy_charts.trade_off(section.noises, f"{id}-curve")],
        noises=_noises([one.record for one in section.noises]) if section.noises else None,
        audits=audits,
        settings=making.settings(section),
        commands=making.commands(section, found.links),
    )


def _unticked(line: str) -> str:
    return re.sub("`([^`]*)`", r"“\1”", line)


def _where(section: Section) -> str:
    if section.plan and not section.plan.record.cut.crossing:
        return section.cut
    return f"cut after {short(section.cut, SHORT)}"


def _subtitle(found: Gathered) -> str:
    count = len(found.kept)
    dates = sorted(one.made for one in found.kept)
    first, last = (f"{one:%Y-%m-%d %H:%M}" for one in (dates[0], dates[-1]))
    when = first if first == last else f"{first} to {last if first[:10] != last[:10] else last[11:]}"
    return f"From {count} file{'' if count == 1 else 's'} of {found.folder.resolve().name}/, written {when} UTC."


def _noises(noises: Sequence[NoiseFacts]) -> Table:
    heads = ("noise", "lost, points", "95 % interval", "budget", "1/SNR", "bound ≤, bits", "mixture ≤, bits")
    rows = []
    for one in noises:
        found = one.accuracy
        interval = "-" if found.interval_points is None else "{:.2f} to {:.2f}".format(*found.interval_points)
        lost = privacy_charts.figure_signed(found.loss_points)
        bounds = (_bound(one.bound), _bound(one.mixture_bound))
        rows.append((one.kind, lost, interval, f"{one.budget_points:g}", f"{one.snr_inverse:.2f}", *bounds))
    return Table(heads, rows)


def _bound(one: BoundFacts | None) -> str:
    return "-" if one is None else f"{one.bits:.2f}"


def _explored(one: Kept[Explored], id: str) -> ExploredPart:
    found = one.record
    marks = [f"{number}{'*' if cut.unbeaten else ''}" for number, cut in enumerate(found.cuts, start=1)]
    columns, rows = explored_tables.cuts(found.cuts, marks=marks)
    names = [f"{mark} {cut.name}" for mark, cut in zip(marks, found.cuts, strict=True)]
    table = Table(
        ("cut after", *columns[2:]), [(name, *row.cells[2:]) for name, row in zip(names, rows, strict=True)]
    )
    unfinished = "" if found.complete else " Not all that was asked for is there yet."
    return ExploredPart(
        id=id,
        title=f"{found.model.name}, explored on {found.data}",
        lede=f"Noise was learned and attacked at {len(found.cuts)} cuts, {found.budget_points:g} points of accuracy "
        f"allowed, for {found.edge.label} and {found.cloud.label} over {found.link.label}.{unfinished}",
        charts=explored_charts.explored(found, id),
        table=table,
        caption=f"{explored_tables.CAPTION} *: no other of these beats it in everything at once.",
        command=making.explore_command(found),
        left_out=[f"{cut.name} with {cut.noise} noise is left out: {cut.reason}" for cut in found.left_out],
    )


def _profiles(loose: Sequence[Kept[DeviceProfile]]) -> Table:
    rows = [
        (
            one.name,
            one.record.model.name,
            one.record.device.label,
            f"{len(one.record.nodes):,}",
            ms(one.record.whole_ms),
        )
        for one in loose
    ]
    return Table(("file", "network", "device", "nodes", "whole, ms"), rows)


def _files(found: Gathered) -> Table:
    rows = [
        (one.name, schema(one.record), f"{one.made:%Y-%m-%d %H:%M}", size(one.size), f"{one.digest[:23]}…")
        for one in found.kept
    ]
    return Table(("file", "what", "written, UTC", "size", "digest"), rows)


def schema(record: Any) -> str:
    tag = getattr(type(record), "__struct_config__", None)
    return str(tag.tag) if tag is not None else "plan.pictures/1"
