"""An audit as rows and pictures of a page."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.auditing import tables
from noise.auditing.pictures import FLOOR, ORIGINALS, PictureLine, Pictures
from runtime.reporting import privacy_charts
from runtime.reporting.charts import Chart
from runtime.reporting.palette import WORDS
from runtime.reporting.sections import Pictured

Array = NDArray[Any]

#: Pixels on a side of a picture on the page: more cannot be told apart there.
MOST_SIDE = 96
#: Inputs of at most so many pixels a side are shown small, ten in the width of a phone.
SMALL_SIDE = 40
#: A sheet is taken up to this size.
MOST_SHEET = 4_000_000


@dataclass(frozen=True)
class Row:
    """word: where the figure comes from; sub: of the row above."""

    name: str
    cells: Sequence[str]
    word: str
    what: str
    sub: bool


@dataclass(frozen=True)
class Strip:
    """Pictures of one attack, in the order of the originals; images: data URIs."""

    subject: str
    told: str
    alternative: str
    images: Sequence[str]
    width: int
    height: int
    most: int
    large: bool


@dataclass(frozen=True)
class AuditView:
    name: str
    effort: str
    heads: Sequence[str]
    groups: Sequence[Sequence[Row]]
    remarks: Sequence[str]
    charts: Sequence[Chart]
    strips: Sequence[Strip] = ()
    sheet: str | None = None


def view(one: Pictured, id: str) -> AuditView:
    audit = one.audit.record
    heads, rows = tables.table(audit)
    chart = privacy_charts.reconstruction(audit, id)
    sheet = one.sheet if one.sheet is not None and len(one.sheet) <= MOST_SHEET else None
    effort = tables.effort_line(audit)
    return AuditView(
        name=one.audit.name,
        effort=effort[:1].upper() + effort[1:],
        heads=heads[1:-1],
        groups=_grouped([_row(row.cells) for row in rows]),
        remarks=[f"{', '.join(names)}: {remark}" for remark, names in tables.remarks_by_subject(audit).items()],
        charts=[chart] if chart else [],
        strips=_strips(one.pictures.record) if one.pictures else (),
        sheet=f"data:image/png;base64,{base64.b64encode(sheet).decode()}" if sheet else None,
    )


def _row(cells: Sequence[str]) -> Row:
    name, *figures, said = cells
    word, _, what = said.partition(":")
    known = word.partition(" ")[0]
    if known not in WORDS:
        known, what = "", said
    elif not what:
        what = word.removeprefix(known)
    name, what, sub = name.strip(), what.strip(), name.startswith(" ")
    if name.startswith("of ") and what:  # as narrow as a terminal makes it
        name, what = what, ""
    return Row(name, [one.replace("\n", " ") for one in figures], known, what, sub)


def _grouped(rows: Sequence[Row]) -> list[list[Row]]:
    """A row and those that are of it."""
    groups: list[list[Row]] = []
    for row in rows:
        if row.sub and groups:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _strips(pictures: Pictures) -> list[Strip]:
    return [
        _strip(line, pixels[: line.images])
        for line, pixels in zip(pictures.facts.lines, pictures.pixels, strict=True)
    ]


def _strip(line: PictureLine, pixels: Array) -> Strip:
    height, width = pixels.shape[1:3]
    small = max(height, width) <= SMALL_SIDE
    told = _told(line)
    return Strip(
        subject=line.subject,
        told=told,
        alternative=f"{line.subject}, {told}" if told else line.subject,
        images=[png(one) for one in pixels],
        width=width,
        height=height,
        most=64 if small else 96,
        large=not small,
    )


def _told(line: PictureLine) -> str:
    if line.subject == ORIGINALS or line.attack is None:
        return ""
    decibels = "" if line.psnr_db is None else f", {line.psnr_db:.2f} dB"
    if line.subject == FLOOR:
        return f"{line.attack}{decibels}"
    return f"{line.attack}{decibels}, from {line.queries} inference{'s' if line.queries > 1 else ''}"


def png(pixels: Array) -> str:
    """A picture [height, width, channels] uint8 as a data URI, large ones made smaller."""
    from PIL import Image

    shown = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    image = Image.fromarray(np.ascontiguousarray(shown))
    image.thumbnail((MOST_SIDE, MOST_SIDE))
    made = BytesIO()
    image.save(made, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(made.getvalue()).decode()}"
