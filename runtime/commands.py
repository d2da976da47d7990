"""plan serve, plan run."""

import contextlib
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from profiles.commands import Json
from profiles.terminal import Terminal

if TYPE_CHECKING:
    from runtime.record import RunRecord

PORT = 8400


TokenFile = Annotated[
    Path | None,
    typer.Option(help="File of bearer tokens, one a line; only its owner may read it."),
]


class Draw(StrEnum):
    FRESH = "fresh"
    KEYED = "keyed"


class Fallback(StrEnum):
    EDGE = "edge"


def register(app: typer.Typer) -> None:
    app.command("serve", rich_help_panel="Run")(serve)
    app.command("run", rich_help_panel="Run")(run)


def serve(
    plan: Annotated[
        Path, typer.Argument(help="The plan whose cloud half is served, its folder cloud/, or one of prepared cuts.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = PORT,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads (default: as profiled).")] = None,
    with_reference: Annotated[
        bool, typer.Option("--with-reference", help="Serve the whole network too, to time cloud-only.")
    ] = False,
    max_batch: Annotated[
        int, typer.Option(min=1, max=512, help="Rows of a batch made of several requests; 1 makes none.")
    ] = 32,
    max_delay: Annotated[
        float, typer.Option(min=0, max=1000, help="Milliseconds a request waits for others; 0: what waits anyway.")
    ] = 0,
    max_queue: Annotated[int, typer.Option(min=1, help="Requests that may wait; beyond them 503.")] = 128,
    log: Annotated[
        str | None, typer.Option(metavar="FILE", help="A JSON line for each inference; - is standard error.")
    ] = None,
    until_eof: Annotated[
        bool, typer.Option("--until-eof", help="End when standard input ends: for a parent process.")
    ] = False,
    tls_cert: Annotated[Path | None, typer.Option(help="Serve with TLS: this certificate (PEM) ...")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="... and its key.")] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option(help="Let in only clients with a certificate of this authority.")
    ] = None,
    token_file: TokenFile = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen beyond loopback without TLS or token.")
    ] = False,
    json: Json = False,
) -> None:
    """Serve the cloud half over the Open Inference Protocol (v2), until interrupted.

    Any client of the protocol can call it. It knows nothing of noise. /metrics is for Prometheus.

    Beyond loopback it wants a certificate and a token.

    Example: plan serve plan.json --port 8400

    Example: plan serve plan.json --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem --token-file tokens
    """
    import sys
    from importlib import metadata

    import msgspec

    from runtime import guard
    from runtime.batching import Batching
    from runtime.cloud import CloudApp, Server, listen
    from runtime.logs import Log
    from runtime.opening import to_serve

    terminal = Terminal(json=json)
    security = guard.server_security(
        host,
        certificate=tls_cert,
        key=tls_key,
        client_ca=tls_client_ca,
        token_file=token_file,
        insecure=insecure,
    )
    sys.setswitchinterval(5e-4)  # an engine's thread asks for the interpreter's lock again while the loop holds it
    with listen(host, port) as bound:
        models = to_serve(plan, with_reference=with_reference, threads=threads)
        batching = Batching(max_batch, max_delay, max_queue)
        lines = None if log is None else Log.to(log)
        app = CloudApp(models, metadata.version("shredder-plan"), batching=batching, log=lines)
        server = Server(app, security=security)
        address, number = bound.getsockname()[:2]
        scheme = "http" if security.tls is None else "https"
        url = f"{scheme}://[{address}]:{number}" if ":" in address else f"{scheme}://{address}:{number}"
        if security.warning:
            terminal.warn(security.warning)
        if until_eof:
            _end_with_stdin(server)
        else:
            terminal.say(f"serving {', '.join(models)} on {url}; Ctrl-C ends it")
        terminal.document(msgspec.json.encode({"url": url, "models": list(models)}))
        with contextlib.suppress(KeyboardInterrupt):  # the way to end it
            server.run(sockets=[bound])


def _end_with_stdin(server: object) -> None:
    import sys
    import threading

    def wait() -> None:
        sys.stdin.read()
        server.should_exit = True  # type: ignore[attr-defined]

    threading.Thread(target=wait, daemon=True).start()


