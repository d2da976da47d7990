"""docs/troubleshooting.md: every message that it quotes stands in the code, word for word."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
#: Where a message holds what differs, on the page and in what is read from the code.
ELLIPSIS, HOLE = "…", "\0"
#: A table's first cell in code, of one backtick or two, or a paragraph that is nothing but code.
QUOTED = re.compile(r"^(?:\| )?(?P<ticks>`{1,2})(?P<text>[^`].*?)(?P=ticks)(?: \||$)", re.MULTILINE)
LEAST_MESSAGES, LEAST_WORDS = 50, 3


def quoted() -> list[str]:
    return [found["text"].strip() for found in QUOTED.finditer(PAGE.read_text(encoding="utf-8"))]


def template(node: ast.expr) -> str | None:
    """A string of the source, what is filled in as a HOLE; None for what is no string."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(template(one) or HOLE for one in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            one, other = template(left), template(right)
            return None if one is None and other is None else (one or HOLE) + (other or HOLE)
    return None


@cache
def messages() -> tuple[str, ...]:
    """Every string of the four rooms that holds a space."""

    def strings() -> Iterator[str]:
        for room in ("profiles", "planner", "noise", "runtime"):
            for file in sorted((ROOT / room).rglob("*.py")):
                for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                    if isinstance(node, ast.expr) and (text := template(node)) and " " in text:
                        yield text

    return tuple(dict.fromkeys(strings()))


def stands(message: str) -> bool:
    """Whether one string of the code holds the message's words in their order; between two something may stand."""
    parts = [part for part in re.split(f"{ELLIPSIS}+", message) if part]
    wanted = re.compile(".*?".join(map(re.escape, parts)), re.DOTALL)
    return any(wanted.search(one) for one in messages() if all(part in one for part in parts))


def test_every_message_stands_in_the_code() -> None:
    found = quoted()
    assert len(found) >= LEAST_MESSAGES
    assert all(len(re.findall(r"\w+", one)) >= LEAST_WORDS for one in found)
    assert not [one for one in found if not stands(one)]


def test_a_message_that_was_changed_is_found() -> None:
    assert stands("… has other weights than were planned; profile and cut it again")
    assert not stands("… has other weights than were planned; profile it again")
    assert not stands("… is no finite number, … and more; profile and cut it again")
