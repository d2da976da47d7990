import copy
import json
from pathlib import Path
from typing import Any

import pytest

from profiles import artifact, device
from profiles.device import DeviceProfile
from profiles.errors import ProfileError


def made(file: dict[str, Any]) -> DeviceProfile:
    return artifact.decode(json.dumps(file).encode(), DeviceProfile, origin="made")


def test_a_profile_agrees_with_itself_on_another_device(tiny: dict[str, Any]) -> None:
    other = copy.deepcopy(tiny)
    other["device"] = {"name": "server", "provenance": "imported", "engine": "onnxruntime", "threads": 8}
    other["nodes"][1]["time_ms"] = 0.1
    device.require_same_network(made(tiny), made(other))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda file: file["model"].update(architecture="sha256:other"), "two models"),
        (lambda file: file.update(batch=2), "batch"),
        (lambda file: file["nodes"][1].update(shape=[1, 4, 4, 4]), "'conv': shape"),
        (lambda file: file["nodes"][1].update(dtype="float16"), "'conv': dtype"),
        (lambda file: (file["nodes"][2].update(id="r"), file["nodes"][3].update(inputs=["r"])), "only one"),
    ],
)
def test_two_networks_are_told_apart(tiny: dict[str, Any], change: Any, word: str) -> None:
    other = copy.deepcopy(tiny)
    change(other)
    with pytest.raises(ProfileError, match=word):
        device.require_same_network(made(tiny), made(other))


def test_other_weights_are_told_apart_where_both_say(tiny: dict[str, Any]) -> None:
    other = copy.deepcopy(tiny)
    other["model"]["weights"] = "sha256:1"
    device.require_same_network(made(tiny), made(other))
    tiny["model"]["weights"] = "sha256:2"
    with pytest.raises(ProfileError, match="two sets of weights"):
        device.require_same_network(made(tiny), made(other))


def test_a_cyclic_profile_names_its_file(tiny: dict[str, Any], tmp_path: Path) -> None:
    tiny["nodes"][1]["inputs"] = ["fc"]
    file = tmp_path / "edge.json"
    file.write_text(json.dumps(tiny))
    with pytest.raises(ProfileError, match=r"edge\.json: the graph has a cycle"):
        device.read(file)
