"""The far end of a link measurement: answers pings and starts an iperf3 server for each test.

iperf3 runs only while a client measures, one test a process: nothing is left listening, and no state of one test can
spoil the next. The client's connection holds the session; when it closes or falls silent, iperf3 ends with it.
"""

import contextlib
import os
import select
import socket
import subprocess
import threading
import time
from dataclasses import dataclass

from profiles.errors import ListenError
from profiles.probe_protocol import (
    BUSY,
    FAILED,
    GREETING,
    IPERF3,
    LAST_PORT,
    MOST_SECONDS,
    PING,
    PONG,
    Conversation,
    iperf3,
)

#: Whoever connects and is no client of ours may hold this many threads, each for `Patience.greeting_s`.
MOST_CONNECTIONS = 16
IPERF3_STARTS_S = 5.0


@dataclass(frozen=True)
class Patience:
    """How long a client may be silent: before its greeting, and between its requests (a test among them)."""

    greeting_s: float = 5.0
    request_s: float = 2.0 * MOST_SECONDS


class ProbeServer:
    """Serves measurements, one client at a time, on `port` (pings) and `port` + 1 (iperf3).

    port 0 takes a free pair. Use as a context: leaving it closes the ports and ends every child.
    Raises LinkError where iperf3 is not installed, ListenError where either port cannot be had.
    """

    def __init__(self, host: str, port: int, *, patience: Patience | None = None) -> None:
        self._iperf3 = iperf3()
        self._listener = _listen(host, port)
        self.host, self.port = self._listener.getsockname()[:2]
        self._patience = patience or Patience()
        self._measuring = threading.Lock()
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._open: dict[threading.Thread, socket.socket] = {}

    def __enter__(self) -> "ProbeServer":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone does not wake a thread that accepts
        self._listener.close()
        for thread, connection in list(self._open.items()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=2 * IPERF3_STARTS_S)

    @property
    def iperf3_port(self) -> int:
        return int(self.port) + 1

    def serve(self) -> None:
        """Accept clients until interrupted or closed."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._listener.fileno() < 0:
                    return
                time.sleep(0.1)  # out of file descriptors, or a client that left before it was accepted
                continue
            if not self._room.acquire(blocking=False):
                connection.close()
                continue
            thread = threading.Thread(target=self._attend, args=(connection,))
            self._open[thread] = connection
            thread.start()

    def _attend(self, connection: socket.socket) -> None:
        try:
            # A client may vanish, fall silent or talk nonsense at any point: its session ends, nothing else does.
            with contextlib.suppress(OSError, EOFError, ValueError), Conversation(connection) as talk:
                if talk.hear(timeout_s=self._patience.greeting_s) != GREETING:
                    return
                if not self._measuring.acquire(blocking=False):
                    talk.say(BUSY)
                    return
                try:
                    talk.say(GREETING)
                    self._session(talk)
                finally:
                    self._measuring.release()
        finally:
            self._open.pop(threading.current_thread(), None)
            self._room.release()

    def _session(self, talk: Conversation) -> None:
        child: subprocess.Popen[bytes] | None = None
        try:
            while True:
                request = talk.hear(timeout_s=self._patience.request_s)
                if request == PING:
                    talk.say(PONG)
                elif request == IPERF3:
                    _end(child)
                    child = self._start_iperf3(talk.here)
                    reason = _until_listening(child)
                    talk.say(f"{FAILED} {reason}" if reason else f"{IPERF3} {self.iperf3_port}")
                else:
                    return
        finally:
            _end(child)

    def _start_iperf3(self, address: str) -> subprocess.Popen[bytes]:
        """An iperf3 server for one test, on the address alone that the client has called."""
        bind = address.removeprefix("::ffff:")  # IPv4 seen through an IPv6 socket
        # A session of its own: an interrupt from the keyboard reaches this process alone, which then ends the child.
        return subprocess.Popen(
            [self._iperf3, "--server", "--one-off", "--bind", bind, "--port", str(self.iperf3_port),
             "--interval", "0", "--forceflush"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def _until_listening(child: subprocess.Popen[bytes]) -> str:
    """Wait until iperf3 listens; why it does not, else an empty string."""
    assert child.stdout is not None
    heard, end = b"", time.monotonic() + IPERF3_STARTS_S
    while b"listening on" not in heard:
        ready, _, _ = select.select([child.stdout], [], [], max(end - time.monotonic(), 0))
        if not ready:
            return f"iperf3 did not listen within {IPERF3_STARTS_S:g} s"
        piece = os.read(child.stdout.fileno(), 4096)
        if not piece:
            return " ".join(heard.decode("ascii", "replace").split()) or "iperf3 ended at once"
        heard += piece
    return ""


def _end(child: subprocess.Popen[bytes] | None) -> None:
    if child is not None:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def _listen(host: str, port: int) -> socket.socket:
    """A listener whose next port is free as well. Raises ListenError."""
    while True:
        listener = _bound(host, port)
        number = listener.getsockname()[1]
        try:
            if number > LAST_PORT:
                raise ListenError(f"port {number} has no next one for iperf3; choose one up to {LAST_PORT}")
            _bound(host, number + 1).close()
        except ListenError:
            listener.close()
            if port == 0:
                continue
            raise
        listener.listen(MOST_CONNECTIONS)
        return listener


def _bound(host: str, port: int) -> socket.socket:
    found: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except OSError as error:
        if found is not None:
            found.close()
        raise ListenError(
            f"cannot listen on {host}:{port} ({error.strerror or error}); the measurement takes two ports in a row: "
            "choose another first one with --port, an address of this machine with --host"
        ) from error
    return found
