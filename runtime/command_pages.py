"""The page of commands, made from the command line itself: `python -m runtime.command_pages docs/commands.md`."""

import re
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import typer.main

from profiles import artifact
from runtime.cli import EPILOG, app

HEAD = """# Commands

Made from the command line by `make schemas`; a test holds the two together. `plan COMMAND --help` says the same.

Sizes are bytes or `64MB`, times milliseconds, rates Mbps. `MODEL` is a zoo name, `transformers:CLASS`, a `.pt2`
file of your own or `package.module:function`; modules are looked for in the current folder too. `--json` prints one
JSON document on standard output; progress and tables then go to standard error.

"""

#: For the tests that type every example: what must be there before, and what is typed elsewhere or takes too long.
BEFORE = {
    "plan profile": ["before plan profile lenet --seconds 1 --out cloud.json"],
    "plan link": ["before plan data fetch mnist"],
    "plan cut": ["omit --explored: typed in choosing-a-cut.md"],
    "plan learn": ["omit elpv: its network takes long to train (plan models train elpv)"],
    "plan explore": ["omit --deeper: typed in choosing-a-cut.md"],
    "plan audit": [
        "omit elpv: its network takes long to train (plan models train elpv)",
        "omit laplace: attacks until nothing improves, for an hour; typed with --quick in ../README.md",
    ],
    "plan serve": ["omit --tls-cert: typed in deploying.md"],
    "plan run": [
        "omit https: typed in deploying.md",
        'before python -c "import numpy; from noise.datasets.catalog import load_dataset; '
        "numpy.save('x.npy', load_dataset('mnist').test[:5].inputs)\"",
    ],
    "plan report": ["before mkdir -p demo && cp plan.json run.json noise.safetensors audit.json audit.png demo"],
    "plan predictor fit": ["before plan predictor measure --seconds 20 --out layers.csv"],
    "plan models train": ["omit train: takes long; tests/noise/test_pretrain.py runs the same code for an epoch"],
}


def page() -> str:
    """The whole page, Markdown."""
    root = typer.main.get_command(app)
    parts = [HEAD + EPILOG.replace("--debug", "`--debug`") + "\n"]
    for name, command in _every("plan", root):
        parts.extend(_section(name, command))
    return "\n".join(parts)


def _every(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Each command that does something, as it is typed."""
    if getattr(command, "invoke_without_command", False) or not hasattr(command, "commands"):
        yield name, command
    for sub, one in getattr(command, "commands", {}).items():
        yield from _every(f"{name} {sub}", one)


def _section(name: str, command: Any) -> Iterator[str]:
    prose, examples = _told(command.help or "")
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not {"--help"} & set(one.opts)]
    words = [one.name.upper() + ("..." if one.nargs == -1 else "") for one in arguments]
    words = [word if one.required else f"[{word}]" for word, one in zip(words, arguments, strict=True)]
    yield f"## {name}\n"
    yield prose + "\n"
    if examples:
        yield from (f"<!-- run: {one} -->" for one in BEFORE.get(name, ()))
        yield "```\n" + "\n".join(examples) + "\n```\n"
    if arguments:
        yield "| argument | | what |\n|---|---|---|"
        for one, word in zip(arguments, words, strict=True):
            yield _row(f"`{word}`", "required" if one.required else "", _cell(one.help))
        yield ""
    hints = get_type_hints(command.callback, include_extras=True)
    yield "| option | takes | default | what |\n|---|---|---|---|"
    for one in options:
        names = " or ".join(f"`{opt}`" for opt in (*one.opts, *one.secondary_opts))
        yield _row(names, _takes(one, hints[one.name]), _default(one), _cell(one.help))
    yield ""


def _row(*cells: str) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def _told(text: str) -> tuple[str, list[str]]:
    """A command's help: the prose, and its examples with what is said of them as a comment."""
    prose, examples = [], []
    for paragraph in text.split("\n\n"):
        line = " ".join(paragraph.split())
        if not line.startswith("Example: "):
            prose.append(line)
            continue
        for one in line.removeprefix("Example: ").split("; plan "):
            command = one if one.startswith("plan ") else f"plan {one}"
            remark = re.fullmatch(r"(.*?) \((.*)\)", command)
            examples.append(f"{remark[1]}  # {remark[2]}" if remark else command)
    return "\n\n".join(prose), examples


def _takes(option: Any, hint: Any) -> str:
    """What an option's value may be, from the command's signature."""
    if option.is_flag:
        return ""
    base, info = get_args(hint)[0], get_args(hint)[1]
    inner = [one for one in get_args(base) if one is not type(None)] or [base]
    kind = get_args(inner[0])[0] if get_origin(inner[0]) is list else inner[0]
    words = {str: "text", int: "integer", float: "number", Path: "path"}
    word = words.get(kind) or ", ".join(f"`{getattr(one, 'value', one)}`" for one in _choices(kind, inner))
    if info.min is not None:
        word += f", {info.min:g} to {info.max:g}" if info.max is not None else f", {info.min:g} or more"
    return word + (", repeatable" if option.multiple else "")


def _choices(kind: Any, inner: list[Any]) -> list[Any]:
    """Of an enumeration, or of a Literal."""
    return list(get_args(kind)) or (list(kind) if isinstance(kind, type) and issubclass(kind, Enum) else inner)


def _default(option: Any) -> str:
    if option.required:
        return "required"
    if option.is_flag and option.secondary_opts:
        return f"`{(option.opts if option.default else option.secondary_opts)[0]}`"
    if option.default is None or option.default is False or callable(option.default):
        return ""
    value = option.default
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def main() -> None:
    artifact.write_bytes(Path(sys.argv[1]), page().encode())


if __name__ == "__main__":
    main()
