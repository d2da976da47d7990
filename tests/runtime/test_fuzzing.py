"""The server under malformed requests, the client under malformed answers."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from fuzzing import Tally, Wire, fuzz, fuzz_in_processes, resident_bytes
from malformed import Input, Target, good

from planner.plan import Plan
from profiles import artifact
from profiles.errors import PeerError
from runtime import protocol
from runtime.client import CloudClient
from runtime.protocol import InferReply

TESTS = Path(__file__).parent.parent


@contextmanager
def process(*command: str) -> Iterator["subprocess.Popen[str]"]:
    """A child process that ends when its standard input does."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        yield child
        child.stdin.close()
        child.wait(timeout=20)


def answer_to_a_good_request(target: Target) -> Any:
    """The one output that the server answers with, as bytes behind its JSON header."""
    wire = Wire(target)
    ((status, body),) = wire.exchange(good(target), answers=1, abandon=False)
    wire.close()
    assert status == 200
    _, end = json.JSONDecoder().raw_decode(body.decode("latin1"))
    return np.frombuffer(body[end:], "<f4")


def require_well(target: Target, child: "subprocess.Popen[str]", expected: Any) -> None:
    """The same process answers a good request as it did before, but for the last bit of a float."""
    assert child.poll() is None
    np.testing.assert_allclose(answer_to_a_good_request(target), expected, rtol=1e-5, atol=1e-6)


def require_refused(tally: Tally, *, least: int) -> None:
    assert not tally.wrong, "\n".join(tally.wrong[:5])
    assert sum(tally.statuses.values()) - tally.statuses[200] >= least
    assert {400, 404, 405, 414, 415, 431} <= set(tally.statuses)


@pytest.fixture(scope="module")
def sums() -> Iterator[tuple[Target, "subprocess.Popen[str]"]]:
    with process(sys.executable, str(TESTS / "echo_server.py")) as child:
        assert child.stdout is not None
        inputs = (Input("a", "FP32", (1, 4, 5), 4), Input("b", "UINT8", (1, 3), 1))
        yield Target("127.0.0.1", int(child.stdout.readline()), "sums", inputs), child


def test_malformed_requests_are_refused_and_the_server_lives_on(sums: Any) -> None:
    target, child = sums
    expected = answer_to_a_good_request(target)
    require_refused(fuzz(target, seed=1, count=2000), least=1900)
    before = resident_bytes(child.pid)
    require_refused(fuzz(target, seed=2, count=3000), least=2900)
    require_well(target, child, expected)
    assert resident_bytes(child.pid) <= 1.1 * before


@pytest.mark.long
def test_a_hundred_thousand_malformed_requests_leave_plan_serve_as_it_was(lenet_plan: Plan, tmp_path: Path) -> None:
    count = 120_000
    artifact.write(tmp_path / "plan.json", lenet_plan)
    serve = ["serve", str(tmp_path / "plan.json"), "--port", "0", "--json", "--until-eof"]
    with process(sys.executable, "-P", "-m", "runtime.cli", *serve) as child:
        assert child.stdout is not None
        port = urlsplit(json.loads(child.stdout.readline())["url"]).port or 0
        target = Target("127.0.0.1", port, "lenet", (Input("flatten", "FP32", (1, 120), 4),))
        expected = answer_to_a_good_request(target)
        warm = fuzz_in_processes(target, seed=100, count=10_000, processes=2)
        before, start = resident_bytes(child.pid), time.monotonic()
        tally = fuzz_in_processes(target, seed=200, count=count, processes=2)
        took, after = time.monotonic() - start, resident_bytes(child.pid)
        print(f"{count} requests in {took:.0f} s, resident {before / 1e6:.1f} MB before, {after / 1e6:.1f} MB after")
        print(f"by status (0: closed): {dict(tally.statuses)}; by kind: {dict(tally.kinds)}")
        require_refused(warm, least=9000)
        require_refused(tally, least=100_000)
        require_well(target, child, expected)
        assert after <= 1.1 * before


REPLY = protocol.encode_reply(InferReply({"y": np.ones((1, 3), np.float32)}, "m"), binary=["y"])


def answer(body: bytes, *lines: str, status: str = "HTTP/1.1 200 OK", length: Any = None) -> bytes:
    said = len(body) if length is None else length
    return "\r\n".join([status, f"Content-Length: {said}", *lines, "", ""]).encode("latin1") + body


