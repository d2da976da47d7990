"""Modelled devices: closed forms by hand, batch, and the totals of published networks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networks
import pytest
import torch
from torch import nn

from profiles import device, roofline
from profiles.errors import ProfileError
from profiles.graph import LayerGraph, Node
from profiles.operator_facts import operator_facts
from profiles.roofline import DeviceConstants, OperatorFacts

#: 1 GFLOP/s and 1 GB/s at full efficiency: a FLOP, or a byte, takes a nanosecond.
SIMPLE = DeviceConstants(
    peak_flops=2e9,
    bandwidth_bytes_per_s=2e9,
    memory_efficiency=0.5,
    overhead_ms=0.1,
    efficiency={"conv3x3": 1.0, "conv": 0.5, "depthwise": 0.25},
    fit="by hand",
    uncertainty="none",
    sources=("by hand",),
)


def graph(*nodes: Node) -> LayerGraph:
    return LayerGraph.of(nodes)


def node(name: str, kind: Any, size: int, *inputs: str, **more: Any) -> Node:
    return Node(id=name, kind=kind, inputs=inputs, shape=(1, size // 4), dtype="float32", bytes=size, **more)


def time_of(facts: OperatorFacts, **more: Any) -> float:
    made = graph(node("x", "input", 1000), node("n", more.pop("kind", "convolution"), 2000, "x", **more))
    return roofline.node_times_ms(made, {"n": facts}, SIMPLE)["n"]


def test_memory_sets_the_time_where_products_are_few() -> None:
    # 1000 in + 3000 parameters + 2000 out at 1 byte a nanosecond.
    assert time_of(OperatorFacts(), flops=10, parameter_bytes=3000) == pytest.approx(0.1 + 6000e-6)


@pytest.mark.parametrize(("form", "rate"), [("conv3x3", 2e9), ("conv", 1e9), ("depthwise", 0.5e9)])
def test_products_set_the_time_where_they_are_many(form: Any, rate: float) -> None:
    assert time_of(OperatorFacts(efficiency=form), flops=10**7) == pytest.approx(0.1 + 1000 * 1e7 / rate)


def test_unknown_flops_are_priced_by_bytes_and_named() -> None:
    made = graph(node("x", "input", 1000), node("n", "other", 2000, "x"))
    assert roofline.node_times_ms(made, {}, SIMPLE)["n"] == pytest.approx(0.1 + 3000e-6)
    assert roofline.without_flops(made, {}) == ("n",)


def test_what_launches_nothing_costs_nothing() -> None:
    assert time_of(OperatorFacts(launches=False), kind="reshape") == 0
    made = graph(node("x", "input", 1000), node("out", "output", 1000, "x"))
    assert set(roofline.node_times_ms(made, {}, SIMPLE).values()) == {0.0}


def test_an_embedding_reads_the_rows_it_looks_up() -> None:
    assert time_of(OperatorFacts(), kind="embedding", flops=0, parameter_bytes=10**9) == pytest.approx(0.1 + 5000e-6)


def test_an_unknown_device_names_the_known_ones() -> None:
    with pytest.raises(ProfileError, match="tx2-gpu, tx2-cpu, titan-xp"):
        roofline.device("tx3")


OWN = {
    "peak_flops": 1e12,
    "bandwidth_bytes_per_s": 1e11,
    "memory_efficiency": 0.5,
    "overhead_ms": 0.1,
    "efficiency": {"conv3x3": 0.5, "conv": 0.5, "depthwise": 0.1},
    "fit": "none",
    "uncertainty": "unknown",
    "sources": ["a data sheet"],
}


def test_a_users_own_constants_are_a_device(tmp_path: Path, plan_command: Callable[..., Any]) -> None:
    file, out = tmp_path / "board.json", tmp_path / "edge.json"
    file.write_text(json.dumps(OWN))
    done = plan_command("profile", "lenet", "--as", file, "--out", out)
    assert done.code == 0, done.err
    made = device.read(out)
    assert (made.device.name, made.device.provenance) == ("board", "modelled")
    file.write_text(json.dumps({**OWN, "overhead_ms": 1.1}))
    launches = sum(one.time_ms > 0 for one in made.nodes)
    slower = plan_command("profile", "lenet", "--as", file, "--json")
    assert json.loads(slower.out)["whole_ms"] == pytest.approx(made.whole_ms + launches)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"peak_flops": 0}, "$.peak_flops; expected the constants of one device"),
        ({"sources": []}, "$.sources; expected"),
        ({"efficiency": {"conv": 1, "conv3x3": 1}}, "efficiency has no 'depthwise'"),
    ],
)
def test_constants_that_cannot_be_are_refused(changes: dict[str, Any], word: str, tmp_path: Path) -> None:
    file = tmp_path / "board.json"
    file.write_text(json.dumps({**OWN, **changes}))
    with pytest.raises(ProfileError) as caught:
        roofline.device(str(file))
    assert word in str(caught.value)


class Forms(nn.Module):
    """Every form of a convolution, and operators that copy nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.strided = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, stride=2)
        self.dilated, self.grouped = (
            nn.Conv2d(4, 4, 3, padding=2, dilation=2),
            nn.Conv2d(4, 4, 3, groups=2, padding=1),
        )
        self.depthwise, self.point = nn.Conv2d(4, 4, 3, groups=4, padding=1), nn.Conv2d(4, 4, 1)
        self.drop = nn.Dropout()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.point(self.depthwise(self.grouped(self.dilated(self.strided(self.dense(x))))))
        x = self.drop(x).permute(0, 2, 3, 1)
        return x.reshape(x.size(0), -1)


