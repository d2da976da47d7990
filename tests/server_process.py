"""`plan serve` as a process of its own, to be stopped, killed and started again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[1]


class ServerProcess:
    """Serves a plan or a folder's half on a port (0: a free one, which is kept when another is started)."""

    def __init__(self, log: Path, *options: str | Path) -> None:
        self._log, self._options = log, tuple(map(str, options))
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self, served: Path) -> str:
        """The URL, once it listens."""
        command = ["serve", str(served), "--port", str(self._port), "--json", *self._options]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "runtime.cli", *command],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._log.read_text()
        self.url = json.loads(line)["url"]
        self._port = int(self.url.rpartition(":")[2])
        return self.url

    def freeze(self) -> None:
        """It takes what is sent, as its system does, and answers nothing."""
        self._send(signal.SIGSTOP)

    def kill(self) -> None:
        """As a power failure would, but for its system, which resets what was open."""
        self._send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    def _send(self, what: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(what)

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._process is not None:
            self.kill()
