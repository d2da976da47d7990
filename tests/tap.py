"""Everything that passes the wire, seen from between edge and cloud."""

import socket
import threading
from contextlib import suppress
from typing import Any

from runtime import protocol


class Tap:
    """A listener between edge and cloud that keeps every byte, of each connection apart, and can drop connections."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.up: list[bytearray] = []
        self.down: list[bytearray] = []
        self.drop_next = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.up.append(bytearray())
            self.down.append(bytearray())
            if self.drop_next:
                self.drop_next -= 1
                threading.Thread(target=self._drop, args=(near, self.up[-1]), daemon=True).start()
                continue
            try:
                far = socket.create_connection(self._target)
            except OSError:  # nobody there now; there may be for the next
                near.close()
                continue
            threading.Thread(target=self._copy, args=(near, far, self.up[-1]), daemon=True).start()
            threading.Thread(target=self._copy, args=(far, near, self.down[-1]), daemon=True).start()

    @staticmethod
    def _drop(near: socket.socket, kept: bytearray) -> None:
        """Take a whole request (its body ends with a marker of ours) and close without an answer."""
        near.settimeout(0.3)
        try:
            while data := near.recv(65536):
                kept.extend(data)
        except TimeoutError:
            pass
        near.close()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket, kept: bytearray) -> None:
        try:
            while data := source.recv(65536):
                kept.extend(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:  # one end was reset, and so is the other; to close would not wake who waits for it
            for one in (source, target):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()


def requests(captured: bytes) -> list[dict[str, Any]]:
    """The tensors by name of every inference in a captured stream; questions about the server are passed over."""
    found = []
    rest = bytes(captured)
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        if head.startswith(b"GET "):
            continue
        headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(headers[b"content-length"])
        found.append(
            protocol.decode_request(rest[:length], headers[b"inference-header-content-length"].decode()).tensors
        )
        rest = rest[length:]
    return found
