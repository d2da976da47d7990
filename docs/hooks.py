"""For MkDocs: formulas become MathML when the site is built, so that a page needs no script to show them; links to
files of the repository, which the site has not, become text."""

import html
import logging
import posixpath
import re
from typing import Any

from latex2mathml.converter import convert

#: What `pymdownx.arithmatex` makes of `$...$` and `$$...$$`; it leaves code alone.
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")

# Under this name a warning counts for `mkdocs build --strict`.
log = logging.getLogger("mkdocs.hooks.formulas")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page's Markdown, links out of `docs/` without their targets."""

    def kept(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), found[2]))
        return found[1] if target.startswith("../") else found[0]

    return LINK.sub(kept, markdown)


def on_page_content(page_html: str, page: Any, **_: Any) -> str:
    """The page's HTML with every formula as MathML."""
    return FORMULA.sub(lambda found: _mathml(found, str(page.file.src_uri)), page_html)


def _mathml(found: re.Match[str], where: str) -> str:
    latex = html.unescape(found[2]).strip()
    try:
        made = convert(latex, display="block" if found[1] == "div" else "inline")
    except Exception as error:  # the converter's errors have no common class
        log.warning("%s: %s in the formula %s", where, error or type(error).__name__, latex)
        return found[0]
    if "\\" in made:
        log.warning("%s: a command that no MathML is known for in the formula %s", where, latex)
    return made
