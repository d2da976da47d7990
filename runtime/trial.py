"""A measured run: the whole test set through the split network, fresh noise for every inference.

Before anything is timed the halves must equal the user's own module, in this process, without noise, where that is at
hand. Then single inferences (of the batch that was planned) are timed one by one, each followed by one of cloud-only
on the same link, so that a machine that slows down slows both. The rest of the test set goes in batches. Without the
model, on a folder of the edge alone, there is no torch here, no clean accuracy and no cloud-only.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from noise.accuracy import compare
from noise.collection import NoiseFacts, require_match
from noise.datasets.records import Dataset
from noise.keyed import DrawKey
from noise.mechanism import Mechanism
from planner.cost import on_link
from planner.message_cost import MessageCost
from planner.plan import Plan
from profiles.engine import batches
from profiles.errors import PeerError
from profiles.link import LinkProfile
from runtime.client import CloudClient
from runtime.edge import EdgeHalf, Inference
from runtime.guard import ClientSecurity
from runtime.local import local_cloud
from runtime.parts import measured_parts
from runtime.record import PredictedParts, RunRecord
from runtime.sides import EdgeSide, cloud_only_name

if TYPE_CHECKING:
    from runtime.whole import CloudOnly

Array = NDArray[Any]
Progress = Callable[[int, int], None]

WARM_UPS, BATCH = 20, 100


def run(
    plan: Plan,
    noise: Mechanism,
    facts: NoiseFacts,
    data: Dataset,
    *,
    side: EdgeSide | None = None,
    server: str | None = None,
    security: ClientSecurity | None = None,
    link: LinkProfile | None = None,
    emulate: bool = True,
    key: DrawKey | None = None,
    samples: int = 300,
    progress: Progress = lambda done, of: None,
) -> RunRecord:
    """Run a plan's two halves over a real socket on a test set.

    side: the edge's, of a split folder; without it the plan's model is loaded, and its halves are held against it.
    server: URL of a cloud that runs; without one a local process is started. security: TLS and token for it. link:
    emulate this one instead of the plan's. key: draws are keyed by it and the input, else fresh. samples: single
    inferences that are timed.
    Raises NoiseError (noise for something else), EqualityError, DataError, PeerError.
    """
    require_match(facts, plan, origin="noise")
    whole = None
    if side is None:
        from runtime.whole import WholeNetwork  # needs torch and the model

        whole = WholeNetwork.of(plan)
        side = whole.edge
    inputs = side.fitting(data.test.inputs, origin=data.name)
    difference, clean = whole.held_against(inputs) if whole else (None, None)
    used = link or plan.link
    with ExitStack() as stack:
        url = server
        if url is None:
            url = stack.enter_context(local_cloud(plan, used if emulate else None))
        client = stack.enter_context(connect(url, plan, side, security))
        edge = stack.enter_context(side.half(noise, client, quantisation=facts.quantisation, key=key, timing=True))
        reference = None
        if server is None and whole is not None:
            named = CloudClient(url, cloud_only_name(plan.model.name))
            reference = whole.cloud_only(stack.enter_context(named))
        measured = _measure(
            edge,
            reference,
            side,
            inputs,
            samples=min(samples, max(1, len(inputs[0]) // side.agreed.batch)),
            progress=progress,
        )
        retries, cloud_engine = client.retries_made, client.metadata().platform
    return _record(
        plan,
        facts,
        measured,
        used,
        compare(clean, measured.classes, data.test.labels),
        server=server,
        emulated=server is None and emulate,
        draw="fresh" if key is None else "keyed",
        difference=difference,
        engines=(plan.edge.engine if whole else side.engine.name, cloud_engine.removeprefix("plan_")),
        retries=retries,
    )


def connect(url: str, plan: Plan, side: EdgeSide, security: ClientSecurity | None = None) -> CloudClient:
    """A client whose server has the plan's cloud half. Raises PeerError where its inputs are not what crosses."""
    sent = {one.facts().described() for one in side.agreed.sent}
    client = CloudClient(url, plan.model.name, security=security)
    try:
        served = {one.described() for one in client.metadata().inputs}
        if served != sent:
            raise PeerError(
                f"{url} takes {', '.join(sorted(served))}; this plan sends {', '.join(sorted(sent))}; "
                "start `plan serve` there with this plan"
            )
    except BaseException:
        client.close()
        raise
    return client


@dataclass(frozen=True)
class _Measured:
    """singles: the timed inferences. reference_ms: cloud-only ones. classes: answers for the whole test set."""

    singles: Sequence[Inference]
    reference_ms: Array | None
    classes: Array


def _measure(
    edge: EdgeHalf,
    reference: "CloudOnly | None",
    side: EdgeSide,
    inputs: Sequence[Array],
    *,
    samples: int,
    progress: Progress,
) -> _Measured:
    singles: list[Inference] = []
    reference_ms: list[float] = []
    total, batch = len(inputs[0]), side.agreed.batch
    classes = np.empty(total, dtype=np.int64)
    for _ in range(WARM_UPS):  # with the model's own example: several draws for one input of the user's average out
        edge.infer(side.example)
        if reference:
            reference.infer()
    for index in range(samples):
        rows = np.arange(index * batch, (index + 1) * batch) % total
        done = edge.infer([one[rows] for one in inputs])
        singles.append(done)
        classes[rows] = done.outputs[0].argmax(1)
        if reference:
            exchange = reference.infer()
            reference_ms.append((exchange.end_ns - exchange.start_ns) / 1e6)
        progress(min((index + 1) * batch, total), total)
    at = min(samples * batch, total)
    for part, count in batches([one[at:] for one in inputs], rows=side.agreed.rows, most=BATCH):
        classes[at : at + count] = edge.infer(part).outputs[0].argmax(1)[:count]
        at += count
        progress(at, total)
    return _Measured(singles, np.array(reference_ms) if reference else None, classes)


def _record(
    plan: Plan,
    facts: NoiseFacts,
    measured: _Measured,
    link: LinkProfile,
    accuracy: Any,
    *,
    server: str | None,
    emulated: bool,
    draw: Literal["fresh", "keyed"],
    difference: float | None,
    engines: tuple[str, str],
    retries: int,
) -> RunRecord:
    message = MessageCost.between(plan.edge, plan.cloud)
    predicted = on_link(plan.predicted, planned=plan.link, link=link, message=message)
    cloud_only = on_link(plan.references.cloud_only, planned=plan.link, link=link, message=message)
    parts = measured_parts(measured.singles, predicted.uplink_ms, predicted.downlink_ms, one_clock=server is None)
    total = parts.total.p50
    reference_ms = cloud_only.total_ms if measured.reference_ms is None else float(np.median(measured.reference_ms))
    exchange = measured.singles[-1].exchange
    limit_ms = None
    if emulated and parts.cloud is not None:
        wire_ms = 8e-3 * (exchange.bytes_up / link.uplink_mbps + exchange.bytes_down / link.downlink_mbps)
        limit_ms = parts.edge.p50 + wire_ms + link.rtt_ms + parts.cloud.p50
    return RunRecord(
        model=plan.model.name,
        cut=plan.cut.name,
        link=link.label if server is None and emulated else "as it is",
        emulated=emulated,
        server=server or "local process",
        samples=len(measured.singles),
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
        prediction_error=predicted.total_ms / total - 1,
        limit_ms=limit_ms,
        bytes_up=exchange.bytes_up,
        bytes_down=exchange.bytes_down,
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
        errors=0,
        retries=retries,
    )
