import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from profiles import errors
from runtime import cli

COMMANDS = (
    *("profile", "link", "predictor fit", "predictor measure"),
    *("cut", "show", "data", "data fetch", "models", "models train", "learn", "audit", "explore"),
    *("serve", "run", "report", "split", "export", "doctor"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example_and_fits_80_columns(command: str, plan_command: Callable[..., Any]) -> None:
    done = plan_command(*command.split(), "--help")
    assert done.code == 0
    assert f"Example: plan {command}" in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())


def test_every_command_is_listed(plan_command: Callable[..., Any]) -> None:
    listed = plan_command("--help").out
    assert all(f" {command.split()[0]} " in listed for command in COMMANDS)
    group = typer.main.get_group(cli.app)
    assert set(group.commands) == {command.split()[0] for command in COMMANDS}


def test_the_version(plan_command: Callable[..., Any]) -> None:
    assert plan_command("--version").out.startswith("plan 0.")


@pytest.mark.parametrize("arguments", [("cutt",), ("cut",), (), ("cut", "a", "b", "--lnk", "x"), ("profile",)])
def test_a_wrong_call_is_one_line_and_exit_2(arguments: tuple[str, ...], plan_command: Callable[..., Any]) -> None:
    done = plan_command(*arguments)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith("plan: ")
    assert re.match(r"plan: \w.*; see `plan[ \w]* --help`$", done.err.strip())


def test_debug_anywhere_shows_the_traceback(plan_command: Callable[..., Any]) -> None:
    plain = plan_command("profile", "lenett", "--json")
    assert len(plain.err.splitlines()) == 1
    debug = plan_command("profile", "lenett", "--json", "--debug")
    assert debug.code == 2
    assert "Traceback" in debug.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.TraceError("t"), 2),
        (errors.InfeasibleError("i"), 3),
        (errors.PeerError("p"), 4),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("a\nb"), 1),
        (ModuleNotFoundError("torch", name="torch"), 2),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, plan_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    done = plan_command("anything")
    assert done.code == code
    assert len(done.err.splitlines()) == 1


def test_every_error_of_the_tree_has_a_designed_exit_code() -> None:
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.PlanError)]
    assert len(kinds) > 10
    assert {one.exit_code for one in kinds} == {2, 3, 4}
    assert all(one.__name__ in str(errors.__doc__) for one in kinds)


def test_help_takes_little_processor_time() -> None:
    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "runtime.cli", "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(once() for _ in range(3)) < 0.4


def test_profile_and_link_write_what_cut_reads(tmp_path: Path, plan_command: Callable[..., Any]) -> None:
    edge, link = tmp_path / "edge.json", tmp_path / "link.json"
    made = plan_command("profile", "lenet", "--threads", "1", "--seconds", "0.2", "--out", edge)
    assert made.code == 0
    assert "conv3" in made.out
    assert plan_command("link", "--preset", "lte", "--out", link).code == 0
    done = plan_command("cut", edge, edge, "--link", link, "--at", "conv3", "--noise", "laplace")
    assert done.code == 0
    assert "flatten" in done.out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("profile", "lenet"), "give --out FILE or --json"),
        (("profile", "lenet", "--batch", "0"), "--batch"),
        (("profile", "nowhere:f", "--json"), "no module 'nowhere'"),
        (("profile", "own_models:nothing", "--json"), "a module and NoneType, expected"),
        (("profile", "own_models:leaves", "--json"), "failed with SystemExit"),
        (("profile", "own_models:silent", "--json"), "returns no tensor"),
        (("profile", "own_models:sparse", "--json"), "a sparse example input"),
        (("profile", "own_models:in_autocast", "--json"), "take torch.autocast"),
        (("profile", "lenet", "--out", "/"), "is a folder"),
        (("link", "--preset", "wify"), "no preset 'wify'; there are: wifi"),
        (("link", "--out", "x.json"), "or --preset"),
        (("learn", "gone.json", "--data", "mnist", "--out", "x"), "gone.json: no such file"),
        (("learn", "gone.json", "--data", "mnist", "--budget", "-1", "--out", "x"), "--budget -1"),
        (("learn", "gone.json", "--data", "mnist", "--noise", "pink", "--out", "x"), "expected laplace"),
        (("learn", "gone.json", "--data", "mnist"), "give --out FILE"),
        (("serve", "gone.json"), "gone.json: no such file"),
        (("data", "fetch", "mnits"), "there are: mnist"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    arguments: tuple[str, ...], word: str, plan_command: Callable[..., Any]
) -> None:
    done = plan_command(*arguments)
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1


def started(*arguments: str, until: str) -> "subprocess.Popen[str]":
    """`plan` as a process of its own, once a line of its output holds a word."""
    command = [sys.executable, "-m", "runtime.cli", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while until not in (line := process.stdout.readline()):
        assert line, process.communicate()
    return process


@pytest.fixture
def plan_file(tmp_path: Path, lenet_plan: Any) -> Path:
    from profiles import artifact

    artifact.write(tmp_path / "plan.json", lenet_plan)
    return tmp_path / "plan.json"


@pytest.mark.parametrize("how", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGTERM])
def test_a_server_ends_well_when_told_to(how: signal.Signals, plan_file: Path) -> None:
    server = started("serve", str(plan_file), "--port", "0", until="serving")
    time.sleep(0.5)
    server.send_signal(how)
    assert server.wait(timeout=20) == 0


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_work_that_is_stopped_says_so_in_one_line_and_leaves_nothing(how: signal.Signals, tmp_path: Path) -> None:
    out = tmp_path / "edge.json"
    command = [sys.executable, "-m", "runtime.cli", "profile", "lenet", "--seconds", "60", "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    time.sleep(6)
    process.send_signal(how)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.splitlines() == ["plan: stopped by the user; nothing half-written is left"]
    assert not list(tmp_path.iterdir())
