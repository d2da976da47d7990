import numpy as np
import pytest
import random_graphs
from hypothesis import given, settings
from hypothesis import strategies as st
from legal_cuts import legal_cuts

from planner.constrained import Program
from planner.cost import CostModel
from planner.legality import CutRules
from planner.limits import Limit, Quantity
from planner.linear import linear_cuts
from planner.mincut import FlowNetwork, Terms
from planner.objectives import Sums
from profiles.device import DeviceProfile
from profiles.graph import LayerGraph, Node
from profiles.link import LinkProfile

Pair = tuple[DeviceProfile, DeviceProfile]


def drawn_rules(pair: Pair, data: st.DataObject) -> CutRules:
    """Random pins, a random tensor that may not cross, now and then a public input."""
    names = [node.id for node in pair[0].graph.nodes]

    def some() -> frozenset[str]:
        return frozenset(data.draw(st.lists(st.sampled_from(names), max_size=1)))

    public = frozenset(data.draw(st.sampled_from([(), ("x0",)])))
    return CutRules(pair[0].graph, public, some(), some(), some())


@settings(max_examples=1200, deadline=None)
@given(random_graphs.profiles(most_nodes=14), random_graphs.links, st.data())
def test_the_minimum_cut_is_the_least_of_all_legal_cuts(pair: Pair, link: LinkProfile, data: st.DataObject) -> None:
    rules, cost = drawn_rules(pair, data), CostModel(*pair, link)
    terms, flow = Sums(cost).latency(), FlowNetwork(rules)
    totals = [cost.price(edge, rules.crossing(edge)).total_ms for edge in legal_cuts(rules)]
    found = flow.best(terms, known=float(terms.edge.sum() + terms.cloud.sum() + terms.cross.sum() + terms.constant))
    if not totals:
        assert found is None
        return
    assert found is not None
    assert rules.objection(found) is None
    assert cost.price(found, rules.crossing(found)).total_ms == pytest.approx(min(totals), rel=1e-6, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(random_graphs.profiles(most_nodes=12), random_graphs.links, st.data())
def test_terms_add_up_to_the_price(pair: Pair, link: LinkProfile, data: st.DataObject) -> None:
    rules = drawn_rules(pair, data)
    cost = CostModel(*pair, link, wire=data.draw(st.sampled_from(["float32", "int8"])))
    sums, flow = Sums(cost), FlowNetwork(rules)
    for edge in legal_cuts(rules):
        priced = cost.price(edge, rules.crossing(edge))
        assert flow.cost(sums.latency(), edge) == pytest.approx(priced.total_ms)
        assert flow.cost(sums.edge_compute(), edge) == pytest.approx(priced.edge_ms)
        assert flow.cost(sums.upload_bytes(), edge) == priced.upload_bytes
        busiest = max(flow.cost(terms, edge) for terms in sums.busy())
        assert priced.throughput_per_s is None or busiest == pytest.approx(1000 / priced.throughput_per_s)


@settings(max_examples=200, deadline=None)
@given(random_graphs.profiles(most_nodes=11), random_graphs.links, st.data())
def test_the_program_is_exact_under_limits(pair: Pair, link: LinkProfile, data: st.DataObject) -> None:
    rules, cost = drawn_rules(pair, data), CostModel(*pair, link)
    sums, flow = Sums(cost), FlowNetwork(rules)
    cuts = list(legal_cuts(rules))
    limits = []
    for terms, least in (
        (sums.upload_bytes(), False),
        (sums.crossing_tensors(), False),
        (sums.layers(), True),
        (sums.edge_compute(), False),
    ):
        if cuts and data.draw(st.booleans()):
            some = data.draw(st.sampled_from(cuts))
            limits.append(Limit("--some", Quantity(terms), flow.cost(terms, some), least))

    def meets(edge: frozenset[str]) -> bool:
        return all(limit.admits(flow.cost(limit.quantity.terms, edge)) for limit in limits)

    allowed = [edge for edge in cuts if meets(edge)]
    for objective in (sums.latency(), sums.busy()):
        parts = (objective,) if isinstance(objective, Terms) else objective
        answer = Program(rules).best(objective, limits)
        if not allowed:
            assert answer is None
            continue
        assert answer is not None
        assert rules.objection(answer.edge) is None
        assert meets(answer.edge)
        least = min(max(flow.cost(terms, edge) for terms in parts) for edge in allowed)
        assert max(flow.cost(terms, answer.edge) for terms in parts) == pytest.approx(least, rel=1e-6, abs=1e-6)
        assert answer.gap <= 1e-6


@settings(max_examples=100, deadline=None)
@given(random_graphs.profiles(most_nodes=12, dead_ends=False))
def test_linear_cuts_are_those_with_one_tensor(pair: Pair) -> None:
    rules = CutRules(pair[0].graph)
    expected = {rules.crossing(edge)[0].id for edge in legal_cuts(rules) if len(rules.crossing(edge)) == 1}
    assert set(linear_cuts(rules).nodes) == expected


def node(name: str, kind: str, *inputs: str, size: int = 4) -> Node:
    return Node(id=name, kind=kind, inputs=inputs, shape=(1, size), dtype="float32", bytes=4 * size)  # type: ignore[arg-type]


def test_skip_and_branch_cross_together_where_that_is_cheapest() -> None:
    # A residual block whose inner tensor is small: the cheapest cut is inside it, and sends branch and skip.
    graph = LayerGraph.of(
        [
            node("x", "input", size=9),
            node("stem", "convolution", "x", size=2),
            node("squeeze", "convolution", "stem", size=1),
            node("expand", "convolution", "squeeze", size=9),
            node("add", "join", "expand", "stem", size=9),
            node("head", "linear", "add"),
            node("out", "output", "head"),
        ]
    )
    edge = np.array([0, 1, 1, 50, 50, 50, 0.0])
    cloud = np.array([0, 40, 40, 1, 1, 1, 0.0])
    cross = np.array([9, 2, 1, 9, 9, 1, 0.0])
    rules = CutRules(graph)
    found = FlowNetwork(rules).best(Terms(edge, cloud, cross), known=500)
    assert found == {"x", "stem", "squeeze"}
    assert [one.id for one in rules.crossing(found)] == ["stem", "squeeze"]


def test_a_tensor_with_three_consumers_is_paid_once() -> None:
    graph = LayerGraph.of(
        [node("x", "input"), node("stem", "convolution", "x")]
        + [node(f"b{index}", "convolution", "stem") for index in range(3)]
        + [node("cat", "join", "b0", "b1", "b2"), node("out", "output", "cat")]
    )
    terms = Terms(np.array([0, 1, 9, 9, 9, 0, 0.0]), np.array([0, 9, 1, 1, 1, 0, 0.0]), np.full(7, 5.0))
    flow = FlowNetwork(CutRules(graph))
    found = flow.best(terms, known=100)
    assert found == {"x", "stem"}
    assert flow.cost(terms, found) == 1 + 5 + 3


def chain(names: list[str], kinds: list[str]) -> LayerGraph:
    before = [[], *([name] for name in names)]
    return LayerGraph.of([node(name, kind, *needs) for name, kind, needs in zip(names, kinds, before, strict=False)])


def test_among_equal_cuts_the_deepest_is_taken() -> None:
    names = ["x", *(f"l{index}" for index in range(6)), "out"]
    kinds = ["input", *["linear"] * 6, "output"]
    graph = chain(names, kinds)
    terms = Terms(np.ones(8), np.ones(8), np.ones(8))
    found = FlowNetwork(CutRules(graph)).best(terms, known=20)
    assert found == set(names[:6])


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9, 1e15])
def test_costs_of_any_size_are_scaled_into_32_bits(scale: float) -> None:
    rng = np.random.default_rng(0)
    names = ["x", *(f"l{index}" for index in range(40)), "out"]
    kinds = ["input", *["linear"] * 40, "output"]
    graph = chain(names, kinds)
    terms = Terms(*(scale * rng.random(42) for _ in range(3)))
    rules = CutRules(graph)
    flow = FlowNetwork(rules)
    found = flow.best(terms, known=scale * 200)
    assert flow.cost(terms, found or ()) == pytest.approx(min(flow.cost(terms, cut) for cut in legal_cuts(rules)))


