from typing import Any

import numpy as np
import pytest
import torch

from noise import linear_head
from noise.activations import Activations
from noise.cut_network import CutNetwork
from noise.linear_head import LinearHead
from planner.plan import Plan
from planner.planning import cut
from profiles.link import presets
from profiles.profiling import profile


def cut_at(source: str, at: str | None, batch: int = 1) -> CutNetwork:
    measured = profile(source, seconds=0.05, pause_ms=0, batch=batch)
    return CutNetwork.of(cut(measured, measured, presets()["wifi"], at=at))


def some(network: CutNetwork, rows: int = 6) -> Activations:
    random = np.random.default_rng(0)
    sizes = [int(np.prod(shape)) for shape in network.shapes.values()]
    tensors = tuple(random.normal(size=(rows, n)).astype(np.float32) for n in sizes)
    return Activations(tensors, (), np.zeros(rows, np.int64), np.zeros((rows, 2), np.float32))


@pytest.mark.parametrize(("source", "at"), [("lenet", "conv3"), ("lenet", "pool1"), ("cifar10", "pool2")])
def test_the_opened_half_is_the_half(source: str, at: str) -> None:
    network = cut_at(source, at)
    head = LinearHead.of(network)
    assert head is not None
    given = some(network)
    noise = [torch.randn(4, one.shape[1], requires_grad=True) for one in given.tensors]
    noisy = [
        (torch.from_numpy(a)[None] + n[:, None]).flatten(0, 1) for a, n in zip(given.tensors, noise, strict=True)
    ]
    expected = network.logits(noisy)
    found = head.logits(head.clean(given.tensors), noise)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    for one, other in zip(
        torch.autograd.grad(found.square().sum(), noise),
        torch.autograd.grad(expected.square().sum(), noise),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_what_is_kept_is_what_is_made(lenet_plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    network = CutNetwork.of(lenet_plan)
    head, given = LinearHead.of(network), some(network)
    assert head is not None
    kept = head.kept(given)
    assert kept is not None
    torch.testing.assert_close(kept, head.clean(given.tensors))
    assert not kept[0].is_inference()
    monkeypatch.setattr(linear_head, "KEPT_BYTES", 100)
    assert head.kept(given) is None


@pytest.mark.parametrize(
    ("source", "at", "batch", "why"),
    [
        ("own_models:residual", "first+relu", 1, "the skip is added, not convolved"),
        ("own_models:early", "stem", 1, "a pooling reads the tensor too"),
        ("own_models:fixed", "conv", 1, "rows are not free"),
        ("own_models:half", None, 1, "16-bit floats"),
    ],
)
def test_other_halves_stay_closed(source: str, at: Any, batch: int, why: str) -> None:
    assert LinearHead.of(cut_at(source, at, batch)) is None, why


def test_what_is_left_alone_goes_by_the_head() -> None:
    network = cut_at("own_models:with_index", "first+argmax")
    head = LinearHead.of(network)
    assert head is not None
    assert network.beside == ("argmax",)
    given, index = some(network), np.arange(6) % 4
    noise = torch.randn(3, 8)
    noisy = (torch.from_numpy(given.tensors[0])[None] + noise[:, None]).flatten(0, 1)
    tiled = [np.tile(index, 3)]
    found = head.logits(head.clean(given.tensors), [noise], tiled)
    torch.testing.assert_close(found, network.logits([noisy], tiled))
