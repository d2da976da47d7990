"""Figure 6: what a split network takes from end to end, over cloud-only."""

from collections.abc import Sequence

from profiles.link import presets
from reproduction import figure6_steps
from reproduction.figure6_means import (
    EDGE_NAMES,
    LINK_NAMES,
    WIRES,
    Mean,
    account,
    accounts,
    measured_networks,
    measured_run,
    modelled_speed_up,
    of,
)
from reproduction.figure6_picture import Bar, stacked
from reproduction.figure6_reasons import differences, needed_wifi, ratios
from reproduction.figure6_steps import LINKS
from reproduction.networks import EDGES
from reproduction.part import Found, Pictures, Verdict
from reproduction.printed import FIGURE_6, MEAN_SPEED_UP, TABLE_2, lte_over_wifi, mean_speed_up
from reproduction.prose import paragraph
from reproduction.step import Step
from reproduction.table import table

NAME, TITLE = "figure6", "Figure 6: time from end to end"
#: Rows of `accounts` that the verdict takes: GPU without a round trip, with one, measured.
KEYS = ("TX2's GPU, `wifi-paper`", "TX2's GPU, `wifi`, `lte` (", "this machine, `wifi`, `lte`, the paper's")
PLACES = {"paper": "paper's", "chosen": "ours"}


def steps(*, quick: bool) -> Sequence[Step]:
    return figure6_steps.steps(quick=quick)


def verdict(found: Found) -> Verdict:
    fits = [ours == printed for ours, printed in ratios(found).values()]
    without, modelled, measured = (account(found, key)[0] for key in KEYS)
    means = [f"{MEAN_SPEED_UP['wifi']}× printed"]
    means += (
        [f"{_times(without)} modelled at `wifi-paper` (no round trip), {_times(modelled)} at `wifi`"]
        if modelled
        else []
    )
    means += [f"{_times(measured)} measured here ({len(measured_networks(found))} networks)"] if measured else []
    return Verdict(
        "reproduced in part" if any(fits) else "differs" if fits else "not reproduced",
        f"{sum(fits)} of {len(fits)} ratios of sizes to four digits; mean speed-up on Wi-Fi {', '.join(means)}",
    )


def section(found: Found, pictures: Pictures, *, quick: bool) -> str:
    return "\n\n".join(
        [
            paragraph(
                "The paper's bars are the time of the split network over that of cloud-only, which sends the image",
                "as 8-bit pixels, while the split network sends its tensor as float32. Here they stand beside the",
                "same by sizes alone, by the cost model for its boards, and measured with both halves on this "
                "machine.",
            ),
            "**Mean speed-up over cloud-only** of the five networks of Figure 6 at the paper's cuts; measured: of "
            + (", ".join(TABLE_2[name].title for name in measured_networks(found)) or "none")
            + ".",
            _accounts(found),
            paragraph(
                "`wifi-paper` and `lte-paper` are one reading of Figure 6: rates without a round trip,",
                f"{presets()['wifi-paper'].uplink_mbps:g} and {presets()['lte-paper'].uplink_mbps:g} Mbps. `wifi`",
                f"and `lte` have {presets()['wifi'].uplink_mbps:g} and {presets()['lte'].uplink_mbps:g} Mbps up, "
                "with 5 and 50 ms.",
            ),
            *_pictures(found, pictures),
            "**Bytes that cross over bytes of the image** (*exact*; the paper's *imported*).",
            _sizes(found),
            "**Speed-up by the paper's own fractions** (*imported*), at 4, 2 and 1 bytes an element."
            f" LTE takes {lte_over_wifi():.2f} times as long as Wi-Fi, which VGG-16's printed speed-up over LTE "
            "implies.",
            _fractions(),
            "**Modelled** speed-up, noise included, Titan Xp as the cloud: at the paper's cut / at ours, the best "
            "legal one.",
            _modelled(found),
            paragraph(
                "**Measured** here: two processes, real sockets, an emulated link, one thread each, noise of the",
                "real size (a *stand-in*: drawn, not learned). Split and cloud-only inferences take turns; p50 and,",
                "in brackets, p95 of n of each; the speed-up of the medians with 95 % by a bootstrap over the pairs.",
            ),
            *(_measured(found, link) for link in LINKS),
            paragraph(
                "**The Wi-Fi that Figure 6 would need** (*modelled* edge, *imported* fractions): if the TX2's GPU",
                "takes what is modelled at the paper's cut, the edge's printed share turns every bar into",
                "milliseconds, and the image's bytes over cloud-only's communication are a bandwidth.",
            ),
            _needed(found),
            "### Where Figure 6 differs",
            differences(found),
        ]
    )


def _times(one: Mean) -> str:
    return "" if one is None else f"{one:.2f}×"


def _accounts(found: Found) -> str:
    rows = [[label, *map(_times, means)] for label, means in accounts(found).items()]
    columns = ["", *(f"{LINK_NAMES[link]}, {wire}" for link in LINKS for wire in WIRES)]
    return table(columns, rows)


def _sizes(found: Found) -> str:
    rows = []
    for name, (ours, printed) in ratios(found).items():
        one = of(found, "sizes", name) or {}
        sizes = [one["number"], f"{one['crossing_bytes']:,}", f"{one['image_bytes']:,}"]
        rows.append([TABLE_2[name].title, *sizes, f"{ours:.4f}", f"{printed:.4f}", f"{printed / ours:.3f}"])
    return table(["network", "cut", "bytes cross", "image", "ratio", "printed", "printed / ratio"], rows)


