"""plan report."""

from pathlib import Path
from typing import Annotated

import typer

from profiles.options import Json
from profiles.terminal import Terminal

NAME = "report.html"


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of results; its subfolders count.")],
    out: Annotated[Path | None, typer.Option(help="The page (default: report.html in the folder).")] = None,
    json: Json = False,
) -> None:
    """Show a folder of results as one HTML page: plans, runs, noise, audits, explored cuts, with their pictures.

    Files are told by what is in them, not by their names, and belong together by network and cut. The page is one
    file that requests nothing: it can be mailed, kept, and read on a phone.

    Example: plan report demo

    Example: plan report lte --out lenet.html --json
    """
    import msgspec

    from profiles import artifact
    from profiles.errors import PlanError
    from runtime.reporting import gathering, page

    page.require()
    place = out or folder / NAME
    found = gathering.gather(folder, leaving=frozenset({place.resolve()}))
    artifact.require_writable(place, beside=[one.path for one in found.kept])
    if not found.shows_something:
        raise PlanError(
            f"{folder}: nothing to show; plan profile, plan cut, plan learn, plan run, plan audit and plan explore "
            "make files, which --out puts there"
        )
    made = page.rendered(found)
    artifact.write_bytes(place, made)
    terminal = Terminal(json=json)
    terminal.say(f"shown: {', '.join(one.name for one in found.kept)}")
    for name, why in sorted(found.left_out.items()):
        terminal.say(f"left out: {name}, {why}")
    terminal.say(f"written: {place} ({len(made) / 1000:.0f} kB); open it in a browser")
    terminal.document(
        msgspec.json.encode(
            {
                "written": str(place),
                "bytes": len(made),
                "shown": [{"file": one.name, "schema": page.schema(one.record)} for one in found.kept],
                "left_out": [{"file": name, "why": why} for name, why in sorted(found.left_out.items())],
            }
        )
    )
