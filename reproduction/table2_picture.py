"""VGG-16's cuts over bandwidth: the one that the paper prints is never the lowest line."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from profiles.link import presets
from reproduction.picture import drawing, svg

#: Told apart by colour-blind readers and by their dashes: the paper's cuts, the one that beats its 9th, ours.
LINES = {
    "2": ("#E69F00", "-"),
    "4": ("#56B4E9", "-"),
    "7": ("#0072B2", "-"),
    "9": ("#D55E00", "--"),
    "13": ("#009E73", "-"),
}


def over_bandwidth(rows: Sequence[dict[str, Any]]) -> bytes:
    """Latency without a round trip, which all cuts have alike, by uplink bandwidth. rows: cuts of one edge."""
    mbps = np.geomspace(1, 1000, 60)
    with drawing(3.9) as figure:
        axes = figure.add_subplot()
        for number, (colour, dashes) in LINES.items():
            (row,) = [one for one in rows if one["number"] == number]
            total = row["edge_ms"] + row["cloud_ms"] + 8 * row["bytes"] / (1000 * mbps)
            axes.plot(mbps, total, dashes, color=colour, linewidth=1.8, label=f"after convolution {number}")
        for name in ("lte", "wifi"):
            at = presets()[name].uplink_mbps
            axes.axvline(at, color="0.75", linewidth=0.8, zorder=0)
            axes.text(at * 1.04, 4e4, {"lte": "LTE", "wifi": "Wi-Fi"}[name], color="0.3", va="top")
        axes.set(xscale="log", yscale="log", ylim=(20, 5e4), xlim=(1, 1000))
        axes.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
        axes.set_yticks([100, 1000, 10000], ["100", "1000", "10 000"])
        axes.set_xlabel("uplink, Mbps")
        axes.set_ylabel("latency, ms")
        axes.legend(frameon=False)
        return svg(figure)
