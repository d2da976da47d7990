"""A client's connection against servers that behave as no server should."""

import errno
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from runtime import dialling, http_reply, tls
from runtime.connection import Connection
from runtime.connection_errors import DeadlinePassed, Distrusted, Dropped, NotHttp, Unreachable

REQUEST = [b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n", b"body"]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Behaviour = Callable[[socket.socket, int], None]


@contextmanager
def server(behaviour: Behaviour) -> Iterator[int]:
    """The port of a server that treats each connection as told: (socket, how many came before)."""

    def accept() -> None:
        for index in range(1000):
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=treat, args=(near, index), daemon=True).start()

    def treat(near: socket.socket, index: int) -> None:
        with near:
            near.settimeout(10)
            with suppress(OSError):
                behaviour(near, index)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


def take(near: socket.socket) -> bytes:
    """A whole request of this file."""
    got = b""
    while not got.endswith(REQUEST[-1]):
        part = near.recv(65536)
        if not part:
            raise ConnectionError
        got += part
    return got


def says(*parts: bytes, pause_s: float = 0.0) -> Behaviour:
    """Take one request, send these parts, close."""

    def behave(near: socket.socket, _: int) -> None:
        take(near)
        for part in parts:
            near.sendall(part)
            time.sleep(pause_s)

    return behave


