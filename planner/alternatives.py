"""A plan's other cuts, from the plan alone: it names the best cut at every bandwidth and holds what its cuts cost."""

import msgspec

from planner.plan import Cut, Plan
from profiles.errors import CutError

#: Links that one may come across: cuts that are best beyond these alone are left out.
LOWEST_MBPS, HIGHEST_MBPS = 0.5, 200.0
REFERENCES = ("edge-only", "cloud-only")


def breakpoint_cuts(
    plan: Plan, *, lowest_mbps: float = LOWEST_MBPS, highest_mbps: float = HIGHEST_MBPS
) -> tuple[str, ...]:
    """Names of the cuts that are the best at some bandwidth in the range, from the slowest link to the fastest, and
    the plan's own, last where it is none of them. References are no cuts."""
    reached = (
        one.cut
        for one in plan.breakpoints
        if one.uplink_mbps_to > lowest_mbps and one.uplink_mbps_from < highest_mbps
    )
    return tuple(dict.fromkeys(name for name in (*reached, plan.cut.name) if name not in REFERENCES))


def at_cut(plan: Plan, name: str) -> Plan:
    """The same plan at another of its candidates.

    Raises CutError where the plan does not hold that cut: a breakpoint's may be none of the candidates (several
    tensors cross, or there are too many cuts for one file).
    """
    if name == plan.cut.name:
        return plan
    found = next((one for one in plan.candidates if one.name == name), None)
    if found is None:
        raise CutError(
            f"the plan does not hold the cut at {name}, its candidates are {_some(plan)}; make its plan from the "
            f"profiles: plan cut EDGE CLOUD --at {name}"
        )
    # What noise costs of the edge half's FLOPs, and the solver's gap, are known of the chosen cut alone.
    settings = msgspec.structs.replace(plan.settings, at=name, noise_share=None, gap=None)
    chosen = Cut(found.name, found.edge_nodes, found.crossing)
    return msgspec.structs.replace(plan, cut=chosen, predicted=found.predicted, settings=settings)


def _some(plan: Plan) -> str:
    names = [one.name for one in plan.candidates]
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
