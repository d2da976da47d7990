"""Mean speed-ups over cloud-only, by every account: printed, by the paper's fractions, modelled, measured."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from profiles.link import presets
from reproduction.figure6_steps import LINKS
from reproduction.networks import EDGES
from reproduction.part import Found
from reproduction.printed import FIGURE_6, MEAN_SPEED_UP, lte_over_wifi, mean_speed_up

Figures = dict[str, Any]
WIRES = ("float32", "int8")
EDGE_NAMES = {"tx2-cpu": "TX2's CPU", "tx2-gpu": "TX2's GPU"}
LINK_NAMES = {"wifi": "Wi-Fi", "lte": "LTE"}
#: What a row is called, the presets' suffix, and whether their round trip is in it.
MODELLED = (
    ("`wifi-paper`, `lte-paper`", "-paper", True),
    ("`wifi`, `lte` less the round trip", "", False),
    ("`wifi`, `lte`", "", True),
)
#: One mean: None where a network is missing.
Mean = float | None


def of(found: Found, kind: str, name: str, link: str | None = None) -> Figures | None:
    """Figures of one step, None where it is missing."""
    key = f"figure6-{kind}-{name}" + (f"-{link}" if link else "")
    return found[key].figures if key in found else None


def modelled_speed_up(
    found: Found, name: str, edge: str, link: str, wire: str, place: str, *, round_trip: bool = True
) -> Mean:
    """round_trip: False leaves it out of both totals, which it is a term of."""
    if (one := of(found, "modelled", name)) is None:
        return None
    on, less_ms = one[edge][link], 0.0 if round_trip else presets()[link].rtt_ms
    return float((on["cloud_only"]["total"] - less_ms) / (on[wire][place]["total"] - less_ms))


def measured_run(found: Found, name: str, link: str, wire: str, place: str) -> Figures | None:
    if (one := of(found, "measured", name, link)) is None:
        return None
    (run,) = [run for run in one["runs"] if (run["wire"], run["place"]) == (wire, place)]
    made: Figures = run
    return made


def measured_speed_up(found: Found, name: str, link: str, wire: str, place: str) -> Mean:
    run = measured_run(found, name, link, wire, place)
    return None if run is None else float(run["speed_up"])


def measured_networks(found: Found) -> list[str]:
    """Those of Figure 6 that are measured on both links."""
    return [name for name in FIGURE_6 if all(of(found, "measured", name, link) for link in LINKS)]


def mean(every: Sequence[Mean]) -> Mean:
    """None where one is missing, or there are none."""
    known = [one for one in every if one is not None]
    return fmean(known) if known and len(known) == len(every) else None


def accounts(found: Found) -> Mapping[str, list[Mean]]:
    """By what it is called: means on Wi-Fi at float32 and int8, then on LTE."""
    columns = [(link, wire) for link in LINKS for wire in WIRES]
    slower = {"wifi": 1.0, "lte": lte_over_wifi()}
    itemsize = {"float32": 4, "int8": 1}
    rows: dict[str, list[Mean]] = {
        "paper, printed (*imported*)": [MEAN_SPEED_UP[link] if wire == "float32" else None for link, wire in columns],
        "paper, by its fractions (*imported*)": [
            mean_speed_up(itemsize=itemsize[wire], slower=slower[link]) for link, wire in columns
        ],
    }
    for edge in reversed(EDGES):
        for label, suffix, trip in MODELLED:
            rows[f"{EDGE_NAMES[edge]}, {label} (*modelled*)"] = [
                mean(
                    [
                        modelled_speed_up(found, name, edge, link + suffix, wire, "paper", round_trip=trip)
                        for name in FIGURE_6
                    ]
                )
                for link, wire in columns
            ]
    here = measured_networks(found)
    for place, label in (("paper", "the paper's cuts"), ("chosen", "our cuts")):
        rows[f"this machine, `wifi`, `lte`, {label} (*measured*)"] = [
            mean([measured_speed_up(found, name, link, wire, place) for name in here]) for link, wire in columns
        ]
    if here and len(here) < len(FIGURE_6):
        rows["paper, by its fractions, of the networks measured here (*imported*)"] = [
            fmean(FIGURE_6[name].speed_up(itemsize=itemsize[wire], slower=slower[link]) for name in here)
            for link, wire in columns
        ]
    return rows


def account(found: Found, key: str) -> list[Mean]:
    """The first whose name begins with `key`."""
    return next(means for label, means in accounts(found).items() if label.startswith(key))
