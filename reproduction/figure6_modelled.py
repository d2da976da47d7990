"""Figure 6 by sizes alone, and by the cost model for the paper's boards."""

from typing import Any

from planner.plan import Predicted
from planner.planning import cut
from profiles import link as links
from profiles.zoo.catalog import ZOO
from reproduction.networks import CLOUD, EDGES, number, on_boards
from reproduction.printed import IMAGE_BYTES

Figures = dict[str, Any]
#: The presets, and the rates that Figure 6 implies, without a round trip.
LINKS = ("wifi", "lte", "wifi-paper", "lte-paper")
WIRES = ("float32", "int8")


def sizes(name: str) -> Figures:
    """What crosses at the paper's cut of our network, and what cloud-only sends."""
    boards = on_boards(name)
    plan = cut(boards[EDGES[0]], boards[CLOUD], links.load("wifi"), at=ZOO[name].paper_cut)
    (crossing,) = plan.cut.crossing
    return {
        "number": number(boards[CLOUD].graph, plan.cut.edge_nodes),
        "crossing_bytes": crossing.bytes,
        "input_bytes": plan.references.cloud_only.upload_bytes,
        "image_bytes": IMAGE_BYTES.get(name, plan.references.cloud_only.upload_bytes),
    }


def modelled(name: str) -> Figures:
    """By edge, link and wire: the parts at the paper's cut and at the chosen one, with noise, and cloud-only's."""
    return {edge: {link: _on(name, edge, link) for link in LINKS} for edge in EDGES}


def _on(name: str, edge: str, link: str) -> Figures:
    boards, found = on_boards(name), dict[str, Any]()
    for wire in WIRES:
        for place, at in (("paper", ZOO[name].paper_cut), ("chosen", None)):
            plan = cut(boards[edge], boards[CLOUD], links.load(link), wire=wire, noise="laplace", at=at)
            found.setdefault(wire, {})[place] = {
                "number": number(boards[edge].graph, plan.cut.edge_nodes),
                **_parts(plan.predicted),
            }
    return {**found, "cloud_only": _parts(plan.references.cloud_only)}


def _parts(one: Predicted) -> dict[str, float]:
    return {
        "edge": one.edge_ms + one.noise_ms,
        "comm": one.uplink_ms + one.downlink_ms,
        "cloud": one.cloud_ms,
        "total": one.total_ms,
    }
