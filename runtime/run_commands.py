"""plan run."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noise.completion import datasets
from profiles.completion import links
from profiles.options import Json
from profiles.terminal import Terminal
from runtime.serve_commands import TokenFile
from runtime.wishes import Draw, Fallback, Wishes

if TYPE_CHECKING:
    from noise.collection import NoiseFacts
    from noise.keyed import DrawKey
    from noise.mechanism import Mechanism
    from planner.plan import Plan
    from runtime.reach import Reach
    from runtime.record import RunRecord
    from runtime.sides import EdgeSide

SAMPLES = 300


def run(
    plan: Annotated[Path, typer.Argument(help="The plan to run, or its folder edge/.")],
    noise: Annotated[
        Path | None,
        typer.Option(help="Noise learned for the plan: nothing is sent without (default: the folder's own)."),
    ] = None,
    server: Annotated[str | None, typer.Option(help="URL of the cloud (default: a local process).")] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Test data (default: what the noise was learned on).", autocompletion=datasets),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=2, help="Single inferences that are timed (default: 300).")
    ] = None,
    link: Annotated[
        str | None, typer.Option(help="Emulate this link instead of the plan's.", autocompletion=links)
    ] = None,
    no_emulation: Annotated[bool, typer.Option("--no-emulation", help="Local cloud on plain loopback.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where the record of the run is written.")] = None,
    input: Annotated[
        Path | None, typer.Option(help="Your own inputs: an .npy of n of them; of several inputs an .npz, by name.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Where their outputs go, an .npy.")] = None,
    draw: Annotated[
        Draw,
        typer.Option(
            help="fresh: noise anew for every inference, which averages out over repeats of one input. keyed: a "
            "secret of this device and the input decide it, so that an input never gets two draws; but repeats can "
            "then be linked."
        ),
    ] = Draw.FRESH,
    stream: Annotated[
        bool, typer.Option("--stream", help="Many inferences at once: edge, link and cloud work side by side.")
    ] = False,
    in_flight: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="With --stream: exchanges at one time (default: to keep the link busy)."),
    ] = None,
    adapt: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Prepared cuts (plan learn --breakpoints), changed as the link changes."),
    ] = None,
    timeline: Annotated[
        Path | None,
        typer.Option(help="Where the timed inferences go as trace events, for Perfetto or chrome://tracing."),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="Trust this authority, or server's own certificate, not the system's.")
    ] = None,
    client_cert: Annotated[Path | None, typer.Option(help="Certificate shown to the server (PEM) ...")] = None,
    client_key: Annotated[Path | None, typer.Option(help="... and its key.")] = None,
    token_file: TokenFile = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Send the token over plain HTTP to another machine.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(help="Seconds an inference may wait for the cloud, retries included.")
    ] = 30.0,
    fallback: Annotated[
        Fallback | None,
        typer.Option(help="edge: what the cloud does not answer, the whole network here does.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Run the edge half here and the cloud half there, with noise for every inference.

    Without --server the cloud half runs in a second process here, behind an emulated link.

    Example: plan run plan.json --noise noise.safetensors --data mnist --out run.json

    Example: plan run plan.json --noise noise.safetensors --server http://server:8400 --input x.npy --output y.npy

    Example: plan run plan.json --adapt prepared --data mnist

    Example: plan run plan.json --noise noise.safetensors --server https://server:8400 --ca cert.pem --token-file tok
    """
    wishes = Wishes(**locals())  # before any other name stands
    wishes.require_possible()
    terminal = Terminal(json=json)
    reach = _reach(wishes, terminal)
    if adapt is not None:
        _adaptively(wishes, adapt, reach, terminal)
    elif input is not None and output is not None:
        _on_own_inputs(wishes, input, output, reach, terminal)
    else:
        _on_test_set(wishes, reach, terminal)


def _reach(wishes: Wishes, terminal: Terminal) -> "Reach":
    from profiles import link as links
    from runtime import guard
    from runtime.reach import Reach

    security = wishes.security()
    if (
        wishes.server is not None
        and security is not None
        and (warning := guard.client_warning(wishes.server, security))
    ):
        terminal.warn(warning)
    link = None if wishes.link is None else links.load(wishes.link)
    return Reach(wishes.server, security, wishes.timeout, link, not wishes.no_emulation)


