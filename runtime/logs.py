"""Structured logs: one JSON object a line, for machines to read. Never a tensor's values, a token or a header.

A request's id is the client's, so that the lines of both sides can be laid side by side; it is somebody else's text,
and only what cannot break a line or a terminal of it is kept.
"""

import contextlib
import re
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from profiles.errors import PlanError
from runtime.handled import Handled

MOST_ID_CHARACTERS = 64
_UNWANTED = re.compile(r"[^A-Za-z0-9._:@/+=-]")
_encoder = msgspec.json.Encoder()


def clean_id(given: str) -> str:
    """A request id as it may stand in a log and a header: printable ASCII, at most 64 characters."""
    return _UNWANTED.sub("_", given[:MOST_ID_CHARACTERS])


def new_id() -> str:
    """An id for a request that came without one."""
    return secrets.token_hex(8)


class Log:
    """Lines to a stream that is open already, each written at once."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    @classmethod
    def to(cls, where: str) -> "Log":
        """A file's path, which is appended to, or - for standard error. Raises PlanError: it cannot be opened."""
        if where == "-":
            return cls(sys.stderr.buffer)
        try:
            return cls(Path(where).open("ab", buffering=0))
        except OSError as error:
            raise PlanError(
                f"log {where}: {error.strerror or error}; give a file that can be written, or - for standard error"
            ) from error

    def event(self, event: str, *, level: str = "info", **facts: Any) -> None:
        """A line. facts: plain values; units in their names."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = _encoder.encode({"time": time, "level": level, "event": event, **facts}) + b"\n"
        with contextlib.suppress(OSError, ValueError):  # a full disk or a closed stream must stop no inference
            self._stream.write(line)
            self._stream.flush()

    def handled(self, request: Handled) -> None:
        """The line of an inference request that was answered, well or with an error."""
        level = "info" if request.status < 400 else "error" if request.status == 500 else "warning"
        facts: dict[str, Any] = {
            "request_id": request.request_id or new_id(),
            "model": request.model,
            "status": request.status,
            "bytes_in": request.bytes_in,
            "bytes_out": request.bytes_out,
        }
        if request.refused is not None:
            facts["refused"] = request.refused
        if parts := dict(request.parts_s()):
            facts["rows"] = request.rows
            facts["batch_requests"], facts["batch_rows"] = request.batch_requests, request.batch_rows
            facts |= {f"{part}_ms": round(1e3 * seconds, 4) for part, seconds in parts.items()}
        self.event("inference", level=level, **facts)
