import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from noise import keyed
from noise.keyed import DrawKey, KeyedRandom
from profiles.errors import ArtifactError

KEY = DrawKey(b"s" * 32, "sha256:one")
IMAGES = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)
TOKENS = np.arange(8).reshape(4, 2)


def first(key: DrawKey, inputs: list[np.ndarray], row: int) -> bytes:
    return key.random(inputs, row).bytes(16)


def test_one_input_has_one_stream_however_rows_are_batched() -> None:
    whole = [first(KEY, [IMAGES, TOKENS], row) for row in range(4)]
    assert whole == [first(KEY, [IMAGES[row : row + 1], TOKENS[row : row + 1]], 0) for row in range(4)]
    assert whole[2] == first(KEY, [IMAGES[[2, 2, 0]], TOKENS[[2, 2, 0]]], 1)
    assert whole[1] == first(KEY, [np.asfortranarray(IMAGES), TOKENS.astype(">i8")], 1)
    assert len(set(whole)) == 4


def test_whatever_differs_gives_another_stream() -> None:
    bit = IMAGES.copy()
    bit.view(np.uint32)[0, 0, 0] ^= 1
    others = [
        first(KEY, [IMAGES, TOKENS], 0),
        first(KEY, [bit, TOKENS], 0),
        first(KEY, [IMAGES, TOKENS + 1], 0),
        first(KEY, [IMAGES.reshape(4, 5, 3), TOKENS], 0),
        first(KEY, [IMAGES.view(np.int32), TOKENS], 0),
        first(KEY, [IMAGES], 0),
        first(KEY, [TOKENS, IMAGES], 0),
        first(DrawKey(b"t" * 32, KEY.noise), [IMAGES, TOKENS], 0),
        first(DrawKey(KEY.secret, "sha256:other"), [IMAGES, TOKENS], 0),
    ]
    assert len(set(others)) == len(others)


def test_calls_of_one_stream_do_not_repeat_each_other() -> None:
    random = KeyedRandom(b"k" * 32)
    drawn = [random.bytes(8) for _ in range(100)]
    assert len(set(drawn)) == 100
    again = KeyedRandom(b"k" * 32)
    assert [again.bytes(8) for _ in range(100)] == drawn


def test_the_secret_is_not_shown() -> None:
    assert "sss" not in repr(KEY)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLAN_CONFIG", str(tmp_path / "new" / "plan"))
    return tmp_path / "new" / "plan"


def test_the_secret_is_made_once_for_the_owner_alone(folder: Path) -> None:
    before = os.umask(0)
    secret = keyed.device_secret()
    assert len(secret) == 32
    assert keyed.device_secret() == secret == (folder / "draw.key").read_bytes()
    assert stat.S_IMODE((folder / "draw.key").stat().st_mode) == 0o600
    assert [one.name for one in folder.iterdir()] == ["draw.key"]
    (folder / "draw.key").unlink()
    assert keyed.device_secret() != secret
    os.umask(before)


def test_two_that_make_it_at_once_have_the_same(folder: Path) -> None:
    found: list[bytes] = []
    together = threading.Barrier(8)

    def ask() -> None:
        together.wait()
        found.append(keyed.device_secret())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [one.name for one in folder.iterdir()] == ["draw.key"]


@pytest.mark.parametrize(
    ("content", "mode", "word"),
    [
        (b"s" * 32, 0o644, "others can read or change it (mode 644), expected 600"),
        (b"s" * 32, 0o660, "mode 660"),
        (b"s" * 31, 0o600, "31 bytes, expected 32"),
        (b"", 0o600, "0 bytes, expected 32"),
        (b"s" * 4000, 0o600, "more bytes, expected 32"),
    ],
)
def test_a_secret_that_is_none_is_refused_in_one_line(folder: Path, content: bytes, mode: int, word: str) -> None:
    folder.mkdir(parents=True)
    (folder / "draw.key").write_bytes(content)
    (folder / "draw.key").chmod(mode)
    with pytest.raises(ArtifactError) as refused:
        keyed.device_secret()
    assert word in str(refused.value)
    assert str(folder / "draw.key") in str(refused.value)
    assert "\n" not in str(refused.value)
    assert (folder / "draw.key").read_bytes() == content


def test_a_folder_that_is_none_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PLAN_CONFIG", str(tmp_path / "file"))
    with pytest.raises(ArtifactError, match="set PLAN_CONFIG to a folder of your own"):
        keyed.device_secret()
