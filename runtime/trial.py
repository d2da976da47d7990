"""A measured run: the whole test set through the split network, fresh noise for every inference.

Before anything is timed the halves must equal the user's own module, in this process, without noise. Then single
inferences (of the batch that was planned) are timed one by one, each followed by one of cloud-only on the same link,
so that a machine that slows down slows both. The rest of the test set goes in batches.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from noise.accuracy import compare
from noise.collection import NoiseFacts, require_match
from noise.cut_network import CutNetwork
from noise.datasets.records import Dataset
from noise.keyed import DrawKey
from noise.mechanism import Mechanism
from planner.cost import on_link
from planner.plan import Plan
from profiles import halves
from profiles.engine import EagerEngine, TorchEngine, batches, run_in_batches, set_threads, torch_device
from profiles.errors import PeerError
from profiles.graph import Node
from profiles.link import LinkProfile
from runtime.client import CloudClient, Exchange
from runtime.edge import EdgeHalf, Inference
from runtime.guard import ClientSecurity
from runtime.local import local_cloud
from runtime.parts import measured_parts
from runtime.record import PredictedParts, RunRecord
from runtime.serving import cloud_only_name, crossing_of, encoded_dtype, outputs_of

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
    noise: Mechanism,
    facts: NoiseFacts,
    data: Dataset,
    *,
    server: str | None = None,
    security: ClientSecurity | None = None,
    link: LinkProfile | None = None,
    emulate: bool = True,
    key: DrawKey | None = None,
    samples: int = 300,
    progress: Progress = lambda done, of: None,
) -> RunRecord:
    """Run a plan's two halves over a real socket on a test set.

    server: URL of a cloud that runs; without one a local process is started. security: TLS and token for it. link:
    emulate this one instead of the plan's. key: draws are keyed by it and the input, else fresh. samples: single
    inferences that are timed.
    Raises NoiseError (noise for something else), EqualityError, DataError, PeerError.
    """
    require_match(facts, plan, origin="noise")
    set_threads(plan.edge.threads)
    cut = CutNetwork.of(plan, device=torch_device(plan.edge.engine))
    inputs = cut.fitting(data.test.inputs, origin=data.name)
    difference, clean = _whole(cut, inputs)
    used = link or plan.link
    with ExitStack() as stack:
        url = server
        if url is None:
            url = stack.enter_context(local_cloud(plan, used if emulate else None))
        client = stack.enter_context(connect(url, plan, cut, security))
        edge = stack.enter_context(edge_half(cut, noise, client, key=key, timing=True))
        reference = None
        if server is None:
            reference = stack.enter_context(CloudClient(url, cloud_only_name(plan.model.name)))
        measured = _measure(
            edge,
            reference,
            cut,
            inputs,
            samples=min(samples, max(1, len(inputs[0]) // cut.network.batch)),
            progress=progress,
        )
        retries = client.retries_made
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
        retries=retries,
    )


def connect(url: str, plan: Plan, cut: CutNetwork, security: ClientSecurity | None = None) -> CloudClient:
    """A client whose server has the plan's cloud half. Raises PeerError where its inputs are not what crosses."""
    sent = {one.facts().described() for one in crossing_of(cut)}
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


def edge_half(
    cut: CutNetwork, noise: Mechanism, client: CloudClient, *, key: DrawKey | None = None, timing: bool = False
) -> EdgeHalf:
    """The edge half of a cut network, ready to infer. key: draws are keyed, else fresh."""
    return EdgeHalf(
        cut.edge,
        noise,
        client,
        crossing=cut.halves.crossing,
        beside=cut.beside,
        wire=cut.wire,
        replies=outputs_of(cut),
        joined=cut.halves.joined,
        key=key,
        timing=timing,
    )


