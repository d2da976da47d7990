"""What people see: tables of at most 80 columns, progress on standard error, one JSON document where asked for.

Tables go to standard output, or to standard error where `--json` took standard output for its document.
"""

import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console

Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class Row:
    """One row of a table; `mark` draws the eye to it, `style` colours it on a terminal."""

    cells: Sequence[str]
    mark: bool = False
    style: str = ""


@contextmanager
def documents_alone() -> Iterator[None]:
    """Standard output belongs to documents: what else prints meanwhile (a user's model) goes to standard error."""
    before, Terminal.documents = Terminal.documents, sys.stdout
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        Terminal.documents = before


class Branch(Protocol):
    """A line of a tree and what hangs from it."""

    @property
    def text(self) -> str: ...

    @property
    def branches(self) -> Sequence["Branch"]: ...


class Terminal:
    """json: standard output belongs to one JSON document."""

    #: Where documents go while `documents_alone`; None: standard output.
    documents: ClassVar[TextIO | None] = None

    def __init__(self, *, json: bool) -> None:
        self.json = json

    def _console(self, *, stderr: bool) -> "Console":
        from rich.console import Console

        class Passing(Console):
            def on_broken_pipe(self) -> None:  # rich would exit with 1; whoever starts commands knows better
                raise BrokenPipeError

        # A data set may be called `mine:one:` or `[mine]`: cells, titles and labels are as they are given.
        plain = bool(os.environ.get("NO_COLOR"))
        shown: dict[str, Any] = {"highlight": False, "soft_wrap": False, "emoji": False, "markup": False}
        return Passing(stderr=stderr, color_system=None if plain else "auto", **shown)

    @property
    def columns(self) -> int:
        """Width of what people see."""
        return self._console(stderr=self.json).width

    @property
    def coloured(self) -> bool:
        """Whether it shows colours: a terminal, without NO_COLOR."""
        console = self._console(stderr=self.json)
        return console.color_system is not None and not console.no_color

    def say(self, line: str, *, whole: bool = False) -> None:
        """A line for people; broken between words where it is longer than their terminal, but not in a file.
        whole: never broken, since it is there to be copied."""
        _print(self._console(stderr=self.json), line, whole=whole)

    def warn(self, line: str) -> None:
        """A line that must be seen: on standard error, whatever standard output is for."""
        _print(self._console(stderr=True), line, style="bold yellow")

    def document(self, data: bytes) -> None:
        """The JSON document, where asked for."""
        if self.json:
            stream = self.documents or sys.stdout
            stream.write(data.decode().rstrip() + "\n")
            stream.flush()

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Row],
        *,
        title: str = "",
        left: int = 1,
        tight: bool = False,
        prose: bool = False,
    ) -> None:
        """A table; the first `left` columns are text, the rest figures. tight: one space between columns. prose: the
        last column is sentences, which take the lines they need in the width that is left."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(
            show_header=any(columns),
            box=SIMPLE_HEAD,
            title=title or None,
            title_justify="left",
            pad_edge=False,
            padding=(0, 0) if tight else (0, 1),
            title_style="",
        )
        for index, name in enumerate(columns):
            last = prose and index == len(columns) - 1
            justify: Literal["left", "right"] = "left" if index < left or last else "right"
            table.add_column(name, justify=justify, overflow="fold", no_wrap=prose and not last)
        for row in rows:
            table.add_row(*row.cells, style="bold" if row.mark else row.style or None)
        self._console(stderr=self.json).print(table)

    def tree(self, root: Branch) -> None:
        """Lines that hang from lines, one terminal line each."""
        from rich.text import Text
        from rich.tree import Tree

        def grown(branch: Branch, style: str = "") -> Tree:
            made = Tree(Text(branch.text, style=style, no_wrap=True, overflow="ellipsis"), guide_style="dim")
            for one in branch.branches:
                made.children.append(grown(one, "bold" if branch is root else ""))
            return made

        self._console(stderr=self.json).print(grown(root, "bold"))

    @contextmanager
    def progress(self, label: str) -> Iterator[Advance]:
        """A bar on standard error with the time left; the callback takes (done, of)."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        said = TextColumn("{task.description}", markup=False)
        columns = (said, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        console = self._console(stderr=True)
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(label, total=None)
            yield lambda done, of: bar.update(task, completed=done, total=of)


def _print(console: "Console", line: str, *, style: str | None = None, whole: bool = False) -> None:
    parts = [line]
    if console.is_terminal and len(line) > console.width and not whole:
        parts = textwrap.wrap(
            line, console.width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
    for part in parts:
        console.print(part, style=style, soft_wrap=True)


def ms(value: float) -> str:
    """Milliseconds to about three figures."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.3f}"


def percent(share: float) -> str:
    """Two digits that count, and none behind the point from 100 % on."""
    return f"{100 * share:{'.0f' if share > 1 else '.2g'}} %"


def size(count: int) -> str:
    """Bytes as people read them."""
    return (
        f"{count} B"
        if count < 10_000
        else f"{count / 1000:.1f} kB"
        if count < 10_000_000
        else f"{count / 1e6:.1f} MB"
    )
