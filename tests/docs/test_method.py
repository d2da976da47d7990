"""docs/method: formulas have MathML, the files that are named are there, and the checks for readers run."""

import re
from pathlib import Path

import pytest
from latex2mathml.converter import convert

DOCS = Path(__file__).parents[2] / "docs"
METHOD = sorted(DOCS.glob("method/*.md"))
PAGES = [*METHOD, DOCS / "extending.md", DOCS / "troubleshooting.md"]
CODE = re.compile(r"```.*?```|``.*?``|`[^`\n]*`", re.DOTALL)
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$]+?)\$", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
ROOMS = ("profiles", "planner", "noise", "runtime", "tests")


def each(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.stem)


@each(PAGES)
def test_every_formula_has_mathml(page: Path) -> None:
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    assert text.count("$") % 2 == 0
    for block, inline in FORMULA.findall(text):
        made = convert((block or inline).strip())
        assert "\\" not in made, block or inline
        # Markdown takes a backslash before one of these for itself.
        assert not re.search(r"\\[{}|,;!#&%_]", inline), inline


@each(PAGES)
def test_every_file_of_the_code_that_is_named_is_there(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        place = (page.parent / target).resolve().relative_to(DOCS.parent)
        if place.parts[0] in ROOMS:
            assert (DOCS.parent / place).exists(), target


@each(METHOD)
def test_the_checks_run(page: Path) -> None:
    for block in PYTHON.findall(page.read_text(encoding="utf-8")):
        exec(compile(block, page.name, "exec"), {})
