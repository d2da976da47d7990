"""Load on `plan serve`: many clients, each with a connection of its own, one inference after another.

    python benchmarks/server_load.py [PLAN] [--clients 50] [--seconds 60]

Three servers in turn, each a child process: with batches, without, and with a queue shorter than there are clients,
which turns some of them away. Clients run in a process of their own. Memory is the server's resident set, read
ten seconds after the start (a sixth of the time, where that is shorter) and at the end; `CPU us` is the server's
processor time for an answer, which other work on the machine changes less. Without PLAN one for LeNet is made.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpcore
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from profiles import codec
from runtime import protocol
from runtime.client import CloudClient
from runtime.protocol import InferRequest

SECONDS_BEFORE_MEMORY = 10.0


@dataclass
class Load:
    """What clients saw. latencies_ms: of answers. refused: 503 with Retry-After of a second or more. errors: all
    else, one text each."""

    latencies_ms: list[float] = field(default_factory=list)
    refused: int = 0
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """rate_per_s: answers. memory_bytes: after the warm-up and at the end. batch_requests: mean of a batch. cpu_us:
    the server's processor time for an answer."""

    load: Load
    rate_per_s: float
    memory_bytes: tuple[int, int]
    batch_requests: float
    cpu_us: float

    @property
    def growth(self) -> float:
        first, last = self.memory_bytes
        return last / first - 1

    def row(self, name: str) -> str:
        p50, p95, p99 = np.percentile(self.load.latencies_ms, [50, 95, 99])
        return (
            f"{name:12} {self.rate_per_s:8.0f} {p50:8.2f} {p95:8.2f} {p99:8.2f} {self.batch_requests:8.1f} "
            f"{self.cpu_us:7.0f} {self.load.refused:8d} {len(self.load.errors):7d} {100 * self.growth:+8.1f} %"
        )


@contextmanager
def served(plan: Path, *options: str) -> Iterator[tuple[str, str, int]]:
    """URL, model and process id of `plan serve` as a child."""
    command = [sys.executable, "-m", "runtime.cli", "serve", str(plan), "--port", "0", "--json", "--until-eof"]
    process = subprocess.Popen([*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        facts = json.loads(process.stdout.readline())
        yield facts["url"], facts["models"][0], process.pid
    finally:
        process.stdin.close()
        process.wait(timeout=20)


def under_load(plan: Path, *options: str, clients: int, seconds: float) -> Outcome:
    """Load one server for a while."""
    with served(plan, *options) as (url, model, pid):
        request = _request(url, model)
        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.Process(target=_clients, args=(theirs, url, request, clients, seconds))
        child.start()
        busy_s = _processor_s(pid)
        time.sleep(min(SECONDS_BEFORE_MEMORY, seconds / 6))
        first = resident_bytes(pid)
        load: Load = ours.recv()
        child.join()
        cpu_us = 1e6 * (_processor_s(pid) - busy_s) / max(1, len(load.latencies_ms))
        memory = (first, resident_bytes(pid))
        return Outcome(load, len(load.latencies_ms) / seconds, memory, _mean_batch(url), cpu_us)


def resident_bytes(pid: int) -> int:
    """Resident set of a process (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"process {pid} has no resident set")


def _processor_s(pid: int) -> float:
    """Processor time of a process so far, user and system (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _request(url: str, model: str) -> bytes:
    """One row of random numbers for each input, as it passes the socket."""
    random = np.random.default_rng(0)
    with CloudClient(url, model) as client:
        inputs = client.metadata().inputs
    tensors = {}
    for one in inputs:
        shape = [abs(size) for size in one.shape]
        tensors[one.name] = random.normal(size=shape).astype(codec.dtype_of(one.datatype))
    scales = {f"{one.name}.{part}": 1 for one in inputs for part in ("scale", "zero_point")}
    message = protocol.encode_request(InferRequest(tensors, parameters=scales))
    headers = {"Host": urlsplit(url).netloc, "Content-Length": str(len(message.body)), **message.headers}
    lines = [f"POST /v2/models/{quote(model, safe='')}/infer HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + message.body


def _clients(
    pipe: "multiprocessing.connection.Connection", url: str, request: bytes, count: int, seconds: float
) -> None:
    load = Load()

    async def all_of_them() -> None:
        end = time.monotonic() + seconds
        await asyncio.gather(*(_client(load, url, request, end) for _ in range(count)))

    asyncio.run(all_of_them())
    pipe.send(load)


async def _client(load: Load, url: str, request: bytes, end: float) -> None:
    """One connection, one inference after another; where it is turned away it comes again a little later."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    while time.monotonic() < end:
        begun = time.perf_counter()
        try:
            writer.write(request)
            status, headers = await _reply(reader)
        except (OSError, asyncio.IncompleteReadError) as error:
            load.errors.append(repr(error))
            return
        if status == 200:
            load.latencies_ms.append(1e3 * (time.perf_counter() - begun))
        elif status == 503 and int(headers.get("retry-after", "0")) >= 1:
            load.refused += 1
            await asyncio.sleep(0.05)  # sooner than asked, or the queue would not stay full
        else:
            load.errors.append(f"status {status}")
    writer.close()


async def _reply(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers


def _mean_batch(url: str) -> float:
    """Requests of a batch in the mean, from the server's own metrics."""
    text = httpcore.request("GET", f"{url}/metrics").content.decode()
    found = {one.name: one.value for family in text_string_to_metric_families(text) for one in family.samples}
    return found["plan_batch_requests_sum"] / found["plan_batch_requests_count"]


def _lenet(folder: Path) -> Path:
    plan = [sys.executable, "-m", "runtime.cli"]
    edge, cloud, made = (str(folder / name) for name in ("edge.json", "cloud.json", "plan.json"))
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run([*plan, "profile", "lenet", "--threads", "1", "--out", edge], **quiet)
    subprocess.run([*plan, "profile", "lenet", "--threads", "1", "--out", cloud], **quiet)
    subprocess.run([*plan, "cut", edge, cloud, "--link", "wifi", "--out", made], **quiet)
    return Path(made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plan", nargs="?", type=Path)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plan = given.plan or _lenet(Path(folder))
        print(f"{given.clients} clients, {given.seconds:g} s each; measured, server and clients on this machine")
        print(f"{'':12} {'per s':>8} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'a batch':>8} {'CPU us':>7} "
              f"{'refused':>8} {'errors':>7} {'memory':>10}")  # fmt: skip
        failed = []
        for name, options in (
            ("batches", ()),
            ("one by one", ("--max-batch", "1")),
            ("short queue", ("--max-batch", "1", "--max-queue", str(max(1, given.clients // 5)))),
        ):
            outcome = under_load(plan, *options, clients=given.clients, seconds=given.seconds)
            print(outcome.row(name), flush=True)
            failed += outcome.load.errors[:3] + ["memory grew"] * (outcome.growth > 0.1)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