def _needed(found: Found) -> str:
    rows = []
    for name, one in FIGURE_6.items():
        if (needed := needed_wifi(found, name)) is not None:
            edge_ms, whole_ms, mbps = needed
            rows.append([TABLE_2[name].title, f"{edge_ms:.2f}", f"{one.edge:.4f}", f"{whole_ms:.1f}", f"{mbps:.1f}"])
    return table(["network", "edge, ms", "its share", "cloud-only, ms", "uplink, Mbps"], rows)


def _fractions() -> str:
    kinds = [(slower, itemsize) for slower in (1.0, lte_over_wifi()) for itemsize in (4, 2, 1)]
    rows = [
        [TABLE_2[name].title, *(_times(one.speed_up(itemsize=size, slower=slower)) for slower, size in kinds)]
        for name, one in FIGURE_6.items()
    ]
    rows.append(["mean", *(_times(mean_speed_up(itemsize=size, slower=slower)) for slower, size in kinds)])
    rows.append(["printed mean", _times(MEAN_SPEED_UP["wifi"]), "", "", _times(MEAN_SPEED_UP["lte"]), "", ""])
    return table(["network", *(f"{link}, {size} B" for link in LINK_NAMES.values() for size in (4, 2, 1))], rows)


def _modelled(found: Found) -> str:
    rows = []
    for name in TABLE_2:
        for edge in EDGES:
            cells = []
            for link in LINKS:
                for wire in WIRES:
                    both = [modelled_speed_up(found, name, edge, link, wire, place) for place in PLACES]
                    cells.append(" / ".join(map(_times, both)))
            rows.append([TABLE_2[name].title, EDGE_NAMES[edge], *cells])
    columns = ["network", "edge", *(f"{LINK_NAMES[link]}, {wire}" for link in LINKS for wire in WIRES)]
    return table(columns, rows, left=2)


def _measured(found: Found, link: str) -> str:
    rows = []
    for name in TABLE_2:
        for wire in WIRES:
            runs = {place: measured_run(found, name, link, wire, place) for place in PLACES}
            same = len({run["cut"] for run in runs.values() if run}) == 1
            for place, run in runs.items():
                if run is None or (same and place == "chosen"):
                    continue
                whose = "both" if same else PLACES[place]
                low, high = run["speed_up_interval"]
                split, whole = (_quantiles(one["total"]) for one in (run["ms"], run["cloud_only_ms"]))
                speed_up = f"{run['speed_up']:.2f}× ({low:.2f} to {high:.2f})"
                cut = f"{run['number']}, {whose}"
                rows.append([TABLE_2[name].title, wire, cut, split, whole, speed_up, f"{run['repeats']}"])
    columns = [LINK_NAMES[link], "wire", "cut", "split, ms", "cloud-only, ms", "speed-up (95 %)", "n"]
    return table(columns, rows, left=3) if rows else f"Nothing was measured on {LINK_NAMES[link]}."


def _quantiles(one: dict[str, float]) -> str:
    digits = 1 if one["p95"] < 100 else 0
    return f"{one['p50']:.{digits}f} ({one['p95']:.{digits}f})"


def _pictures(found: Found, pictures: Pictures) -> Sequence[str]:
    shown = []
    for link in LINKS:
        groups = {TABLE_2[name].title: _bars(found, name, link) for name in TABLE_2}
        name = LINK_NAMES[link]
        text = (
            f"Time on {name} at the paper's cuts as a part of cloud-only's: edge, communication and cloud of each "
            "network, by the paper, modelled for a TX2 and a Titan Xp, and measured here, at float32 and int8."
        )
        title = f"time on {name} over cloud-only's; beside the bars: speed-up"
        shown.append(
            pictures.svg(f"figure6-{link}", stacked({k: v for k, v in groups.items() if v}, title=title), text=text)
        )
    return shown


def _bars(found: Found, name: str, link: str) -> list[Bar]:
    """The paper's, then modelled and measured, at float32 and int8."""
    bars = []
    if name in FIGURE_6:
        bars.append(Bar("paper", FIGURE_6[name].bars(slower=lte_over_wifi() if link == "lte" else 1.0)))
    if (one := of(found, "modelled", name)) is not None:
        for label, on, wire in (
            ("modelled, no round trip", one["tx2-gpu"][f"{link}-paper"], "float32"),
            *((f"modelled, {wire}", one["tx2-gpu"][link], wire) for wire in WIRES),
        ):
            whole, split = on["cloud_only"]["total"], on[wire]["paper"]
            bars.append(Bar(label, (split["edge"] / whole, split["comm"] / whole, split["cloud"] / whole)))
    for wire in WIRES:
        if (run := measured_run(found, name, link, wire, "paper")) is not None:
            whole, ms = run["cloud_only_ms"]["total"]["p50"], run["ms"]
            edge, cloud = ms["edge"]["p50"] + ms["noise"]["p50"], ms["cloud"]["p50"]
            # Medians of parts do not add up to that of the whole: what is left of it is the link's.
            rest = ms["total"]["p50"] - edge - cloud
            bars.append(Bar(f"measured, {wire}", (edge / whole, rest / whole, cloud / whole)))
    return bars
