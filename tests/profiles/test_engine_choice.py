import sys

import networks
import pytest
from networks import traced

from profiles.engine_choice import faster_engine
from profiles.errors import ModelError, ProfileError
from profiles.models import load_model
from profiles.profiling import profile
from profiles.trace import trace


def test_the_faster_engine_is_taken_and_both_figures_said() -> None:
    lines: list[str] = []
    made = profile("lenet", threads=1, seconds=0.05, pause_ms=0, say=lines.append)
    assert f"engine {made.device.engine}: the whole network takes" in lines[0]
    assert "ms in ONNX Runtime" in lines[0]
    assert "ms in torch" in lines[0]


def test_torch_is_taken_where_the_network_has_no_form_as_onnx() -> None:
    lines: list[str] = []
    network = traced(networks.item())
    assert faster_engine(network, threads=1, device="cpu", pause_ms=0, say=lines.append) == "torch"
    assert lines[0].startswith("engine torch: as ONNX it computes something else")


def test_torch_is_taken_where_onnx_runtime_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    lines: list[str] = []
    network = trace(load_model("lenet"))
    assert faster_engine(network, threads=1, device="cpu", pause_ms=0, say=lines.append) == "torch"
    assert "onnxruntime is not installed" in lines[0]
    with pytest.raises(ProfileError, match=r"not installed here; pip install.*\[edge\]"):
        profile("lenet", engine="onnxruntime")


def test_engines_that_are_not_known_or_not_possible_are_refused() -> None:
    with pytest.raises(ProfileError, match="expected one of auto, torch, onnxruntime"):
        profile("lenet", engine="tensorflow")
    with pytest.raises(ModelError, match="--engine torch"):
        profile("networks:item", engine="onnxruntime")
