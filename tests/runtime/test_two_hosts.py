"""The README's two hosts, as commands: two network namespaces, 20 Mbit between them, TLS and a token."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from certificates import Certificates, secret
from namespaces import LIMIT_MBPS, Host, shaped_pair

PLAN = [sys.executable, "-m", "runtime.cli"]
TOKEN = "a-token-of-enough-letters"
#: Run on a host: every frame of its interface, until standard input ends; a line first, when it listens.
CAPTURE = """
import pathlib, select, socket, sys
frames, wire = [], socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind(("v0", 0))
print("listening", flush=True)
while sys.stdin not in (ready := select.select([sys.stdin, wire], [], [])[0]):
    frames.append(wire.recv(65536))
pathlib.Path(sys.argv[1]).write_bytes(b"".join(frames))
"""


@contextmanager
def running(host: Host, command: Sequence[str | Path], folder: Path) -> Iterator[dict[str, Any] | str]:
    """A process of that host for as long as the block lasts; yields its first line, once it listens."""
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            [*host.prefix, *map(str, command)],
            cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, (folder / "errors").read_text()
        yield json.loads(line) if line.startswith("{") else line
        process.stdin.close()  # ends a capture, which then writes what it has
        if "{" not in line:
            process.wait(timeout=20)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def plan(host: Host, folder: Path, *arguments: str | Path) -> Any:
    """The JSON document that a command prints on that host."""
    done = subprocess.run(
        [*host.prefix, *PLAN, *map(str, arguments), "--json"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"plan {' '.join(map(str, arguments))}: {done.stderr}"
    return json.loads(done.stdout)


def refused(host: Host, folder: Path, *arguments: str | Path) -> tuple[int, str]:
    """Exit code and what a command says that fails."""
    command = [*host.prefix, *PLAN, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.long
@pytest.mark.usefixtures("mnist")
def test_two_hosts_with_tls_and_tokens(tmp_path: Path) -> None:
    with shaped_pair(needs=["iperf3"]) as (edge, cloud):
        here, there = (tmp_path / name for name in ("edge", "cloud"))
        for folder in (here, there):
            folder.mkdir()

        plan(edge, here, "profile", "lenet", "--threads", "1", "--out", "edge.json")
        plan(cloud, there, "profile", "lenet", "--out", here / "cloud.json")
        with running(cloud, [*PLAN, "link", "--serve", "--host", cloud.address, "--json"], there):
            link = plan(edge, here, "link", cloud.address, "--seconds", "2", "--repeats", "1", "--out", "lab.json")
        assert link["provenance"] == "measured"
        # Headers are paid, and a busy machine fills the bucket late; more than the limit it cannot be.
        for way in ("uplink_mbps", "downlink_mbps"):
            assert 0.75 * LIMIT_MBPS < link[way] < LIMIT_MBPS

        noise = ("--noise", "laplace")
        made = plan(edge, here, "cut", "edge.json", "cloud.json", "--link", "lab.json", "--at", "relu4", *noise,
                    "--out", "plan.json")  # fmt: skip
        assert made["link"]["name"] == cloud.address
        plan(edge, here, "learn", "plan.json", "--data", "mnist", "--budget", "1.5", *noise, "--count", "2",
             "--out", "noise.safetensors")  # fmt: skip

        ours, strangers = Certificates(there), Certificates(secret_folder(tmp_path / "stranger"))
        certificate, key = ours.issue(cloud.address)
        tokens = secret(there / "tokens", TOKEN)
        guarded = ["--tls-cert", certificate, "--tls-key", key, "--token-file", tokens]
        code, said = refused(cloud, there, "serve", here / "plan.json", "--host", cloud.address)
        assert (code, len(said.splitlines())) == (2, 1)
        assert "--tls-cert" in said
        serve = [*PLAN, "serve", here / "plan.json", "--host", cloud.address, *guarded, "--json"]
        capture = [sys.executable, "-c", CAPTURE, tmp_path / "frames"]
        with running(cloud, serve, there) as told, running(edge, capture, here):
            assert isinstance(told, dict)
            run = ["run", "plan.json", "--noise", "noise.safetensors", "--server", told["url"], "--samples", "30"]
            known = [*run, "--ca", ours.ca]
            answer = plan(edge, here, *known, "--token-file", tokens, "--data", "mnist", "--out", "run.json")
            told_apart = {
                "asks for a token": known,
                "does not accept this token": [*known, "--token-file", secret(here / "wrong", TOKEN[::-1])],
                "no authority that is trusted": [*run, "--ca", strangers.ca, "--token-file", tokens],
            }
            for what, arguments in told_apart.items():
                code, said = refused(edge, here, *arguments)
                assert (code, len(said.splitlines())) == (4, 1)
                assert what in said

    assert answer == json.loads((here / "run.json").read_text())
    assert (answer["link"], answer["emulated"], answer["samples"]) == ("as it is", False, 30)
    assert answer["accuracy"]["n"] == 10_000
    assert answer["accuracy"]["noisy"] > 95
    predicted, measured = answer["predicted_ms"]["total"], answer["latency_ms"]["total"]["p50"]
    # An idle bucket lets these small messages pass at once, so that the run is faster than its rate.
    assert 0.2 * predicted < measured < 5 * predicted
    on_the_wire = (tmp_path / "frames").read_bytes()
    assert len(on_the_wire) > 10_000 * 84 * 4
    assert TOKEN.encode() not in on_the_wire
    assert b"/v2/models" not in on_the_wire


def secret_folder(path: Path) -> Path:
    path.mkdir()
    return path
