"""The cloud half of a plan behind a socket of its own: what `plan serve` runs, and a program can."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from profiles.errors import PeerError
from runtime.batching import Batching
from runtime.cloud import CloudApp, Server, listen
from runtime.guard import ServerSecurity
from runtime.logs import Log
from runtime.opening import to_serve

#: How long the first inference of all models may take, seconds.
MOST_WARMING_S = 120.0


class CloudServer:
    """A bound socket, and on it what a plan's file, a folder cloud/ or a folder of prepared cuts gives.

    url: where it is called, http://127.0.0.1:8400. models: their names.
    """

    def __init__(
        self,
        served: Path | str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        security: ServerSecurity | None = None,
        with_reference: bool = False,
        threads: int | None = None,
        batching: Batching | None = None,
        log: Log | None = None,
    ) -> None:
        """port: 0 takes a free one. security: as `server_security` makes it of files; None: everyone, in plain.
        with_reference: the whole network too. threads: of the CPU, None for as planned.

        Raises ListenError (the port), ArtifactError, NoiseError (what is to be served).
        """
        self._socket = listen(host, port)
        try:
            models = to_serve(Path(served), with_reference=with_reference, threads=threads)
        except BaseException:
            self._socket.close()
            raise
        self._app = CloudApp(models, metadata.version("shredder-plan"), batching=batching, log=log)
        self._server = Server(self._app, security=security)
        self.models = tuple(models)
        address, number = self._socket.getsockname()[:2]
        scheme = "https" if security is not None and security.tls is not None else "http"
        self.url = f"{scheme}://[{address}]:{number}" if ":" in address else f"{scheme}://{address}:{number}"

    def run(self) -> None:
        """Serve until `stop`, or until interrupted."""
        sys.setswitchinterval(5e-4)  # an engine's thread asks for the interpreter's lock while the loop holds it
        with self._socket:
            self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """End `run`, from another thread; what is being answered is answered."""
        self._server.should_exit = True

    @contextmanager
    def on_a_thread(self) -> Iterator[str]:
        """Serve on a thread of this process as long as the block lasts, once; the URL, when it is ready.

        Raises PeerError where it does not come up, or has served before.
        """
        if self._socket.fileno() < 0:
            raise PeerError(f"{self.url} has served and was stopped; make another CloudServer")
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        end = time.monotonic() + MOST_WARMING_S
        try:
            while not (self._server.started and self._app.ready):
                if not thread.is_alive() or time.monotonic() > end:
                    raise PeerError(f"{self.url} did not come up; try `plan serve`, which says why")
                time.sleep(0.005)
            yield self.url
        finally:
            self.stop()
            thread.join(timeout=10)
