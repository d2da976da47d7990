"""Timed inferences as a picture: trace events, as Perfetto and browsers' chrome://tracing open them.

The format is a JSON array of complete events (`"ph": "X"`), each with `ts` and `dur` in microseconds, on a process
and a thread that metadata events name (Trace Event Format, Google, 2016). Processes are the places where an
inference's time goes: edge, link up, cloud, link down. Events of one thread must nest, so that inferences which
overlap lie on threads of their own, lanes; and they would nest no more if their bounds were rounded apart, so that
these are whole microseconds before `dur` is taken.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from profiles import artifact
from runtime.edge import Inference

PLACES = ("edge", "link up", "cloud", "link down")
#: What says in an event's arguments where its bounds come from.
ONE_CLOCK = "measured: both sides read one clock"
PROPORTION = "the cloud's clock is another: its time is measured, the ways are told apart as predicted"
UNTOLD = "the cloud does not tell its time: the ways hold it, told apart as predicted"


@dataclass(frozen=True)
class Timed:
    """The clock readings of one inference, without its tensors. received_ns, replied_ns: of the server's clock, and
    compute_ns the time its engine took; None where it does not say. together: inferences of a stream that shared
    the message, and all of this."""

    request_id: str
    start_ns: int
    computed_ns: int
    prepared_ns: int
    sending_ns: int
    end_ns: int
    received_ns: int | None
    replied_ns: int | None
    compute_ns: int | None
    bytes_up: int
    bytes_down: int
    retries: int
    together: int = 1

    @classmethod
    def of(cls, done: Inference) -> Self:
        """Of an inference whose request asked for the server's readings (`timing`)."""
        exchange, told = done.exchange, done.exchange.reply.parameters
        received, replied, compute = (
            value if isinstance(value := told.get(f"plan_{name}_ns"), int) else None
            for name in ("received", "replied", "compute")
        )
        if received is None or replied is None or replied < received:
            received = replied = compute = None
        return cls(
            done.request_id,
            done.start_ns,
            done.computed_ns,
            done.prepared_ns,
            exchange.start_ns,
            done.end_ns,
            received,
            replied,
            compute,
            exchange.bytes_up,
            exchange.bytes_down,
            exchange.retries,
            done.together,
        )


@dataclass(frozen=True)
class _Span:
    """An event before it has its lane. within: those it encloses, in order."""

    name: str
    place: str
    start_ns: float
    end_ns: float
    arguments: dict[str, Any]
    within: tuple["_Span", ...] = ()


def write(path: Path, timed: Sequence[Timed], *, one_clock: bool, uplink_share: float) -> None:
    """The file of some inferences, whole or not at all. Raises ArtifactError where it cannot be written."""
    found = events(timed, one_clock=one_clock, uplink_share=uplink_share)
    lines = b",\n".join(map(msgspec.json.encode, found))
    artifact.write_bytes(path, b"[\n" + lines + b"\n]\n")


def events(timed: Sequence[Timed], *, one_clock: bool, uplink_share: float) -> list[dict[str, Any]]:
    """Metadata events, then complete ones in order of time, which begins with the first inference. Inferences that
    shared a message are drawn once.

    one_clock: both sides read the same clock. uplink_share: of what the links take together, the way up's as
    predicted; used where the clocks differ.
    """
    drawn = {one.request_id: one for one in timed}.values()
    spans = [span for one in drawn for span in _spans(one, one_clock=one_clock, uplink_share=uplink_share)]
    origin_ns = min((span.start_ns for span in spans), default=0)
    made: list[dict[str, Any]] = []
    lanes: dict[str, list[float]] = {}
    for span in sorted(spans, key=lambda span: (span.start_ns, -span.end_ns)):
        lane = _lane(lanes.setdefault(span.place, []), span)
        made.extend(_complete(span, lane, origin_ns))
    return [*_names(lanes), *made]


