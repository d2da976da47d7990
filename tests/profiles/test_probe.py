"""Measuring a link: the real commands on loopback, and a shaped link between two network namespaces."""

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from namespaces import LIMIT_MBPS, Host, shaped_pair

from profiles import artifact, probe
from profiles.errors import LinkError, ListenError, PeerError
from profiles.link import LinkProfile
from profiles.probe_protocol import BUSY, GREETING, IPERF3, PING, PONG, Conversation
from profiles.probe_server import Patience, ProbeServer

needs_iperf3 = pytest.mark.skipif(shutil.which("iperf3") is None, reason="the program iperf3 is not installed")
PLAN = [sys.executable, "-m", "runtime.cli"]
#: A token bucket counts whole Ethernet frames, 1514 bytes; 1448 of them are payload (TCP with timestamps).
PAYLOAD_MBPS = LIMIT_MBPS * 1448 / 1514


@contextmanager
def serving(patience: Patience | None = None) -> Iterator[ProbeServer]:
    with ProbeServer("127.0.0.1", 0, patience=patience) as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        yield server
    thread.join(timeout=10)
    assert not thread.is_alive()


@contextmanager
def serve_command(prefix: Sequence[str], *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    process = subprocess.Popen(
        [*prefix, *PLAN, "link", "--serve", "--json", *options],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def talk_to(server: ProbeServer) -> Conversation:
    return Conversation(socket.create_connection(("127.0.0.1", server.port), timeout=10))


@needs_iperf3
def test_the_two_commands_measure_loopback_and_leave_nothing_behind(tmp_path: Path) -> None:
    out = tmp_path / "lab.json"
    with serve_command([], "--port", "0") as (server, ports):
        arguments = ["127.0.0.1", "--port", str(ports["port"]), "--name", "lab", "--out", str(out), "--json"]
        done = subprocess.run(
            [*PLAN, "link", *arguments, "--seconds", "1", "--repeats", "2"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0
    made = artifact.read(out, LinkProfile)
    assert json.loads(done.stdout) == json.loads(out.read_text())
    assert (made.name, made.provenance) == ("lab", "measured")
    assert made.uplink_mbps > 100
    assert made.downlink_mbps > 100
    assert 0 < made.rtt_ms < 100
    assert made.spread is not None
    assert made.spread.repeats == 2
    for port in (ports["port"], ports["iperf3_port"]):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)


def test_a_link_limited_to_20_mbit_measures_as_that() -> None:
    with shaped_pair(needs=["iperf3"]) as (edge, cloud):
        measure_as_limited(edge, cloud)


def measure_as_limited(edge: Host, cloud: Host) -> None:
    command = [*edge.prefix, *PLAN, "link", cloud.address, "--seconds", "2", "--repeats", "1", "--json"]
    with serve_command(cloud.prefix, "--host", cloud.address):
        # A bucket of 1.6 ms loses tokens where a busy machine serves its timer later than that: the link itself is
        # then slower. So a low figure is measured again; a high one would be our fault, and is never forgiven.
        for _ in range(3):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            rates = [json.loads(done.stdout)[f"{way}_mbps"] for way in ("uplink", "downlink")]
            assert max(rates) < 1.01 * PAYLOAD_MBPS
            if min(rates) > 0.95 * LIMIT_MBPS:
                break
    assert rates == pytest.approx([LIMIT_MBPS, LIMIT_MBPS], rel=0.05)


@needs_iperf3
def test_one_client_at_a_time_and_the_next_when_the_first_vanishes() -> None:
    with serving() as server:
        with talk_to(server) as first:
            first.say(GREETING)
            assert first.hear(timeout_s=5) == GREETING
            first.say(IPERF3)
            assert first.hear(timeout_s=10) == f"{IPERF3} {server.iperf3_port}"
            with talk_to(server) as second:
                second.say(GREETING)
                assert second.hear(timeout_s=5) == BUSY
            with pytest.raises(PeerError, match="busy"):
                probe.measure("127.0.0.1", port=server.port)
        answer = BUSY
        while answer == BUSY:  # until the server has seen the first one go
            with talk_to(server) as third:
                third.say(GREETING)
                answer = third.hear(timeout_s=5)
        with pytest.raises(ConnectionRefusedError):  # its iperf3 went with it
            socket.create_connection(("127.0.0.1", server.iperf3_port), timeout=1)


@needs_iperf3
@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 5000, b"\n", b"", b"plan-link/1\nnonsense\n"])
def test_a_server_survives_clients_that_are_none(sent: bytes) -> None:
    with serving(Patience(greeting_s=0.1, request_s=5)) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as stranger:
            stranger.sendall(sent)
            with contextlib.suppress(ConnectionResetError):
                while stranger.recv(100):  # until it hangs up, silent clients included
                    pass
        with talk_to(server) as talk:
            talk.say(GREETING)
            assert talk.hear(timeout_s=5) in (GREETING, BUSY)


@needs_iperf3
def test_a_round_trip_is_answered() -> None:
    with serving() as server, talk_to(server) as talk:
        talk.say(GREETING)
        talk.hear(timeout_s=5)
        talk.say(PING)
        assert talk.hear(timeout_s=5) == PONG


@pytest.fixture
def peer() -> Iterator[Callable[[bytes], int]]:
    """Port of a listener that answers anything with these bytes and hangs up."""
    listeners = []

    def start(answer: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def once() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)

        threading.Thread(target=once, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for one in listeners:
        one.close()


@needs_iperf3
@pytest.mark.parametrize(
    ("answer", "said"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "is no `plan link --serve`.*HTTP"), (b"", "closed the connection"),
     (b"\x1b[2J" * 200, "is no `plan link --serve`"), (b"busy\n", "busy with another")],
)  # fmt: skip
def test_a_peer_that_is_no_such_server_is_named_in_one_line(
    peer: Callable[[bytes], int], plan_command: Callable[..., Any], answer: bytes, said: str
) -> None:
    outcome = plan_command("link", "127.0.0.1", "--port", peer(answer))
    assert outcome.code == 4
    assert len(outcome.err.splitlines()) == 1
    assert "\x1b" not in outcome.err
    with pytest.raises(PeerError, match=said):
        probe.measure("127.0.0.1", port=peer(answer))


@needs_iperf3
def test_nothing_there_and_no_such_host_are_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(PeerError, match="refused the connection"):
        probe.measure("127.0.0.1", port=port)
    with pytest.raises(PeerError, match="has no address"):
        probe.measure("no-such-host.invalid", port=port)


@needs_iperf3
def test_a_port_that_is_taken_is_refused() -> None:
    with serving() as server, pytest.raises(ListenError, match="two ports"):
        ProbeServer("127.0.0.1", server.port)


def test_without_iperf3_the_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for attempt in (lambda: probe.measure("127.0.0.1"), lambda: ProbeServer("127.0.0.1", 0)):
        with pytest.raises(LinkError, match="apt-get install iperf3"):
            attempt()


def test_what_contradicts_itself_is_refused(plan_command: Callable[..., Any]) -> None:
    assert plan_command("link", "somewhere", "--serve").code == 2
    assert plan_command("link", "somewhere", "--preset", "wifi").code == 2
    assert plan_command("link", "--name", "lab").code == 2
    assert plan_command("link", "somewhere", "--seconds", "0").code == 2
