"""What the user allows: constraints as limits, and which single one is in the way where nothing meets them all."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from planner.cost import CostModel
from planner.legality import CutRules
from planner.limits import Limit, Quantity
from planner.mincut import FlowNetwork, Terms
from planner.objectives import Sums
from profiles.errors import CutError, InfeasibleError
from profiles.graph import LayerGraph


@dataclass(frozen=True)
class Constraints:
    """Sizes in bytes, times in ms; None: no such limit.

    max_crossing: tensors that cross. min_depth: layers on the edge. forbid: nodes whose tensor never crosses.
    """

    max_edge_memory: int | None = None
    max_upload: int | None = None
    deadline: float | None = None
    max_crossing: int | None = None
    min_depth: int | None = None
    pin_edge: frozenset[str] = frozenset()
    pin_cloud: frozenset[str] = frozenset()
    forbid: frozenset[str] = frozenset()
    public_inputs: frozenset[str] = frozenset()

    def rules(self, graph: LayerGraph) -> CutRules:
        """Raises CutError for a node that is not there."""
        return CutRules(graph, self.public_inputs, self.pin_edge, self.pin_cloud, self.forbid)

    def limits(self, cost: CostModel) -> tuple[Limit, ...]:
        """Raises CutError for a limit that cannot be, or that the profiles cannot price."""
        sums = Sums(cost)
        quantities: dict[str, tuple[float | None, Callable[[], Quantity]]] = {
            "--max-edge-memory": (self.max_edge_memory, sums.edge_memory),
            "--max-upload": (self.max_upload, lambda: Quantity(sums.upload_bytes())),
            "--deadline": (self.deadline, lambda: Quantity(sums.latency())),
            "--max-crossing": (self.max_crossing, lambda: Quantity(sums.crossing_tensors())),
            "--min-depth": (self.min_depth, lambda: Quantity(sums.layers())),
        }
        made = []
        for option, (value, quantity) in quantities.items():
            if value is not None:
                if not 0 <= value < float("inf"):
                    raise CutError(f"{option} {value}: expected a number of 0 or more")
                made.append(Limit(option, quantity(), float(value), least=option == "--min-depth"))
        return tuple(made)


def explain(constraints: Constraints, cost: CostModel) -> InfeasibleError:
    """Nothing meets all constraints: which single one, relaxed to what value, would make a cut possible."""
    from planner.constrained import Program

    rules, limits = constraints.rules(cost.graph), constraints.limits(cost)
    ways = []
    for index, limit in enumerate(limits):
        needed = _best_value(rules, limit, (*limits[:index], *limits[index + 1 :]))
        if needed is not None:
            ways.append(f"{limit.option} {_figure(limit.option, needed)} (now {_figure(limit.option, limit.value)})")
    for option, field in (("--pin-edge", "pin_edge"), ("--pin-cloud", "pin_cloud"), ("--forbid", "forbid")):
        names: frozenset[str] = getattr(constraints, field)
        for name in sorted(names):
            without = _with(constraints, field, names - {name})
            if Program(without.rules(cost.graph)).best(Sums(cost).latency(), limits) is not None:
                ways.append(f"no {option} {name}")
    if ways:
        return InfeasibleError(f"no legal cut meets all constraints; one alone would do: {'; or '.join(ways)}")
    if limits or constraints.pin_edge or constraints.pin_cloud or constraints.forbid:
        alone = [(one, _best_value(rules, one, ())) for one in limits]
        reach = [f"{one.option} {_figure(one.option, best)}" for one, best in alone if best is not None]
        hint = f"; the furthest that each can go by itself: {', '.join(reach)}" if reach else ""
        return InfeasibleError(
            f"no legal cut meets the constraints, and no single one is in the way: relax two or more{hint}"
        )
    private = [node.id for node in cost.graph.inputs if node.id not in constraints.public_inputs]
    return InfeasibleError(
        "no legal cut: a layer is needed on either side, and no input may cross, nor what carries one past no layer; "
        f"if one may be seen, say --public-input with its name ({', '.join(private) or 'all are public'})"
    )


def _best_value(rules: CutRules, limit: Limit, others: tuple[Limit, ...]) -> float | None:
    """The least (or most) of a limit's quantity that the other constraints allow."""
    from planner.constrained import Program

    quantity, program = limit.quantity, Program(rules)
    if quantity.peak is not None:
        answer = program.best(quantity, others)
        return None if answer is None else answer.cost
    terms = _negative(quantity.terms) if limit.least else quantity.terms
    answer = program.best(terms, others)
    return None if answer is None else FlowNetwork(rules).cost(quantity.terms, answer.edge)


def _with(constraints: Constraints, field: str, value: Any) -> Constraints:
    return replace(constraints, **{field: value})


def _negative(terms: Terms) -> Terms:
    return Terms(-terms.edge, -terms.cloud, -terms.cross, -terms.constant)


def _figure(option: str, value: float) -> str:
    """As the option takes it; a time rounded up, so that it can be met, sizes in whole bytes."""
    if option == "--deadline":
        return f"{ceil(1000 * value) / 1000:.3f} ms"
    return f"{value:.0f} B" if option in ("--max-upload", "--max-edge-memory") else f"{value:.0f}"