def _lane(free_from_ns: list[float], span: _Span) -> int:
    """The first lane of a place that is free; from then on it is taken."""
    for lane, free_ns in enumerate(free_from_ns):
        if free_ns <= span.start_ns:
            free_from_ns[lane] = span.end_ns
            return lane
    free_from_ns.append(span.end_ns)
    return len(free_from_ns) - 1


def _complete(span: _Span, lane: int, origin_ns: float) -> Iterator[dict[str, Any]]:
    start_us, end_us = (round((bound - origin_ns) / 1000) for bound in (span.start_ns, span.end_ns))
    yield {
        "name": span.name,
        "cat": span.place,
        "ph": "X",
        "ts": start_us,
        "dur": end_us - start_us,
        "pid": PLACES.index(span.place) + 1,
        "tid": lane + 1,
        "args": span.arguments,
    }
    for inner in span.within:
        yield from _complete(inner, lane, origin_ns)


def _names(lanes: dict[str, list[float]]) -> Iterator[dict[str, Any]]:
    for pid, place in enumerate(PLACES, start=1):
        yield {"name": "process_name", "ph": "M", "pid": pid, "tid": 0, "args": {"name": place}}
        yield {"name": "process_sort_index", "ph": "M", "pid": pid, "tid": 0, "args": {"sort_index": pid}}
        for lane in range(len(lanes.get(place, ()))):
            name = place if not lane else f"{place} {lane + 1}"
            yield {"name": "thread_name", "ph": "M", "pid": pid, "tid": lane + 1, "args": {"name": name}}


def _spans(one: Timed, *, one_clock: bool, uplink_share: float) -> Iterator[_Span]:
    """One inference at each place."""
    arguments = {"request_id": one.request_id}
    received_ns, replied_ns, how = _away(one, one_clock=one_clock, uplink_share=uplink_share)
    placed = {**arguments, "placed": how}

    def at_edge(name: str, start_ns: int, end_ns: int) -> _Span:
        return _Span(name, "edge", start_ns, end_ns, arguments)

    steps = [
        at_edge("edge compute", one.start_ns, one.computed_ns),
        at_edge("noise and packing", one.computed_ns, one.prepared_ns),
        at_edge("waiting for a connection", one.prepared_ns, one.sending_ns),
        at_edge("answer awaited", one.sending_ns, one.end_ns),
    ]
    counts = {"inferences": one.together, "bytes_up": one.bytes_up, "bytes_down": one.bytes_down}
    total = {**arguments, **counts, "retries": one.retries}
    yield _Span("inference", "edge", one.start_ns, one.end_ns, total, tuple(steps))
    yield _Span("uplink", "link up", one.sending_ns, received_ns, {**placed, "bytes": one.bytes_up})
    yield _Span("downlink", "link down", replied_ns, one.end_ns, {**placed, "bytes": one.bytes_down})
    if how == UNTOLD:
        return
    inner: tuple[_Span, ...] = ()
    if one.compute_ns is not None:  # the engine ends, then the answer stands
        began_ns = replied_ns - min(max(one.compute_ns, 0), replied_ns - received_ns)
        inner = (
            _Span("queue and decode", "cloud", received_ns, began_ns, placed),
            _Span("cloud compute", "cloud", began_ns, replied_ns, placed),
        )
    yield _Span("cloud", "cloud", received_ns, replied_ns, placed, inner)


def _away(one: Timed, *, one_clock: bool, uplink_share: float) -> tuple[float, float, str]:
    """When the cloud had received and when it replied, on this side's clock, and how that is known (as `parts`)."""
    away_ns = one.end_ns - one.sending_ns
    if one.received_ns is None or one.replied_ns is None:
        middle_ns = one.sending_ns + uplink_share * away_ns
        return middle_ns, middle_ns, UNTOLD
    if one_clock and one.sending_ns <= one.received_ns and one.replied_ns <= one.end_ns:
        return one.received_ns, one.replied_ns, ONE_CLOCK
    cloud_ns = min(one.replied_ns - one.received_ns, away_ns)  # a peer may claim anything
    received_ns = one.sending_ns + uplink_share * (away_ns - cloud_ns)
    return received_ns, received_ns + cloud_ns, PROPORTION
