import errno
import os
from pathlib import Path

import numpy as np
import pytest

from noise import checkpoint
from noise.checkpoint import Checkpoint
from profiles.errors import ArtifactError


def test_what_was_put_is_there_for_the_next_process(tmp_path: Path) -> None:
    file = tmp_path / "x.learning"
    one = Checkpoint(file, key="k")
    assert not one.continued
    one.put("begun", seed=5)
    one.put("stage", {"a": np.arange(6.0).reshape(2, 3).T}, step=3)
    again = Checkpoint(file, key="k")
    assert again.continued
    assert again.get("begun") == ({}, {"seed": 5})
    arrays, facts = again.get("stage") or ({}, {})
    assert (arrays["a"] == np.arange(6.0).reshape(2, 3).T).all()
    assert facts == {"step": 3}
    assert again.get("other") is None


def test_a_stage_that_was_kept_does_not_change_with_what_it_was_kept_from(tmp_path: Path) -> None:
    """Parameters go on being learned under another stage's name."""
    live = np.zeros(3)
    one = Checkpoint(tmp_path / "x", key="k")
    one.put("first", {"a": live})
    live += 1
    one.put("second", {"a": live})
    arrays, _ = Checkpoint(tmp_path / "x", key="k").get("first") or ({}, {})
    assert not arrays["a"].any()


def test_other_work_and_what_is_no_checkpoint_are_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "x"
    Checkpoint(file, key="k").put("begun", seed=5)
    assert not Checkpoint(file, key="other").continued
    whole = file.read_bytes()
    for content in (b"", b"garbage", whole[:20], whole[:-1]):
        file.write_bytes(content)
        assert not Checkpoint(file, key="k").continued


def test_it_is_written_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Checkpoint(tmp_path / "x", key="k")
    one.put("begun")
    assert not one.due
    monkeypatch.setattr(checkpoint, "EVERY_S", -1.0)
    monkeypatch.setattr(one, "_took_s", 0.0)
    assert one.due
    assert not Checkpoint().due


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_is_one_line_and_what_was_kept_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    one = Checkpoint(tmp_path / "x", key="k")
    one.put("begun", seed=5)

    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ArtifactError, match=os.strerror(number)) as caught:
            one.put("stage", {"a": np.zeros(1000)})
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["x"]
    assert (Checkpoint(tmp_path / "x", key="k").get("begun") or (None, None))[1] == {"seed": 5}
