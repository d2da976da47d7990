"""The pictures of an audit, kept beside it (`plan.pictures/1`): safetensors of 8-bit pixels, labels in the metadata.

    AUDIT.pictures.safetensors: `pictures` [lines, images, height, width, channels] uint8, 1 channel or 3

No torch, no matplotlib, no pickle; every limit is checked on reading, before pixels are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from noise.archive import packed
from profiles import artifact
from profiles.artifact import Count
from profiles.errors import ArtifactError

Array = NDArray[Any]

SCHEMA = "plan.pictures/1"
SUFFIX = ".pictures.safetensors"
#: What a file may hold: lines and images in one, pixels on a side, bytes in all.
MOST_LINES, MOST_IMAGES, MOST_SIDE, MOST_BYTES = 64, 64, 1024, 64_000_000
ORIGINALS, FLOOR = "originals", "floor"

Name = Annotated[str, msgspec.Meta(max_length=200)]


class PictureLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one row of pictures is. subject: originals, clean, a kind of noise, or floor. psnr_db: the attack's over
    all judged images. queries: inferences of one input that it saw. images: in this row, the rest of it is black."""

    subject: Name
    images: Count
    attack: Name | None = None
    psnr_db: float | None = None
    queries: Count = 1


class PictureFacts(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag=SCHEMA):
    """audit: digest of the audit whose pictures these are (`audit_digest`). lines: in the tensor's order."""

    audit: str
    lines: Annotated[tuple[PictureLine, ...], msgspec.Meta(max_length=MOST_LINES)]


@dataclass(frozen=True)
class Pictures:
    """pixels: [lines, images, height, width, channels] uint8."""

    facts: PictureFacts
    pixels: Array


def audit_digest(audit: msgspec.Struct) -> str:
    """Of what an audit says, however its file is laid out."""
    return artifact.digest(artifact.encode(audit))


def beside(audit: Path) -> Path:
    """audit.json → audit.pictures.safetensors."""
    return audit.with_suffix(SUFFIX)


def write(path: Path, audit: msgspec.Struct, lines: Sequence[tuple[PictureLine, Array]]) -> None:
    """lines: images [images, channels, height, width] in [0, 1]; the file is of rows equally long.

    Raises ArtifactError where the place takes no file.
    """
    facts = PictureFacts(audit=audit_digest(audit), lines=tuple(line for line, _ in lines))
    pixels = np.zeros(_shape(lines), np.uint8)
    for row, (line, images) in zip(pixels, lines, strict=True):
        row[: line.images] = as_pixels(images[: line.images])
    artifact.write_bytes(path, packed({"pictures": pixels}, msgspec.to_builtins(facts)))


def fits(lines: Sequence[tuple[PictureLine, Array]]) -> bool:
    """Whether pictures are within what a file may hold."""
    return _wrong(_shape(lines), "U8", len(lines)) is None and len(lines) <= MOST_LINES


def _shape(lines: Sequence[tuple[PictureLine, Array]]) -> tuple[int, ...]:
    channels, height, width = lines[0][1].shape[1:]
    return len(lines), max(line.images for line, _ in lines), height, width, channels


def as_pixels(images: Array) -> Array:
    """[..., channels, height, width] in [0, 1] → [..., height, width, channels] uint8."""
    shown: Array = np.round(255 * np.clip(np.nan_to_num(images), 0, 1)).astype(np.uint8)
    return np.moveaxis(shown, -3, -1)


def read(path: Path) -> Pictures:
    """Raises ArtifactError for a file of another schema, beyond the limits, or that contradicts itself."""
    try:
        with safe_open(path, framework="np") as archive:
            facts = _facts(path, archive.metadata() or {})
            if list(archive.keys()) != ["pictures"]:
                raise ArtifactError(f"{path}: expected one tensor, `pictures`; audit anew")
            form = archive.get_slice("pictures")
            shape, dtype = tuple(form.get_shape()), form.get_dtype()
            if (wrong := _wrong(shape, dtype, len(facts.lines))) is not None:
                raise ArtifactError(f"{path}: pictures of shape {list(shape)} {dtype}, expected {wrong}; audit anew")
            if any(line.images > shape[1] for line in facts.lines):
                raise ArtifactError(f"{path}: a line of more images than the {shape[1]} that are there; audit anew")
            return Pictures(facts, archive.get_tensor("pictures"))
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: not a whole safetensors file ({error}); audit anew") from error


def _facts(path: Path, metadata: dict[str, str]) -> PictureFacts:
    if metadata.get("schema") != SCHEMA:
        raise ArtifactError(f"{path}: got schema {metadata.get('schema')!r} in its metadata, expected {SCHEMA!r}")
    try:
        lines = msgspec.json.decode(metadata.get("lines", "null"))
        return msgspec.convert({**metadata, "lines": lines}, PictureFacts)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ArtifactError(f"{path}: metadata: {error}; audit anew") from error


def _wrong(shape: tuple[int, ...], dtype: str, lines: int) -> str | None:
    """What was expected instead, where the form is not right."""
    if dtype != "U8" or len(shape) != 5 or shape[4] not in (1, 3):
        return "uint8 [lines, images, height, width, 1 or 3]"
    if shape[0] != lines:
        return f"{lines} lines, as the metadata names"
    if not all(1 <= size <= most for size, most in zip(shape[1:4], (MOST_IMAGES, MOST_SIDE, MOST_SIDE), strict=True)):
        return f"1 to {MOST_IMAGES} images a line of at most {MOST_SIDE} pixels a side"
    if int(np.prod(shape)) > MOST_BYTES:
        return f"at most {MOST_BYTES:,} bytes"
    return None
