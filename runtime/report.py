"""What happened, as a table for people."""

from noise.accuracy import accuracy_rows
from profiles.terminal import Row, Terminal, ms, size
from runtime.record import Adaptation, Quantiles, RunRecord, Streamed

PARTS = ("edge", "noise", "uplink", "cloud", "downlink", "total")


def show(terminal: Terminal, run: RunRecord) -> None:
    """One table: accuracy, bytes, latency by part, predicted beside measured, speed-up."""
    how = "emulated" if run.emulated else "not emulated"
    terminal.say(f"link: {run.link}; {how}")
    noise = f"{run.draw} {run.noise} noise"
    title = f"{run.model} cut after {run.cut}: {run.accuracy.n} test inputs, {noise}, wire {run.wire}"
    terminal.table(("", "predicted", "measured", "p95"), [*_accuracy(run), *_bytes(run), *_latency(run)], title=title)
    terminal.say(f"measured: median and 95th percentile of {run.samples} single inferences; {_equality(run)}")
    if run.bytes_up:
        terminal.say(_prediction(run))
    if run.stream is not None:
        terminal.say(_stream(run.stream))
    if run.fallbacks:
        timed = f"; single ones took {ms(run.fallback_ms.p50)} ms (median)" if run.fallback_ms else ""
        terminal.say(
            f"{run.fallbacks} calls were answered on the edge alone{timed}; failed exchanges: {run.errors}; "
            + (
                "times are of what the cloud answered"
                if run.bytes_up
                else "the cloud answered none, times are the edge's"
            )
            + ", accuracy is of all"
        )
    if run.adaptation is not None:
        _adaptation(terminal, run.adaptation)
    if run.draw == "keyed":
        where = " at one cut" if run.adaptation is not None else ""
        terminal.say(f"draws are keyed: one input has the same noise every time{where}, so its repeats can be linked")
    if run.speedup_vs_cloud_only is None and run.adaptation is None:
        terminal.say(
            "cloud-only is modelled for the plan's link, since the input itself is never sent to another's server: "
            "no speed-up is claimed on this run's link; uplink and downlink are told apart as predicted"
        )


def _accuracy(run: RunRecord) -> list[Row]:
    return [Row((label, "", value, "")) for label, value in accuracy_rows(run.accuracy, draw=run.draw)]


def _bytes(run: RunRecord) -> list[Row]:
    return [
        Row(("sent, tensors alone", size(run.upload_bytes), size(run.upload_bytes), "")),
        Row(("sent, all bytes on the wire, headers too", "", size(run.bytes_up), "")),
        Row(("the input, as a client sends it", "", size(run.input_bytes), "")),
    ]


def _latency(run: RunRecord) -> list[Row]:
    emulated = " (emulated)" if run.emulated else ""
    labels = {"uplink": f"uplink{emulated}", "downlink": f"downlink{emulated}"}
    rows = []
    for part in PARTS:
        measured: Quantiles | None = getattr(run.latency_ms, part)
        found = (ms(measured.p50), ms(measured.p95)) if measured else ("unknown", "")
        cells = (f"{labels.get(part, part)}, ms", ms(getattr(run.predicted_ms, part)), *found)
        rows.append(Row(cells, mark=part == "total"))
    if run.limit_ms is not None:
        rows.append(Row(("limit: compute + bytes/rate + trip, ms", "", ms(run.limit_ms), "")))
    if run.speedup_vs_cloud_only is None:
        rows.append(Row(("cloud-only, plan's link, ms (modelled)", ms(run.cloud_only_ms), "", "")))
    else:
        rows.append(Row(("cloud-only, same link, ms (measured)", "", ms(run.cloud_only_ms), "")))
        rows.append(Row(("speed-up over cloud-only", "", f"{run.speedup_vs_cloud_only:.2f}×", ""), mark=True))
    return rows


def _prediction(run: RunRecord) -> str:
    handling_ms = run.predicted_ms.handling
    said = (
        f"uplink and downlink with {ms(handling_ms)} ms of message handling" if handling_ms else "no handling priced"
    )
    error = run.predicted_ms.total / run.latency_ms.total.p50 - 1
    return f"predicted total is {abs(100 * error):.1f} % {'above' if error > 0 else 'below'} the measured one; {said}"


def _stream(found: Streamed) -> str:
    return (
        f"streamed: {found.per_s:.0f} inferences a second (predicted {found.predicted_per_s:.0f}), {found.n} in all, "
        f"{found.per_message:.3g} a message, at most {found.in_flight} messages on their way; the slowest part, "
        f"{found.slowest_part}, allows {found.slowest_per_s:.0f} as measured, one a message: "
        f"{found.per_s / found.slowest_per_s:.2f} of it; "
        f"each took {ms(found.latency_ms.p50)} ms among the others, p95 {ms(found.latency_ms.p95)}"
    )


def _adaptation(terminal: Terminal, found: Adaptation) -> None:
    changes = [
        Row((f"{one.inference}", one.from_cut, one.to_cut, f"{one.uplink_mbps:.3g}", ms(one.rtt_ms)))
        for one in found.changes
    ]
    if changes:
        columns = ("after", "from the cut at", "to", "estimated Mbps up", "round trip, ms")
        terminal.table(columns, changes, title="changes of cut, after so many inferences", left=3)
    shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in found.cuts.items())
    terminal.say(
        f"inferences by cut: {shares}; measured figures are of all of them, predicted ones of the plan's cut"
    )
    terminal.say(
        f"the link in the end, estimated: {found.uplink_mbps:.3g} Mbps up, round trip {ms(found.rtt_ms)} ms; "
        f"{found.pings} pings took {ms(found.pings_ms)} ms together"
    )


def _equality(run: RunRecord) -> str:
    if run.equal_to_whole is None:
        return "halves not checked against the whole: it is not here"
    return f"without noise the halves equal the whole, largest difference {run.largest_difference:.1e}"
