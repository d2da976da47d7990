"""Every legal cut of a small graph, by looking at all: the slow exact method that fast ones are held against."""

from collections.abc import Iterator

from planner.legality import CutRules


def legal_cuts(rules: CutRules) -> Iterator[frozenset[str]]:
    """Every legal cut once: glued groups are decided in graph order, and the rules asked of each result."""
    graph = rules.graph
    heads = list(rules.members)
    waiting: list[tuple[int, frozenset[str]]] = [(0, frozenset())]
    while waiting:
        index, edge = waiting.pop()
        if index == len(heads):
            if rules.objection(edge) is None:
                yield edge
            continue
        # Only a group's head takes from outside the group: the others are glued to what stands before them.
        head = heads[index]
        if edge.issuperset(graph.by_id[head].inputs):
            waiting.append((index + 1, edge | frozenset(rules.members[head])))
        waiting.append((index + 1, edge))
