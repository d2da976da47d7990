import json
import os
from pathlib import Path
from typing import Any

import pytest

from profiles import artifact
from profiles.device import DeviceProfile
from profiles.errors import ArtifactError, LinkError
from profiles.link import LinkProfile, load


def test_the_designs_example_is_valid_and_comes_back_as_it_was(tiny: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "edge.json"
    file.write_text(json.dumps(tiny))
    profile = artifact.read(file, DeviceProfile)
    artifact.write(file, profile)
    assert artifact.read(file, DeviceProfile) == profile
    again = json.loads(file.read_text())
    assert again["nodes"] == tiny["nodes"]
    assert again["schema"] == "plan.profile/1"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda file: file["nodes"][1].update(time_ms="2"), "nodes[1].time_ms"),
        (lambda file: file["nodes"][1].update(time_ms=-1), "nodes[1].time_ms"),
        (lambda file: file["nodes"][2].update(kind="magic"), "nodes[2].kind"),
        (lambda file: file["nodes"][0].update(shape=[1, -3]), "nodes[0].shape[1]"),
        (lambda file: file["nodes"][3].pop("bytes"), "bytes"),
        (lambda file: file.update(whole_ms=0), "whole_ms"),
        (lambda file: file["device"].update(provenance="guessed"), "device.provenance"),
        (lambda file: file.pop("model"), "model"),
    ],
)
def test_a_wrong_field_is_named(tiny: dict[str, Any], tmp_path: Path, change: Any, named: str) -> None:
    change(tiny)
    file = tmp_path / "edge.json"
    file.write_text(json.dumps(tiny))
    with pytest.raises(ArtifactError) as caught:
        artifact.read(file, DeviceProfile)
    assert named in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_no_number_that_is_none(tmp_path: Path, number: str) -> None:
    text = '{"schema": "plan.link/1", "name": "x", "provenance": "measured", "uplink_mbps": %s, '
    text += '"downlink_mbps": 20, "rtt_ms": 5}'
    file = tmp_path / "link.json"
    file.write_text(text % number)
    with pytest.raises(ArtifactError):
        artifact.read(file, LinkProfile)


@pytest.mark.parametrize("keep", [0, 1, 20, 200])
def test_a_cut_short_file_is_refused(tiny: dict[str, Any], tmp_path: Path, keep: int) -> None:
    file = tmp_path / "edge.json"
    file.write_text(json.dumps(tiny)[:keep])
    with pytest.raises(ArtifactError, match=r"edge\.json"):
        artifact.read(file, DeviceProfile)


@pytest.mark.parametrize("schema", ["plan.profile/2", "plan.plan/1", 7, None])
def test_another_schema_is_refused(tiny: dict[str, Any], tmp_path: Path, schema: Any) -> None:
    tiny["schema"] = schema
    file = tmp_path / "edge.json"
    file.write_text(json.dumps(tiny))
    with pytest.raises(ArtifactError, match="schema"):
        artifact.read(file, DeviceProfile)


def test_a_missing_file_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such file, expected a plan"):
        artifact.read(tmp_path / "none.json", DeviceProfile)
    with pytest.raises(LinkError, match="neither a preset"):
        load("wfi")


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "old.json"
    file.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArtifactError, match="No space left"):
        artifact.write_bytes(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_in_the_way_is_one_clear_line(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"):
        artifact.write_bytes(blocker / "below.json", b"x")


def test_a_place_is_tried_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    artifact.require_writable(None, tmp_path / "new" / "edge.json", tmp_path / "file")
    assert not list((tmp_path / "new").iterdir())
    assert (tmp_path / "file").read_text() == "kept"
    for wrong, word in (
        (tmp_path, "is a folder"),
        (Path(), "is a folder"),
        (tmp_path / "file" / "x", "is no folder"),
    ):
        with pytest.raises(ArtifactError, match=word):
            artifact.require_writable(wrong)


def test_a_link_is_followed_and_a_pipe_or_device_is_never_replaced(tmp_path: Path) -> None:
    link, target = tmp_path / "link.json", tmp_path / "target.json"
    target.write_text("old")
    link.symlink_to(target)
    artifact.write_bytes(link, b"new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    artifact.require_writable(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    artifact.write_bytes(pipe, b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()
    reader, writer = os.pipe()
    artifact.write_bytes(Path(f"/dev/fd/{writer}"), b"unnamed")
    assert os.read(reader, 100) == b"unnamed"
    os.close(reader)
    os.close(writer)


def test_an_input_is_never_written_over(tmp_path: Path) -> None:
    edge = tmp_path / "edge.json"
    edge.write_text("kept")
    with pytest.raises(ArtifactError, match="would be lost"):
        artifact.require_writable(tmp_path / "x" / ".." / "edge.json", beside=[None, edge])


def test_two_results_never_go_to_one_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="two results"):
        artifact.require_writable(tmp_path / "a", tmp_path / "x" / ".." / "a")
    artifact.require_writable(tmp_path / "a", tmp_path / "b", Path(os.devnull), Path(os.devnull))
