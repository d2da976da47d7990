"""The file of an audit's pictures: what goes in comes out, and nothing beyond its limits does."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reports

from noise.archive import packed
from noise.audit.record import Audit
from noise.auditing import pictures
from noise.auditing.pictures import PictureLine
from profiles import artifact
from profiles.device import DeviceProfile
from profiles.errors import ArtifactError


@pytest.fixture
def audit(tiny_profile: DeviceProfile) -> Audit:
    return reports.audit_of(reports.planned(tiny_profile))


def test_what_is_written_is_read(tmp_path: Path, audit: Audit) -> None:
    for name in ("one", "two"):
        pictures.write(tmp_path / name, audit, reports.lines())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    found = pictures.read(tmp_path / "one")
    assert found.pixels.shape == (4, 4, 6, 5, 1)
    assert found.facts.audit == pictures.audit_digest(audit)
    for (line, images), kept, row in zip(reports.lines(), found.facts.lines, found.pixels, strict=True):
        assert kept == line
        shown = row[: line.images].transpose(0, 3, 1, 2) / 255
        assert np.abs(shown - images).max() <= 0.5 / 255 + 1e-12
        assert not row[line.images :].any()


def test_the_digest_is_of_what_an_audit_says(tmp_path: Path, audit: Audit) -> None:
    # Laid out otherwise, read again: the same audit.
    compact = json.dumps(json.loads(artifact.encode(audit))).encode()
    assert pictures.audit_digest(artifact.decode(compact, Audit, origin="compact")) == pictures.audit_digest(audit)


def test_pixels_are_clipped_and_nothing_is_no_number() -> None:
    images = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, np.nan]).reshape(1, 1, 1, 6)
    assert pictures.as_pixels(images).ravel().tolist() == [0, 0, 128, 255, 255, 0]


@pytest.mark.parametrize(
    ("shape", "dtype", "lines", "word"),
    [
        ((1, 2, 4, 4, 1), np.float32, 1, "uint8"),
        ((1, 2, 4, 4), np.uint8, 1, "uint8"),
        ((1, 2, 4, 4, 4), np.uint8, 1, "1 or 3"),
        ((2, 2, 4, 4, 1), np.uint8, 1, "1 lines"),
        ((1, 65, 4, 4, 1), np.uint8, 1, "1 to 64 images"),
        ((1, 2, 4, 1025, 1), np.uint8, 1, "1024 pixels"),
        ((1, 0, 4, 4, 1), np.uint8, 1, "1 to 64 images"),
        ((1, 1, 4, 4, 1), np.uint8, 1, "more images than the 1"),
    ],
)
def test_what_is_beyond_the_limits_is_refused(
    shape: tuple[int, ...], dtype: Any, lines: int, word: str, tmp_path: Path
) -> None:
    told = [{"subject": "clean", "images": 2}] * lines
    fields = {"schema": pictures.SCHEMA, "audit": "sha256:x", "lines": told}
    (tmp_path / "p").write_bytes(packed({"pictures": np.zeros(shape, dtype)}, fields))
    with pytest.raises(ArtifactError, match=word):
        pictures.read(tmp_path / "p")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"schema": "plan.noise/1"}, "got schema 'plan.noise/1'"),
        ({"schema": pictures.SCHEMA, "audit": "x"}, "metadata: Expected `array`"),
        ({"schema": pictures.SCHEMA, "audit": "x", "lines": [{"subject": "x" * 201, "images": 1}]}, "length <= 200"),
        ({"schema": pictures.SCHEMA, "audit": "x", "lines": [{"subject": "x", "images": 1}] * 65}, "length <= 64"),
    ],
)
def test_labels_are_checked(fields: dict[str, Any], word: str, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(packed({"pictures": np.zeros((1, 1, 2, 2, 1), np.uint8)}, fields))
    with pytest.raises(ArtifactError, match=word):
        pictures.read(tmp_path / "p")


def test_a_file_cut_short_is_refused(tmp_path: Path, audit: Audit) -> None:
    pictures.write(tmp_path / "p", audit, reports.lines())
    (tmp_path / "p").write_bytes((tmp_path / "p").read_bytes()[:-3])
    with pytest.raises(ArtifactError, match="not a whole safetensors file"):
        pictures.read(tmp_path / "p")


def test_pictures_too_large_do_not_fit() -> None:
    line = PictureLine(subject="clean", images=1)
    assert pictures.fits([(line, np.zeros((1, 3, 8, 8)))])
    assert not pictures.fits([(line, np.zeros((1, 3, 8, 1025)))])
