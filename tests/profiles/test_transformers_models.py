"""Small networks of `transformers`: traced, their kinds, and split == whole at cuts with several tensors."""

import random
import sys

import pytest

from planner.legality import CutRules
from profiles import halves
from profiles.engine import TorchEngine
from profiles.errors import ModelError
from profiles.models import load_model
from profiles.trace import TracedNetwork, trace

_TEXT = "num_hidden_layers=2&hidden_size=32&num_attention_heads=2&intermediate_size=64&vocab_size=100"
BERT = f"transformers:BertForSequenceClassification?{_TEXT}"
VIT = (
    "transformers:ViTForImageClassification?image_size=32&patch_size=8&num_hidden_layers=2&hidden_size=32"
    "&num_attention_heads=2&intermediate_size=64"
)
CONVNEXT = "transformers:ConvNextForImageClassification?depths=1,1&hidden_sizes=8,16&num_stages=2&image_size=32"
RESNET = "transformers:ResNetConfig?depths=1,1&hidden_sizes=8,16&embedding_size=8&image_size=32"


def some_cuts(network: TracedNetwork, count: int = 6) -> list[frozenset[str]]:
    """Legal cuts by random closures; those with the most crossing tensors."""
    rules = CutRules(network.graph, frozenset(node.id for node in network.graph.inputs))
    choice, names = random.Random(0), [node.id for node in network.graph.nodes if node.kind != "output"]
    drawn = {
        frozenset().union(*(rules.closure(name) for name in choice.sample(names, choice.randint(1, 4))))
        for _ in range(150)
    }
    ends = {node.id for node in network.graph.outputs}
    legal = [cut for cut in drawn if rules.objection(cut) is None and not cut & ends]
    return sorted(legal, key=lambda cut: (-len(rules.crossing(cut)), sorted(cut)))[:count]


@pytest.mark.parametrize("source", [BERT, VIT, CONVNEXT, RESNET], ids=["bert", "vit", "convnext", "resnet"])
def test_halves_equal_the_whole_at_cuts_with_several_tensors(source: str) -> None:
    network = trace(load_model(source))
    assert network.dynamic_batch
    inputs = [value.numpy() for value in network.example]
    plain = network.model.module(**network.model.kwargs)
    expected = TorchEngine(halves.whole(network)).run(inputs)
    halves.require_equal([value.detach().numpy() for value in plain.values()], expected)
    cuts = some_cuts(network)
    assert cuts
    assert max(len(halves.split(network, cut).crossing) for cut in cuts) > 1
    for cut in cuts:
        made = halves.split(network, cut)
        halves.require_equal(expected, TorchEngine(made.cloud).run(TorchEngine(made.edge).run(inputs)))


def test_an_encoders_kinds_are_right() -> None:
    graph = trace(load_model(BERT)).graph
    by_op = {node.op: node.kind for node in graph.nodes}
    assert by_op["scaled_dot_product_attention"] == "matmul"
    assert by_op["embedding"] == "embedding"
    assert by_op["layer_norm"] == "normalisation"
    assert by_op["gelu"] == "activation"
    assert not [node.id for node in graph.nodes if node.flops is None and node.kind not in ("input", "output")]


def test_positions_are_no_nodes_and_a_mask_carries_the_mask_alone() -> None:
    graph = trace(load_model(BERT)).graph
    assert all(node.inputs for node in graph.nodes if node.kind != "input")
    (attention, *_) = (node for node in graph.nodes if node.op == "scaled_dot_product_attention")
    mask = graph.with_needs([attention.inputs[3]])
    assert "attention_mask" in mask
    assert "input_ids" not in mask
    assert attention.inputs[3] in CutRules(graph).private
    assert attention.inputs[3] not in CutRules(graph, frozenset({"attention_mask"})).private


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("ViTConfg", "nearest: ViTConfig"),
        ("BertConfig?depth", "no setting"),
        ("BertConfig?num_hidden_layer=2", "nearest: num_hidden_layers"),
        ("BertConfig?num_attention_heads=7", "makes no model"),
        ("T5Config", "package.module:function"),
    ],
)
def test_what_is_no_model_is_one_clear_line(name: str, word: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(f"transformers:{name}")
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_extra_the_command_that_brings_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"pip install .*\[models\]"):
        load_model("transformers:ViTConfig")
