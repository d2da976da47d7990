"""A page of pictures: what was reconstructed, beside the originals. Needs matplotlib (extra `plot`)."""

import importlib.util
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.audit.record import WHITE_BOX, Attempt, Audit, Audited
from noise.auditing.assembly import through_edge
from noise.auditing.attacks import picture_rows
from noise.auditing.floors import CLASS_MEAN, class_means
from noise.auditing.grounds import Grounds
from noise.auditing.pictures import FLOOR, ORIGINALS, PictureLine
from noise.auditing.stage import Done
from noise.auditing.tables import columns
from profiles.artifact import write_bytes
from profiles.errors import PlanError

Array = NDArray[Any]

FORMATS = (".svg", ".png", ".pdf")


@dataclass(frozen=True)
class Line:
    """what: was attacked, how, and its dB over all judged images. images: [n, channels, height, width]."""

    what: PictureLine
    images: Array

    @property
    def label(self) -> str:
        if self.what.attack is None:
            return self.what.subject
        if self.what.subject == FLOOR:
            return f"floor: {self.what.attack}\n{self.what.psnr_db:.2f} dB"
        queries = "" if self.what.queries == 1 else f", {self.what.queries} inferences"
        return f"{self.what.subject}{queries}\n{self.what.attack}, {self.what.psnr_db:.2f} dB"


def installed() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def require_format(path: Path) -> None:
    """Raises PlanError where the suffix is no picture's."""
    if path.suffix.lower() not in FORMATS:
        raise PlanError(f"--pictures {path}: expected a name that ends in {', '.join(FORMATS)}")


def drawable(shape: tuple[int, ...]) -> bool:
    """Whether inputs [rows, channels, height, width] are pictures that can be shown."""
    return len(shape) == 4 and shape[1] in (1, 3)


def write(path: Path, shown: list[Line]) -> None:
    """Raises ArtifactError where the place takes no file."""
    write_bytes(path, drawn(shown, path.suffix.lower().removeprefix(".")))


def lines(audit: Audit, on: Grounds, done: Done) -> list[Line]:
    """What was reconstructed, the originals first and the floor last."""
    assert on.images is not None
    rows = picture_rows(len(on.judged))
    shown = [Line(PictureLine(subject=ORIGINALS, images=len(rows)), on.images.judged[rows])]
    for name, one in columns(audit):
        if name == "floors":
            continue
        shown += [_line(done, name, attempt) for attempt in _shown(one)]
    floor = audit.floors.reconstruction
    assert floor is not None
    what = PictureLine(subject=FLOOR, images=len(rows), attack=CLASS_MEAN, psnr_db=floor.psnr_db)
    shown.append(Line(what, class_means(on, rows)))
    return shown


def _shown(one: Audited) -> list[Attempt]:
    """The strongest attempt from one inference, and that from most."""
    assert one.reconstruction is not None
    attempts = one.reconstruction.attempts
    first = next(each for each in attempts if each.attack == one.reconstruction.attack and each.queries == 1)
    last = max(attempts, key=lambda each: (each.queries, each.psnr_db))
    return [first] if last.queries == 1 else [first, last]


def _line(done: Done, name: str, attempt: Attempt) -> Line:
    several = "" if attempt.queries == 1 else f" of {attempt.queries}"
    found = through_edge(done, name) if attempt.attack == WHITE_BOX else done.of(name, f"{attempt.attack}{several}")
    images = found[0].arrays["pictures"]
    what = PictureLine(
        subject=name,
        images=len(images),
        attack=attempt.attack,
        psnr_db=attempt.psnr_db,
        queries=attempt.queries,
    )
    return Line(what, images)


def drawn(shown: list[Line], kind: str) -> bytes:
    """The page of lines as `svg`, `png` or `pdf`: a row a line, the same images in the same columns."""
    import matplotlib
    from matplotlib.figure import Figure

    settings: Any = {"svg.hashsalt": "plan", "svg.fonttype": "none", "font.size": 8.0, "font.family": "DejaVu Sans"}
    dates: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}[kind]
    many = max(len(one.images) for one in shown)
    with matplotlib.rc_context(settings):
        canvas = Figure(figsize=(2.2 + 0.75 * many, 0.8 * len(shown)))
        left = 2.1 / (2.2 + 0.75 * many)
        places = canvas.subplots(len(shown), many, squeeze=False)
        canvas.subplots_adjust(left=left, right=0.995, top=0.995, bottom=0.005, wspace=0.05, hspace=0.08)
        for line, axes in zip(shown, places, strict=True):
            for place in axes:
                place.set_axis_off()
            for place, image in zip(axes, line.images, strict=False):
                place.imshow(_pixels(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes[0].text(
                -0.1,
                0.5,
                line.label,
                transform=axes[0].transAxes,
                horizontalalignment="right",
                verticalalignment="center",
            )
        made = BytesIO()
        canvas.savefig(made, format=kind, metadata=dates, dpi=150)
    return made.getvalue()


def _pixels(image: Array) -> Array:
    shown: Array = np.clip(image, 0, 1)
    return shown[0] if len(shown) == 1 else shown.transpose(1, 2, 0)
