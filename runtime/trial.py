"""A measured run: the whole test set through the split network, fresh noise for every inference.

Before anything is timed the halves must equal the whole, in this process, without noise. Then single inferences are
timed one by one, each followed by one of cloud-only on the same link, so that a machine that slows down slows both.
The rest of the test set goes in batches.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.accuracy import compare
from noise.collection import NoiseFacts, require_match
from noise.cut_network import CutNetwork
from noise.datasets.records import Dataset
from planner.cost import on_link
from planner.plan import Plan
from profiles import halves
from profiles.engine import TorchEngine, run_in_batches, set_threads
from profiles.errors import DataError, PeerError
from profiles.link import LinkProfile
from runtime.edge import CloudClient, EdgeHalf, Exchange, Inference, Noise
from runtime.local import local_cloud
from runtime.record import MeasuredParts, PredictedParts, Quantiles, RunRecord
from runtime.serving import cloud_only_name, encoded_dtype

Array = NDArray[Any]
Progress = Callable[[int, int], None]

WARM_UPS, BATCH, EQUALITY_ROWS = 20, 100, 256


@dataclass(frozen=True)
class Where:
    """url: a server of the user's, None for a local cloud process behind `link` (None: plain loopback)."""

    url: str | None
    link: LinkProfile | None


def run(
    plan: Plan,
    noise: Noise,
    facts: NoiseFacts,
    data: Dataset,
    *,
    server: str | None = None,
    link: LinkProfile | None = None,
    emulate: bool = True,
    samples: int = 300,
    progress: Progress = lambda done, of: None,
) -> RunRecord:
    """Run a plan's two halves over a real socket on a test set.

    server: URL of a cloud that runs; without one a local process is started. link: emulate this one instead of the
    plan's. samples: single inferences that are timed.
    Raises NoiseError (noise for something else), EqualityError, DataError, PeerError.
    """
    require_match(facts, plan, origin="noise")
    set_threads(plan.edge.threads)
    cut = CutNetwork.of(plan)
    inputs = data.test.inputs
    difference, clean = _whole(cut, inputs, data.name)
    used = link or plan.link
    with ExitStack() as stack:
        url = server or stack.enter_context(local_cloud(plan, used if emulate else None))
        client = stack.enter_context(connect(url, plan, cut))
        edge = EdgeHalf(
            cut.edge,
            noise,
            client,
            crossing=list(cut.shapes),
            outputs=[node.id for node in cut.network.graph.outputs],
            timing=server is None,
        )
        reference = None
        if server is None:
            reference = stack.enter_context(CloudClient(url, cloud_only_name(plan.model.name)))
        measured = _measure(edge, reference, cut, inputs, samples=min(samples, len(inputs)), progress=progress)
        retries = client.retries_made
    return _record(
        plan,
        facts,
        measured,
        used,
        compare(clean, measured.classes, data.test.labels),
        server=server,
        emulated=server is None and emulate,
        difference=difference,
        retries=retries,
    )


def connect(url: str, plan: Plan, cut: CutNetwork) -> CloudClient:
    """A client whose server has the plan's cloud half. Raises PeerError where its inputs are not what crosses."""
    client = CloudClient(url, plan.model.name)
    try:
        served = {one.name: tuple(one.shape[1:]) for one in client.metadata().inputs}
    except BaseException:
        client.close()
        raise
    if served != cut.shapes:
        client.close()
        raise PeerError(
            f"{url} takes {served}, this plan sends {cut.shapes}; start `plan serve` there with this plan"
        )
    return client


def _whole(cut: CutNetwork, inputs: Array, name: str) -> tuple[float, Array]:
    """Largest difference between halves and whole, and the whole's classes; in this process, without noise."""
    expected = tuple(cut.network.example[0].shape[1:])
    if len(cut.network.example) != 1 or tuple(inputs.shape[1:]) != expected:
        raise DataError(f"{name}: inputs of shape {list(inputs.shape[1:])}, the model takes {list(expected)}")
    whole = TorchEngine(halves.whole(cut.network))
    cloud = TorchEngine(cut.cloud)
    first = inputs[:EQUALITY_ROWS]
    differences = [
        halves.require_equal(whole.run([part]), cloud.run(cut.edge.run([part]))) for part in (first[:1], first)
    ]
    return max(differences), run_in_batches(whole, inputs)[0].argmax(1)


@dataclass(frozen=True)
class _Measured:
    """singles: the timed inferences. reference_ms: cloud-only ones. classes: answers for the whole test set."""

    singles: Sequence[Inference]
    reference_ms: Array | None
    classes: Array


