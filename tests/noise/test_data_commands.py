"""plan data, plan models, plan models train: as they are called, on a small cache made here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noise.datasets import catalog, store
from noise.pretrain import accuracy_percent
from profiles.errors import ModelError
from profiles.zoo.catalog import ZOO, has_random_weights
from profiles.zoo.trained import cached_weights

Plan = Callable[..., Any]


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds 120 invented solar cells: the defective are dark."""
    monkeypatch.setenv("PLAN_CACHE", str(tmp_path))
    defect = np.arange(120, dtype=np.uint8) % 2
    pixels = np.random.default_rng(0).integers(100, 150, size=(120, 96, 96)) - 90 * defect[:, None, None]
    arrays = {"pixels": pixels.astype(np.uint8), "defect": defect, "type": np.arange(120, dtype=np.uint8) // 60}
    store.save_arrays(store.cached("elpv"), arrays)
    return tmp_path


def test_plan_data_tells_what_the_cache_has(plan_command: Plan, cells: Path) -> None:
    done = plan_command("data", "--json")
    facts = {one["name"]: one for one in json.loads(done.out)}
    assert list(facts) == list(catalog.DATASETS)
    assert facts["elpv"]["cached_bytes"] == store.cached("elpv").stat().st_size
    assert facts["cifar10"]["cached_bytes"] is None
    assert facts["elpv"]["private"] == ["module-type"]
    assert all(len(line) <= 80 for line in done.err.splitlines() if "×" in line)


def test_what_the_cache_has_is_not_fetched(plan_command: Plan, cells: Path) -> None:
    done = plan_command("data", "fetch", "elpv", "--json")
    facts = json.loads(done.out)
    assert (facts["fetched"], facts["train"], facts["test"]) == (False, 90, 30)
    assert plan_command("data", "fetch", "elvp").code == 2


def test_a_trained_network_is_found_where_training_put_it(plan_command: Plan, cells: Path) -> None:
    random = ZOO["elpv"].build().state_dict()
    assert has_random_weights("elpv")
    done = plan_command("models", "train", "elpv", "--epochs", "2", "--seed", "1", "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert not has_random_weights("elpv")
    assert Path(result["path"]) == cached_weights("elpv")
    assert sorted(path.name for path in (cells / "models").iterdir()) == ["elpv.safetensors"]
    network = ZOO["elpv"].build()
    assert not torch.equal(network.state_dict()["fc2.weight"], random["fc2.weight"])
    data = catalog.load_dataset("elpv")
    assert accuracy_percent(network, data.test) == pytest.approx(result["test_percent"], abs=1e-3)
    listed = {one["name"]: one["trained"] for one in json.loads(plan_command("models", "--json").out)}
    assert listed["elpv"]
    assert not listed["svhn"]


def test_the_same_seed_gives_the_same_file_and_another_another(plan_command: Plan, cells: Path) -> None:
    def trained(seed: int, name: str) -> bytes:
        plan_command("models", "train", "elpv", "--epochs", "1", "--seed", str(seed), "--out", cells / name)
        return (cells / name).read_bytes()

    assert trained(1, "a") == trained(1, "b") != trained(2, "c")


@pytest.mark.parametrize("fault", ["junk", "other shapes", "not finite", "a layer too few"])
def test_cached_weights_that_do_not_fit_are_one_line(cells: Path, fault: str) -> None:
    from safetensors.torch import save

    weights = {name: value.clone() for name, value in ZOO["elpv"].untrained().state_dict().items()}
    if fault == "other shapes":
        weights["fc2.bias"] = torch.zeros(3)
    if fault == "not finite":
        weights["fc2.bias"][0] = torch.nan
    if fault == "a layer too few":
        del weights["fc2.bias"]
    path = cached_weights("elpv")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"junk" if fault == "junk" else save(weights))
    with pytest.raises(ModelError, match="not weights of elpv") as caught:
        ZOO["elpv"].build()
    assert "delete it and run `plan models train elpv`" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("cifar10",), "say where the weights go: --out FILE"),
        (("alexnet",), "cannot be fetched"),
        (("svhn",), "run `plan data fetch svhn-standin`"),
        (("elpv", "--out", "."), "is a folder"),
    ],
)
def test_what_cannot_be_trained_is_one_line(
    plan_command: Plan, cells: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], word: str
) -> None:
    monkeypatch.chdir(cells)
    done = plan_command("models", "train", *arguments)
    assert done.code == 2
    assert word in done.err
    assert len(done.err.strip().splitlines()) == 1
