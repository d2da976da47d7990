"""What the page tells first is so of the very files that it is told from."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import reports
from conftest import TINY

from noise.audit.record import Audit
from planner.plan import Plan
from profiles import artifact
from profiles.device import DeviceProfile
from runtime.reporting import gathering, headline, sections


@pytest.fixture(scope="module")
def example() -> DeviceProfile:
    return artifact.decode(json.dumps(TINY).encode(), DeviceProfile, origin="tiny")


def section(
    plan: Plan, *, noises: Sequence[str] = (), runs: Sequence[str] = (), audits: Sequence[Audit] = ()
) -> sections.Section:
    """Kept files by their records alone."""

    def kept(record: Any) -> gathering.Kept[Any]:
        return gathering.Kept("file", Path("file"), record, "", datetime.fromtimestamp(0, UTC), 1)

    return sections.Section(
        "tiny",
        plan.cut.name,
        plan=kept(plan),
        noises=[kept(reports.facts_of(plan, kind=one)) for one in noises],
        runs=[kept(reports.run_of(plan, one)) for one in runs],
        audits=[sections.Pictured(kept(one)) for one in audits],
    )


def test_a_loss_is_told_of_the_noise_that_lost_it(example: DeviceProfile) -> None:
    """A run's accuracy is of its own noise: here 1.20 points, where the file of the noise told first has 1.00."""
    plan = reports.planned(example)
    for runs, lost in ((("gaussian",), "1.20"), (("laplace",), "1.00")):
        one = section(plan, noises=["gaussian"], runs=runs)
        assert f"The gaussian noise learned on digits costs {lost} points" in " ".join(headline.lede(one))
        (tile,) = [each for each in headline.tiles(one) if each.label == "Accuracy lost"]
        assert tile.value == lost
        assert "with gaussian noise" in tile.note


def test_a_run_with_noise_whose_file_is_elsewhere_is_not_without_noise(example: DeviceProfile) -> None:
    told = " ".join(headline.lede(section(reports.planned(example), runs=["laplace"])))
    assert "without noise" not in told
    assert "An inference with laplace noise" in told


@pytest.mark.parametrize(
    ("db", "words"),
    [(11.9, "no closer to the original than"), (12.1, "0.10 dB closer"), (13.0, "1.0 dB closer to the original")],
)
def test_the_class_is_the_floor_of_a_reconstruction(db: float, words: str, example: DeviceProfile) -> None:
    plan = reports.planned(example)
    audit = reports.audit_of(plan)
    assert audit.gaussian
    assert audit.gaussian.reconstruction
    found = msgspec.structs.replace(audit.gaussian.reconstruction, psnr_db=db)
    gaussian = msgspec.structs.replace(audit.gaussian, reconstruction=found, gain=1.5)
    told = headline.lede(
        section(plan, noises=["gaussian"], audits=[msgspec.structs.replace(audit, gaussian=gaussian)])
    )
    assert words in told[-1]
    assert "1.50 times as strong as its file's" in told[-1]
    assert "It was a quick audit" in told[-1]


def test_of_several_audits_the_thorough_one_is_told(example: DeviceProfile) -> None:
    plan = reports.planned(example)
    quick = reports.audit_of(plan)
    thorough = msgspec.structs.replace(quick, quick=False)
    bare = msgspec.structs.replace(thorough, gaussian=None)
    told = headline.lede(section(plan, noises=["gaussian"], audits=[quick, bare, thorough]))
    assert "Through the gaussian noise" in told[-1]
    assert "quick" not in told[-1]