def test_the_form_of_a_convolution_and_what_is_a_view() -> None:
    facts = operator_facts(networks.traced((Forms(), (torch.rand(1, 4, 8, 8),))))
    forms = {
        name: facts[name].efficiency for name in ("dense", "strided", "dilated", "grouped", "depthwise", "point")
    }
    assert forms == {
        "dense": "conv3x3",
        "strided": "conv",
        "dilated": "conv",
        "grouped": "conv",
        "depthwise": "depthwise",
        "point": "conv",
    }
    assert (facts["strided"].kernel, facts["strided"].stride, facts["depthwise"].groups) == (9, 2, 4)
    # A reshape of permuted data copies; the permutation and dropout in eval mode do not.
    assert not facts["drop"].launches
    assert not facts["permute"].launches
    assert facts["reshape"].launches


@pytest.mark.parametrize("make", networks.ALL)
def test_a_larger_batch_never_costs_less_and_never_more_than_so_many_singles(make: Callable[[], Any]) -> None:
    constants = roofline.device("tx2-cpu")

    def total(batch: int) -> float:
        network = networks.traced(make(), batch)
        return sum(roofline.node_times_ms(network.graph, operator_facts(network), constants).values())

    one, eight = total(1), total(8)
    assert one < eight <= 8 * one


def test_alexnet_takes_what_the_constants_were_published_with() -> None:
    layers = [nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    layers += [nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    layers += [nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()]
    layers += [nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.AdaptiveAvgPool2d(6)]
    layers += [nn.Flatten(), nn.Dropout(), nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout()]
    layers += [nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)]
    network = networks.traced((nn.Sequential(*layers), (torch.rand(1, 3, 224, 224),)))
    facts = operator_facts(network)
    totals = {
        name: sum(roofline.node_times_ms(network.graph, facts, one).values())
        for name, one in roofline.devices().items()
    }
    assert totals == pytest.approx({"tx2-gpu": 12.8, "tx2-cpu": 101, "titan-xp": 1.09}, rel=0.006)


def test_the_command_writes_a_modelled_profile(tmp_path: Any, plan_command: Callable[..., Any]) -> None:
    out = tmp_path / "edge.json"
    done = plan_command("profile", "lenet", "--as", "tx2-gpu", "--out", out)
    assert (done.code, "modelled" in done.out) == (0, True)
    made = device.read(out)
    assert (made.device.name, made.device.provenance) == ("tx2-gpu", "modelled")
    assert made.whole_ms == pytest.approx(sum(one.time_ms for one in made.nodes))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--as", "tx3"), "there are: tx2-gpu, tx2-cpu, titan-xp"),
        (("--as", "tx2-gpu", "--threads", "1"), "--threads"),
        (("--as", "tx2-gpu", "--device", "cpu"), "--device"),
        (("--as", "tx2-gpu", "--seconds", "4"), "--seconds"),
        (("--as", "tx2-gpu", "--predict", "p.json"), "give one of them"),
        (("--predict", "gone.json"), "gone.json: no such file"),
    ],
)
def test_what_cannot_go_with_a_modelled_device(
    arguments: tuple[str, ...], word: str, plan_command: Callable[..., Any]
) -> None:
    done = plan_command("profile", "lenet", "--json", *arguments)
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1
