"""Paragraphs and lists of the page, wrapped alike however their figures come out."""

import textwrap

WIDTH = 118


def paragraph(*sentences: str) -> str:
    return _wrapped(" ".join(sentences))


def bullets(*items: str) -> str:
    return "\n".join(_wrapped(f"- {item}", further="  ") for item in items)


def _wrapped(text: str, further: str = "") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=further, break_long_words=False, break_on_hyphens=False)
