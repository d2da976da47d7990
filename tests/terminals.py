"""`plan` in a real terminal: a pseudo-terminal of so many columns and rows, and what came out of it."""

import codecs
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")


def environment(**changed: str) -> dict[str, str]:
    """Of a user's terminal, whatever the tests run in."""
    strange = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}
    kept = {name: value for name, value in os.environ.items() if name not in strange}
    return {**kept, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **changed}


def on_terminal(
    *arguments: str | Path,
    columns: int = 80,
    rows: int = 24,
    cwd: Path = ROOT,
    stop_at: Callable[[str], bool] | None = None,
    limit_s: float = 60,
    **changed: str,
) -> tuple[str, int]:
    """All that `plan` wrote there, escapes included, and its exit code. stop_at: Ctrl-C is typed, once, where it says
    so of what was written."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "runtime.cli", *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=cwd,
        env=environment(**changed),
        preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)),
    )
    os.close(theirs)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a character may come in two parts
    written, end = "", time.monotonic() + limit_s
    try:
        while time.monotonic() < end:
            try:
                part = os.read(ours, 65536)
            except OSError:  # how a pseudo-terminal ends
                break
            if not part:
                break
            written += decoder.decode(part)
            if stop_at is not None and stop_at(written):
                os.write(ours, b"\x03")
                stop_at = None
    finally:
        os.close(ours)
        if time.monotonic() >= end:
            process.send_signal(signal.SIGKILL)
    return written, process.wait()


def plain(written: str) -> str:
    """Without escapes."""
    return ESCAPE.sub("", written)


def too_long(written: str, columns: int = 80) -> list[str]:
    """Lines that a terminal of so many columns would break."""
    return [line for line in re.split(r"[\r\n]+", plain(written)) if len(line.rstrip()) > columns]