def run(
    plan: Annotated[Path, typer.Argument(help="The plan to run, or its folder edge/.")],
    noise: Annotated[
        Path | None,
        typer.Option(help="Noise learned for the plan: nothing is sent without (default: the folder's own)."),
    ] = None,
    server: Annotated[str | None, typer.Option(help="URL of the cloud (default: a local process).")] = None,
    data: Annotated[str | None, typer.Option(help="Test data (default: what the noise was learned on).")] = None,
    samples: Annotated[
        int | None, typer.Option(min=2, help="Single inferences that are timed (default: 300).")
    ] = None,
    link: Annotated[str | None, typer.Option(help="Emulate this link instead of the plan's.")] = None,
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
    import msgspec

    from noise import collection
    from noise.datasets import catalog
    from noise.keyed import DrawKey, device_secret
    from profiles import artifact
    from profiles import link as links
    from profiles.errors import PlanError
    from runtime import guard, own, trial
    from runtime import timeline as timelines
    from runtime.adaptive_run import AdaptiveRun
    from runtime.edge import Inference
    from runtime.opening import files_of, noise_for, to_run
    from runtime.timeline import Timed

    if (input is None) != (output is None):
        raise PlanError("plan run: --input and --output go together; give both or neither")
    if server is not None and (link is not None or no_emulation):
        raise PlanError("plan run: --link and --no-emulation are for a local cloud; leave them out with --server")
    if input is not None and (data is not None or out is not None or samples is not None):
        raise PlanError("plan run: --data, --samples and --out are for a test set; leave them out with --input")
    if input is not None and timeline is not None:
        raise PlanError("plan run: --timeline is of timed inferences on a test set; leave it out with --input")
    if in_flight is not None and not stream:
        raise PlanError("plan run: --in-flight is for many inferences at once; give --stream too")
    if stream and fallback is not None:
        raise PlanError("plan run: --fallback stands by for one inference at a time; leave it or --stream out")
    if not 0 < timeout <= 86_400:
        raise PlanError(f"plan run: --timeout {timeout:g}, expected seconds, more than 0 and at most a day")
    security = None
    if server is not None:
        security = guard.client_security(
            server, ca=ca, certificate=client_cert, key=client_key, token_file=token_file, insecure=insecure
        )
    elif ca or client_cert or client_key or token_file or insecure:
        raise PlanError("plan run: --ca, --client-cert, --client-key, --token-file and --insecure need --server")
    if adapt is not None and (stream or timeline is not None or fallback is not None):
        raise PlanError("plan run: --stream, --timeline and --fallback are of one cut; leave them out with --adapt")
    terminal = Terminal(json=json)
    if server is not None and security is not None and (warning := guard.client_warning(server, security)):
        terminal.warn(warning)
    if adapt is not None:
        wanted = AdaptiveRun(
            plan,
            adapt,
            noise,
            server=server,
            security=security,
            link=None if link is None else links.load(link),
            emulate=not no_emulation,
            keyed=draw is Draw.KEYED,
            timeout_s=timeout,
        )
        if input is not None and output is not None:
            artifact.require_writable(output, beside=[*wanted.files, input])
            count = wanted.own(input, output)
            terminal.say(f"{count} inputs answered, written: {output}")
            terminal.document(msgspec.json.encode({"inputs": count, "output": str(output)}))
            return
        artifact.require_writable(out, beside=wanted.files)
        with terminal.progress("running") as advance:
            record = wanted.trial(data, samples=samples or 300, progress=advance)
        _finish(terminal, record, out)
        return
    planned, side = to_run(plan, server=server, whole=fallback is not None)
    noise = noise_for(plan, noise)
    artifact.require_writable(out, output, timeline, beside=[*files_of(plan), noise, input])
    learned, facts = collection.read(noise)
    collection.require_match(facts, planned, origin=str(noise))
    key = None
    if draw is Draw.KEYED:
        key = DrawKey(device_secret(), artifact.digest(noise.read_bytes()))
    emulated = None if link is None else links.load(link)
    if input is not None and output is not None:
        way = None if no_emulation else emulated or planned.link
        answered = own.run(
            planned,
            learned,
            facts,
            input,
            output,
            side=side,
            server=server,
            security=security,
            link=way,
            key=key,
            stream=stream,
            in_flight=in_flight,
            timeout_s=timeout,
            fallback=fallback is not None,
            tell=terminal.warn,
        )
        alone = f", {answered.fallbacks} calls on the edge alone" if answered.fallbacks else ""
        terminal.say(f"{answered.inputs} inputs answered{alone}, written: {output}")
        terminal.document(msgspec.json.encode({**msgspec.to_builtins(answered), "output": str(output)}))
        return
    if side is not None and side.engine.name != planned.edge.engine:
        terminal.say(f"the edge half runs in {side.engine.name}; its predicted time is of {planned.edge.engine}")
    timed: list[Timed] = []

    def watch(done: Inference) -> None:
        if timeline is not None:  # else nobody needs them
            timed.append(Timed.of(done))

    with terminal.progress("running") as advance:
        record = trial.run(
            planned,
            learned,
            facts,
            catalog.load_dataset(data or facts.data),
            side=side,
            server=server,
            security=security,
            link=emulated,
            emulate=not no_emulation,
            key=key,
            samples=samples or 300,
            stream=stream,
            in_flight=in_flight,
            watch=watch,
            timeout_s=timeout,
            fallback=fallback is not None,
            progress=advance,
            tell=terminal.warn,
        )
    if timeline is not None:
        share = record.predicted_ms.uplink / (record.predicted_ms.uplink + record.predicted_ms.downlink)
        timelines.write(timeline, timed, one_clock=server is None, uplink_share=share)
    _finish(terminal, record, out, timeline)


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
