"""Table 2's work: legal cuts and the chosen ones on modelled boards, and pre-trained accuracies."""

from collections.abc import Sequence
from math import inf, sqrt
from typing import Any

from noise.pretrain import accuracy_percent
from planner.breakpoints import Line, breakpoints
from planner.plan import Candidate, Plan
from planner.planning import cut
from profiles import link as links
from profiles.graph import LayerGraph
from profiles.models import load_model
from reproduction.networks import CLOUD, EDGES, is_chain, number, on_boards
from reproduction.trained import data_of

#: The presets, and the rates that Figure 6 implies: those have no round trip.
LINKS = ("wifi", "lte", "wifi-paper", "lte-paper")

Figures = dict[str, Any]


def cuts(name: str) -> Figures:
    """The legal cuts of a network, in graph order, and for both edges what was chosen."""
    boards = on_boards(name)
    graph = boards[CLOUD].graph
    edges = {edge: chosen(name, edge) for edge in EDGES}
    return {
        "convolutions": sum(node.kind == "convolution" for node in graph.nodes),
        "linears": sum(node.kind == "linear" for node in graph.nodes),
        "chain": is_chain(graph),
        "cuts": [{key: one[key] for key in ("name", "number", "bytes")} for one in edges[EDGES[0]]["cuts"]],
        "edges": edges,
    }


def chosen(name: str, edge: str) -> Figures:
    """On one edge: what every cut costs, the best on each link and over all bandwidths, of all legal cuts and of
    those after a convolution alone, which are all that Table 2 numbers."""
    boards = on_boards(name)
    graph = boards[edge].graph
    plans = {link: cut(boards[edge], boards[CLOUD], links.load(link)) for link in LINKS}
    plan = plans["wifi"]
    numbered = [one for one in plan.candidates if number(graph, one.edge_nodes).isdigit()]
    lines = [line(one, plan) for one in numbered]
    return {
        "cuts": [_priced(one, graph) for one in plan.candidates],
        "links": {link: _best(graph, one) for link, one in plans.items()},
        "segments": _segments(graph, plan.candidates, plan.breakpoints),
        "convolution_segments": _segments(
            graph, numbered, breakpoints(lambda mbps: min(lines, key=lambda one: (one.at(1 / mbps), one.slope)))
        ),
    }


def line(one: Candidate, plan: Plan) -> Line:
    """A cut's latency over 1 / bandwidth, where a message costs nothing beside its tensor, as on modelled boards."""
    slope = 8 * one.predicted.upload_bytes / 1000
    return Line(one.name, one.predicted.total_ms - slope / plan.link.uplink_mbps, slope)


def slower_edge(rows: Sequence[Figures], wanted: str, mbps: float) -> tuple[float, float] | None:
    """Times as long as modelled that the edge has to take, from and to, for a cut to be the best of `rows` at a
    bandwidth; None: no such edge. Each other cut gives one bound, since a total is linear in that factor."""
    low, high = 0.0, inf
    (own,) = [one for one in rows if one["number"] == wanted]
    for other in rows:
        less_edge = other["edge_ms"] - own["edge_ms"]
        saved = _away_ms(own, mbps) - _away_ms(other, mbps)
        if less_edge > 0:
            low = max(low, saved / less_edge)
        elif less_edge < 0:
            high = min(high, saved / less_edge)
        elif saved > 0:
            return None
    return (low, high) if low < high else None


def accuracy(name: str) -> Figures:
    """On the test set: percent, half the 95 % interval's width, and of how many."""
    data = data_of(name)
    percent = accuracy_percent(load_model(name).module, data.test)
    count = len(data.test)
    return {
        "percent": percent,
        "margin": 1.96 * sqrt(percent * (100 - percent) / count),
        "inputs": count,
        "data": data.name,
    }


def _away_ms(row: Figures, mbps: float) -> float:
    return float(row["cloud_ms"] + 8 * row["bytes"] / (1000 * mbps))


def _priced(one: Candidate, graph: LayerGraph) -> Figures:
    return {
        "name": one.name,
        "number": number(graph, one.edge_nodes),
        "bytes": one.predicted.upload_bytes,
        "edge_ms": one.predicted.edge_ms,
        "cloud_ms": one.predicted.cloud_ms,
    }


def _best(graph: LayerGraph, plan: Plan) -> Figures:
    numbered = [one for one in plan.candidates if number(graph, one.edge_nodes).isdigit()]
    after = min(numbered, key=lambda one: one.predicted.total_ms)
    return {
        "any": {"number": number(graph, plan.cut.edge_nodes), "ms": plan.predicted.total_ms},
        "convolution": {"number": number(graph, after.edge_nodes), "ms": after.predicted.total_ms},
        "ms": {number(graph, one.edge_nodes): one.predicted.total_ms for one in plan.candidates},
        "cloud_only_ms": plan.references.cloud_only.total_ms,
    }


def _segments(graph: LayerGraph, candidates: Sequence[Candidate], found: Any) -> list[Figures]:
    numbers = {one.name: number(graph, one.edge_nodes) for one in candidates}
    return [{"number": numbers[one.cut], "from": one.uplink_mbps_from, "to": one.uplink_mbps_to} for one in found]
