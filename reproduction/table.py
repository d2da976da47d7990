"""A Markdown table."""

from collections.abc import Sequence


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """The first `left` columns are text, the rest figures."""
    rule = ["---" if index < left else "---:" for index in range(len(columns))]
    lines = [_line(columns), _line(rule), *(_line(row) for row in rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
