"""A real server on a thread or as a process, on a free port of loopback."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.batching import Batching
from runtime.cloud import CloudApp, Limits, ServedModel, Server, listen
from runtime.doors import ConnectionLimits
from runtime.guard import ServerSecurity
from runtime.logs import Log


@contextmanager
def serving_process(*command: str) -> Iterator[str]:
    """The URL of `plan serve` as a process of its own, which ends in order. command: up to its own arguments."""
    process = subprocess.Popen(
        [sys.executable, *command, "--port", "0", "--json", "--until-eof"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.stdin.close()
        assert process.wait(timeout=20) == 0


@contextmanager
def serving(
    *models: ServedModel,
    limits: Limits | None = None,
    batching: Batching | None = None,
    log: Log | None = None,
    security: ServerSecurity | None = None,
    connections: ConnectionLimits | None = None,
    warm: bool = True,
) -> Iterator[str]:
    """The URL of a server that runs these models. warm: not before it is ready."""
    app = CloudApp({one.name: one for one in models}, "0", limits, batching=batching, log=log)
    with listen("127.0.0.1", 0) as bound:
        server = Server(app, security=security, limits=connections)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not (server.started and (app.ready or not warm)):
            time.sleep(0.005)
        scheme = "https" if security and security.tls else "http"
        yield f"{scheme}://127.0.0.1:{bound.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=5)