def wide(data: st.DataObject, count: int) -> np.ndarray:
    """Costs from nothing to 10^7, of thirteen sizes."""
    sizes = st.one_of(st.just(0.0), st.builds(lambda a, b: a * 10.0**b, st.floats(1, 10), st.integers(-6, 6)))
    return np.array(data.draw(st.lists(sizes, min_size=count, max_size=count)))


@settings(max_examples=200, deadline=None)
@given(random_graphs.profiles(most_nodes=11), st.data())
def test_costs_of_unlike_sizes_in_one_graph(pair: Pair, data: st.DataObject) -> None:
    rules = CutRules(pair[0].graph)
    terms = Terms(*(wide(data, len(rules.graph)) for _ in range(3)))
    flow, cuts = FlowNetwork(rules), list(legal_cuts(rules))
    # Nothing is known but that a cut costs less than a huge number: the scale must be found on the way.
    found = flow.best(terms, known=1e16)
    assert (found is None) == (not cuts)
    if found is not None:
        assert flow.cost(terms, found) == pytest.approx(min(flow.cost(terms, cut) for cut in cuts), rel=1e-6)


@settings(max_examples=150, deadline=None)
@given(random_graphs.profiles(most_nodes=10), st.integers(-8, 8), st.integers(0, 9), st.data())
def test_the_programs_tolerances_are_relative(pair: Pair, size: int, bytes_size: int, data: st.DataObject) -> None:
    rules = CutRules(pair[0].graph)
    count = len(rules.graph)
    drawn = st.lists(st.floats(0, 10), min_size=count, max_size=count).map(np.array)
    terms = Terms(*(10.0**size * data.draw(drawn) for _ in range(3)))
    sent = Terms(np.zeros(count), np.zeros(count), np.round(10.0**bytes_size * data.draw(drawn)))
    flow, cuts = FlowNetwork(rules), list(legal_cuts(rules))
    if not cuts:
        return
    most = flow.cost(sent, data.draw(st.sampled_from(cuts)))
    answer = Program(rules).best(terms, [Limit("--max-upload", Quantity(sent), most)])
    assert answer is not None
    assert flow.cost(sent, answer.edge) <= most * (1 + 1e-9)
    least = min(flow.cost(terms, cut) for cut in cuts if flow.cost(sent, cut) <= most)
    assert flow.cost(terms, answer.edge) == pytest.approx(least, rel=1e-6)
    assert answer.cost == pytest.approx(least, rel=1e-6)


