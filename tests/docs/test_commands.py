"""What the documentation tells a reader to type: every command is one that exists, with options that exist, on files
that are there by then. `test_typed.py` runs them."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
from doc_pages import PROGRAMS, ROOT, Command, Page, pages, parse

from noise.datasets.catalog import DATASETS
from profiles.link import presets
from runtime import cli

PAGES = pages()
COMMANDS = [one for page in PAGES for one in page.commands]
GROUP: Any = typer.main.get_command(cli.app)
#: Options whose value is written, not read.
WRITTEN = {"out", "output", "plot", "log", "timeline", "pictures", "kit", "triton"}
#: Options whose value is a file's name, or may be.
READ = {"ca", "client_cert", "client_key", "token_file", "tls_cert", "tls_key", "tls_client_ca", "input", "noise"}
READ |= {"adapt", "explored", "profile", "predict", "link", "edge", "cloud", "plan", "layers"}


SMALL = """
<!-- run: on server -->
```
plan show a.json \\
  --json   # a remark
# nothing
(umask 077; cp 'a # b' c)
```
Output:
```
 a table # of plan show
```
`mine.py`:
```python
plan = 1
```
<!-- run: omit --json: because of it -->
```
$ plan show a.json --json
{}
```
"""


def test_a_page_is_taken_apart() -> None:
    page = parse("small.md", SMALL)
    first, output, file, last = page.blocks
    assert [(one.line, one.text) for one in first.commands] == [
        (4, "plan show a.json --json"),
        (7, "(umask 077; cp 'a # b' c)"),
    ]
    assert (first.directive("on"), output.commands, file.file) == ("server", [], "mine.py")
    assert [(one.line, last.exempt(one)) for one in last.commands] == [(19, "because of it")]
    assert "plan = 1" not in page.prose


def parsed(words: list[str]) -> tuple[str, dict[str, Any]]:
    """The command's name and its parameters, by the real command line, without running it. Raises what it raises."""
    command, name, rest = GROUP, "plan", [one for one in words if one != "--debug"]
    context = None
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        word, command, rest = command.resolve_command(command.make_context(name, ["--", *rest]), rest)
        name = f"{name} {word}"
    context = command.make_context(name, rest)
    return name, context.params


def problem(words: list[str]) -> str | None:
    """What the command line refuses, else None."""
    try:
        parsed(words)
    except typer.Exit:
        return None  # --version, --help
    except Exception as error:
        said = getattr(error, "format_message", None)
        return said() if callable(said) else repr(error)
    return None


@pytest.mark.parametrize(
    "words", ["cutt a b", "cut a", "cut a b --lnk wifi", "run", "data fetch", "data fetsch mnist"]
)
def test_what_is_wrong_is_found(words: str) -> None:
    assert problem(words.split())


def test_every_plan_command_is_accepted_by_the_command_line() -> None:
    typed = [one for one in COMMANDS if one.words[0] == "plan"]
    assert len(typed) > 60
    assert not {one.where: found for one in typed if (found := problem(one.words[1:]))}


def test_every_line_to_be_typed_begins_with_a_program() -> None:
    for one in COMMANDS:
        for part in re.split(r" && |; | \| ", one.text.strip("() ")) if one.words[1:2] != ["-c"] else ():
            word = part.split()[0]
            assert word in PROGRAMS or word.startswith("."), f"{one.where}: {word}"


def test_no_command_hides_among_output() -> None:
    known = "|".join(GROUP.commands)
    for page in PAGES:
        for block in page.blocks:
            for line in block.lines if not block.commands and not block.file else ():
                assert not re.match(rf"\s*plan ({known}) ", line), f"{page.name}:{block.line}: {line}"


def test_inline_commands_name_commands_and_options_that_exist() -> None:
    for page in PAGES:
        for text in re.findall(r"(?<!`)`plan ([a-z][^`]*)`(?!`)", page.prose):
            words = text.split()
            command = GROUP.commands.get(words.pop(0))
            assert command is not None, f"{page.name}: `plan {text}`"
            while words and words[0] in getattr(command, "commands", {}):
                command = command.commands[words.pop(0)]
            options = {opt for one in command.params for opt in (*one.opts, *one.secondary_opts)} | {
                "--help",
                "--debug",
            }
            for word in words:
                if word.startswith("--"):
                    assert word.rstrip(".,;)").partition("=")[0] in options, f"{page.name}: `plan {text}`"


