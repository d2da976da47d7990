"""What was measured in a run → its record. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from noise.collection import NoiseFacts
from planner.cost import on_link
from planner.message_cost import MessageCost
from planner.plan import Plan, Predicted
from profiles.link import LinkProfile
from runtime.edge import Inference
from runtime.fallback import LocalAnswer, StandbyEdge
from runtime.parts import quantiles
from runtime.reach import Reach
from runtime.record import MeasuredParts, PredictedParts, RunRecord, Streamed

Array = NDArray[Any]


@dataclass(frozen=True)
class Measured:
    """singles: the timed inferences that the cloud answered; local: those that the edge alone did. reference_ms:
    cloud-only ones."""

    singles: Sequence[Inference]
    local: Sequence[LocalAnswer]
    parts: MeasuredParts
    reference_ms: Array | None
    stream: Streamed | None


def recorded(
    plan: Plan,
    facts: NoiseFacts,
    measured: Measured,
    predicted: Predicted,
    link: LinkProfile,
    accuracy: Any,
    *,
    reach: Reach,
    draw: Literal["fresh", "keyed"],
    difference: float | None,
    engines: tuple[str, str],
    retries: int,
    standby: StandbyEdge | None,
) -> RunRecord:
    message = MessageCost.between(plan.edge, plan.cloud)
    cloud_only = on_link(plan.references.cloud_only, planned=plan.link, link=link, message=message)
    parts = measured.parts
    total = parts.total.p50
    reference_ms = cloud_only.total_ms if measured.reference_ms is None else float(np.median(measured.reference_ms))
    bytes_up, bytes_down = 0, 0
    if measured.singles:
        exchange = measured.singles[-1].exchange
        bytes_up, bytes_down = exchange.bytes_up, exchange.bytes_down
    return RunRecord(
        model=plan.model.name,
        cut=plan.cut.name,
        link=link.label if reach.emulated else "as it is",
        emulated=reach.emulated,
        server=reach.server or "local process",
        samples=len(measured.singles) + len(measured.local),
        accuracy=accuracy,
        latency_ms=parts,
        predicted_ms=PredictedParts(
            predicted.edge_ms,
            predicted.noise_ms,
            predicted.uplink_ms,
            predicted.cloud_ms,
            predicted.downlink_ms,
            predicted.total_ms,
            message.up_ms + message.down_ms,
        ),
        prediction_error=predicted.total_ms / total - 1 if measured.singles else None,
        limit_ms=limit_ms(measured.singles, link) if reach.emulated else None,
        bytes_up=bytes_up,
        bytes_down=bytes_down,
        upload_bytes=plan.predicted.upload_bytes,
        input_bytes=plan.references.cloud_only.upload_bytes,
        cloud_only_ms=reference_ms,
        cloud_only_provenance="modelled" if measured.reference_ms is None else "measured",
        speedup_vs_cloud_only=None if measured.reference_ms is None else reference_ms / total,
        equal_to_whole=None if difference is None else True,
        largest_difference=difference,
        engine=engines[0],
        cloud_engine=engines[1] or None,
        wire=plan.settings.wire,
        noise=facts.kind,
        draw=draw,
        errors=standby.errors if standby else 0,
        retries=retries,
        stream=measured.stream,
        fallbacks=standby.fallbacks if standby else 0,
        fallback_ms=quantiles([one.total_ms for one in measured.local]) if measured.local else None,
    )


def limit_ms(singles: Sequence[Inference], link: LinkProfile) -> float | None:
    """Edge compute + all bytes / rate + round trip + cloud compute, the median over inferences; None where a server
    does not tell how long its engine took. Reading a request and waiting for the engine are the runtime's time."""
    found = []
    for one in singles:
        exchange = one.exchange
        compute_ns = exchange.reply.parameters.get("plan_compute_ns")
        if not isinstance(compute_ns, int):
            return None
        wire_ms = 8e-3 * (exchange.bytes_up / link.uplink_mbps + exchange.bytes_down / link.downlink_mbps)
        found.append(one.edge_ms + wire_ms + link.rtt_ms + compute_ns / 1e6)
    return float(np.median(found)) if found else None
