"""The exact cut under constraints: a mixed-integer program, solved to proven optimality by HiGHS.

One binary variable x a glued group (1: on the edge), one y a tensor (1: it crosses).
Closure: x_consumer ≤ x_producer. A tensor crosses where its producer is on the edge and a consumer is not:
y ≥ x_producer − x_consumer, for each consumer, so it is counted once. A tensor that never crosses: x_producer ≤
x_consumer. The rest are sums over x and y.

HiGHS' tolerances are absolute (10⁻⁶ in rows and in the gap), so objectives and limits are scaled to one size before
they are asked; a cut found within a tolerance but beyond a limit is excluded, and the question asked again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, csr_array, vstack

from planner.legality import CutRules
from planner.limits import ROUNDING, Limit, Quantity
from planner.mincut import Terms
from profiles.errors import CutError

Floats = NDArray[np.float64]
#: What the largest weight of an objective is scaled to: an absolute gap of 10⁻⁶ is then 10⁻¹² of it.
LARGEST_WEIGHT = 1e6


@dataclass(frozen=True)
class Answer:
    """edge: the chosen cut's nodes. gap: relative distance of its cost from the proven bound."""

    edge: frozenset[str]
    cost: float
    gap: float


@dataclass(frozen=True)
class Program:
    """The variables and legality of one graph; objectives and limits come with each question.

    excluded: cuts that may not be found again. known: cuts whose crossing tensors may not be found again.
    """

    rules: CutRules
    excluded: tuple[frozenset[str], ...] = ()
    known: tuple[frozenset[str], ...] = ()

    @cached_property
    def _names(self) -> list[str]:
        return [node.id for node in self.rules.graph.nodes]

    @cached_property
    def _group(self) -> NDArray[np.int64]:
        heads = {head: index for index, head in enumerate(self.rules.members)}
        return np.array([heads[self.rules.group[name]] for name in self._names], dtype=np.int64)

    @property
    def _groups(self) -> int:
        return len(self.rules.members)

    @property
    def _size(self) -> int:
        # Groups, a y for every node's tensor, the memory that stays, the bottleneck.
        return self._groups + len(self._names) + 2

    def best(self, objective: Terms | Sequence[Terms] | Quantity, limits: Sequence[Limit] = ()) -> Answer | None:
        """The legal cut that meets all limits at least cost; several objectives: the least largest of them;
        a quantity with a peak: the least of what stays and the most that is alive.

        None where no legal cut meets the limits. Raises CutError where the solver gives up.
        """
        if self.rules.forced_edge & self.rules.forced_cloud:
            return None
        program = self
        while (found := program._solve(objective, limits)) is not None:
            edge, gap = found
            if all(limit.admits(self.value(limit.quantity, edge)) for limit in limits):
                return Answer(edge, self._cost(objective, edge), gap)
            program = Program(self.rules, (*program.excluded, edge), self.known)
        return None

    def _solve(
        self, objective: Terms | Sequence[Terms] | Quantity, limits: Sequence[Limit]
    ) -> tuple[frozenset[str], float] | None:
        """One question to HiGHS: the edge's nodes and the optimality gap."""
        rows = list(self._legality) + [self._row(limit) for limit in limits]
        rows += [row for limit in limits for row in self._peak(limit)]
        weights, more = self._asked(objective)
        rows += more
        matrix = vstack([row.A for row in rows], format="csr")
        low = np.concatenate([np.broadcast_to(row.lb, row.A.shape[0]) for row in rows])
        high = np.concatenate([np.broadcast_to(row.ub, row.A.shape[0]) for row in rows])
        found = milp(
            weights,
            integrality=np.r_[np.ones(self._groups), np.zeros(self._size - self._groups)],
            bounds=self._bounds,
            constraints=LinearConstraint(matrix, low, high),
            options={"mip_rel_gap": 0.0},
        )
        if found.x is None:
            if found.status != 2:  # not "infeasible"
                raise CutError(
                    f"the solver gave up ({found.message}); check the profiles' units, or drop a constraint"
                )
            return None
        inside = np.rint(found.x[: self._groups]).astype(bool)[self._group]
        edge = frozenset(name for name, kept in zip(self._names, inside, strict=True) if kept)
        return edge, float(found.mip_gap) if found.mip_gap is not None else 0.0

    def _asked(self, objective: Terms | Sequence[Terms] | Quantity) -> tuple[Floats, list[LinearConstraint]]:
        """An objective as weights of the variables, scaled, and the rows that a bottleneck needs."""
        bottleneck = np.zeros(self._size)
        bottleneck[-1] = 1.0
        if isinstance(objective, Quantity):
            return bottleneck, self._peak(Limit("", objective, 0.0), below_bottleneck=True)
        if isinstance(objective, Terms):
            weights = self._weights(objective)
            return weights * _scale(weights), []
        scale = _scale(np.concatenate([self._weights(terms) for terms in objective]))
        return bottleneck, [self._below_bottleneck(terms, scale) for terms in objective]

    def value(self, quantity: Quantity | Terms, edge: frozenset[str]) -> float:
        """A quantity of a cut, summed in floating point."""
        terms = quantity if isinstance(quantity, Terms) else quantity.terms
        inside = np.array([name in edge for name in self._names])
        sent = frozenset(node.id for node in self.rules.crossing(edge))
        crossing = np.array([name in sent for name in self._names])
        total = terms.edge[inside].sum() + terms.cloud[~inside].sum() + terms.cross[crossing].sum() + terms.constant
        peak = None if isinstance(quantity, Terms) else quantity.peak
        return float(total + (0.0 if peak is None else peak[inside].max(initial=0.0)))

    def _cost(self, objective: Terms | Sequence[Terms] | Quantity, edge: frozenset[str]) -> float:
        parts = (objective,) if isinstance(objective, Terms | Quantity) else objective
        return max(self.value(part, edge) for part in parts)

    def without(self, cut: frozenset[str]) -> "Program":
        """The same program, in which no cut that sends what this one sends is found again."""
        return Program(self.rules, self.excluded, (*self.known, cut))

    def _weights(self, terms: Terms) -> Floats:
        """A sum over a cut as weights of the variables, less its constant."""
        weights = np.zeros(self._size)
        weights[: self._groups] = np.bincount(self._group, terms.edge - terms.cloud, self._groups)
        weights[self._groups : -2] = terms.cross
        return weights

    def _row(self, limit: Limit) -> LinearConstraint:
        terms = limit.quantity.terms
        weights, value = self._weights(terms), limit.value - terms.constant - float(terms.cloud.sum())
        # A limit that comes near nothing must not blow its weights up.
        scale = max(abs(value), 1e-6 * float(np.abs(weights).max())) or 1.0
        weights = weights / scale
        if not limit.least and value >= 0 and weights.min() >= 0:
            # What alone breaks the limit breaks it as surely at twice its size.
            weights = np.minimum(weights, 2.0)
        slack = ROUNDING * max(1.0, abs(limit.value)) / scale
        low, high = (value / scale - slack, np.inf) if limit.least else (-np.inf, value / scale + slack)
        return LinearConstraint(csr_array(weights[None]), low, high)

    def _peak(self, limit: Limit, *, below_bottleneck: bool = False) -> list[LinearConstraint]:
        """What stays (a variable of its own) and what is alive at any one node of the edge: a row a node."""
        peak = limit.quantity.peak
        if peak is None:
            return []
        stays = self._weights(limit.quantity.terms)
        stays[-2] = -1.0
        alive = np.flatnonzero(peak)
        columns = [(peak[alive], self._group[alive]), (np.ones(len(alive)), np.full(len(alive), self._size - 2))]
        if below_bottleneck:
            columns.append((-np.ones(len(alive)), np.full(len(alive), self._size - 1)))
        return [LinearConstraint(csr_array(stays[None]), 0.0, 0.0), self._sums(columns, high=limit.value)]

    def _below_bottleneck(self, terms: Terms, scale: float) -> LinearConstraint:
        weights = self._weights(terms) * scale
        weights[-1] = -1.0
        constant = (terms.constant + float(terms.cloud.sum())) * scale
        return LinearConstraint(csr_array(weights[None]), -np.inf, -constant)

    @cached_property
    def _bounds(self) -> Bounds:
        low, high = np.zeros(self._size), np.ones(self._size)
        high[-2:] = np.inf
        position = dict(zip(self._names, self._group, strict=True))
        low[[position[name] for name in self.rules.forced_edge]] = 1
        high[[position[name] for name in self.rules.forced_cloud]] = 0
        return Bounds(low, high)

    @cached_property
    def _legality(self) -> tuple[LinearConstraint, ...]:
        graph, position = self.rules.graph, {name: index for index, name in enumerate(self._names)}
        uses = [(position[name], position[user]) for name, users in graph.consumers.items() for user in users]
        tails, heads = np.array(uses, dtype=np.int64).reshape(-1, 2).T
        producers, consumers = self._group[tails], self._group[heads]
        outer = producers != consumers
        tails, producers, consumers = tails[outer], producers[outer], consumers[outer]
        private = np.array([name in self.rules.private for name in self._names])[tails]
        rows = [
            # x_consumer − x_producer ≤ 0
            self._sums([(1.0, consumers), (-1.0, producers)], high=0.0),
            # x_producer − x_consumer − y ≤ 0
            self._sums([(1.0, producers), (-1.0, consumers), (-1.0, self._groups + tails)], high=0.0),
            self._sums([(1.0, producers[private]), (-1.0, consumers[private])], high=0.0),
        ]
        layers = np.array([node.computational for node in graph.nodes], dtype=float)
        counted = np.zeros(self._size)
        counted[: self._groups] = np.bincount(self._group, layers, self._groups)
        rows.append(LinearConstraint(csr_array(counted[None]), 1, layers.sum() - 1))
        rows += [self._not_again(cut) for cut in self.excluded]
        if self.known:
            rows += self._exact_crossing(tails, producers, consumers)
            rows += [self._other_tensors(cut, np.unique(tails)) for cut in self.known]
        return tuple(row for row in rows if row.A.shape[0])

    def _exact_crossing(
        self, tails: NDArray[np.int64], producers: NDArray[np.int64], consumers: NDArray[np.int64]
    ) -> list[LinearConstraint]:
        """y no larger than it must be: at most x_producer, and at most the consumers that are on the cloud."""
        sent, first, row = np.unique(tails, return_index=True, return_inverse=True)
        users = np.bincount(row)
        rows = np.concatenate([np.arange(len(sent)), row])
        places = np.concatenate([self._groups + sent, consumers])
        matrix = coo_array((np.ones(len(rows)), (rows, places)), shape=(len(sent), self._size))
        return [
            self._sums([(1.0, self._groups + sent), (-1.0, producers[first])], high=0.0),
            LinearConstraint(csr_array(matrix), -np.inf, users),
        ]

    def _other_tensors(self, cut: frozenset[str], tails: NDArray[np.int64]) -> LinearConstraint:
        """At least one tensor crosses that does not here, or the other way round. tails: those that can."""
        sent = frozenset(node.id for node in self.rules.crossing(cut))
        weights = np.zeros(self._size)
        weights[self._groups + tails] = [-1.0 if self._names[index] in sent else 1.0 for index in tails]
        return LinearConstraint(csr_array(weights[None]), 1 - len(sent), np.inf)

    def _sums(self, columns: Sequence[tuple[float | Floats, NDArray[np.int64]]], *, high: float) -> LinearConstraint:
        """A row for each entry: the sum of weight × variable over the columns, at most `high`."""
        count = len(columns[0][1])
        values = np.concatenate([np.broadcast_to(weight, count) for weight, _ in columns])
        places = np.concatenate([places for _, places in columns])
        rows = np.tile(np.arange(count), len(columns))
        matrix = coo_array((values, (rows, places)), shape=(count, self._size))
        return LinearConstraint(csr_array(matrix), -np.inf, high)

    def _not_again(self, cut: frozenset[str]) -> LinearConstraint:
        """At least one group lies elsewhere than in this cut."""
        inside = np.zeros(self._groups, dtype=bool)
        for index, name in zip(self._group, self._names, strict=True):
            inside[index] |= name in cut
        weights = np.zeros(self._size)
        weights[: self._groups] = np.where(inside, -1.0, 1.0)
        return LinearConstraint(csr_array(weights[None]), 1 - inside.sum(), np.inf)


def _scale(weights: Floats) -> float:
    """What brings the largest weight to a size that the solver's absolute tolerances suit."""
    largest = float(np.abs(weights).max(initial=0.0))
    return LARGEST_WEIGHT / largest if largest > 0 else 1.0