def test_every_make_target_and_every_script_exists() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    for one in COMMANDS:
        words = one.words
        if words[0] == "make":
            assert set(words[1:]) <= targets, one.where
        if words[:2] == ["pip", "install"]:
            for extra in re.findall(r"\[([\w,]+)\]", one.text):
                assert set(extra.split(",")) <= extras, one.where
        if words[0] in ("python", "python3") and words[1] == "-m":
            module = ROOT / words[2].replace(".", "/")
            assert module.is_dir() or module.with_suffix(".py").exists() or words[2] in {"http.server", "venv"}, (
                one.where
            )
        elif words[0] in ("python", "python3") and words[1] != "-c":
            page = next(page for page in PAGES if page.name == one.page)
            written = {block.file for block in page.blocks}
            kit = words[1] == "profile_here.py"  # lies in the folder that `plan profile --kit` makes
            assert (ROOT / words[1]).exists() or words[1] in written or kit, one.where


def given(one: Command) -> dict[str, Any]:
    """The parameters of a plan command, by name."""
    return {} if one.words[1].startswith("--") else parsed(one.words[1:])[1]


def files_read(one: Command) -> set[str]:
    given_here = given(one)
    values = [value for name, value in given_here.items() if name in READ and value is not None]
    flat = [str(one) for value in values for one in (value if isinstance(value, list | tuple) else [value])]
    return {one for one in flat if re.search(r"\.\w+$|/", one) or one not in {*presets(), *DATASETS, *KINDS}}


#: Values of `--noise` that are no files.
KINDS = {"laplace", "gaussian", "channel"}


def files_written(page: Page) -> list[tuple[int, str]]:
    """(line, name) of what comes into being on a page: by a command, or as a block of text."""
    found = [(block.line, block.file) for block in page.blocks if block.file]
    found += [(block.line, "\n".join(block.lines)) for block in page.blocks if block.language == "python"]
    for block in page.blocks:
        for word, rest in block.directives:
            if word == "before":
                found += [(block.line, name) for name in _outputs(Command(page.name, block.line, rest))]
    for one in page.commands:
        found += [(one.line, name) for name in _outputs(one)]
    return found


def _outputs(one: Command) -> list[str]:
    words = one.words
    if words[0] == "plan":
        return [str(value) for name, value in given(one).items() if name in WRITTEN and value is not None]
    if words[0] in ("scp", "cp"):
        moved = [Path(word.rpartition(":")[2]).name for part in _commands(words) for word in part[1:]]
        return [*moved, words[-1]]
    return [re.sub(r"[()]", "", word) for word in shlex.split(one.text)]  # openssl -out, > file, python -c "save"


def _commands(words: list[str]) -> list[list[str]]:
    """`a b && c d` → [[a, b], [c, d]]."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word == "&&":
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def test_every_file_read_was_made_or_is_named_as_the_readers_own() -> None:
    by_name = {page.name: page for page in PAGES}
    missing = []
    for page in PAGES:
        made = files_written(page)
        before, seen = page.after, {page.name}
        while before and before not in seen:
            seen.add(before)
            made = [(0, name) for _, name in files_written(by_name[before])] + made
            before = by_name[before].after
        typed = [one for block in page.blocks for one in block.commands if block.exempt(one) is None]
        for one in (each for each in typed if each.words[0] == "plan"):
            there = [name.rstrip("/") for line, name in made if line < one.line]
            for name in files_read(one):
                inside = any(name.rstrip("/") == folder or name.startswith(folder + "/") for folder in there)
                stem = Path(name).name
                quoted = any(re.search(rf"[\"'(]{re.escape(stem)}[\"')]", text) for text in there)
                if not (inside or quoted or f"`{name}`" in page.prose):
                    missing.append(f"{one.where}: {name}")
    assert not missing, "\n".join(missing)


def test_the_readmes_demo_is_that_of_the_makefile() -> None:
    recipe = (ROOT / "Makefile").read_text()
    readme = next(page for page in PAGES if page.name == "README.md")
    demo = [one for one in readme.commands if "demo/" in one.text or one.text == "plan data fetch mnist"]
    assert len(demo) >= 10
    assert not [one.where for one in demo if f"\t{one.text}\n" not in recipe]
