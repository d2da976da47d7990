"""What a message takes on this device beside its bytes on the link: packing, waking, HTTP and JSON, at either end.

A stand-in for the exchange of a split network, made of the same libraries: a child process behind uvicorn (httptools,
uvloop) does what a cloud half does with a message (`handling_server`), a keep-alive socket with httptools what an
edge half does. Both ends pause before they send, and the near one then runs a network, as in a real exchange: a
message between processes that are awake, in caches that are warm, takes a third as long. All processes of a machine
read one monotonic clock, so the two ways and their ends are told apart.

Copies of large tensors are not in it: on a link they overlap with the sending, and a pass over memory takes a
thousandth of what 20 Mbps do.
"""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue

import httptools
import msgspec
import numpy as np
from numpy.typing import NDArray

from profiles import codec
from profiles.device import DeviceProfile, MessageHandling
from profiles.errors import ProfileError
from profiles.handling_message import HEADER_LENGTH, Tensors, decoded, encoded, parameters_of

#: What a small network sends: half a kilobyte.
TENSORS: Tensors = {"relu4": np.zeros((1, 120), dtype=np.float32)}
WARM_UPS, LEAST, MOST = 20, 10, 300
TIMEOUT_S = 10.0


def with_handling(
    profile: DeviceProfile, computing: Callable[[], object], *, seconds: float, pause_ms: float
) -> DeviceProfile:
    """The profile, with what a message takes on this device in it. As `measure_handling`."""
    message = measure_handling(computing, seconds=seconds, pause_ms=pause_ms)
    device = msgspec.structs.replace(profile.device, message=message)
    return msgspec.structs.replace(profile, device=device)


def measure_handling(computing: Callable[[], object], *, seconds: float, pause_ms: float) -> MessageHandling:
    """Medians over exchanges with a process on this device.

    computing: runs the network, untimed, after every pause; what it leaves in the caches is what a message finds.
    seconds: about how long to measure, after the child has started. pause_ms: before every message.
    Raises ProfileError where the child does not start or answer.
    """
    with _far_end(pause_ms) as port, _Connection(port) as connection:
        for _ in range(WARM_UPS):
            connection.exchange(TENSORS)
        rows: list[list[int]] = []
        drawn: SimpleQueue[NDArray[np.float32]] = SimpleQueue()
        until = time.monotonic() + seconds
        while len(rows) < LEAST or (len(rows) < MOST and time.monotonic() < until):
            time.sleep(pause_ms / 1000)
            computing()
            drawn.put(np.ones((1, 120), dtype=np.float32))
            computed_ns = time.monotonic_ns()
            noisy = _sendable(TENSORS, drawn)
            noise_ns = time.monotonic_ns() - computed_ns
            rows.append([*connection.exchange(noisy), noise_ns])
        request_bytes, reply_bytes = connection.sent, connection.received
    times: NDArray[np.int64] = np.array(rows)  # [exchanges, 7]
    start, sent, received, replied, before, end, adding = times.T
    up_ms, sent_ms, down_ms, reply_sent_ms = (
        float(np.median(one)) / 1e6
        for one in (received - start, sent - start, end - replied, before[1:] - replied[:-1])
    )
    tensor_bytes = _described_bytes()
    return MessageHandling(
        # The far end can be there before the near one is told that all has left.
        request_sent_ms=min(sent_ms, up_ms),
        request_received_ms=max(up_ms - sent_ms, 0.0),
        reply_sent_ms=min(reply_sent_ms, down_ms),
        reply_received_ms=max(down_ms - reply_sent_ms, 0.0),
        request_bytes=request_bytes - TENSORS["relu4"].nbytes - tensor_bytes,
        reply_bytes=reply_bytes - 40 - tensor_bytes,
        tensor_bytes=tensor_bytes,
        noise_ms=float(np.median(adding)) / 1e6,
    )


