import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from profiles.link import LinkProfile
from runtime.emulation import Direction, EmulatedLink, Order

LINK = LinkProfile(name="slow", provenance="modelled", uplink_mbps=4, downlink_mbps=16, rtt_ms=40, overhead_ms=1)


def test_bytes_arrive_at_the_links_rate_after_its_delay() -> None:
    way = Direction(mbps=8, delay_ms=10)
    # 8 Mbps are 1,000 bytes a millisecond.
    assert way.arrival_ns(5000, now_ns=0) == pytest.approx(15e6)
    # Queued behind the first 5 ms.
    assert way.arrival_ns(1000, now_ns=1_000_000) == pytest.approx(16e6)
    # The link has been free since 6 ms.
    assert way.arrival_ns(1000, now_ns=100_000_000) == pytest.approx(111e6)


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


@contextmanager
def emulated(link: LinkProfile, port: int) -> Iterator[EmulatedLink]:
    found = EmulatedLink(link, "127.0.0.1", port)
    thread = threading.Thread(target=found.serve, daemon=True)
    thread.start()
    yield found
    found.close()
    thread.join(timeout=5)
    assert not thread.is_alive()


def test_a_link_changes_stalls_and_breaks_as_it_is_told() -> None:
    fast = msgspec.structs.replace(LINK, uplink_mbps=1000, downlink_mbps=1000, rtt_ms=0, overhead_ms=0)
    with socket.create_server(("127.0.0.1", 0)) as target, emulated(fast, target.getsockname()[1]) as link:
        near = socket.create_connection(("127.0.0.1", link.port), timeout=5)
        far, _ = target.accept()
        far.settimeout(5)
        near.sendall(b"a")
        assert far.recv(1) == b"a"

        link.order(Order(state="stalled"))
        time.sleep(0.05)
        near.sendall(b"b")
        far.settimeout(0.2)
        with pytest.raises(TimeoutError):
            far.recv(1)
        link.order(Order(state="up"))
        far.settimeout(5)
        assert far.recv(1) == b"b"  # late, not lost

        link.order(Order(link=LINK))
        time.sleep(0.05)
        start = time.monotonic()
        near.sendall(b"c")
        assert far.recv(1) == b"c"
        assert time.monotonic() - start >= 0.021

        link.order(Order(reply_bytes=3))
        time.sleep(0.05)
        far.sendall(b"12345")
        assert near.recv(10) == b"123"
        assert near.recv(10) == b""

        near = socket.create_connection(("127.0.0.1", link.port), timeout=5)
        far, _ = target.accept()
        link.order(Order(state="cut"))
        assert near.recv(1) == b""
        with socket.create_connection(("127.0.0.1", link.port), timeout=5) as refused:
            assert refused.recv(1) == b""


def test_both_ways_go_on_until_each_has_ended() -> None:
    with socket.create_server(("127.0.0.1", 0)) as target, emulated(LINK, target.getsockname()[1]) as link:
        near = socket.create_connection(("127.0.0.1", link.port), timeout=5)
        far, _ = target.accept()
        near.sendall(b"question")
        near.shutdown(socket.SHUT_WR)
        assert far.recv(100) == b"question"
        assert far.recv(100) == b""
        far.sendall(b"answer" * 50_000)
        far.close()
        got = b""
        while part := near.recv(65536):
            got += part
        assert got == b"answer" * 50_000