def _adaptively(wishes: Wishes, folder: Path, reach: "Reach", terminal: Terminal) -> None:
    """Between prepared cuts, on a test set or the user's own inputs."""
    import msgspec

    from profiles import artifact
    from runtime.adaptive_run import AdaptiveRun

    wanted = AdaptiveRun(wishes.plan, folder, wishes.noise, reach, wishes.draw is Draw.KEYED)
    if wishes.input is not None and wishes.output is not None:
        artifact.require_writable(wishes.output, beside=[*wanted.files, wishes.input])
        count = wanted.own(wishes.input, wishes.output)
        terminal.say(f"{count} inputs answered, written: {wishes.output}")
        terminal.document(msgspec.json.encode({"inputs": count, "output": str(wishes.output)}))
        return
    artifact.require_writable(wishes.out, beside=wanted.files)
    with terminal.progress("running") as advance:
        record = wanted.trial(wishes.data, samples=wishes.samples or SAMPLES, progress=advance)
    _finish(terminal, record, wishes.out)


def _on_own_inputs(wishes: Wishes, source: Path, target: Path, reach: "Reach", terminal: Terminal) -> None:
    import msgspec

    from runtime import own

    opened = _opened(wishes)
    with terminal.progress("running") as advance:
        answered = own.run(
            opened.plan,
            opened.noise,
            opened.facts,
            source,
            target,
            side=opened.side,
            reach=reach,
            key=opened.key,
            streaming=wishes.streaming(),
            fallback=wishes.fallback is not None,
            tell=terminal.warn,
            progress=advance,
        )
    alone = f", {answered.fallbacks} calls on the edge alone" if answered.fallbacks else ""
    terminal.say(f"{answered.inputs} inputs answered{alone}, written: {target}")
    terminal.document(msgspec.json.encode({**msgspec.to_builtins(answered), "output": str(target)}))


def _on_test_set(wishes: Wishes, reach: "Reach", terminal: Terminal) -> None:
    from noise.datasets import catalog
    from runtime import timeline as timelines
    from runtime import trial
    from runtime.edge import Inference

    opened, timed = _opened(wishes), list[timelines.Timed]()
    if opened.side is not None and opened.side.engine.name != opened.plan.edge.engine:
        engine = opened.side.engine.name
        terminal.say(f"the edge half runs in {engine}; its predicted time is of {opened.plan.edge.engine}")

    def watch(done: Inference) -> None:
        if wishes.timeline is not None:  # else nobody needs them
            timed.append(timelines.Timed.of(done))

    with terminal.progress("running") as advance:
        record = trial.run(
            opened.plan,
            opened.noise,
            opened.facts,
            catalog.load_dataset(wishes.data or opened.facts.data),
            side=opened.side,
            reach=reach,
            key=opened.key,
            samples=wishes.samples or SAMPLES,
            streaming=wishes.streaming(),
            fallback=wishes.fallback is not None,
            watch=watch,
            progress=advance,
            tell=terminal.warn,
        )
    if wishes.timeline is not None:
        share = record.predicted_ms.uplink / (record.predicted_ms.uplink + record.predicted_ms.downlink)
        timelines.write(wishes.timeline, timed, one_clock=reach.local, uplink_share=share)
    _finish(terminal, record, wishes.out, wishes.timeline)


@dataclass(frozen=True)
class Opened:
    """The files of a run, read and found to belong together. side: of a split folder."""

    plan: "Plan"
    side: "EdgeSide | None"
    noise: "Mechanism"
    facts: "NoiseFacts"
    key: "DrawKey | None"


def _opened(wishes: Wishes) -> Opened:
    from noise import collection
    from noise.keyed import DrawKey, device_secret
    from profiles import artifact
    from runtime.opening import files_of, noise_for, to_run

    plan, side = to_run(wishes.plan, server=wishes.server, whole=wishes.fallback is not None)
    noise = noise_for(wishes.plan, wishes.noise)
    artifact.require_writable(
        wishes.out, wishes.output, wishes.timeline, beside=[*files_of(wishes.plan), noise, wishes.input]
    )
    learned, facts = collection.read(noise)
    collection.require_match(facts, plan, origin=str(noise))
    key = None
    if wishes.draw is Draw.KEYED:
        key = DrawKey(device_secret(), artifact.digest(noise.read_bytes()))
    return Opened(plan, side, learned, facts, key)


def _finish(terminal: Terminal, record: "RunRecord", *written: Path | None) -> None:
    """The record, to where the first of these names, shown and printed."""
    from profiles import artifact
    from runtime import report

    if (out := written[0]) is not None:
        artifact.write(out, record)
    report.show(terminal, record)
    if any(written):
        terminal.say(f"written: {', '.join(map(str, filter(None, written)))}")
    terminal.document(artifact.encode(record))