def ask(port: int, *, seconds: float = 5.0, host: str = "127.0.0.1") -> http_reply.Response:
    connection = Connection(host, port)
    try:
        return connection.exchange(REQUEST, deadline=time.monotonic() + seconds)
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("parts", "status", "body"),
    [
        ((OK,), 200, b"ok"),
        (tuple(bytes([one]) for one in OK), 200, b"ok"),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), 204, b""),
        ((b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",), 304, b""),
        ((b"HTTP/1.1 200 OK\r\n\r\nto the", b" end"), 200, b"to the end"),
        ((b"HTTP/1.0 200 OK\r\n\r\nold",), 200, b"old"),
        (
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",),
            200,
            b"abcde",
        ),
        (
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nLate: x\r\n\r\n",),
            200,
            b"a",
        ),
        ((b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nA: b\r\n\r\n", OK), 200, b"ok"),
        ((b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",), 503, b""),
    ],
    ids=["whole", "drips", "204", "304", "no-length", "http-1.0", "chunked", "trailer", "interim", "503"],
)
def test_every_form_of_a_reply_is_read(parts: tuple[bytes, ...], status: int, body: bytes) -> None:
    with server(says(*parts)) as port:
        response = ask(port)
    assert (response.status, response.body) == (status, body)
    assert not {"a", "late"} & response.headers.keys()  # of interim replies and trailers


ENDLESS = b"x" * 65_536


def endless(head: bytes, part: bytes) -> Behaviour:
    def behave(near: socket.socket, _: int) -> None:
        take(near)
        near.sendall(head)
        while True:
            near.sendall(part)

    return behave


@pytest.mark.parametrize(
    ("behaviour", "failure"),
    [
        (says(b""), Dropped),
        (says(b"HTTP/1.1 200 OK\r\nContent-Le"), Dropped),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"), Dropped),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), Dropped),
        (says(b"SSH-2.0-OpenSSH_9\r\n"), NotHttp),
        (says(b"\x15\x03\x01\x00\x02\x02\x0a"), NotHttp),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"), NotHttp),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"), NotHttp),
        (says(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nraw"), NotHttp),
        (says(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 101 + b"\r\n"), NotHttp),
        (endless(b"HTTP/1.1 200 OK\r\nA: ", ENDLESS), NotHttp),
        (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), NotHttp),
        (endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000), NotHttp),
        (endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ", ENDLESS), NotHttp),
    ],
    ids=[
        *("nothing", "mid-header", "mid-body", "mid-chunk", "ssh", "tls", "two-lengths", "negative", "upgrade"),
        *("many-fields", "long-header", "many-interim", "tiny-chunks", "long-trailer"),
    ],
)
def test_what_is_no_reply_ends_the_connection(behaviour: Behaviour, failure: type) -> None:
    with server(behaviour) as port:
        connection = Connection("127.0.0.1", port)
        with pytest.raises(failure):
            connection.exchange(REQUEST, deadline=time.monotonic() + 10)
        assert not connection.open


@pytest.mark.parametrize("head", [b"", b"Content-Length: 99999999999\r\n"], ids=["no-length", "length"])
def test_a_body_is_no_longer_than_the_limit(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_reply, "MOST_BODY_BYTES", 2**20)
    with server(endless(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n", ENDLESS)) as port:
        connection = Connection("127.0.0.1", port)
        with pytest.raises(NotHttp, match="longer than 1048576 bytes"):
            connection.exchange(REQUEST, deadline=time.monotonic() + 10)
        assert connection.received < 2**20 + 2 * 262_144


def test_the_deadline_holds_where_bytes_drip_for_ever() -> None:
    def drip(near: socket.socket, _: int) -> None:
        take(near)
        near.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            near.sendall(b"x")
            time.sleep(0.02)

    with server(drip) as port:
        connection, deadline = Connection("127.0.0.1", port), time.monotonic() + 0.3
        with pytest.raises(DeadlinePassed):
            connection.exchange(REQUEST, deadline=deadline)
        assert time.monotonic() >= deadline
        assert not connection.open


def test_the_deadline_holds_where_nothing_is_read() -> None:
    with server(lambda near, _: time.sleep(3)) as port:
        connection = Connection("127.0.0.1", port)
        with pytest.raises(DeadlinePassed):
            connection.exchange([REQUEST[0], bytes(50_000_000)], deadline=time.monotonic() + 0.3)
        assert 0 < connection.sent < 50_000_000


def test_a_name_that_nobody_resolves_holds_no_deadline_up(monkeypatch: pytest.MonkeyPatch) -> None:
    released, plain = threading.Event(), socket.getaddrinfo

    def slow(host: str, *arguments: object, **options: object) -> object:
        if host == "far.example" and not options.get("flags"):
            released.wait(10)
        return plain(host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    try:
        with pytest.raises(DeadlinePassed):
            ask(80, seconds=0.2, host="far.example")
    finally:
        released.set()


@pytest.mark.parametrize("host", ["no-such-name.invalid", "a..b", "x" * 70 + ".example"])
def test_a_name_that_is_none_is_unreachable(host: str) -> None:
    with pytest.raises(Unreachable):
        ask(80, host=host)


def test_one_address_that_is_silent_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(says(OK)) as port, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        # A full backlog drops what comes, as a firewall does.
        fill = [socket.socket() for _ in range(4)]
        for one in fill:
            one.setblocking(False)
            one.connect_ex(silent.getsockname())
        both = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", one) for one in (silent.getsockname(), ("127.0.0.1", port))
        ]
        monkeypatch.setattr(dialling, "_addresses", lambda *_: both)
        assert ask(port, seconds=1.0).body == b"ok"
        for one in fill:
            one.close()


def test_a_connection_is_kept_and_one_closed_meanwhile_is_seen_before_anything_is_sent() -> None:
    taken: list[int] = []

    def two_each(near: socket.socket, index: int) -> None:
        for _ in range(2):
            take(near)
            taken.append(index)
            near.sendall(OK)

    with server(two_each) as port:
        connection = Connection("127.0.0.1", port)
        for _ in range(5):
            assert connection.exchange(REQUEST, deadline=time.monotonic() + 5).body == b"ok"
            time.sleep(0.05)  # for the close to arrive
        connection.close()
    assert taken == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("when", ["with the reply", "later"])
def test_what_nobody_asked_for_is_never_taken_for_a_reply(when: str) -> None:
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"

    def behave(near: socket.socket, index: int) -> None:
        while True:
            take(near)
            near.sendall(OK + forged if when == "with the reply" else OK)
            if when == "later":
                time.sleep(0.02)
                near.sendall(forged)

    with server(behave) as port:
        connection = Connection("127.0.0.1", port)
        for _ in range(3):
            assert connection.exchange(REQUEST, deadline=time.monotonic() + 5).body == b"ok"
            time.sleep(0.05)
        connection.close()


def test_a_refusal_that_comes_before_the_whole_request_is_heard() -> None:
    def refuse(near: socket.socket, _: int) -> None:
        near.recv(100)
        near.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        time.sleep(0.2)  # closed with bytes unread: a reset

    with server(refuse) as port:
        connection = Connection("127.0.0.1", port)
        response = connection.exchange([REQUEST[0], bytes(30_000_000)], deadline=time.monotonic() + 10)
    assert (response.status, response.body) == (413, b"big")
    assert not connection.open


def test_an_answer_to_half_a_request_is_none() -> None:
    def hasty(near: socket.socket, _: int) -> None:
        near.recv(100)
        near.sendall(OK)

    with server(hasty) as port:
        connection = Connection("127.0.0.1", port)
        with pytest.raises(Dropped):
            connection.exchange([REQUEST[0], bytes(30_000_000)], deadline=time.monotonic() + 10)


def test_an_interrupt_leaves_no_half_exchange() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    def answer_late(near: socket.socket, index: int) -> None:
        take(near)
        time.sleep(0.05)
        near.sendall(OK.replace(b"ok", b"%02d" % index))

    with server(answer_late) as port:
        connection = Connection("127.0.0.1", port)
        with pytest.raises(KeyboardInterrupt):
            connection.exchange(REQUEST, deadline=time.monotonic() + 5, awaiting=interrupt)
        assert not connection.open
        time.sleep(0.1)
        assert connection.exchange(REQUEST, deadline=time.monotonic() + 5).body == b"01"
        connection.close()


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context, and that of a client that trusts it."""
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    made = tls.server_context(*_certificate(folder, authority))
    return made, tls.client_context(folder / "ca.pem")


def _certificate(folder: Path, authority: trustme.CA) -> tuple[Path, Path]:
    one = authority.issue_cert("127.0.0.1")
    one.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    one.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "key.pem").chmod(0o600)
    return folder / "cert.pem", folder / "key.pem"


def behind_tls(context: ssl.SSLContext, behaviour: Behaviour) -> Behaviour:
    def behave(near: socket.socket, index: int) -> None:
        with context.wrap_socket(near, server_side=True, suppress_ragged_eofs=True) as secured:
            behaviour(secured, index)

    return behave


def test_large_messages_pass_tls_whole_and_every_byte_is_counted(identity: tuple[ssl.SSLContext, ...]) -> None:
    size = 3_000_000

    def echo(near: socket.socket, _: int) -> None:
        while True:
            got = bytearray()
            while len(got) < len(REQUEST[0]) + size:
                got += near.recv(65536)
            near.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + got[len(REQUEST[0]) :])

    body = bytes(range(250)) * (size // 250)
    with server(behind_tls(identity[0], echo)) as port:
        connection = Connection("127.0.0.1", port, tls=identity[1])
        for _ in range(2):
            assert connection.exchange([REQUEST[0], body], deadline=time.monotonic() + 10).body == body
        assert min(connection.sent, connection.received) > 2 * size
        connection.close()


def test_a_body_without_length_that_tls_did_not_end_is_none(identity: tuple[ssl.SSLContext, ...]) -> None:
    def cut(near: socket.socket, _: int) -> None:
        take(near)
        near.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
        # Anyone on the way can end TCP, none can end TLS. A reset would say more than an end.
        plain = socket.socket(fileno=os.dup(near.fileno()))
        plain.shutdown(socket.SHUT_WR)
        plain.close()
        time.sleep(0.2)

    with server(behind_tls(identity[0], cut)) as port:
        connection = Connection("127.0.0.1", port, tls=identity[1])
        with pytest.raises(Dropped):
            connection.exchange(REQUEST, deadline=time.monotonic() + 5)


@pytest.mark.parametrize(
    ("behaviour", "failure"),
    [
        (says(b""), DeadlinePassed),  # it waits for a request's end, and gets a handshake
        (lambda near, _: near.sendall(b"SSH-2.0-x\r\n" * 10), Distrusted),
        (lambda near, _: near.recv(10), Dropped),
    ],
    ids=["silent", "ssh", "closed"],
)
def test_a_peer_without_tls_is_told_apart(
    behaviour: Behaviour, failure: type, identity: tuple[ssl.SSLContext, ...]
) -> None:
    with server(behaviour) as port:
        connection = Connection("127.0.0.1", port, tls=identity[1])
        with pytest.raises(failure):
            connection.exchange(REQUEST, deadline=time.monotonic() + 0.4)
        assert not connection.open
        assert connection.sent  # the handshake's first bytes, and no more
        assert connection.sent < 2000


def test_a_certificate_of_another_authority_ends_it_before_a_byte_of_the_request(
    identity: tuple[ssl.SSLContext, ...], tmp_path: Path
) -> None:
    taken: list[bytes] = []
    other = tls.server_context(*_certificate(tmp_path, trustme.CA()))
    with server(behind_tls(other, lambda near, _: taken.append(near.recv(100)))) as port:
        connection = Connection("127.0.0.1", port, tls=identity[1])
        with pytest.raises(Distrusted, match="certificate"):
            connection.exchange(REQUEST, deadline=time.monotonic() + 5)
    assert not any(taken)


def test_a_time_out_of_the_systems_own_is_no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    def gives_up(*_: object) -> int:
        raise OSError(errno.ETIMEDOUT, "Connection timed out")  # a TimeoutError, long before ours

    with server(says(OK)) as port:
        connection = Connection("127.0.0.1", port)
        monkeypatch.setattr("runtime.channels.Plain.receive_into", gives_up)
        with pytest.raises(Dropped, match="timed out"):
            connection.exchange(REQUEST, deadline=time.monotonic() + 60)
