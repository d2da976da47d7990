"""Text of the page: written with figures of any length in it, then wrapped."""

import textwrap

WIDTH = 118


def paragraph(text: str) -> str:
    """One paragraph; line ends and runs of spaces in it are spaces."""
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def bullets(*texts: str) -> str:
    """A list; empty texts are left out."""
    return "\n".join(
        textwrap.fill(
            " ".join(one.split()),
            WIDTH,
            initial_indent="- ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for one in texts
        if one.strip()
    )
