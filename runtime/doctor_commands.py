"""plan doctor."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from profiles.options import Json
from profiles.terminal import Row, Terminal

if TYPE_CHECKING:
    from runtime.doctor import Finding

#: Where the tool's completion lies once it is installed, below the home folder.
COMPLETIONS = {
    "bash": ".bash_completions/plan.sh",
    "zsh": ".zfunc/_plan",
    "fish": ".config/fish/completions/plan.fish",
}
_SIGNS = {"ok": "✓", "needed": "✗", "optional": "–", "note": "·"}
_STYLES = {"ok": "green", "needed": "bold red", "optional": "yellow", "note": ""}


def register(app: typer.Typer) -> None:
    app.command("doctor", rich_help_panel="Help")(doctor)


def doctor(json: Json = False) -> None:
    """What this machine has and lacks, what each thing is for, and the command that installs it.

    ✓ is here; ✗ is missing, and the main job (profile, cut, learn, run) cannot be done; – is missing, and only what
    stands beside it cannot. Nothing is changed. It exits with 0 whenever it could look: what it found is in the JSON,
    whose `ok` is false where something is missing that the main job needs.

    Example: plan doctor

    Example: plan doctor --json
    """
    import msgspec

    from runtime import doctor as doctors

    terminal = Terminal(json=json)
    found = doctors.diagnosis(completion(), shown(terminal))
    rows = [
        Row((_SIGNS[one.state], one.thing, one.serves, one.found), style=_STYLES[one.state]) for one in found.findings
    ]
    title = f"plan {doctors.version()} on this machine"
    terminal.table(("", "thing", "for", "found"), rows, title=title, left=4, tight=True, prose=True)
    wanted = [one for one in found.findings if one.command]
    if wanted:
        terminal.say("to have what is missing, or more:")
    for command in dict.fromkeys(one.command for one in wanted if one.command):
        things = ", ".join(one.thing for one in wanted if one.command == command)
        terminal.say(f"  {command}   # {things}" if "#" not in command else f"  {command}", whole=True)
    terminal.say("the main job can be done here" if found.ok else "the main job cannot be done here: see ✗")
    terminal.document(msgspec.json.format(msgspec.json.encode(found)))


def completion() -> "Finding":
    """Whether the shell completes this tool's commands."""
    from runtime.doctor import Finding

    shell = Path(os.environ.get("SHELL", "")).name
    serves = "plan learn <Tab>"
    if shell not in COMPLETIONS:
        return Finding(thing="completion", state="note", found=f"not for {shell or 'this shell'}", serves=serves)
    if (Path.home() / COMPLETIONS[shell]).exists():
        return Finding(thing="completion", state="ok", found=f"installed for {shell}", serves=serves)
    return Finding(
        thing="completion",
        state="optional",
        found=f"not installed for {shell}",
        serves=serves,
        command="plan --install-completion",
    )


def shown(terminal: Terminal) -> "Finding":
    """The terminal's width and colours."""
    from runtime.doctor import Finding

    if not sys.stdout.isatty():
        return Finding(thing="terminal", state="note", found="none, output is piped: no colours", serves="tables")
    narrow = terminal.columns < 80
    colours = "colours" if terminal.coloured else "no colours"
    return Finding(
        thing="terminal",
        state="note" if narrow else "ok",
        found=f"{terminal.columns} columns, {colours}" + ("; tables are made for 80" if narrow else ""),
        serves="tables",
    )
