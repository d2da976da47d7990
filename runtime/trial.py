"""A measured run: the whole test set through the split network, fresh noise for every inference.

Before anything is timed the halves must equal the user's own module, in this process, without noise, where that is at
hand. Then single inferences (of the batch that was planned) are timed one by one, each followed by one of cloud-only
on the same link, so that a machine that slows down slows both. The rest of the test set goes in batches; or all of it
goes through a stream, and the single inferences are of the model's own example, so that no input gets two draws.
Without the model, on a folder of the edge alone, there is no torch here, no clean accuracy and no cloud-only.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from itertools import repeat
from typing import TYPE_CHECKING, Any

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
from profiles.errors import PeerError
from runtime.client import CloudClient
from runtime.connecting import connect
from runtime.edge import EdgeHalf, Inference
from runtime.fallback import LocalAnswer, StandbyEdge
from runtime.pace import Pace
from runtime.parts import measured_parts
from runtime.reach import HERE, Reach
from runtime.record import RunRecord
from runtime.recording import Measured, recorded
from runtime.sides import EdgeSide, cloud_only_name
from runtime.stream import Stream, Streaming
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
    reach: Reach = HERE,
    key: DrawKey | None = None,
    samples: int = 300,
    streaming: Streaming | None = None,
    fallback: bool = False,
    watch: Watch = lambda done: None,
    progress: Progress = lambda done, of: None,
    tell: Callable[[str], None] = lambda line: None,
) -> RunRecord:
    """Run a plan's two halves over a real socket on a test set.

    side: the edge's, of a split folder; without it the plan's model is loaded, and its halves are held against it.
    reach: where the cloud is. key: draws are keyed by it and the input, else fresh. samples: single inferences that
    are timed. streaming: the test set many inferences at once. fallback: what the cloud does not answer the whole
    network on the edge does, and `tell` is told so; not with a side, nor streaming. watch: is told of every inference
    that is timed.
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
    used = reach.link_of(plan)
    message = MessageCost.between(plan.edge, plan.cloud)
    predicted = on_link(plan.predicted, planned=plan.link, link=used, message=message)
    with ExitStack() as stack:
        url = stack.enter_context(reach.cloud(plan))
        absent: list[PeerError] = []
        client = stack.enter_context(connect(url, plan, side, reach, absent=absent.append if fallback else None))
        half = stack.enter_context(side.half(noise, client, quantisation=facts.quantisation, key=key, timing=True))
        standby = None
        if fallback and whole is not None:
            standby = StandbyEdge(half, client, whole.engine(), absent=absent, tell=tell)
        edge = standby or half
        reference = None
        if reach.local and whole is not None:
            named = CloudClient(url, cloud_only_name(plan.model.name), timeout_s=reach.timeout_s)
            reference = whole.cloud_only(stack.enter_context(named))
        first, reference_ms = _timed(
            edge,
            reference,
            side,
            repeat(side.example, samples) if streaming else _first(inputs, side, samples, progress),
            watch,
        )
        singles = [one for one in first if isinstance(one, Inference)]
        local = [one for one in first if isinstance(one, LocalAnswer)]
        parts = measured_parts(
            singles, predicted.uplink_ms, predicted.downlink_ms, one_clock=reach.local, local=local
        )
        overlapped = None
        if streaming:
            over = used if reach.emulated or not reach.local else None
            pace = Pace.measured(parts, over, exchange=singles[-1].exchange)
            opened = stack.enter_context(
                Stream.paced(half, client, pace=pace, agreed=side.agreed, in_flight=streaming.in_flight)
            )
            planned = Pace.predicted(predicted, used)
            classes, overlapped = streamed(
                opened, side, inputs, pace=pace, predicted=planned, watch=watch, progress=progress
            )
            retries = opened.retries
        else:
            classes = _classes(edge, side, inputs, first, progress)
            retries = client.retries_made
        cloud_engine = client.platform
    return recorded(
        plan,
        facts,
        Measured(singles, local, parts, reference_ms, overlapped),
        predicted,
        used,
        compare(clean, classes, data.test.labels),
        reach=reach,
        draw="fresh" if key is None else "keyed",
        difference=difference,
        engines=(plan.edge.engine if whole else side.engine.name, cloud_engine.removeprefix("plan_")),
        retries=retries,
        standby=standby,
    )


def _timed(
    edge: EdgeHalf | StandbyEdge,
    reference: "CloudOnly | None",
    side: EdgeSide,
    given: Iterable[Sequence[Array]],
    watch: Watch,
) -> tuple[list[Inference | LocalAnswer], Array | None]:
    """Single inferences, and milliseconds of the cloud-only ones in between."""
    found: list[Inference | LocalAnswer] = []
    reference_ms: list[float] = []
    for _ in range(WARM_UPS):  # with the model's own example: several draws for one input of the user's average out
        edge.infer(side.example)
        if reference:
            _referred(reference, edge)
    for inputs in given:
        done = edge.infer(inputs)
        found.append(done)
        if isinstance(done, Inference):
            watch(done)
        if reference:
            reference_ms.extend(_referred(reference, edge))
    return found, np.array(reference_ms) if reference_ms else None


def _first(inputs: Sequence[Array], side: EdgeSide, samples: int, progress: Progress) -> Iterable[Sequence[Array]]:
    """The test set's first batches of the planned rows, as many as are whole, up to `samples`; at least one."""
    total, batch, done = len(inputs[0]), side.agreed.batch, 0
    most = batch * min(samples, max(1, total // batch))
    for part, count in side.batches([one[:most] for one in inputs], most=batch, filled=True):
        yield part
        done += count
        progress(done, total)


def _classes(
    edge: EdgeHalf | StandbyEdge,
    side: EdgeSide,
    inputs: Sequence[Array],
    first: Sequence[Inference | LocalAnswer],
    progress: Progress,
) -> Array:
    """Answers for the whole test set: those of the single inferences, which were its first, and of batches."""
    total = len(inputs[0])
    found = [one.outputs[0].argmax(1) for one in first]
    at = min(len(first) * side.agreed.batch, total)
    for part, count in side.batches([one[at:] for one in inputs], most=BATCH):
        found.append(edge.infer(part).outputs[0].argmax(1)[:count])
        at += count
        progress(at, total)
    return np.concatenate(found)[:total]


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
