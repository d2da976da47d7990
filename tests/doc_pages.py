"""The README and the pages of `docs/` as tests see them: prose, code blocks, and the commands a reader types.

A comment that no reader sees can stand before a block:

    <!-- run: after quickstart.md -->      the page goes on in the folder where that one ended (stands once, anywhere)
    <!-- run: before COMMAND -->           typed first by the test: makes what the text calls the reader's own
    <!-- run: on server -->                typed on that host: a folder of its own, until the next such comment
    <!-- run: file NAME -->                the block is the content of a file; so is one that begins with `# NAME.py`
                                           or that stands below a name in backticks and a colon
    <!-- run: exits 3 -->                  the block's last command ends with this code
    <!-- run: prints -->                   what the commands before it print, line by line, or a part
    <!-- run: skip REASON -->              cannot be run in a test, and why
    <!-- run: omit WORDS: REASON -->       nor can the block's commands that have these words in them
"""

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Words a line to be typed begins with.
PROGRAMS = {".", "cat", "cd", "chmod", "cp", "curl", "export", "ls", "make", "mkdir", "mv", "openssl", "pip", "plan"}
PROGRAMS |= {"python", "python3", "scp", "tritonserver", "umask"}
SHELLS = frozenset({"", "sh", "bash", "shell", "console"})
FENCE = re.compile(r"^(\s*)(`{3,}|~{3,})\s*([\w+-]*)")
DIRECTIVE = re.compile(r"<!--\s*run:\s*(\w+)\s*(.*?)\s*-->", re.DOTALL)


@dataclass(frozen=True)
class Command:
    """One logical line: continuations joined, comments gone."""

    page: str
    line: int
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)


@dataclass
class Block:
    """directives: (word, rest) of the comments before it. named: the file that the text before it names."""

    page: str
    line: int
    language: str
    lines: list[str]
    directives: list[tuple[str, str]] = field(default_factory=list)
    named: str | None = None

    def directive(self, word: str) -> str | None:
        return next((rest for name, rest in self.directives if name == word), None)

    @property
    def file(self) -> str | None:
        """The name of the file that the block is the content of."""
        if named := self.directive("file") or self.named:
            return named
        first = re.fullmatch(r"# ([\w/]+\.py)", self.lines[0].strip()) if self.lines else None
        return first[1] if first else None

    @property
    def commands(self) -> list[Command]:
        """Those a reader types; of a transcript the lines after `$`; none of a block that is output."""
        if self.language not in SHELLS or self.file:
            return []
        typed = [one for one in self._logical() if one[1].startswith("$ ")]
        if typed:
            return [Command(self.page, line, text[2:]) for line, text in typed]
        found = [Command(self.page, line, text) for line, text in self._logical()]
        return found if found and _program(found[0].text) in PROGRAMS else []

    def _logical(self) -> Iterator[tuple[int, str]]:
        pending, start = "", 0
        for number, line in enumerate(self.lines, self.line + 1):
            start = start if pending else number
            pending += line.strip()
            if pending.endswith("\\"):
                pending = pending[:-1]
                continue
            text = _uncommented(pending)
            if text:
                yield start, text
            pending = ""

    def exempt(self, command: Command) -> str | None:
        """Why the command is not run, where it is not."""
        reasons = [rest for word, rest in self.directives if word == "skip"]
        for rest in (rest for word, rest in self.directives if word == "omit"):
            words, _, reason = rest.partition(": ")
            reasons += [reason] if words in command.text else []
        return reasons[0] if reasons else None


@dataclass(frozen=True)
class Page:
    """name: relative to the repository."""

    name: str
    text: str
    blocks: tuple[Block, ...]
    prose: str

    @property
    def commands(self) -> list[Command]:
        return [one for block in self.blocks for one in block.commands]

    @property
    def after(self) -> str | None:
        """The page whose folder this one goes on in."""
        found = next((block.directive("after") for block in self.blocks if block.directive("after")), None)
        return os.path.normpath(Path(self.name).parent / found) if found else None


def _uncommented(line: str) -> str:
    """Without the comment: `#` at the start or after a space, outside of quotes."""
    quote = ""
    for at, sign in enumerate(line):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign == "#" and (at == 0 or line[at - 1].isspace()):
            return line[:at].rstrip()
    return line


def _program(text: str) -> str:
    return text.lstrip("( ").split()[0].rstrip(";") if text.strip("( ") else ""


def parse(name: str, text: str) -> Page:
    blocks: list[Block] = []
    prose: list[str] = []
    pending: list[str] = []
    block, fence = None, ""
    for number, line in enumerate(text.splitlines(), 1):
        found = FENCE.match(line)
        if block is None and found:
            directives = [(one[1], " ".join(one[2].split())) for one in DIRECTIVE.finditer("\n".join(pending))]
            last = next((one for one in reversed(pending) if one.strip() and not DIRECTIVE.match(one)), "")
            named = re.search(r"`([\w./-]+\.\w+)`:$", last.strip()) if found[3] not in SHELLS else None
            block, fence = Block(name, number, found[3], [], directives, named[1] if named else None), found[2]
            pending = []
        elif block is not None and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            blocks.append(block)
            block = None
        elif block is not None:
            block.lines.append(line)
        else:
            prose.append(line)
            pending.append(line)
    assert block is None, f"{name}:{block.line if block else 0}: this block does not end"
    return Page(name, text, tuple(blocks), "\n".join(prose))


def pages() -> list[Page]:
    """The README and every page of the documentation."""
    files = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [parse(str(one.relative_to(ROOT)), one.read_text()) for one in files]
