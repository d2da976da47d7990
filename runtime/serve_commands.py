"""plan serve."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from profiles.options import Json
from profiles.terminal import Terminal

if TYPE_CHECKING:
    from runtime.cloud_server import CloudServer

PORT = 8400

#: Of `plan serve` and `plan run` alike.
TokenFile = Annotated[
    Path | None,
    typer.Option(help="File of bearer tokens, one a line; only its owner may read it."),
]


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
    import msgspec

    from runtime import guard
    from runtime.batching import Batching
    from runtime.cloud_server import CloudServer
    from runtime.logs import Log

    terminal = Terminal(json=json)
    security = guard.server_security(
        host,
        certificate=tls_cert,
        key=tls_key,
        client_ca=tls_client_ca,
        token_file=token_file,
        insecure=insecure,
    )
    server = CloudServer(
        plan,
        host=host,
        port=port,
        security=security,
        with_reference=with_reference,
        threads=threads,
        batching=Batching(max_batch, max_delay, max_queue),
        log=None if log is None else Log.to(log),
    )
    if security.warning:
        terminal.warn(security.warning)
    if until_eof:
        _end_with_stdin(server)
    else:
        terminal.say(f"serving {', '.join(server.models)} on {server.url}; Ctrl-C ends it")
    terminal.document(msgspec.json.encode({"url": server.url, "models": server.models}))
    with contextlib.suppress(KeyboardInterrupt):  # the way to end it
        server.run()


def _end_with_stdin(server: "CloudServer") -> None:
    import sys
    import threading

    def wait() -> None:
        sys.stdin.read()
        server.stop()

    threading.Thread(target=wait, daemon=True).start()
