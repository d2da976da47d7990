"""Progress in a real terminal of 80×24: label, so many of so many, the time left; and what Ctrl-C leaves there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import terminals

WORK = """
import time
from profiles.terminal import Terminal
with Terminal(json={json}).progress("learning [noise]") as advance:
    for done in range(1, 41):
        advance(done, 40)
        time.sleep({pause})
print("done")
"""


def work(*, pause: float, json: bool = False) -> tuple[str, ...]:
    return ("-c", WORK.format(pause=pause, json=json))


def test_a_bar_says_what_and_how_far_and_how_long_and_goes_when_it_is_done() -> None:
    written, code = terminals.on_terminal(command=work(pause=0.02))
    shown = terminals.plain(written)
    assert code == 0
    assert re.search(r"learning \[noise\] ━+.*\d+/40 0:00:0\d", shown)
    assert not terminals.too_long(written)
    assert [line for line in terminals.screen(written) if line] == ["done"]
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h")  # the cursor is there again


def test_ctrl_c_leaves_the_cursor_and_no_half_a_bar() -> None:
    written, code = terminals.on_terminal(
        command=work(pause=0.2), stop_at=lambda shown: "3/40" in terminals.plain(shown)
    )
    assert code != 0
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    assert not any("━" in line for line in terminals.screen(written))


def test_a_terminal_that_can_move_no_cursor_gets_no_bar() -> None:
    written, _ = terminals.on_terminal(command=work(pause=0), TERM="dumb")
    assert "\x1b" not in written
    assert "━" not in written


def test_in_a_pipe_there_is_no_bar() -> None:
    command = [sys.executable, *work(pause=0, json=True)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=terminals.environment(), cwd=terminals.ROOT
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


@pytest.mark.long
def test_ctrl_c_in_the_midst_of_a_real_measurement(tmp_path: Path) -> None:
    out = tmp_path / "edge.json"
    written, code = terminals.on_terminal(
        *("profile", "lenet", "--engine", "torch", "--seconds", "30", "--out", out),
        stop_at=lambda shown: re.search(r"profiling lenet ━.*[1-9]\d*/\d+", terminals.plain(shown)) is not None,
        limit_s=120,
    )
    assert code == 130
    assert not out.exists()
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    last = [line for line in terminals.screen(written) if line][-1]
    assert last == "plan: stopped by the user; nothing half-written is left"
