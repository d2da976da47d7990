"""Bounds of connections: slow, large, many. Limits are small here, so that nothing is waited for."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

import httpx
import pytest
from echo_server import MODEL
from malformed import Input, Target, good
from servers import serving

from runtime.cloud import Limits
from runtime.doors import ConnectionLimits, peer_of

SMALL = ConnectionLimits(head_s=0.3, body_s=5.0, grace_s=0.3, most_half_sent=3)
INPUTS = (Input("a", "FP32", (1, 4, 5), 4), Input("b", "UINT8", (1, 3), 1))
HEAD = b"POST /v2/models/sums/infer HTTP/1.1\r\nHost: x\r\n"
#: Linux takes all of 127/8 for loopback, so one machine has many addresses to come from.
OTHER = "127.0.0.2"


@contextmanager
def server(limits: ConnectionLimits) -> Iterator[Target]:
    with serving(MODEL, limits=Limits(most_bodies=100), connections=limits) as url:
        yield Target("127.0.0.1", int(url.rpartition(":")[2]), "sums", INPUTS)


def connect(target: Target, data: bytes = b"", *, source: str = "127.0.0.1") -> socket.socket:
    opened = socket.create_connection((target.host, target.port), timeout=10, source_address=(source, 0))
    opened.sendall(data)
    return opened


def all_of(opened: socket.socket) -> bytes:
    """What comes until the server closes."""
    found = b""
    with opened:
        try:
            while data := opened.recv(65_536):
                found += data
        except ConnectionResetError:
            pass
    return found


def drip(opened: socket.socket, piece: bytes, *, every_s: float) -> None:
    """The same piece again and again."""
    for _ in range(1000):
        opened.sendall(piece)
        time.sleep(every_s)


def is_well(target: Target, *, source: str = "127.0.0.1") -> bool:
    with connect(target, good(target), source=source) as opened:
        return opened.recv(65_536).startswith(b"HTTP/1.1 200")


def until(happened: Callable[[], bool], patience_s: float = 10.0) -> None:
    deadline = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_head_that_does_not_end_is_given_up() -> None:
    with server(SMALL) as target:
        assert all_of(connect(target, HEAD)).startswith(b"HTTP/1.1 408")


def test_a_head_that_drips_is_given_up() -> None:
    with server(SMALL) as target, connect(target, HEAD) as dripping:
        with pytest.raises(ConnectionError):
            drip(dripping, b"A: b\r\n", every_s=0.02)


@pytest.mark.parametrize("data", [b"", b"\r\n"])
def test_a_connection_on_which_nothing_begins_is_closed(data: bytes) -> None:
    with server(SMALL) as target:
        assert all_of(connect(target, data)) == b""


def test_blank_lines_after_an_answer_do_not_hold_a_connection() -> None:
    with server(SMALL) as target, connect(target, good(target)) as opened:
        assert opened.recv(65_536).startswith(b"HTTP/1.1 200")
        with pytest.raises(ConnectionError):
            drip(opened, b"\r\n", every_s=0.02)


def test_an_idle_connection_that_did_well_stays() -> None:
    with server(SMALL) as target, connect(target, good(target)) as opened:
        assert opened.recv(65_536).startswith(b"HTTP/1.1 200")
        time.sleep(3 * SMALL.head_s)
        opened.sendall(good(target))
        assert opened.recv(65_536).startswith(b"HTTP/1.1 200")


def test_a_body_must_come_at_some_rate() -> None:
    with server(SMALL) as target:
        with connect(target, HEAD + b"Content-Length: 900\r\n\r\n") as slow:
            with pytest.raises(ConnectionError):
                drip(slow, b"x", every_s=0.02)
        data = good(target)
        with connect(target, data[:-80]) as steady:  # slow as well, and fast enough
            for at in range(len(data) - 80, len(data)):
                steady.sendall(data[at : at + 1])
                time.sleep(0.002)
            assert steady.recv(65_536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (HEAD + b"A: " + b"x" * 40_000, 431),
        (HEAD + b"x" * 100_000, 431),
        (HEAD + b"A: b\r\n" * 200 + b"\r\n", 431),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: u\r\n" * 200 + b"\r\n", 431),
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"nonsense\r\n\r\n", 400),
    ],
)
def test_what_is_too_large_or_no_http_is_told_so(data: bytes, status: int) -> None:
    with server(SMALL) as target:
        answer = all_of(connect(target, data))
        assert answer.startswith(b"HTTP/1.1 %d" % status)
        assert b'{"error":"' in answer
        assert is_well(target)


def test_requests_sent_far_ahead_of_their_answers_end_the_connection() -> None:
    with server(replace(SMALL, most_pipelined=4)) as target:
        with connect(target, good(target) * 4) as opened:
            answers = b""
            while answers.count(b"HTTP/1.1 200") < 4:
                answers += opened.recv(65_536)
        assert all_of(connect(target, good(target) * 50)).count(b"HTTP/1.1") < 50
        assert is_well(target)


HALF = HEAD + b"Content-Length: 900\r\n\r\nhalf"


def test_one_peer_that_fills_all_places_keeps_nobody_else_out() -> None:
    with server(replace(SMALL, grace_s=30)) as target, ExitStack() as stack:
        held = [stack.enter_context(connect(target, HALF)) for _ in range(3)]
        until(lambda: all_of(connect(target, HALF)).startswith(b"HTTP/1.1 503"))
        newcomer = stack.enter_context(connect(target, HALF, source=OTHER))
        assert held[0].recv(65_536).startswith(b"HTTP/1.1 408")  # the oldest of who held most
        newcomer.settimeout(0.5)
        with pytest.raises(TimeoutError):
            newcomer.recv(1)
        # A request that comes whole takes no such place.
        assert is_well(target)
        assert is_well(target, source=OTHER)


def test_half_sent_requests_give_their_places_back() -> None:
    with server(replace(SMALL, grace_s=30)) as target:
        for _ in range(20):
            connect(target, HALF).close()
        until(lambda: is_well(target))
        with connect(target, HALF) as held:
            held.settimeout(0.5)
            with pytest.raises(TimeoutError):
                held.recv(1)


def test_connections_are_bounded_for_one_peer_and_for_all() -> None:
    limits = replace(SMALL, head_s=30, most_connections=5, most_from_one_peer=3)
    with server(limits) as target:
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(connect(target))
            answer = all_of(connect(target))
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 1" in answer
            for _ in range(2):
                stack.enter_context(connect(target, source=OTHER))
            assert all_of(connect(target, source="127.0.0.3")).startswith(b"HTTP/1.1 503")
        until(lambda: is_well(target))


def test_what_still_comes_after_an_early_answer_is_bounded() -> None:
    with server(replace(SMALL, drained_bytes=1000, grace_s=30)) as target:
        with connect(target, b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n") as opened:
            assert opened.recv(65_536).startswith(b"HTTP/1.1 404")
            with pytest.raises(ConnectionError):
                drip(opened, b"x" * 100, every_s=0.01)


def test_forwarded_addresses_are_not_believed() -> None:
    with server(SMALL) as target:
        url = f"http://{target.host}:{target.port}/v2/health/live"
        assert httpx.get(url, headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 200


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
    ],
)
def test_a_peer_is_an_address_or_an_ipv6_network(address: str, peer: str) -> None:
    assert peer_of(address) == peer


def test_bodies_in_chunks_count_for_the_memory_that_all_may_take() -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    piece = b"%x\r\n" % 60_000 + bytes(60_000) + b"\r\n"
    limits = Limits(most_bytes=100_000, most_held_bytes=100_000)
    with serving(MODEL, limits=limits) as url:
        target = Target("127.0.0.1", int(url.rpartition(":")[2]), "sums", INPUTS)
        with connect(target, head + piece) as first, connect(target, head + piece) as second:
            answers = b""  # of whichever is read second
            for one in (first, second):
                one.settimeout(1.0)
                with suppress(TimeoutError):
                    answers += one.recv(65_536)
            assert answers.startswith(b"HTTP/1.1 503")
            assert b"memory" in answers
        until(lambda: is_well(target))


def test_what_was_answered_early_gets_no_second_answer() -> None:
    limits = replace(SMALL, body_s=0.4)
    with server(limits) as target:
        early = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\nhalf"
        found = all_of(connect(target, early))
        assert found.startswith(b"HTTP/1.1 404")
        assert found.count(b"HTTP/1.1") == 1