def _noisy(tensor: NDArray[np.float32], drawn: NDArray[np.float32]) -> NDArray[np.float32]:
    """What an edge half does with a tensor and its noise: add, round to a grid, look whether the noise hides."""
    noisy = tensor.reshape(1, -1) + drawn
    noisy /= 1 / 1024
    np.rint(noisy, out=noisy)
    noisy *= 1 / 1024
    noisy = noisy.astype(np.float32, copy=False)
    if np.count_nonzero(noisy == tensor) or not np.isfinite(np.vdot(noisy, noisy)):
        raise ProfileError("the message measurement's own numbers are not finite; profile again")
    return noisy.reshape(tensor.shape)


def _sendable(tensors: Tensors, drawn: "SimpleQueue[NDArray[np.float32]]") -> Tensors:
    """Tensors with their noise, in the bits of the wire."""
    hidden = {name: _noisy(tensor, drawn.get()) for name, tensor in tensors.items()}
    return {name: codec.to_wire(tensor, name=name, wire="float32")[0] for name, tensor in hidden.items()}


def _described_bytes() -> int:
    """What the description of one tensor adds to a message's header, the comma between two among it."""
    two = {"relu4": TENSORS["relu4"], "relu3": TENSORS["relu4"]}
    return len(encoded(two, {})[0]) - len(encoded(TENSORS, {})[0])


@dataclass
class _Reader:
    """One response as httptools reads it."""

    headers: dict[str, str] = field(default_factory=dict)
    body: list[bytes] = field(default_factory=list)
    done: bool = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin1").lower()] = value.decode("latin1")

    def on_body(self, part: bytes) -> None:
        self.body.append(part)

    def on_message_complete(self) -> None:
        self.done = True


class _Connection:
    """A kept-alive connection; a message leaves in one piece. sent, received: bytes of the last exchange."""

    def __init__(self, port: int) -> None:
        self._host = f"127.0.0.1:{port}"
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(262_144)
        self.sent = self.received = 0

    def __enter__(self) -> "_Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def exchange(self, tensors: Tensors) -> list[int]:
        """One message and its reply: nanoseconds of the clock at start, when all was sent, when the far end had its
        arrays, when it began its reply, when it had sent the one before, when this end had its arrays."""
        start_ns = time.monotonic_ns()
        head, body = encoded(tensors, {"plan_timing": True, "binary_data_output": True})
        fields = (
            f"POST /v2/models/lenet/infer HTTP/1.1\r\nHost: {self._host}\r\n"
            f"Content-Type: application/octet-stream\r\n{HEADER_LENGTH}: {len(head)}\r\n"
            f"Content-Length: {len(head) + len(body)}\r\n\r\n"
        ).encode("latin1")
        parts = [fields, head, body]
        self._socket.sendmsg(parts)
        sent_ns = time.monotonic_ns()
        self.sent = sum(map(len, parts))
        reader = self._read()
        answer, length = b"".join(reader.body), int(reader.headers[HEADER_LENGTH.lower()])
        decoded(answer, length)
        end_ns = time.monotonic_ns()
        there = parameters_of(answer, length)
        return [start_ns, sent_ns, there["received_ns"], there["replied_ns"], there["sent_ns"], end_ns]

    def _read(self) -> _Reader:
        reader, self.received = _Reader(), 0
        parser = httptools.HttpResponseParser(reader)
        view = memoryview(self._buffer)
        while not reader.done:
            count = self._socket.recv_into(self._buffer)
            if not count:
                raise ProfileError("the far end of the message measurement closed its connection; profile again")
            self.received += count
            parser.feed_data(view[:count])
        return reader


@contextmanager
def _far_end(pause_ms: float) -> Iterator[int]:
    """The port of a child process that answers; it ends when its standard input does, however this process ends."""
    command = [sys.executable, "-P", "-m", "profiles.handling_server", str(pause_ms)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line.strip().isdigit():
            raise ProfileError(
                f"the far end of the message measurement did not start (exit {process.wait()}); "
                "its own words stand above"
            )
        yield int(line)
    except OSError as error:
        reason = error.strerror or "no answer in time"
        raise ProfileError(f"the message measurement failed on loopback ({reason}); profile again") from error
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        try:
            process.wait(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