def many_branches(branches: int) -> LayerGraph:
    """A public input feeds many heads of two layers each: any may come first, any may come last."""
    nodes = [node("x", "input")]
    for index in range(branches):
        nodes += [node(f"a{index}", "linear", "x"), node(f"b{index}", "linear", f"a{index}")]
        nodes.append(node(f"out{index}", "output", f"b{index}"))
    return LayerGraph.of(nodes)


@pytest.mark.parametrize(
    ("on_edge", "on_cloud", "least"),
    [
        (1.0, 9.0, 89 * 1 + 2 * 9 + 0.5),  # all but one last layer and its output; its input crosses
        (9.0, 1.0, 2 * 9 + 89 * 1 + 2 * 0.5),  # the input and one layer; both cross
        (5.0, 5.0, 91 * 5 + 0.5),
    ],
)
def test_parallel_branches_are_not_tried_pair_by_pair(
    on_edge: float, on_cloud: float, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules, asked = CutRules(many_branches(30), public_inputs=frozenset({"x"})), []
    solve = FlowNetwork._solve
    monkeypatch.setattr(FlowNetwork, "_solve", lambda *given: asked.append(given) or solve(*given))
    count = len(rules.graph)
    terms = Terms(np.full(count, on_edge), np.full(count, on_cloud), np.full(count, 0.5))
    found = FlowNetwork(rules).best(terms, known=1e4)
    assert found is not None
    assert rules.objection(found) is None
    assert FlowNetwork(rules).cost(terms, found) == pytest.approx(least)
    assert len(asked) <= 3 * 30
