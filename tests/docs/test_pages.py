"""The pages themselves: links lead somewhere, and what is made from the code is as the code is."""

import re
import unicodedata
from pathlib import Path

import msgspec
import pytest
from doc_pages import ROOT, pages

from runtime import command_pages, format_pages, schemas

PAGES = {page.name: page for page in pages()}
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """As GitHub and MkDocs make them of headings: letters, digits, - and _."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6}\s+(.*?)\s*#*$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
        slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
        count = 1
        while (unique := slug if count == 1 else f"{slug}_{count - 1}") in found:
            count += 1
        found.add(unique)
    return found


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    page = PAGES[name]
    for target in LINK.findall(re.sub(r"`[^`]*`", "", page.prose)):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), f"{name}: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file.read_text()), f"{name}: {target}"


def test_every_page_is_in_the_navigation() -> None:
    named = set(re.findall(r"([\w/-]+\.md)", (ROOT / "mkdocs.yml").read_text()))
    assert {str(Path(one).relative_to("docs")) for one in PAGES if one.startswith("docs/")} == named


def test_the_page_of_formats_is_that_of_the_code() -> None:
    assert (ROOT / "docs" / "formats.md").read_text() == format_pages.page(), "run `make schemas`"


def test_the_page_of_commands_is_that_of_the_code() -> None:
    assert (ROOT / "docs" / "commands.md").read_text() == command_pages.page(), "run `make schemas`"


def test_every_field_of_every_file_has_a_meaning() -> None:
    rows = [line for line in format_pages.page().splitlines() if line.startswith("| `")]
    assert len(rows) > 200
    assert not [line for line in rows if line.endswith("| |") and "`schema`" not in line and "](#" not in line]


class Small(msgspec.Struct):
    """A thing. a, b: of both; None where unknown. c: of c: at most 3. Other words."""

    a: int
    b: int
    c: int


def test_a_docstring_is_taken_apart_by_the_fields_it_names() -> None:
    remark, meanings = format_pages.described(Small)
    assert remark == "A thing."
    assert meanings == dict.fromkeys("ab", "of both; null where unknown") | {"c": "of c: at most 3. Other words"}


@pytest.mark.parametrize("record", schemas.RECORDS, ids=schemas.file_name)
def test_every_field_of_the_schema_is_on_the_page(record: type) -> None:
    page = format_pages.page()
    schema = msgspec.json.decode(schemas.schema_bytes(record))
    fields = {name for one in schema["$defs"].values() for name in one.get("properties", {})}
    assert len(fields) > 5
    assert not {name for name in fields if f"| `{name}` |" not in page}
