"""plan link."""

from pathlib import Path
from typing import Annotated

import typer

from profiles import completion
from profiles.options import Json
from profiles.terminal import Row, Terminal


def link(
    host: Annotated[str | None, typer.Argument(help="Measure the link to this machine.", show_default=False)] = None,
    port: Annotated[int, typer.Option(min=0, max=65534, help="Measuring port; iperf3 takes the next one.")] = 5200,
    seconds: Annotated[int, typer.Option(min=1, max=60, help="Length of one test of one direction.")] = 3,
    repeats: Annotated[int, typer.Option(min=1, help="Tests of each direction.")] = 5,
    name: Annotated[str | None, typer.Option(help="The link's name (default: the host).")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the link is written.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Be the other end, until interrupted.")] = False,
    listen: Annotated[str, typer.Option("--host", help="Address on which --serve listens.")] = "127.0.0.1",
    preset: Annotated[
        str | None,
        typer.Option(help="A published link by name, instead of measuring.", autocompletion=completion.links),
    ] = None,
    json: Json = False,
) -> None:
    """Measure the link to a machine that runs `plan link --serve`; or show published links.

    Example: plan link --serve --host 0.0.0.0 (in the cloud)

    Example: plan link cloud.example --out lab.json (on the device)

    Example: plan link --preset wifi --out wifi.json
    """
    import signal

    from profiles.errors import PlanError

    terminal = Terminal(json=json)
    if (host is not None) + serve + (preset is not None) > 1:
        raise PlanError("plan link: HOST measures, --serve is the other end, --preset is published; give one of them")
    if host is None and name is not None:
        raise PlanError(f"plan link --name {name}: only a measured link takes a name; give HOST")
    if host is None and not serve:
        _published(preset, out, terminal)
        return
    # Ended by `kill` or by the keyboard alike, and in a shell's background too: no iperf3 is left behind.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, signal.default_int_handler)
    if host is None:
        _serve_link(listen, port, terminal)
    else:
        _measure_link(host, port, seconds, repeats, name, out, terminal)


def _serve_link(host: str, port: int, terminal: Terminal) -> None:
    import contextlib

    import msgspec

    from profiles.probe_server import ProbeServer

    with contextlib.suppress(KeyboardInterrupt), ProbeServer(host, port) as server:
        terminal.say(
            f"serving link measurements on {server.host}, ports {server.port} and {server.iperf3_port}; "
            "Ctrl-C ends it"
        )
        ports = {"host": server.host, "port": server.port, "iperf3_port": server.iperf3_port}
        terminal.document(msgspec.json.encode(ports))
        server.serve()


def _measure_link(
    host: str, port: int, seconds: int, repeats: int, name: str | None, out: Path | None, terminal: Terminal
) -> None:
    from profiles import artifact
    from profiles.probe import measure

    artifact.require_writable(out)
    with terminal.progress(f"measuring the link to {host}") as advance:
        made = measure(host, port=port, seconds=seconds, repeats=repeats, name=name, progress=advance)
    terminal.say(made.label)
    if made.spread is not None and made.spread.uplink_mbps is not None:
        terminal.say(
            f"interquartile range over {made.spread.repeats} repeats: {made.spread.uplink_mbps:g} Mbps up, "
            f"{made.spread.downlink_mbps:g} down, round trip {made.spread.rtt_ms:g} ms"
        )
    terminal.say("rates are payload received over TCP, headers already paid")
    if out is not None:
        artifact.write(out, made)
        terminal.say(f"written: {out}")
    terminal.document(artifact.encode(made))


def _published(preset: str | None, out: Path | None, terminal: Terminal) -> None:
    """One preset, or the list of them."""
    import msgspec

    from profiles import artifact
    from profiles.errors import LinkError, PlanError
    from profiles.link import presets

    known = presets()
    if preset is None:
        if out is not None:
            raise PlanError(f"plan link --out: which link? Give HOST, or --preset, one of {', '.join(known)}")
        rows = [
            Row(
                (
                    one.name,
                    one.provenance,
                    f"{one.uplink_mbps:g}",
                    f"{one.downlink_mbps:g}",
                    f"{one.rtt_ms:g}",
                )
            )
            for one in known.values()
        ]
        terminal.table(("link", "provenance", "up Mbps", "down Mbps", "round trip ms"), rows, left=2)
        terminal.document(msgspec.json.format(msgspec.json.encode(list(known.values()))))
        return
    if preset not in known:
        raise LinkError(f"no preset {preset!r}; there are: {', '.join(known)}")
    chosen = known[preset]
    if out is not None:
        artifact.write(out, chosen)
    terminal.say(chosen.label)
    terminal.say(f"source: {chosen.source}")
    if out is not None:
        terminal.say(f"written: {out}")
    terminal.document(artifact.encode(chosen))