def reply(body: bytes, *, header_length: Any = None, **other: Any) -> bytes:
    said = REPLY.headers[protocol.HEADER_LENGTH] if header_length is None else header_length
    return answer(body, f"{protocol.HEADER_LENGTH}: {said}", **other)


GARBAGE: dict[str, bytes] = {
    "nothing": b"",
    "noise": bytes(range(256)) * 20,
    "no status": b"HTTP/1.1\r\n\r\n",
    "a status of letters": answer(b"", status="HTTP/1.1 2OO OK"),
    "a status out of range": answer(b"", status="HTTP/1.1 99999 OK"),
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "TLS": b"\x15\x03\x03\x00\x02\x02\x28",
    "header fields without end": b"HTTP/1.1 200 OK\r\n" + b"X-Field: more of it\r\n" * 100_000,
    "one field without end": b"HTTP/1.1 200 OK\r\nX-Field: " + b"x" * 2_000_000,
    "a field without colon": answer(b"", "no colon here"),
    "NUL in a field": answer(b"", "A: b\0c"),
    "a negative length": answer(REPLY.body, length=-5),
    "a length that is none": answer(REPLY.body, length="many"),
    "two lengths": answer(REPLY.body, "Content-Length: 3"),
    "a length beyond all memory": answer(REPLY.body, length=2**62),
    "cut short": reply(REPLY.body[:-5], length=len(REPLY.body)),
    "bad chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a chunk beyond all memory": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
    "no JSON": answer(b"junk"),
    "deep JSON": answer(b"[" * 100_000),
    "other JSON": answer(b'{"outputs": 7}'),
    "JSON that is not UTF-8": answer(b'{"model_name": "\xff\xfe"}'),
    "a header length beyond the body": reply(REPLY.body, header_length=10**6),
    "a negative header length": reply(REPLY.body, header_length=-1),
    "a header length of letters": reply(REPLY.body, header_length="all"),
    "binary data missing": reply(REPLY.body[:-4]),
    "binary data too many": reply(REPLY.body + b"more"),
    "a shape that is too large": reply(REPLY.body.replace(b"[1,3]", b"[9,9]")),
    "a shape that overflows": answer(
        b'{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[4294967296,4294967296],"data":[1]}]}'
    ),
    "a datatype that is none": reply(REPLY.body.replace(b"FP32", b"FP99")),
    "an error without words": answer(b"\xff\xfe", status="HTTP/1.1 500 Oh"),
    "an error without end": answer(b'{"error": "' + b"x" * 100_000 + b'"}', status="HTTP/1.1 400 Oh"),
    "a redirection": answer(b"", "Location: http://203.0.113.9/", status="HTTP/1.1 302 Found"),
    "only interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
}


@contextmanager
def answering(data: bytes) -> Iterator[str]:
    """A peer that says just this to whatever comes, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    near, _ = listener.accept()
                except OSError:
                    return
                with near, suppress(OSError):
                    near.settimeout(5)
                    near.recv(65_536)
                    near.sendall(data)
                    near.shutdown(socket.SHUT_WR)
                    while near.recv(65_536):
                        pass

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        # close() alone leaves a blocked accept() and the port behind
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def test_the_answer_that_the_garbage_is_made_from_is_good() -> None:
    with answering(reply(REPLY.body)) as url, CloudClient(url, "m", timeout_s=5) as client:
        assert client.infer({"x": np.ones((1, 2), np.float32)}).reply.tensors["y"].tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
@pytest.mark.parametrize(
    "ask",
    [lambda client: client.infer({"x": np.ones((1, 2), np.float32)}), lambda client: client.metadata()],
    ids=["infer", "metadata"],
)
def test_garbage_from_a_server_is_one_clear_line(data: bytes, ask: Callable[[CloudClient], Any]) -> None:
    with answering(data) as url, CloudClient(url, "m", timeout_s=5) as client:
        start = time.monotonic()
        with pytest.raises(PeerError) as caught:
            ask(client)
        assert time.monotonic() - start < 20
        assert url in str(caught.value)
        assert len(str(caught.value)) < 700
        assert str(caught.value).isprintable()
