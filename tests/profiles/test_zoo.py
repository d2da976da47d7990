"""What the catalogue says of a network is what the built network is."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from profiles.models import load_model
from profiles.zoo.catalog import ZOO, ZooEntry, has_random_weights

PUBLISHED = {
    "alexnet": 61_100_840,
    "vgg16": 138_357_544,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "mobilenet-v2": 3_504_872,
    "densenet121": 7_978_856,
}
#: Table 2 and Section 6 of the Shredder paper: convolutions, linear layers, elements at the cut.
PAPER = {
    "lenet": (3, 2, 120),
    "cifar10": (3, 2, 400),
    "svhn": (7, 1, 256),
    "alexnet": (5, 3, 9216),
    "vgg16": (13, 3, 25088),
    "newsgroups": (3, 2, 118),
}


@pytest.mark.parametrize("entry", ZOO.values(), ids=list(ZOO))
def test_the_catalogue_holds_what_the_network_has(entry: ZooEntry) -> None:
    with torch.device("meta"):
        network = entry.untrained()
    layers = list(network.modules())
    assert sum(value.numel() for value in network.parameters()) == entry.parameters
    assert sum(isinstance(one, nn.Conv1d | nn.Conv2d) for one in layers) == entry.convolutions
    assert sum(isinstance(one, nn.Linear) for one in layers) == entry.linears


def test_parameter_counts_are_the_published_ones() -> None:
    assert {name: ZOO[name].parameters for name in PUBLISHED} == PUBLISHED


def test_the_papers_six_have_its_layers_and_elements() -> None:
    found = {one.name: (one.convolutions, one.linears, one.paper_elements) for one in ZOO.values() if one.paper_cut}
    assert found == PAPER


def test_random_weights_are_the_same_each_time_and_known_for_what_they_are() -> None:
    torch.manual_seed(1)
    one = load_model("mobilenet-v2").weights
    torch.manual_seed(2)
    assert load_model("mobilenet-v2").weights == one
    assert has_random_weights("resnet18")
    assert has_random_weights("transformers:ViTConfig")
    assert not has_random_weights("lenet")


def test_plan_models_lists_the_zoo(plan_command: Callable[..., Any]) -> None:
    done = plan_command("models", "--json")
    assert [one["name"] for one in json.loads(done.out)] == list(ZOO)
    assert all(len(line) <= 80 for line in done.err.splitlines() if "M" in line)
