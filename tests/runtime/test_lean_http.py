"""The two short cuts against uvicorn's own way, over real sockets."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import pytest
import trustme
import uvicorn
from servers import serving

from runtime import protocol
from runtime.bodies import Limits
from runtime.cloud import CloudApp, Server, listen
from runtime.contract import TensorContract
from runtime.guard import ServerSecurity
from runtime.lean_http import ALIGNMENT
from runtime.protocol import InferRequest
from runtime.served import ServedModel


class Echo:
    """Gives back what it is given, and keeps where it lay."""

    name = "echo"

    def __init__(self) -> None:
        self.places: list[int] = []

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        self.places.append(inputs[0].ctypes.data)
        return list(inputs)


ECHO = Echo()
SIZES = (1, 90, 5_000, 8_192, 20_000, 400_000)


def model(size: int) -> ServedModel:
    contracts = (TensorContract("x", "float32", (-1, size)),)
    return ServedModel(f"echo{size}", ECHO, contracts, contracts)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(*map(model, SIZES), limits=Limits(body_s=0.5)) as found:
        yield found


def tensor(size: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(1, size)).astype(np.float32)


def raw(size: int, seed: int = 0, *, extra: str = "", chunked: bool = False) -> bytes:
    message = protocol.encode_request(InferRequest({"x": tensor(size, seed)}))
    headers = "".join(f"{name}: {value}\r\n" for name, value in message.headers.items()) + extra
    body = message.body
    if chunked:
        headers += "Transfer-Encoding: chunked\r\n"
        pieces = [body[at : at + 7000] for at in range(0, len(body), 7000)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in [*pieces, b""])
    else:
        headers += f"Content-Length: {len(body)}\r\n"
    return f"POST /v2/models/echo{size}/infer HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode() + body


@contextmanager
def connected(url: str) -> Iterator[tuple[socket.socket, Any]]:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as opened, opened.makefile("rb") as reader:
        yield opened, reader


def reply(reader: Any) -> tuple[int, dict[str, str], bytes]:
    status = int(reader.readline().split()[1])
    headers = {}
    while (line := reader.readline().decode().strip()) != "":
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    return status, headers, reader.read(int(headers.get("content-length", "0")))


def echoed(reader: Any) -> Any:
    status, headers, body = reply(reader)
    assert status == 200, body
    return protocol.decode_reply(body, headers[protocol.HEADER_LENGTH.lower()]).tensors["x"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece", [10**9, 60_001, 997])
def test_a_body_comes_whole_in_whatever_pieces_it_is_sent(url: str, size: int, piece: int) -> None:
    sent = raw(size)
    if len(sent) // piece > 400:
        piece = len(sent) // 400
    with connected(url) as (opened, reader):
        for _ in range(2):  # the connection goes on
            for at in range(0, len(sent), piece):
                opened.sendall(sent[at : at + piece])
            np.testing.assert_array_equal(echoed(reader), tensor(size))


def test_the_first_tensor_of_a_large_body_lies_aligned(url: str) -> None:
    ECHO.places.clear()
    with connected(url) as (opened, reader):
        for seed in range(4):
            opened.sendall(raw(400_000, seed))
            np.testing.assert_array_equal(echoed(reader), tensor(400_000, seed))
    assert [place % ALIGNMENT for place in ECHO.places] == [0] * 4


def test_requests_that_are_sent_without_waiting_are_answered_in_their_order(url: str) -> None:
    order = [90, 20_000, 1, 400_000, 90, 5_000, 8_192, 1]
    with connected(url) as (opened, reader):
        sent = b"".join(raw(size, seed) for seed, size in enumerate(order))
        sending = threading.Thread(target=opened.sendall, args=(sent,))
        sending.start()
        for seed, size in enumerate(order):
            np.testing.assert_array_equal(echoed(reader), tensor(size, seed))
        sending.join()


@pytest.mark.parametrize("size", [90, 20_000])
def test_other_ways_to_send_a_body_are_uvicorns_own(url: str, size: int) -> None:
    with connected(url) as (opened, reader):
        opened.sendall(raw(size, chunked=True))
        np.testing.assert_array_equal(echoed(reader), tensor(size))
        whole = raw(size, extra="Expect: 100-continue\r\n")
        head = whole.index(b"\r\n\r\n") + 4
        opened.sendall(whole[:head])
        assert b"100 Continue" in reader.readline()
        reader.readline()
        opened.sendall(whole[head:])
        np.testing.assert_array_equal(echoed(reader), tensor(size))
        opened.sendall(raw(size, extra="Connection: close\r\n"))
        np.testing.assert_array_equal(echoed(reader), tensor(size))
        assert reader.read() == b""


def test_a_large_body_that_ends_early_leaves_the_server_well(url: str) -> None:
    with connected(url) as (opened, _):
        opened.sendall(raw(400_000)[:700_000])
    with connected(url) as (opened, reader):  # and one that stops, but stays
        opened.sendall(raw(400_000)[:700_000])
        assert reply(reader)[0] == 408
        assert reader.read() == b""  # where a next request would begin is not known
    assert httpx.get(f"{url}/v2/health/live").status_code == 200


def test_a_length_beyond_the_limit_is_refused_before_anything_is_held(url: str) -> None:
    head = b"POST /v2/models/echo1/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000000000000\r\n\r\n"
    with connected(url) as (opened, reader):
        opened.sendall(head)
        assert reply(reader)[0] == 413


def test_any_other_asgi_server_gives_the_same_answers() -> None:
    app = CloudApp({one.name: one for one in map(model, SIZES)}, "0")
    with listen("127.0.0.1", 0) as bound:
        server = uvicorn.Server(uvicorn.Config(app, http="h11", lifespan="off", log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        place = f"http://127.0.0.1:{bound.getsockname()[1]}"
        end = time.monotonic() + 10
        while httpx.get(f"{place}/v2/health/ready").status_code != 200:  # warmed up by the question
            assert time.monotonic() < end
        for size in SIZES:
            with connected(place) as (opened, reader):
                opened.sendall(raw(size))
                np.testing.assert_array_equal(echoed(reader), tensor(size))
        server.should_exit = True
        thread.join(timeout=5)


def test_tls_goes_the_same_way() -> None:
    authority = trustme.CA()
    theirs, ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    authority.configure_trust(ours)
    app = CloudApp({one.name: one for one in map(model, SIZES)}, "0")
    with listen("127.0.0.1", 0) as bound:
        server = Server(app, security=ServerSecurity(tls=theirs))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        with socket.create_connection(bound.getsockname(), timeout=10) as plain:
            with ours.wrap_socket(plain, server_hostname="127.0.0.1") as opened, opened.makefile("rb") as reader:
                for size in SIZES * 2:
                    opened.sendall(raw(size))
                    np.testing.assert_array_equal(echoed(reader), tensor(size))
        server.should_exit = True
        thread.join(timeout=5)
