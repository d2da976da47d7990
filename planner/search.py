"""The best cut, the user's own, and the ones worth showing.

Sums without constraints: a minimum cut (`mincut`). Constraints, a bottleneck, or more than one answer: a
mixed-integer program (`constrained`). Both are exact over all legal cuts of the graph.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from planner.breakpoints import Line
from planner.cost import CostModel
from planner.legality import CutRules
from planner.limits import Limit
from planner.linear import LinearCuts, linear_cuts
from planner.mincut import FlowNetwork, Terms
from planner.objectives import Sums, value
from planner.plan import Candidate, CrossingTensor, Objective
from profiles.errors import CutError, InfeasibleError

if TYPE_CHECKING:
    from planner.constrained import Answer, Program

#: How many linear cuts a plan carries; beyond, the best of them.
MOST_CANDIDATES, BEST_CANDIDATES = 64, 32
#: How often the Pareto search may ask the solver.
MOST_QUESTIONS = 400


@dataclass(frozen=True)
class Search:
    """The legal cuts of one network, priced by one cost model and judged by one objective, within limits."""

    rules: CutRules
    cost: CostModel
    objective: Objective = "latency"
    limits: tuple[Limit, ...] = ()

    @cached_property
    def sums(self) -> Sums:
        return Sums(self.cost)

    @cached_property
    def flow(self) -> FlowNetwork:
        return FlowNetwork(self.rules)

    @cached_property
    def _linear(self) -> LinearCuts:
        return linear_cuts(self.rules)

    @cached_property
    def best(self) -> Candidate:
        """The best legal cut within the limits. Raises InfeasibleError where there is none."""
        wanted = self.sums.of(self.objective)
        if isinstance(wanted, Terms) and not self.limits:
            edge = self.least(wanted)
        else:
            edge = None if self._answer is None else self._answer.edge
        if edge is None:
            raise InfeasibleError(
                "no legal cut: a layer is needed on either side, and no input may cross; name public ones with "
                "--public-input"
            )
        return self.candidate(edge)

    @cached_property
    def _program(self) -> "Program":
        # Brings scipy.optimize, a third of a second, which most plans do without.
        from planner.constrained import Program

        return Program(self.rules)

    @cached_property
    def _answer(self) -> "Answer | None":
        return self._program.best(self.sums.of(self.objective), self.limits)

    @property
    def gap(self) -> float | None:
        """The mixed-integer program's optimality gap; None where a minimum cut, exact by itself, chose the cut."""
        return self._answer.gap if "_answer" in self.__dict__ and self._answer is not None else None

    def least(self, terms: Terms) -> frozenset[str] | None:
        costs = self._linear.costs(terms)
        every = float(terms.edge.sum() + terms.cloud.sum() + terms.cross.sum() + terms.constant)
        # A little above the cheapest linear cut, whose running sums are not exact.
        known = min(every, float(costs.min()) * 1.01 + 1e-9) if len(costs) else every
        found = self.flow.best(terms, known=known)
        if found is None and len(costs):
            found = self.flow.best(terms, known=every)
        return found

    def line_at(self, mbps: float) -> Line:
        """The fastest cut at an uplink bandwidth, as a line over 1 / bandwidth; within the limits but a deadline."""
        here = self.at_bandwidth(mbps)
        terms = here.sums.latency()
        limits = tuple(limit for limit in here.limits if limit.option != "--deadline")
        if limits:
            answer = self._program.best(terms, limits)
            edge = None if answer is None else answer.edge
        else:
            edge = here.least(terms)
        if edge is None:
            raise InfeasibleError("no legal cut at this bandwidth")
        return self.line(here.candidate(edge), mbps)

    def line(self, one: Candidate, mbps: float) -> Line:
        """A cut's latency over 1 / bandwidth, from its price at an uplink bandwidth."""
        headers = self.cost.message.up_bytes(len(one.crossing))
        slope = 8 * (one.predicted.upload_bytes + headers) / 1000
        return Line(one.name, one.predicted.total_ms - slope / mbps, slope)

    def at_bandwidth(self, mbps: float) -> "Search":
        """The same search with another uplink."""
        cost = replace(self.cost, link=msgspec.structs.replace(self.cost.link, uplink_mbps=mbps))
        other = Search(self.rules, cost, self.objective, self.limits)
        # The flow network, the linear cuts and most terms do not depend on the link.
        other.__dict__.update(flow=self.flow, _linear=self._linear, sums=self.sums.on(cost))
        return other

    def candidate(self, edge: Iterable[str]) -> Candidate:
        inside = frozenset(edge)
        crossing = self.rules.crossing(inside)
        return Candidate(
            name="+".join(node.id for node in crossing),
            edge_nodes=tuple(node.id for node in self.rules.graph.nodes if node.id in inside),
            crossing=tuple(CrossingTensor(node.id, node.shape, node.dtype, node.bytes) for node in crossing),
            predicted=self.cost.price(inside, crossing),
        )

    @cached_property
    def linear(self) -> tuple[Candidate, ...]:
        """Linear cuts in graph order, all where they are few, else the best by the objective."""
        nodes = np.arange(len(self._linear.nodes))
        if len(nodes) > MOST_CANDIDATES:
            wanted = self.sums.of(self.objective)
            parts = (wanted,) if isinstance(wanted, Terms) else wanted
            costs = np.max([self._linear.costs(terms) for terms in parts], axis=0)
            nodes = np.sort(np.argsort(costs, kind="stable")[:BEST_CANDIDATES])
        made = (self.rules.closure(self._linear.nodes[index]) for index in nodes)
        return tuple(self.candidate(edge) for edge in made if self.rules.objection(edge) is None)

    def top(self, count: int) -> tuple[Candidate, ...]:
        """The best `count` different cuts within the limits, best first."""
        program, found = self._program, list[Candidate]()
        wanted = self.sums.of(self.objective)
        while len(found) < count:
            answer = program.best(wanted, self.limits)
            if answer is None:
                break
            found.append(self.candidate(answer.edge))
            program = program.without(answer.edge)
        return tuple(sorted(found, key=lambda one: value(self.objective, one.predicted)))

    def pareto(self) -> tuple[tuple[Candidate, ...], bool]:
        """Cuts that no other beats in latency, upload bytes and edge compute alike; and whether these are all.

        Every point found splits what is left in two: fewer bytes than it, or less edge compute than it.
        """
        sums, program = self.sums, self._program
        latency, upload, compute = sums.latency(), Limit.of(sums.upload_bytes()), Limit.of(sums.edge_compute())
        found: dict[tuple[float, float, float], Candidate] = {}
        waiting: list[tuple[float, float]] = [(np.inf, np.inf)]
        asked: set[tuple[float, float]] = set()
        while waiting and len(asked) < MOST_QUESTIONS:
            bounds = waiting.pop()
            if bounds in asked:
                continue
            asked.add(bounds)
            below = [
                limit.at(bound) for limit, bound in zip((upload, compute), bounds, strict=True) if np.isfinite(bound)
            ]
            answer = program.best(latency, (*self.limits, *below))
            if answer is None:
                continue
            one = self.candidate(answer.edge)
            cost = one.predicted
            found[(cost.total_ms, cost.upload_bytes, cost.edge_ms)] = one
            waiting.append((cost.upload_bytes - 1.0, bounds[1]))
            # A step that rounding cannot bridge: 10 ns, or more where times are long.
            waiting.append((bounds[0], cost.edge_ms - max(1e-5, 1e-8 * cost.edge_ms)))
        kept = [one for key, one in found.items() if not any(_beats(other, key) for other in found)]
        return tuple(sorted(kept, key=lambda one: one.predicted.total_ms)), not waiting

    def at(self, name: str) -> Candidate:
        """The user's own cut, by a candidate's name or by its last node.

        Raises CutError for a name that is not there (the nearest is offered) or a cut that is not legal,
        InfeasibleError for one beyond a limit.
        """
        for candidate in self.references:
            if candidate.name == name:
                return candidate
        nodes = [name] if name in self.rules.graph else name.split("+")
        for node in nodes:
            if node not in self.rules.graph:
                known = [*(one.name for one in self.linear), *self.rules.graph.by_id]
                near = difflib.get_close_matches(name, dict.fromkeys(known), n=3) or [
                    one.name for one in self.linear[:3]
                ]
                raise CutError(f"--at {name}: no such cut or node; nearest: {', '.join(near)}")
        edge = self._sending(nodes) or frozenset().union(*(self.rules.closure(node) for node in nodes))
        if (objection := self.rules.objection(edge)) is not None:
            raise CutError(f"--at {name}: not a legal cut, {objection}; legal: {self._some_names()}")
        if (broken := self.broken(edge)) is not None:
            raise InfeasibleError(f"--at {name} {broken}; relax one or leave out --at")
        return self.candidate(edge)

    def broken(self, edge: frozenset[str]) -> str | None:
        """The first limit that a cut does not keep, and what it comes to; None where it keeps all."""
        for limit in self.limits:
            if not limit.admits(found := self._program.value(limit.quantity, edge)):
                return f"comes to {found:.6g} where {limit.option} is {limit.value:.6g}"
        return None

    def _sending(self, names: Sequence[str]) -> frozenset[str] | None:
        """The smallest cut that sends these tensors and no other; None where they name no cut.

        More than what they need: the consumers of any other tensor that would cross lie on the edge as well.
        """
        edge = frozenset().union(*(self.rules.closure(name) for name in names))
        while others := [node.id for node in self.rules.crossing(edge) if node.id not in names]:
            users = {user for name in others for user in self.rules.graph.consumers[name]} - edge
            edge = edge.union(*(self.rules.closure(user) for user in users))
        return edge if {node.id for node in self.rules.crossing(edge)} == set(names) else None

    @cached_property
    def references(self) -> tuple[Candidate, Candidate]:
        """`cloud-only` and `edge-only`: shown beside the cuts, taken only where the user names one."""
        graph = self.rules.graph
        cloud_only = self.candidate(node.id for node in graph.inputs)
        edge_only = self.candidate(graph.by_id)
        return (
            msgspec.structs.replace(cloud_only, name="cloud-only", predicted=self.cost.cloud_only()),
            msgspec.structs.replace(edge_only, name="edge-only", predicted=self.cost.edge_only()),
        )

    def shown(self, chosen: Candidate, others: Sequence[Candidate] = ()) -> tuple[Candidate, ...]:
        """The linear cuts, the chosen one and the others, in graph order, each once."""
        known = {one.edge_nodes: one for one in others}
        if chosen.crossing and chosen.name not in ("cloud-only", "edge-only"):
            known[chosen.edge_nodes] = chosen
        # Where several outputs or dead ends are, cuts of one name can differ; the cheaper ones stand already.
        names = {one.name for one in known.values()}
        known |= {one.edge_nodes: one for one in self.linear if one.name not in names}
        return tuple(sorted(known.values(), key=lambda one: len(one.edge_nodes)))

    def _some_names(self) -> str:
        names = [one.name for one in self.linear]
        if not names:
            return "none that sends a single tensor"
        return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def _beats(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    """At least as good in all three, better in one."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