def _measure(
    edge: EdgeHalf,
    reference: CloudClient | None,
    cut: CutNetwork,
    inputs: Array,
    *,
    samples: int,
    progress: Progress,
) -> _Measured:
    pixels = np.random.default_rng(0)
    singles: list[Inference] = []
    reference_ms: list[float] = []
    classes = np.empty(len(inputs), dtype=np.int64)
    for index in range(-WARM_UPS, samples):
        row = index % len(inputs)
        done = edge.infer([inputs[row : row + 1]])
        exchange = _cloud_only(reference, cut, pixels) if reference else None
        if index >= 0:
            singles.append(done)
            classes[row] = done.outputs[0].argmax(1)[0]
            if exchange:
                reference_ms.append((exchange.end_ns - exchange.start_ns) / 1e6)
            progress(index + 1, len(inputs))
    for start in range(samples, len(inputs), BATCH):
        stop = min(start + BATCH, len(inputs))
        classes[start:stop] = edge.infer([inputs[start:stop]]).outputs[0].argmax(1)
        progress(stop, len(inputs))
    return _Measured(singles, np.array(reference_ms) if reference else None, classes)


def _cloud_only(client: CloudClient, cut: CutNetwork, pixels: np.random.Generator) -> Exchange:
    """Cloud-only with random pixels: its time does not depend on them, and no input crosses."""
    tensors = {}
    for node in cut.network.graph.inputs:
        dtype = np.dtype(encoded_dtype(node))
        raw = pixels.integers(0, 256, size=(1, *node.shape[1:]))
        tensors[node.id] = raw.astype(dtype) if dtype == np.uint8 else np.zeros(raw.shape, dtype)
    return client.infer(tensors)


def _record(
    plan: Plan,
    facts: NoiseFacts,
    measured: _Measured,
    link: LinkProfile,
    accuracy: Any,
    *,
    server: str | None,
    emulated: bool,
    difference: float,
    retries: int,
) -> RunRecord:
    predicted = on_link(plan.predicted, planned=plan.link, link=link)
    cloud_only = on_link(plan.references.cloud_only, planned=plan.link, link=link)
    parts = _parts(measured.singles, predicted.uplink_ms, predicted.downlink_ms)
    total = parts.total.p50
    reference_ms = cloud_only.total_ms if measured.reference_ms is None else float(np.median(measured.reference_ms))
    exchange = measured.singles[-1].exchange
    limit_ms = None
    if emulated:
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
        ),
        limit_ms=limit_ms,
        bytes_up=exchange.bytes_up,
        bytes_down=exchange.bytes_down,
        upload_bytes=plan.predicted.upload_bytes,
        input_bytes=plan.references.cloud_only.upload_bytes,
        cloud_only_ms=reference_ms,
        cloud_only_provenance="modelled" if measured.reference_ms is None else "measured",
        speedup_vs_cloud_only=reference_ms / total,
        equal_to_whole=True,
        largest_difference=difference,
        engine="torch",
        wire=plan.settings.wire,
        noise=facts.kind,
        errors=0,
        retries=retries,
    )


def _parts(singles: Sequence[Inference], uplink_ms: float, downlink_ms: float) -> MeasuredParts:
    share = uplink_ms / (uplink_ms + downlink_ms) if uplink_ms + downlink_ms else 0.5
    columns = np.array([_split(one, share) for one in singles])  # [samples, 6]
    p50, p95 = np.percentile(columns, [50, 95], axis=0)
    return MeasuredParts(*(Quantiles(float(a), float(b)) for a, b in zip(p50, p95, strict=True)))


def _split(one: Inference, uplink_share: float) -> tuple[float, ...]:
    """edge, noise, uplink, cloud, downlink, total of one inference, milliseconds."""
    parameters = one.exchange.reply.parameters
    received, replied = parameters.get("plan_received_ns"), parameters.get("plan_replied_ns")
    if received is not None and replied is not None:  # a local process: one clock for both
        uplink = (received - one.exchange.start_ns) / 1e6
        cloud = (replied - received) / 1e6
        downlink = (one.end_ns - replied) / 1e6
    else:
        away = (one.end_ns - one.exchange.start_ns) / 1e6
        uplink, cloud, downlink = away * uplink_share, 0.0, away * (1 - uplink_share)
    return one.edge_ms, one.noise_ms, uplink, cloud, downlink, one.total_ms
