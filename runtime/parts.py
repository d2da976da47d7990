"""The parts of a measured inference: edge, noise, uplink, cloud, downlink, and their sum."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from runtime.edge import Inference
from runtime.fallback import LocalAnswer
from runtime.record import MeasuredParts, Quantiles


def measured_parts(
    singles: Sequence[Inference],
    uplink_ms: float,
    downlink_ms: float,
    *,
    one_clock: bool,
    local: Sequence[LocalAnswer] = (),
) -> MeasuredParts:
    """Quantiles of each part. uplink_ms, downlink_ms: as predicted, for a split in proportion. one_clock: both sides
    read the same clock, as two processes of one machine do. local: answers of the edge alone; they count where the
    cloud gave none, all of their time as the edge's."""
    if not singles:
        own, none = quantiles([one.total_ms for one in local]), Quantiles(0.0, 0.0)
        return MeasuredParts(own, none, none, None, none, own)
    share = uplink_ms / (uplink_ms + downlink_ms) if uplink_ms + downlink_ms else 0.5
    columns = np.array([_split(one, share, one_clock=one_clock) for one in singles])  # [samples, 6]
    edge, noise, uplink, cloud, downlink, total = map(quantiles, columns.T)
    return MeasuredParts(edge, noise, uplink, cloud if np.isfinite(cloud.p50) else None, downlink, total)


def quantiles(values_ms: Any) -> Quantiles:
    """Of milliseconds; NaN where one of them is."""
    p50, p95 = np.percentile(values_ms, [50, 95])
    return Quantiles(float(p50), float(p95))


def _split(one: Inference, uplink_share: float, *, one_clock: bool) -> tuple[float, ...]:
    """edge, noise, uplink, cloud, downlink, total of one inference, milliseconds; cloud NaN where nobody says.

    The server's two readings tell how long it computed. Where both sides read one clock they tell the two ways of
    the link apart as well; else what is left is split in proportion to the prediction.
    """
    parameters = one.exchange.reply.parameters
    received, replied = parameters.get("plan_received_ns"), parameters.get("plan_replied_ns")
    away = one.away_ms
    cloud = np.nan
    if isinstance(received, int) and isinstance(replied, int):
        cloud = (replied - received) / 1e6
        if one_clock:
            uplink, downlink = (received - one.prepared_ns) / 1e6, (one.end_ns - replied) / 1e6
            return one.edge_ms, one.noise_ms, uplink, cloud, downlink, one.total_ms
        cloud = min(max(cloud, 0.0), away)  # a peer may claim anything
    left = away - (0.0 if np.isnan(cloud) else cloud)
    return one.edge_ms, one.noise_ms, left * uplink_share, cloud, left * (1 - uplink_share), one.total_ms
