from itertools import combinations

import pytest
import random_graphs
from hypothesis import given, settings
from legal_cuts import legal_cuts

from planner.legality import CutRules
from profiles.device import DeviceProfile
from profiles.errors import CutError
from profiles.graph import COMPUTATIONAL, Kind, LayerGraph, Node


def legal_by_definition(graph: LayerGraph, edge: frozenset[str], public: frozenset[str]) -> bool:
    """The design's definition, word by word, without the code under test."""
    by_id = {node.id: node for node in graph.nodes}
    users = {name: [node.id for node in graph.nodes if name in node.inputs] for name in by_id}
    if any(not set(by_id[name].inputs) <= edge for name in edge):
        return False
    if any(node.kind == "input" and node.id not in edge for node in graph.nodes):
        return False
    sides = [{name for name in by_id if (name in edge) is side} for side in (True, False)]
    if not all(any(by_id[name].kind in COMPUTATIONAL for name in side) for side in sides):
        return False
    for node in graph.nodes:
        sources = set(node.inputs)
        if node.kind not in COMPUTATIONAL and len(sources) == 1:
            (source,) = sources
            if users[source] == [node.id] and (source in edge) != (node.id in edge):
                return False

    def carries(name: str) -> bool:
        node = by_id[name]
        if node.kind == "input":
            return name not in public
        return node.kind not in COMPUTATIONAL and any(carries(source) for source in node.inputs)

    return not any(carries(name) and any(user not in edge for user in users[name]) for name in edge)


@settings(max_examples=300, deadline=None)
@given(random_graphs.profiles(most_nodes=10))
def test_enumeration_finds_the_legal_cuts_and_no_others(pair: tuple[DeviceProfile, DeviceProfile]) -> None:
    graph = pair[0].graph
    names = [node.id for node in graph.nodes]
    for public in (frozenset[str](), frozenset({"x0"})):
        found = list(legal_cuts(CutRules(graph, public)))
        subsets = (frozenset(some) for size in range(len(names) + 1) for some in combinations(names, size))
        assert len(found) == len(set(found))
        assert set(found) == {one for one in subsets if legal_by_definition(graph, one, public)}


def chain(*kinds: Kind) -> LayerGraph:
    nodes = [Node(id="x", kind="input", inputs=(), shape=(1, 4), dtype="float32", bytes=16)]
    for index, kind in enumerate(kinds):
        inputs = (nodes[-1].id,)
        nodes.append(Node(id=f"{kind}{index}", kind=kind, inputs=inputs, shape=(1, 4), dtype="float32", bytes=16))
    return LayerGraph.of(nodes)


def test_on_a_chain_the_cloud_begins_with_a_layer() -> None:
    graph = chain("convolution", "activation", "pooling", "convolution", "activation", "reshape", "linear", "output")
    cuts = [sorted(cut) for cut in legal_cuts(CutRules(graph))]
    starts = {next(node.kind for node in graph.nodes if node.id not in cut) for cut in cuts}
    assert len(cuts) == 2
    assert starts == {"convolution", "linear"}


def test_a_normalised_input_does_not_cross() -> None:
    graph = chain("normalisation", "convolution", "convolution", "output")
    (cut,) = legal_cuts(CutRules(graph))
    assert "convolution1" in cut


def test_an_objection_says_what_is_wrong() -> None:
    rules = CutRules(chain("convolution", "activation", "linear", "output"))
    assert "glued" in str(rules.objection({"x", "convolution0"}))
    assert "on the edge" in str(rules.objection({"x"}))
    assert "on the cloud" in str(rules.objection(rules.graph.by_id))
    assert rules.objection({"x", "convolution0", "activation1"}) is None


def test_a_public_input_must_be_an_input() -> None:
    with pytest.raises(CutError, match="'mask' is not an input; the inputs are: x"):
        CutRules(chain("linear", "linear"), frozenset({"mask"}))
