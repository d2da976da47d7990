"""docs/reproduction.md: the paper's tables and figures, and what came out here."""

from collections.abc import Sequence

from reproduction.part import Found, Outcome, Part, Pictures, Verdict
from reproduction.prose import listed, paragraph
from reproduction.step import Result
from reproduction.table import table

WORDS = """\
- *measured*: timed or counted on the machine that is named, over real sockets, on real data.
- *modelled*: computed from published constants of a device or link that is not here.
- *stand-in*: measured, on data or a network in the place of the paper's, which cannot be had.
- *imported*: printed in the paper, or published by others.
- *exact*: arithmetic on sizes; it has no spread."""


def page(parts: Sequence[Part], found: Found, failed: dict[str, str], pictures: Pictures, *, quick: bool) -> str:
    """The whole page. failed: step → why there is no result."""
    verdicts = [(part, _verdict(part, found, failed, quick=quick)) for part in parts]
    rows = [[f"[{part.TITLE}](#{anchor(part.TITLE)})", one.outcome, one.why] for part, one in verdicts]
    blocks = [
        "# Reproduction",
        _introduction(found, quick=quick),
        WORDS,
        table(["of the paper", "here", "why"], rows, left=3),
    ]
    for part, one in verdicts:
        blocks += [f"## {part.TITLE}", _section(part, one, found, pictures, quick=quick), _made(part, found, quick)]
    return "\n\n".join(one.strip() for one in blocks if one) + "\n"


def anchor(title: str) -> str:
    """As GitHub and MkDocs make them of a heading."""
    kept = "".join(one for one in title.lower() if one.isalnum() or one in " -_")
    return kept.replace(" ", "-")


def _introduction(found: Found, *, quick: bool) -> str:
    target = "reproduce-quick" if quick else "reproduce"
    less = ", on fewer networks, seeds and steps than `make reproduce`" if quick else ""
    machines = sorted({one.machine for one in found.values()})
    return paragraph(
        "Shredder (ASPLOS 2020) has two tables and five figures of results. Each is made anew here from the paper's",
        f"text, written by `make {target}`{less}. Nothing is tuned to a printed number; where a figure differs, its",
        f"section says why. Made on: {'; '.join(machines)}. Every figure is called one of five words:",
    )


def _verdict(part: Part, found: Found, failed: dict[str, str], *, quick: bool) -> Verdict:
    """The part's own, which is of all of it only where no step is missing."""
    missing = [one.name for one in part.steps(quick=quick) if one.name not in found]
    if missing and len(missing) == len(part.steps(quick=quick)):
        return Verdict("not made", failed.get(missing[0], "its steps were not run"))
    verdict = part.verdict(found)
    if not missing:
        return verdict
    outcome: Outcome = "reproduced in part" if verdict.outcome == "reproduced" else verdict.outcome
    without = ", ".join(missing) if len(missing) < 3 else f"{len(missing)} of its steps"
    return Verdict(outcome, f"{verdict.why}; without {without}")


def _section(part: Part, verdict: Verdict, found: Found, pictures: Pictures, *, quick: bool) -> str:
    return "" if verdict.outcome == "not made" else part.section(found, pictures, quick=quick)


def _made(part: Part, found: Found, quick: bool) -> str:
    steps = part.steps(quick=quick)
    results = [found[one.name] for one in steps if one.name in found]
    command = f"python -m reproduction{' --quick' if quick else ''} --only {part.NAME}"
    if not results:
        return f"Not made yet: `{command}`."
    seconds = sum(one.seconds for one in results)
    days = sorted({one.made for one in results})
    missing = [one.name for one in steps if one.name not in found]
    lines = [f"Made by `{command}`, {seconds / 60:.1f} minutes, {listed(days)}: {_counted(results)}."]
    if missing:
        lines.append(f"Missing: {', '.join(missing)}.")
    return paragraph(*lines)


def _counted(results: Sequence[Result]) -> str:
    made = []
    for word in sorted({one.provenance for one in results}):
        made.append(f"*{word}* ({', '.join(one.step for one in results if one.provenance == word)})")
    return ", ".join(made)
