"""RunRecord: what a split run measured, beside what was predicted (`plan.run/1`)."""

from typing import Literal

import msgspec

from noise.collection import Accuracy
from profiles.artifact import Artifact, Count, NonNegative


class Quantiles(msgspec.Struct, frozen=True):
    """Median and 95th percentile over the single inferences, milliseconds."""

    p50: float
    p95: float


class MeasuredParts(msgspec.Struct, frozen=True):
    """uplink and downlink are told apart by the clock that both local processes share, or else in proportion to the
    prediction. cloud: None where the server does not tell; the two ways then hold its time."""

    edge: Quantiles
    noise: Quantiles
    uplink: Quantiles
    cloud: Quantiles | None
    downlink: Quantiles
    total: Quantiles


class PredictedParts(msgspec.Struct, frozen=True):
    """handling: of messages, beside their bytes on the link; part of uplink and downlink."""

    edge: NonNegative
    noise: NonNegative
    uplink: NonNegative
    cloud: NonNegative
    downlink: NonNegative
    total: NonNegative
    handling: NonNegative = 0.0


Part = Literal["edge", "uplink", "cloud", "downlink"]


class Streamed(msgspec.Struct, frozen=True, kw_only=True):
    """Many inferences at once, after the single ones.

    per_s: inferences a second, n of them. slowest_part: the one that was busy longest in a single inference, edge
    (with noise and packing), uplink, cloud or downlink; slowest_per_s: its own rate, as measured, a link's from all
    bytes on the wire. predicted_per_s: the slowest part's as the plan has it. in_flight: the most exchanges at a
    time. per_message: inferences that shared one, on average; they share its headers too, so that per_s can be above
    slowest_per_s, which is of one a message. latency_ms: from an inference's input to its answer, among the others.
    """

    per_s: NonNegative
    slowest_part: Part
    slowest_per_s: NonNegative
    predicted_per_s: NonNegative
    in_flight: Count
    n: Count
    latency_ms: Quantiles
    per_message: NonNegative = 1.0


class CutChange(msgspec.Struct, frozen=True, kw_only=True):
    """From one cut to another, after so many inferences, and the link as it was taken to be then."""

    inference: Count
    from_cut: str
    to_cut: str
    uplink_mbps: NonNegative
    rtt_ms: NonNegative


class Adaptation(msgspec.Struct, frozen=True, kw_only=True):
    """A run between several cuts.

    cuts: the share of the inferences that each one ran. uplink_mbps, downlink_mbps, rtt_ms: the last estimate of the
    link, downlink in the planned link's proportion. pings: that were sent to tell rate and round trip apart, and what
    they took together.
    """

    cuts: dict[str, NonNegative]
    changes: tuple[CutChange, ...]
    uplink_mbps: NonNegative
    downlink_mbps: NonNegative
    rtt_ms: NonNegative
    pings: Count
    pings_ms: NonNegative


class RunRecord(Artifact, frozen=True, kw_only=True, tag_field="schema", tag="plan.run/1"):
    """One run.

    accuracy: percent of the test set, over the wire, noise for every input.
    prediction_error: of the predicted total, relative to the measured one; None in files that are older, and
    where the cloud answered none.
    limit_ms: edge + all bytes / rate + round trip + cloud compute, measured: what no runtime can be faster than.
    bytes_up, bytes_down: all bytes on the wire for one inference, headers included. upload_bytes: of the tensors.
    cloud_only_ms: measured on the same link, or modelled for the plan's where the server is another's, to whom the
    input is never sent. speedup_vs_cloud_only: None there, since a modelled link is not the one that was measured.
    draw: whether each inference drew its noise anew, or the input decided it.
    engine: what ran the edge half. cloud_engine: the cloud half, as the server says.
    samples: single inferences that were timed; latency_ms is of those that the cloud answered.
    errors: exchanges that failed with all that was sent again. fallbacks: calls (of one inference or a batch) that
    the whole network on the edge answered, because the exchange failed or the cloud was left alone after it had;
    without --fallback the first error ends the run. fallback_ms: of the single ones, waiting for the cloud included.
    largest_difference: between halves and whole without noise, in one process, relative to the largest value.
    stream: where inferences were overlapped; accuracy is then of those.
    adaptation: where the cut followed the link. `cut` and what is predicted are then the plan's, what is measured is
    of all cuts that ran.
    """

    model: str
    cut: str
    link: str
    emulated: bool
    server: str
    samples: Count
    accuracy: Accuracy
    latency_ms: MeasuredParts
    predicted_ms: PredictedParts
    prediction_error: float | None = None
    limit_ms: float | None
    bytes_up: Count
    bytes_down: Count
    upload_bytes: Count
    input_bytes: Count
    cloud_only_ms: float
    cloud_only_provenance: str
    speedup_vs_cloud_only: float | None
    equal_to_whole: bool | None
    largest_difference: float | None
    engine: str
    wire: str
    noise: str
    errors: Count
    retries: Count
    draw: Literal["fresh", "keyed"] = "fresh"
    cloud_engine: str | None = None
    stream: Streamed | None = None
    fallbacks: Count = 0
    fallback_ms: Quantiles | None = None
    adaptation: Adaptation | None = None
