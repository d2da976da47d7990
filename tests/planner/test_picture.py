import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner import picture
from planner.planning import cut
from profiles.device import DeviceProfile
from profiles.link import presets


@pytest.fixture
def plan(lenet_profile: DeviceProfile) -> Any:
    return cut(lenet_profile, lenet_profile, presets()["wifi"])


@pytest.mark.parametrize(("suffix", "begins"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_suffix_says_what_is_written_and_twice_the_same(
    plan: Any, tmp_path: Path, suffix: str, begins: bytes
) -> None:
    for name in ("one", "two"):
        picture.write(tmp_path / f"{name}.{suffix}", plan)
    written = (tmp_path / f"one.{suffix}").read_bytes()
    assert written.startswith(begins)
    assert written == (tmp_path / f"two.{suffix}").read_bytes()


def test_the_picture_names_cuts_references_devices_and_where_figures_come_from(plan: Any, tmp_path: Path) -> None:
    picture.write(tmp_path / "cut.svg", plan)
    text = (tmp_path / "cut.svg").read_text()
    words = [one.name for one in plan.candidates] + ["cloud-only", "edge-only", "← chosen", "uplink"]
    assert all(word in text for word in words)
    assert f"edge: {plan.edge.label}" in text
    assert "link: wifi (imported)" in text


def test_a_picture_needs_no_pyplot(plan: Any, tmp_path: Path) -> None:
    before = "matplotlib.pyplot" in sys.modules
    picture.write(tmp_path / "cut.svg", plan)
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_another_suffix_is_refused_before_any_work(plan_command: Callable[..., Any]) -> None:
    done = plan_command("cut", "gone.json", "gone.json", "--link", "wifi", "--plot", "cut.gif")
    assert done.code == 2
    assert "cut.gif: expected a name that ends in .svg" in done.err


def test_without_matplotlib_the_extra_is_named(
    plan_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = plan_command("cut", "gone.json", "gone.json", "--link", "wifi", "--plot", "cut.svg")
    assert done.code == 2
    assert "[plot]" in done.err
    assert len(done.err.splitlines()) == 1
