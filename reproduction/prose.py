"""Text of the page: written with figures of any length in it, then wrapped."""

import textwrap
from collections.abc import Iterable

WIDTH = 118


def paragraph(*sentences: str) -> str:
    """One paragraph; line ends and runs of spaces in it are spaces."""
    return _wrapped(" ".join(sentences))


def bullets(*items: str) -> str:
    """A list; empty items are left out."""
    return "\n".join(_wrapped(f"- {item}", further="  ") for item in items if item.strip())


def listed(names: Iterable[str]) -> str:
    """A, B and C."""
    known = list(names)
    return " and ".join([", ".join(known[:-1]), known[-1]]) if len(known) > 1 else "".join(known)


def _wrapped(text: str, further: str = "") -> str:
    plain = " ".join(text.split())
    return textwrap.fill(plain, WIDTH, subsequent_indent=further, break_long_words=False, break_on_hyphens=False)