def _whole(cut: CutNetwork, inputs: Sequence[Array]) -> tuple[float, Array]:
    """Largest difference between the halves and the user's own module, and the module's classes; in this process,
    without noise."""
    own, cloud = EagerEngine(cut.network), TorchEngine(cut.cloud)
    sizes = {1, EQUALITY_ROWS} if cut.rows is None else {cut.rows}
    differences = []
    for size in sizes:
        first, _ = next(batches(inputs, rows=cut.rows, most=size))
        crossing = cut.edge.run(first)
        answers = cloud.run(crossing[: len(cut.halves.crossing)])
        differences.append(halves.require_equal(own.run(first), cut.halves.joined(crossing, answers)))
    answers = run_in_batches(own, inputs, rows=cut.rows, most=EQUALITY_ROWS)
    return max(differences), answers[0].argmax(1)


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
    inputs: Sequence[Array],
    *,
    samples: int,
    progress: Progress,
) -> _Measured:
    random = np.random.default_rng(0)
    singles: list[Inference] = []
    reference_ms: list[float] = []
    total, batch = len(inputs[0]), cut.network.batch
    classes = np.empty(total, dtype=np.int64)
    for _ in range(WARM_UPS):  # with the model's own example: several draws for one input of the user's average out
        edge.infer([one.numpy() for one in cut.network.example])
        if reference:
            _cloud_only(reference, cut, random)
    for index in range(samples):
        rows = np.arange(index * batch, (index + 1) * batch) % total
        done = edge.infer([one[rows] for one in inputs])
        singles.append(done)
        classes[rows] = done.outputs[0].argmax(1)
        if reference:
            exchange = _cloud_only(reference, cut, random)
            reference_ms.append((exchange.end_ns - exchange.start_ns) / 1e6)
        progress(min((index + 1) * batch, total), total)
    at = min(samples * batch, total)
    for part, count in batches([one[at:] for one in inputs], rows=cut.rows, most=BATCH):
        classes[at : at + count] = edge.infer(part).outputs[0].argmax(1)[:count]
        at += count
        progress(at, total)
    return _Measured(singles, np.array(reference_ms) if reference else None, classes)


def _cloud_only(client: CloudClient, cut: CutNetwork, random: np.random.Generator) -> Exchange:
    """Cloud-only with random inputs: its time does not depend on them, and no input of the user's crosses."""
    nodes = zip(cut.network.graph.inputs, cut.network.example, strict=True)
    return client.infer({node.id: _random_input(node, example, random) for node, example in nodes})


def _random_input(node: Node, example: torch.Tensor, random: np.random.Generator) -> Array:
    """As a client would send it: pixels of 8 bits; whole numbers (token ids, masks) among those of the example."""
    dtype = np.dtype(encoded_dtype(node))
    if dtype == np.uint8 and example.dtype != torch.uint8:
        return random.integers(0, 256, size=node.shape, dtype=np.uint8)
    if dtype.kind == "f":
        return random.random(node.shape).astype(dtype)
    low, high = int(example.min()), int(example.max())
    return random.integers(low, high, size=node.shape, endpoint=True).astype(dtype)


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
    difference: float,
    retries: int,
) -> RunRecord:
    predicted = on_link(plan.predicted, planned=plan.link, link=link)
    cloud_only = on_link(plan.references.cloud_only, planned=plan.link, link=link)
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
        ),
        limit_ms=limit_ms,
        bytes_up=exchange.bytes_up,
        bytes_down=exchange.bytes_down,
        upload_bytes=plan.predicted.upload_bytes,
        input_bytes=plan.references.cloud_only.upload_bytes,
        cloud_only_ms=reference_ms,
        cloud_only_provenance="modelled" if measured.reference_ms is None else "measured",
        speedup_vs_cloud_only=None if measured.reference_ms is None else reference_ms / total,
        equal_to_whole=True,
        largest_difference=difference,
        engine=plan.edge.engine,
        wire=plan.settings.wire,
        noise=facts.kind,
        draw=draw,
        errors=0,
        retries=retries,
    )
