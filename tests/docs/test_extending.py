"""docs/extending.md: every block runs, in its order, in one folder."""

import re
import runpy
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
BLOCK = re.compile(
    r"(?:^`(?P<file>[\w.]+)`:\n\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
#: Commands that take longer than the suite has time for.
LONG = ("plan run", "plan audit")


def follow(
    folder: Path,
    plan_command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    *,
    commands: Callable[[str], bool],
) -> list[str]:
    """Write the files, run the Python and the commands that are wanted; the commands that ran."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    namespace: dict[str, Any] = {}
    ran = []
    for block in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        if block["file"]:
            (folder / block["file"]).write_text(block["text"], encoding="utf-8")
        elif block["language"] == "python":
            exec(compile(block["text"], f"{PAGE.name}, line {_line(block)}", "exec"), namespace)
        elif not block["language"]:
            for line in filter(commands, block["text"].splitlines()):
                _run(line, plan_command)
                ran.append(line)
    for name in ("sensors", "uniform", "canonical"):
        sys.modules.pop(name, None)
    return ran


def _line(block: re.Match[str]) -> int:
    return block.string.count("\n", 0, block.start("text"))


def _run(line: str, plan_command: Callable[..., Any]) -> None:
    program, *arguments = shlex.split(line)
    if program == "python":
        runpy.run_path(arguments[0], run_name="__main__")
        return
    done = plan_command(*arguments)
    assert (program, done.code) == ("plan", 0), f"{line}: {done.err}"


def test_the_examples_run(
    tmp_path: Path,
    plan_command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ran = follow(tmp_path, plan_command, monkeypatch, commands=lambda line: not line.startswith(LONG))
    assert len(ran) == 5
    printed = capsys.readouterr().out
    shares = [float(one) for one in re.findall(r"read right in ([\d.]+) %", printed)]
    assert shares[0] > max(shares[1:]), printed


@pytest.mark.long
def test_all_commands_run(tmp_path: Path, plan_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(follow(tmp_path, plan_command, monkeypatch, commands=lambda line: True)) == 7
