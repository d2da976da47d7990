"""plan doctor: what it finds is so, and its commands are those that bring what is missing."""

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from profiles import installing
from runtime import doctor


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with no program but this Python, no extras and an empty cache."""
    for name in ("torch", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(installing, "version", lambda module: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAN_CACHE", str(tmp_path / "cache"))


def test_a_bare_machine_lacks_what_it_lacks(bare: None) -> None:
    made = doctor.diagnosis()
    by_name = {one.thing: one for one in made.findings}
    assert not made.ok
    assert [name for name, one in by_name.items() if one.state == "needed"] == ["torch"]
    lacking = {"onnxruntime", *(f"[{extra}]" for extra in doctor.EXTRAS), *doctor.PROGRAMS, "data sets"}
    assert {name for name, one in by_name.items() if one.state == "optional"} >= lacking
    assert "[torch]" in (by_name["torch"].command or "")
    assert by_name["data sets"].command == "plan data fetch mnist"


def test_here_the_main_job_can_be_done() -> None:
    import torch

    made = doctor.diagnosis()
    assert made.ok
    assert torch.__version__ in next(one.found for one in made.findings if one.thing == "torch")


def test_a_port_that_is_taken_is_said_to_be() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert not doctor._free(port)
    assert doctor._free(port)


def test_a_broken_installation_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('libgomp.so.1: cannot open shared object file')")
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    one = next(one for one in doctor.software() if one.thing == "onnxruntime")
    assert (one.state, "libgomp" in one.found) == ("optional", True)


@pytest.mark.parametrize(
    ("manager", "command"), [("apt-get", "apt-get install -y iperf3"), ("apk", "apk add iperf3")]
)
def test_programs_come_by_this_systems_manager(
    manager: str, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert installing.program("iperf3") is None
    (tmp_path / manager).touch(mode=0o755)
    assert (installing.program("iperf3") or "").endswith(command)


def test_the_command_tells_it_in_json_and_exits_0_whatever_is_missing(
    bare: None, plan_command: Callable[..., Any]
) -> None:
    done = plan_command("doctor", "--json")
    told = json.loads(done.out)
    assert (done.code, told["ok"]) == (0, False)
    assert {"thing", "state", "found", "serves", "command"} <= told["findings"][0].keys()
    assert "cannot be done" in done.err


def test_an_extra_comes_from_where_the_tool_came_from() -> None:
    command = installing.extra("plot")
    assert "install" in command
    assert command.rstrip("'").endswith("[plot]")
