"""Figure 6 with this machine's halves: two processes, real sockets, an emulated link, and cloud-only in between.

Both sides run on one thread of one machine, so the cloud computes no faster than the edge. Noise: a stand-in of the
real size. Cuts: where the paper's Figure 6 has them, and where the plan of this machine's own profile puts them.
"""

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from planner.plan import Plan
from planner.planning import cut
from profiles import link as links
from profiles.codec import Quantisation
from profiles.device import DeviceProfile
from profiles.profiling import PAUSE_MS, profile
from profiles.zoo.catalog import ZOO
from reproduction.networks import number, traced
from reproduction.stand_in import SCALE, stand_in
from runtime.client import CloudClient, Exchange
from runtime.connecting import connect
from runtime.edge import Inference
from runtime.local import local_cloud
from runtime.parts import measured_parts, quantiles
from runtime.sides import cloud_only_name
from runtime.whole import WholeNetwork

Figures = dict[str, Any]
WIRES, PLACES = ("float32", "int8"), ("paper", "chosen")
WARM_UPS, LEAST, MOST = 3, 10, 40


def measured(name: str, link: str, *, profile_s: float, budget_s: float) -> Figures:
    """A network on a link, at both places and both wires. budget_s: of pairs of inferences, each."""
    device = here(name, profile_s)
    runs: list[Figures] = []
    for wire in WIRES:
        done: dict[str, Figures] = {}
        for place in PLACES:
            at = ZOO[name].paper_cut if place == "paper" else None
            plan = cut(device, device, links.load(link), noise="laplace", wire=wire, at=at)
            if plan.cut.name not in done:
                done[plan.cut.name] = run(plan, budget_s)
            runs.append({"wire": wire, "place": place, **done[plan.cut.name]})
    return {"engine": device.device.engine, "whole_ms": device.whole_ms, "runs": runs}


@lru_cache(maxsize=1)
def here(name: str, seconds: float) -> DeviceProfile:
    """This machine's one thread, as edge and as cloud."""
    return profile(name, threads=1, name="here", seconds=seconds)


def run(plan: Plan, budget_s: float) -> Figures:
    """One cut: single inferences and cloud-only ones in turn, so that a machine that slows down slows both."""
    whole = WholeNetwork.of(plan, network=traced(plan.model.name))
    side, singles, references = whole.edge, list[Inference](), list[Exchange]()
    noise, levels = stand_in(plan, side.agreed), _levels(whole)
    with (
        local_cloud(plan, plan.link) as url,
        connect(url, plan, side) as client,
        CloudClient(url, cloud_only_name(plan.model.name)) as named,
        side.half(noise, client, quantisation=levels, timing=True) as edge,
    ):
        reference = whole.cloud_only(named)
        for _ in range(WARM_UPS):
            start = time.perf_counter()
            edge.infer(side.example)
            reference.infer(timing=True)
            pair_s = time.perf_counter() - start + 2 * PAUSE_MS / 1000
        for _ in range(int(min(MOST, max(LEAST, budget_s / pair_s)))):
            time.sleep(PAUSE_MS / 1000)
            singles.append(edge.infer(side.example))
            time.sleep(PAUSE_MS / 1000)
            references.append(reference.infer(timing=True))
    return _figures(plan, whole, singles, references)


def _levels(whole: WholeNetwork) -> dict[str, Quantisation]:
    """Of what crosses in the model's example, with room for the noise; needed where bytes cross."""
    agreed, found = whole.edge.agreed, {}
    for one, tensor in zip(agreed.crossing, whole.edge.engine.run(whole.edge.example), strict=False):
        if one.node not in agreed.beside:
            found[one.node] = Quantisation.over(float(tensor.min()) - 4 * SCALE, float(tensor.max()) + 4 * SCALE)
    return found


def _figures(
    plan: Plan, whole: WholeNetwork, singles: Sequence[Inference], references: Sequence[Exchange]
) -> Figures:
    predicted = plan.predicted
    parts = measured_parts(singles, predicted.uplink_ms, predicted.downlink_ms, one_clock=True)
    total_ms = np.array([one.total_ms for one in singles])
    whole_ms = np.array([(one.end_ns - one.start_ns) / 1e6 for one in references])
    computing_ms = np.array([one.reply.parameters["plan_compute_ns"] / 1e6 for one in references])
    low, high = _interval(whole_ms, total_ms)
    names = ("edge", "noise", "uplink", "cloud", "downlink", "total")
    return {
        "cut": plan.cut.name,
        "number": number(whole.cut.network.graph, plan.cut.edge_nodes),
        "upload_bytes": predicted.upload_bytes,
        "repeats": len(singles),
        "ms": {one: getattr(parts, one) for one in names},
        "predicted_ms": predicted.total_ms,
        "cloud_only_ms": {"total": quantiles(whole_ms), "cloud": quantiles(computing_ms)},
        "speed_up": float(np.median(whole_ms) / np.median(total_ms)),
        "speed_up_interval": [low, high],
    }


def _interval(whole_ms: NDArray[Any], total_ms: NDArray[Any]) -> tuple[float, float]:
    """95 % of the ratio of medians, by a bootstrap over the pairs."""

    def ratio(one: NDArray[Any], other: NDArray[Any], axis: int = -1) -> NDArray[Any]:
        made: NDArray[Any] = np.median(one, axis=axis) / np.median(other, axis=axis)
        return made

    drawn = bootstrap(
        (whole_ms, total_ms), ratio, paired=True, vectorized=True, n_resamples=2000, method="percentile", rng=0
    )
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)
