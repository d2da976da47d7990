import pytest

from profiles.errors import ProfileError
from profiles.graph import Kind, LayerGraph, Node


def node(name: str, *inputs: str, kind: Kind = "linear") -> Node:
    return Node(id=name, kind=kind, inputs=inputs, shape=(1, 2), dtype="float32", bytes=8)


def test_nodes_are_ordered_so_that_inputs_stand_first() -> None:
    graph = LayerGraph.of([node("c", "b"), node("b", "a"), node("a", kind="input")])
    assert [one.id for one in graph.nodes] == ["a", "b", "c"]


def test_a_graph_in_order_keeps_its_order() -> None:
    given = [node("z", kind="input"), node("b", "z"), node("a", "z"), node("c", "a", "b")]
    assert list(LayerGraph.of(given).nodes) == given


def test_consumers_count_once_however_often_they_take() -> None:
    graph = LayerGraph.of([node("a", kind="input"), node("square", "a", "a")])
    assert graph.consumers["a"] == ("square",)


def test_needs_are_transitive() -> None:
    graph = LayerGraph.of([node("a", kind="input"), node("b", "a"), node("c", "a"), node("d", "c")])
    assert graph.with_needs(["d"]) == {"a", "c", "d"}


@pytest.mark.parametrize(
    ("nodes", "word"),
    [
        ([], "no nodes"),
        ([node("a", "b"), node("b", "a")], "cycle"),
        ([node("a", "a")], "cycle"),
        ([node("a", "gone")], "'gone'"),
        ([node("a"), node("a")], "stands twice"),
    ],
)
def test_what_is_no_graph_is_refused(nodes: list[Node], word: str) -> None:
    with pytest.raises(ProfileError, match=word):
        LayerGraph.of(nodes)
