import socket
import threading
import time

import pytest

from profiles.link import LinkProfile
from runtime.emulation import Direction, EmulatedLink, wait_until

LINK = LinkProfile(name="slow", provenance="modelled", uplink_mbps=4, downlink_mbps=16, rtt_ms=40, overhead_ms=1)


def test_bytes_arrive_at_the_links_rate_after_its_delay() -> None:
    way = Direction(mbps=8, delay_ms=10)
    # 8 Mbps are 1,000 bytes a millisecond.
    assert way.arrival_ns(5000, now_ns=0) == pytest.approx(15e6)
    # Queued behind the first 5 ms.
    assert way.arrival_ns(1000, now_ns=1_000_000) == pytest.approx(16e6)
    # The link has been free since 6 ms.
    assert way.arrival_ns(1000, now_ns=100_000_000) == pytest.approx(111e6)


def test_waiting_ends_never_before_the_deadline() -> None:
    for ahead_ns in (0, 50_000, 2_000_000):
        deadline = time.monotonic_ns() + ahead_ns
        wait_until(deadline)
        assert time.monotonic_ns() >= deadline


def echo(listener: socket.socket, count: int) -> None:
    near, _ = listener.accept()
    with near:
        got = b""
        while len(got) < count:
            got += near.recv(65536)
        near.sendall(got)


def test_an_exchange_takes_what_the_planner_counts_and_changes_no_byte() -> None:
    count = 50_000
    data = bytes(range(256)) * (count // 256) + bytes(count % 256)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=echo, args=(listener, count), daemon=True).start()
        emulated = EmulatedLink(LINK, "127.0.0.1", listener.getsockname()[1])
        threading.Thread(target=emulated.serve, daemon=True).start()
        with socket.create_connection(("127.0.0.1", emulated.port)) as client:
            start = time.monotonic_ns()
            client.sendall(data)
            back = b""
            while len(back) < count:
                back += client.recv(65536)
            took_ms = (time.monotonic_ns() - start) / 1e6
        emulated.close()
    assert back == data
    # By the planner's own formula: 121 ms up, 46 ms down. Never less; the machine may add to it.
    expected = LINK.uplink_ms(size_bytes=count) + LINK.downlink_ms(size_bytes=count)
    assert expected == pytest.approx(20 + 1 + 100 + 20 + 1 + 25)
    assert expected * 0.999 <= took_ms <= expected * 1.5


def test_a_target_that_is_not_there_yet_ends_only_its_own_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    link = EmulatedLink(LINK, "127.0.0.1", port)
    threading.Thread(target=link.serve, daemon=True).start()
    with socket.create_connection(("127.0.0.1", link.port), timeout=5) as early:
        assert early.recv(1) == b""
    with socket.create_server(("127.0.0.1", port)) as target:
        with socket.create_connection(("127.0.0.1", link.port), timeout=5) as near:
            near.sendall(b"x")
            far, _ = target.accept()
            assert far.recv(1) == b"x"
            far.close()
    link.close()
