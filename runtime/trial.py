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
from planner.plan import Plan
from profiles.engine import batches
from profiles.errors import PeerError, UnansweredError
from profiles.link import LinkProfile
from runtime.client import CloudClient
from runtime.edge import EdgeHalf, Inference
from runtime.fallback import LocalAnswer, StandbyEdge
from runtime.guard import ClientSecurity
from runtime.local import local_cloud
from runtime.parts import measured_parts, quantiles
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
    timeout_s: float = 30.0,
    fallback: bool = False,
    progress: Progress = lambda done, of: None,
    tell: Callable[[str], None] = lambda line: None,
) -> RunRecord:
    """Run a plan's two halves over a real socket on a test set.

    side: the edge's, of a split folder; without it the plan's model is loaded, and its halves are held against it.
    server: URL of a cloud that runs; without one a local process is started. security: TLS and token for it.
    link: emulate this one instead of the
    plan's. key: draws are keyed by it and the input, else fresh. samples: single inferences that are timed.
    timeout_s: of one exchange, with all that is sent again. fallback: what the cloud does not answer the whole
    network on the edge does, and `tell` is told so; not with a side.
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
        absent: list[PeerError] = []
        client = stack.enter_context(
            connect(url, plan, side, security, timeout_s=timeout_s, absent=absent.append if fallback else None)
        )
        edge: EdgeHalf | StandbyEdge = stack.enter_context(side.half(noise, client, key=key, timing=True))
        if fallback and whole is not None and isinstance(edge, EdgeHalf):
            edge = StandbyEdge(edge, client, whole.engine(), absent=absent, tell=tell)
        reference = None
        if server is None and whole is not None:
            named = CloudClient(url, cloud_only_name(plan.model.name), timeout_s=timeout_s)
            reference = whole.cloud_only(stack.enter_context(named))
        measured = _measure(
            edge,
            reference,
            side,
            inputs,
            samples=min(samples, max(1, len(inputs[0]) // side.agreed.batch)),
            progress=progress,
        )
        retries, cloud_engine = client.retries_made, client.platform
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
        standby=edge if isinstance(edge, StandbyEdge) else None,
    )


def connect(
    url: str,
    plan: Plan,
    side: EdgeSide,
    security: ClientSecurity | None = None,
    *,
    timeout_s: float = 30.0,
    absent: Callable[[PeerError], None] | None = None,
) -> CloudClient:
    """A client whose server has the plan's cloud half. timeout_s: of one exchange, with all that is sent again.

    absent: told where the server does not answer, which is then no error.
    Raises PeerError where its inputs are not what crosses, or nobody answers.
    """
    sent = {one.facts().described() for one in side.agreed.sent}
    client = CloudClient(url, plan.model.name, security=security, timeout_s=timeout_s)
    try:
        served = {one.described() for one in client.metadata().inputs}
        if served != sent:
            raise PeerError(
                f"{url} takes {', '.join(sorted(served))}; this plan sends {', '.join(sorted(sent))}; "
                "start `plan serve` there with this plan"
            )
    except BaseException as error:
        if absent is None or not isinstance(error, UnansweredError):
            client.close()
            raise
        absent(error)
    return client


@dataclass(frozen=True)
class _Measured:
    """singles: the timed inferences that the cloud answered; local: those that the edge alone did. reference_ms:
    cloud-only ones. classes: answers for the whole test set."""

    singles: Sequence[Inference]
    local: Sequence[LocalAnswer]
    reference_ms: Array | None
    classes: Array


def _measure(
    edge: EdgeHalf | StandbyEdge,
    reference: "CloudOnly | None",
    side: EdgeSide,
    inputs: Sequence[Array],
    *,
    samples: int,
    progress: Progress,
) -> _Measured:
    singles: list[Inference] = []
    local: list[LocalAnswer] = []
    reference_ms: list[float] = []
    total, batch = len(inputs[0]), side.agreed.batch
    classes = np.empty(total, dtype=np.int64)
    for _ in range(WARM_UPS):  # with the model's own example: several draws for one input of the user's average out
        edge.infer(side.example)
        if reference:
            _referred(reference, edge)
    for index in range(samples):
        rows = np.arange(index * batch, (index + 1) * batch) % total
        done = edge.infer([one[rows] for one in inputs])
        if isinstance(done, Inference):
            singles.append(done)
        else:
            local.append(done)
        classes[rows] = done.outputs[0].argmax(1)
        if reference:
            reference_ms.extend(_referred(reference, edge))
        progress(min((index + 1) * batch, total), total)
    at = min(samples * batch, total)
    for part, count in batches([one[at:] for one in inputs], rows=side.agreed.rows, most=BATCH):
        classes[at : at + count] = edge.infer(part).outputs[0].argmax(1)[:count]
        at += count
        progress(at, total)
    return _Measured(singles, local, np.array(reference_ms) if reference_ms else None, classes)


def _referred(reference: "CloudOnly", edge: EdgeHalf | StandbyEdge) -> list[float]:
    """How long cloud-only took, milliseconds; nothing where the edge stands by and the cloud does not answer."""
    if isinstance(edge, StandbyEdge) and not edge.answered:
        return []
    try:
        exchange = reference.infer()
    except PeerError:
        if isinstance(edge, StandbyEdge):
            return []
        raise
    return [(exchange.end_ns - exchange.start_ns) / 1e6]


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
    standby: StandbyEdge | None,
) -> RunRecord:
    predicted = on_link(plan.predicted, planned=plan.link, link=link)
    cloud_only = on_link(plan.references.cloud_only, planned=plan.link, link=link)
    one_clock = server is None
    parts = measured_parts(
        measured.singles, predicted.uplink_ms, predicted.downlink_ms, one_clock=one_clock, local=measured.local
    )
    total = parts.total.p50
    reference_ms = cloud_only.total_ms if measured.reference_ms is None else float(np.median(measured.reference_ms))
    bytes_up, bytes_down = 0, 0
    if measured.singles:
        exchange = measured.singles[-1].exchange
        bytes_up, bytes_down = exchange.bytes_up, exchange.bytes_down
    limit_ms = None
    if emulated and parts.cloud is not None:
        wire_ms = 8e-3 * (bytes_up / link.uplink_mbps + bytes_down / link.downlink_mbps)
        limit_ms = parts.edge.p50 + wire_ms + link.rtt_ms + parts.cloud.p50
    return RunRecord(
        model=plan.model.name,
        cut=plan.cut.name,
        link=link.label if server is None and emulated else "as it is",
        emulated=emulated,
        server=server or "local process",
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
        ),
        limit_ms=limit_ms,
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
        fallbacks=standby.fallbacks if standby else 0,
        fallback_ms=quantiles([one.total_ms for one in measured.local]) if measured.local else None,
    )
