"""A Dask cluster on loopback."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cluster(workers: int) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """A scheduler and workers on loopback; each stops by itself after a while without work or a scheduler."""
    started: list[subprocess.Popen[str]] = []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}

    def start(*arguments: str) -> subprocess.Popen[str]:
        made = subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments, "--no-dashboard"],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        started.append(made)
        return made

    scheduler = start("scheduler", "--host", "127.0.0.1", "--port", "0", "--idle-timeout", "120s")
    assert scheduler.stderr is not None
    address = ""
    for line in scheduler.stderr:
        if "Scheduler at:" in line:
            address = line.split()[-1]
            break
    try:
        made = [
            start("worker", address, "--host", "127.0.0.1", "--no-nanny", "--nthreads", "1", "--death-timeout", "30")
            for _ in range(workers)
        ]
        yield address, made
    finally:
        for one in started:
            one.kill()
            one.wait()
