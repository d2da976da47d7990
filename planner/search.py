"""All legal cuts of a graph, priced; the best, the user's own, and the ones worth showing.

Exact: every closed set of glued groups is looked at, so this is for graphs with few of them (a chain has as many
cuts as layers). A graph with more than `MOST_CUTS` is refused rather than searched in part.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import msgspec

from planner.cost import CostModel
from planner.legality import CutRules
from planner.plan import Candidate, CrossingTensor
from profiles.errors import CutError, InfeasibleError

MOST_CUTS = 100_000
#: How many candidates a plan carries, unless there are fewer.
MOST_CANDIDATES = 64
BEST_CANDIDATES = 32


@dataclass(frozen=True)
class Search:
    """The legal cuts of one network, priced by one cost model."""

    rules: CutRules
    cost: CostModel

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every legal cut, best first; among equals the deeper one, which sends less of the input.

        Raises InfeasibleError where there is none, CutError where there are too many to look at.
        """
        found = [self.candidate(edge) for edge in legal_cuts(self.rules)]
        if not found:
            raise InfeasibleError(
                "no legal cut: a layer is needed on either side, and no input may cross; name public ones with "
                "--public-input"
            )
        return tuple(sorted(found, key=lambda one: (one.predicted.total_ms, -len(one.edge_nodes))))

    def candidate(self, edge: frozenset[str]) -> Candidate:
        crossing = self.rules.crossing(edge)
        return Candidate(
            name="+".join(node.id for node in crossing),
            edge_nodes=tuple(node.id for node in self.rules.graph.nodes if node.id in edge),
            crossing=tuple(CrossingTensor(node.id, node.shape, node.dtype, node.bytes) for node in crossing),
            predicted=self.cost.price(edge, crossing),
        )

    def at(self, name: str) -> Candidate:
        """The user's own cut, by a candidate's name or by its last node.

        Raises CutError for a name that is not there (the nearest is offered) or a cut that is not legal.
        """
        for candidate in (*self.candidates, *self.references):
            if candidate.name == name:
                return candidate
        nodes = name.split("+")
        for node in nodes:
            if node not in self.rules.graph:
                known = [*(one.name for one in self.candidates), *self.rules.graph.by_id]
                near = difflib.get_close_matches(name, known, n=3) or [one.name for one in self.candidates[:3]]
                raise CutError(f"--at {name}: no such cut or node; nearest: {', '.join(near)}")
        edge = frozenset().union(*(self.rules.closure(node) for node in nodes))
        if (objection := self.rules.objection(edge)) is not None:
            raise CutError(f"--at {name}: not a legal cut, {objection}; legal: {self._some_names()}")
        return self.candidate(edge)

    @cached_property
    def references(self) -> tuple[Candidate, Candidate]:
        """`cloud-only` and `edge-only`: shown beside the cuts, taken only where the user names one."""
        graph = self.rules.graph
        inputs = frozenset(node.id for node in graph.inputs)
        cloud_only = self.candidate(inputs)
        edge_only = self.candidate(frozenset(graph.by_id))
        return (
            msgspec.structs.replace(cloud_only, name="cloud-only", predicted=self.cost.cloud_only()),
            msgspec.structs.replace(edge_only, name="edge-only", predicted=self.cost.edge_only()),
        )

    def shown(self, chosen: Candidate) -> tuple[Candidate, ...]:
        """Linear cuts in graph order where they are few, else the best; the chosen one always among them."""
        linear = [one for one in self.candidates if len(one.crossing) == 1]
        kept = linear if len(linear) <= MOST_CANDIDATES else list(self.candidates[:BEST_CANDIDATES])
        if chosen.crossing and chosen.name != "cloud-only" and all(one.name != chosen.name for one in kept):
            kept.append(chosen)
        return tuple(sorted(kept, key=lambda one: len(one.edge_nodes)))

    def _some_names(self) -> str:
        names = [one.name for one in sorted(self.candidates, key=lambda one: len(one.edge_nodes))]
        return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def legal_cuts(rules: CutRules) -> Iterator[frozenset[str]]:
    """Every legal cut once.

    Groups are decided in graph order: on the edge where all they need is, or on the cloud, with all that follows.
    Raises CutError beyond MOST_CUTS closed sets.
    """
    graph = rules.graph
    inputs = frozenset(member for node in graph.inputs for member in rules.members[rules.group[node.id]])
    heads = [head for head in rules.members if head not in inputs]
    waiting: list[tuple[int, frozenset[str]]] = [(0, inputs)]
    seen = 0
    while waiting:
        index, edge = waiting.pop()
        if index == len(heads):
            seen += 1
            if seen > MOST_CUTS:
                raise CutError(f"more than {MOST_CUTS} closed sets of nodes; too many to look at one by one")
            if rules.objection(edge) is None:
                yield edge
            continue
        # Only a group's head takes from outside the group: the others are glued to what stands before them.
        head = heads[index]
        if edge.issuperset(graph.by_id[head].inputs):
            waiting.append((index + 1, edge | frozenset(rules.members[head])))
        waiting.append((index + 1, edge))
