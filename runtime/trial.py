"""A measured run: the whole test set through the split network, fresh noise for every inference.

Before anything is timed the halves must equal the user's own module, in this process, without noise, where that is at
hand. Then single inferences (of the batch that was planned) are timed one by one, each followed by one of cloud-only
on the same link, so that a machine that slows down slows both. The rest of the test set goes in batches; or all of it
goes through a stream, and the single inferences are of the model's own example, so that no input gets two draws.
Without the model, on a folder of the edge alone, there is no torch here, no clean accuracy and no cloud-only.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import repeat
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
from planner.plan import Plan, Predicted
from profiles.engine import batches
from profiles.errors import PeerError
from profiles.link import LinkProfile
from runtime.client import CloudClient, Exchange
from runtime.edge import EdgeHalf, Inference
from runtime.guard import ClientSecurity
from runtime.local import local_cloud
from runtime.pace import Pace
from runtime.parts import measured_parts
from runtime.record import MeasuredParts, PredictedParts, RunRecord, Streamed
from runtime.sides import EdgeSide, cloud_only_name
from runtime.stream import Stream
from runtime.throughput import streamed

if TYPE_CHECKING:
    from runtime.whole import CloudOnly

Array = NDArray[Any]
Progress = Callable[[int, int], None]
Watch = Callable[[Inference], None]

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
    stream: bool = False,
    in_flight: int | None = None,
    watch: Watch = lambda done: None,
    progress: Progress = lambda done, of: None,
) -> RunRecord:
    """Run a plan's two halves over a real socket on a test set.

    side: the edge's, of a split folder; without it the plan's model is loaded, and its halves are held against it.
    server: URL of a cloud that runs; without one a local process is started. security: TLS and token for it. link:
    emulate this one instead of the plan's. key: draws are keyed by it and the input, else fresh. samples: single
    inferences that are timed. stream: the test set many inferences at once, at most in_flight on their way (None: as
    many as keep the link busy). watch: is told of every inference that is timed.
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
    message = MessageCost.between(plan.edge, plan.cloud)
    predicted = on_link(plan.predicted, planned=plan.link, link=used, message=message)
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
        singles, reference_ms = _timed(
            edge,
            reference,
            side,
            repeat(side.example, samples) if stream else _first(inputs, side.agreed.batch, samples, progress),
            watch,
        )
        parts = measured_parts(singles, predicted.uplink_ms, predicted.downlink_ms, one_clock=server is None)
        overlapped = None
        if stream:
            pace = Pace.measured(parts, used if server or emulate else None, exchange=singles[-1].exchange)
            opened = stack.enter_context(Stream(edge, client, in_flight=in_flight or pace.in_flight))
            planned = Pace.predicted(predicted, used)
            classes, overlapped = streamed(
                opened, side, inputs, pace=pace, predicted=planned, watch=watch, progress=progress
            )
            retries = opened.retries
        else:
            classes = _classes(edge, side, inputs, singles, progress)
            retries = client.retries_made
        cloud_engine = client.metadata().platform
    return _record(
        plan,
        facts,
        _Measured(singles[-1].exchange, len(singles), parts, reference_ms, overlapped),
        predicted,
        used,
        compare(clean, classes, data.test.labels),
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


def _timed(
    edge: EdgeHalf,
    reference: "CloudOnly | None",
    side: EdgeSide,
    given: Iterable[Sequence[Array]],
    watch: Watch,
) -> tuple[list[Inference], Array | None]:
    """Single inferences, and milliseconds of the cloud-only ones in between."""
    singles: list[Inference] = []
    reference_ms: list[float] = []
    for _ in range(WARM_UPS):  # with the model's own example: several draws for one input of the user's average out
        edge.infer(side.example)
        if reference:
            reference.infer()
    for inputs in given:
        singles.append(edge.infer(inputs))
        watch(singles[-1])
        if reference:
            exchange = reference.infer()
            reference_ms.append((exchange.end_ns - exchange.start_ns) / 1e6)
    return singles, np.array(reference_ms) if reference else None


def _first(inputs: Sequence[Array], batch: int, samples: int, progress: Progress) -> Iterable[Sequence[Array]]:
    """The test set's first batches, at least one, as many as there are up to `samples`."""
    total = len(inputs[0])
    for index in range(min(samples, max(1, total // batch))):
        rows = np.arange(index * batch, (index + 1) * batch) % total
        yield [one[rows] for one in inputs]
        progress(min((index + 1) * batch, total), total)


def _classes(
    edge: EdgeHalf, side: EdgeSide, inputs: Sequence[Array], singles: Sequence[Inference], progress: Progress
) -> Array:
    """Answers for the whole test set: those of the single inferences, which were its first, and of batches."""
    total = len(inputs[0])
    found = [one.outputs[0].argmax(1) for one in singles]
    at = min(len(singles) * side.agreed.batch, total)
    for part, count in batches([one[at:] for one in inputs], rows=side.agreed.rows, most=BATCH):
        found.append(edge.infer(part).outputs[0].argmax(1)[:count])
        at += count
        progress(at, total)
    return np.concatenate(found)[:total]


@dataclass(frozen=True)
class _Measured:
    """exchange: a single inference's. samples: how many were timed. reference_ms: cloud-only ones."""

    exchange: Exchange
    samples: int
    parts: MeasuredParts
    reference_ms: Array | None
    stream: Streamed | None


def _record(
    plan: Plan,
    facts: NoiseFacts,
    measured: _Measured,
    predicted: Predicted,
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
    cloud_only = on_link(plan.references.cloud_only, planned=plan.link, link=link, message=message)
    parts, exchange = measured.parts, measured.exchange
    total = parts.total.p50
    reference_ms = cloud_only.total_ms if measured.reference_ms is None else float(np.median(measured.reference_ms))
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
        samples=measured.samples,
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
        stream=measured.stream,
    )
