"""A test set through a stream: how many inferences a second, beside what the slowest part alone allows."""

import time
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.edge import Inference
from runtime.pace import Pace
from runtime.record import Quantiles, Streamed
from runtime.sides import EdgeSide
from runtime.stream import Stream

Array = NDArray[Any]


def streamed(
    stream: Stream,
    side: EdgeSide,
    inputs: Sequence[Array],
    *,
    pace: Pace,
    predicted: Pace,
    watch: Callable[[Inference], None] = lambda done: None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[Array, Streamed]:
    """Classes [n] for all inputs [n, ...], and the rate at which they came, in inferences of the planned batch.

    pace: of single inferences, measured; predicted: the plan's. watch: is told of every inference. Raises what
    `Stream.infer` does.
    """
    total, batch = len(inputs[0]), side.agreed.batch
    classes: list[Array] = []
    latency_ms: list[float] = []
    # Connections are made and engines warm before the clock starts; the example is nobody's.
    for _ in stream.infer(repeat(side.example, 2 * stream.in_flight * stream.pack)):
        pass
    messages, newest = 0, ""
    start_ns = time.monotonic_ns()
    for done in stream.infer(part for part, _ in side.batches(inputs, most=batch)):
        classes.append(done.outputs[0].argmax(1))
        latency_ms.append(done.queued_ns / 1e6 + done.total_ms)
        messages += done.request_id != newest
        newest = done.request_id
        watch(done)
        progress(min(len(classes) * batch, total), total)
    took_s = (time.monotonic_ns() - start_ns) / 1e9
    p50, p95 = np.percentile(latency_ms, [50, 95])
    slowest, _ = pace.slowest
    return np.concatenate(classes)[:total], Streamed(
        per_s=len(latency_ms) / took_s,
        slowest_part=slowest,
        slowest_per_s=pace.per_s,
        predicted_per_s=predicted.per_s,
        in_flight=stream.in_flight,
        n=len(latency_ms),
        latency_ms=Quantiles(float(p50), float(p95)),
        per_message=len(latency_ms) / messages,
    )
