"""What the server counts, for Prometheus: https://prometheus.io/docs/practices/naming/.

A registry of its own, so that two servers of one process, or a host application's, do not mix.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from runtime.handled import PARTS, Handled

#: Upper bounds of latencies, seconds: an inference of LeNet's half to one of VGG-16 behind a full queue.
_LATENCY_S = (1e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """Counters and histograms of one server."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, version: str, *, waiting: Callable[[], float]) -> None:
        """waiting: how many requests are in the queue now."""
        self._registry = own = CollectorRegistry()
        self._requests = Counter("plan_requests", "Inference requests answered.", ["model", "status"], registry=own)
        self._refused = Counter("plan_refused", "Requests refused, by reason.", ["reason"], registry=own)
        self._parts = Histogram(
            "plan_request_seconds",
            "Time of an inference request in the server, by part.",
            ["model", "part"],
            registry=own,
            buckets=_LATENCY_S,
        )
        self._rows = Histogram("plan_batch_rows", "Rows computed at once.", ["model"], registry=own, buckets=_BATCH)
        self._together = Histogram(
            "plan_batch_requests", "Requests computed at once.", ["model"], registry=own, buckets=_BATCH
        )
        self._in = Counter("plan_received_bytes", "Bytes of inference requests' bodies.", ["model"], registry=own)
        self._out = Counter("plan_sent_bytes", "Bytes of inference replies' bodies.", ["model"], registry=own)
        Gauge("plan_queue_length", "Requests that wait for the engine.", registry=own).set_function(waiting)
        build = Gauge("plan_build_info", "1; what serves stands in the labels.", ["version"], registry=own)
        build.labels(version).set(1)
        # A look-up by labels costs as much as what is counted; there are few models, parts, statuses and reasons.
        self._of_model = cache(self._model_children)
        self._of_status = cache(self._requests.labels)
        self._of_reason = cache(self._refused.labels)
        self._of_batch = cache(lambda model: (self._rows.labels(model), self._together.labels(model)))

    def handled(self, request: Handled) -> None:
        """Count an inference request that was answered, well or with an error."""
        self._of_status(request.model, str(request.status)).inc()
        received, sent, parts = self._of_model(request.model)
        received.inc(request.bytes_in)
        sent.inc(request.bytes_out)
        if request.refused is not None:
            self._of_reason(request.refused).inc()
        for part, seconds in request.parts_s():
            parts[part].observe(seconds)

    def batched(self, model: str, requests: int, rows: int) -> None:
        """Count what the engine computed at once."""
        of_rows, of_requests = self._of_batch(model)
        of_rows.observe(rows)
        of_requests.observe(requests)

    def exposition(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)

    def _model_children(self, model: str) -> tuple[Any, Any, dict[str, Any]]:
        parts = {part: self._parts.labels(model, part) for part in PARTS}
        return self._in.labels(model), self._out.labels(model), parts
