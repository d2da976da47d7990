"""What each command shows of real files, on a terminal of 80 columns and in a pipe."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import terminals

from profiles.terminal import Row, Terminal

RECORDS = Path(__file__).parents[1] / "records"
COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(3[0-8]|9[0-7])[;m]")


def show_run() -> None:
    from runtime import report
    from runtime.record import RunRecord

    report.show(Terminal(json=False), RunRecord.read(RECORDS / "run.json"))


def show_audit() -> None:
    from noise.audit.record import Audit
    from noise.audit_commands import show

    show(Terminal(json=False), Audit.read(RECORDS / "audit.json"))


def show_learned() -> None:
    from noise.commands import show
    from noise.learned import LearnResult

    learned = (RECORDS / "learned.json").read_bytes()
    show(Terminal(json=False), msgspec.json.decode(learned, type=LearnResult))


def show_explored() -> None:
    from planner import explored_report
    from planner.explored import Explored

    terminal, found = Terminal(json=False), Explored.read(RECORDS / "explored.json")
    explored_report.show(terminal, found.cuts, title="lenet on mnist")
    explored_report.say_beyond(terminal, found)


def show_profile() -> None:
    from profiles.device import DeviceProfile
    from profiles.profile_commands import _show_profile

    profile = DeviceProfile.read(terminals.ROOT / "examples" / "devices" / "vgg16-tx2-gpu.json")
    _show_profile(Terminal(json=False), profile, None, [f"whole network {profile.whole_ms} ms modelled, " * 3])


TABLES = (show_run, show_audit, show_learned, show_explored, show_profile)
COMMANDS = (
    ("cut", RECORDS / "edge.json", RECORDS / "cloud.json", "--link", "wifi", "--top", "5", "--pareto"),
    ("show", RECORDS / "plan.json", "--profile", RECORDS / "edge.json"),
    ("show", RECORDS / "plan.json"),
    ("link",),
    ("link", "--preset", "wifi"),
    ("data",),
    ("models",),
    ("doctor",),
)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output and error are a terminal of 80 columns, as far as rich can tell."""
    for name in ("NO_COLOR", "FORCE_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("TTY_COMPATIBLE", "1"), ("COLUMNS", "80"), ("LINES", "24"), ("TERM", "xterm-256color")):
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("show", TABLES, ids=lambda one: one.__name__)
def test_no_table_is_wider_than_80_columns(show: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    show()
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) > 5
    assert not terminals.too_long(shown)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda one: " ".join(map(str, one[:1])))
def test_no_command_says_more_than_80_columns(
    arguments: tuple[str | Path, ...], plan_command: Callable[..., Any]
) -> None:
    done = plan_command(*arguments)
    assert done.code == 0
    assert done.out.strip()
    # What is there to be copied stays whole.
    lines = [line for line in terminals.too_long(done.out) if "install" not in line]
    assert not lines


@pytest.mark.parametrize("show", TABLES, ids=lambda one: one.__name__)
def test_nothing_is_coloured_in_a_pipe(
    show: Callable[[], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TTY_COMPATIBLE", raising=False)
    show()
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("show", TABLES, ids=lambda one: one.__name__)
def test_no_color_is_honoured_on_a_terminal(
    show: Callable[[], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    show()
    assert "\x1b" not in capsys.readouterr().out


def test_help_pages_are_coloured_and_honour_it_too() -> None:
    assert COLOUR.search(terminals.on_terminal("show", "--help")[0])
    assert not COLOUR.search(terminals.on_terminal("show", "--help", NO_COLOR="1")[0])


@pytest.mark.usefixtures("terminal")
def test_a_sentence_is_broken_between_words_on_a_terminal_and_whole_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = " ".join(["word"] * 40)
    Terminal(json=False).say(sentence)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert " ".join(" ".join(lines).split()) == sentence
    Terminal(json=False).say(sentence, whole=True)
    assert capsys.readouterr().out.splitlines() == [sentence]
    monkeypatch.delenv("TTY_COMPATIBLE")
    Terminal(json=False).say(sentence)
    assert capsys.readouterr().out.splitlines() == [sentence]


def test_names_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(json=False).table(["thing"], [Row(["[data]"])], title="[bold]")
    shown = capsys.readouterr().out
    assert "[data]" in shown
    assert "[bold]" in shown


def test_help_pages_flow_and_nothing_in_them_is_cut_off(plan_command: Callable[..., Any]) -> None:
    shown = plan_command("learn", "--help").out
    assert "…" not in shown
    assert " with a proven bound on what an average input tells." in shown
