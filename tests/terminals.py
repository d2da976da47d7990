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
    command: tuple[str, ...] = ("-m", "runtime.cli"),
    **changed: str,
) -> tuple[str, int]:
    """All that `plan` wrote there, escapes included, and its exit code. stop_at: Ctrl-C is typed, once, where it says
    so of what was written. command: of this Python, `plan` or another."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, *command, *map(str, arguments)],
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


def screen(written: str) -> list[str]:
    """The lines that stand there at the end, as far as a bar needs: returns, new lines, up, and erased lines."""
    lines, row, column = [""], 0, 0
    for text, sign in re.findall(r"([^\x1b\r\n]+)|(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)", written):
        if text:
            lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
            column += len(text)
        elif sign == "\r":
            column = 0
        elif sign == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif sign.endswith("A"):
            row = max(0, row - int(sign[2:-1] or 1))
        elif sign.endswith("K"):
            lines[row] = "" if sign == "\x1b[2K" else lines[row][:column]
    return [line.rstrip() for line in lines]
