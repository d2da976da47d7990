"""Work that is done once: a step's result is a file, and whoever is stopped goes on with the steps that lack one."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

import msgspec

from profiles import artifact
from profiles.artifact import NonNegative
from profiles.errors import ArtifactError
from reproduction.machine import machine

Provenance = Literal["measured", "modelled", "stand-in", "imported", "exact"]
#: Given a folder that is kept until the step is done; returns figures, or lists and mappings of them.
Work = Callable[[Path], Mapping[str, Any]]


@dataclass(frozen=True)
class Step:
    """name: of its file. provenance: of its figures. settings: all that decides what comes out; a result of other
    settings is made anew. command: the same by hand."""

    name: str
    work: Work
    provenance: Provenance
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""


def of_network(of: Callable[[str], Mapping[str, Any]], name: str) -> Work:
    """Work that takes a network's name and needs no folder."""
    return lambda _: of(name)


class Result(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="plan.reproduced/1"):
    """figures: as the step returned them, through JSON. made: the day."""

    step: str
    provenance: Provenance
    settings: dict[str, Any]
    command: str
    figures: dict[str, Any]
    machine: str
    seconds: NonNegative
    made: str


class Store:
    """Results of one effort, a file each, and a folder for the step under way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, step: Step) -> Path:
        return self.folder / f"{step.name}.json"

    def found(self, step: Step) -> Result | None:
        """What an earlier run left for this very step. Raises ArtifactError for a damaged file."""
        if not self.path(step).exists():
            return None
        try:
            result = artifact.read(self.path(step), Result)
        except ArtifactError as error:
            raise ArtifactError(f"{error} (delete it, and the step is done again)") from error
        return result if result.settings == _plain(step.settings) else None

    def done(self, step: Step) -> Result:
        """The step's result, made now where it is not there."""
        known = self.found(step)
        if known is not None:
            return known
        scratch = self._scratch(step)
        start = time.perf_counter()
        figures = step.work(scratch)
        result = Result(
            step=step.name,
            provenance=step.provenance,
            settings=_plain(step.settings),
            command=step.command,
            figures=_plain(figures),
            machine=machine(),
            seconds=round(time.perf_counter() - start, 1),
            made=date.today().isoformat(),
        )
        artifact.write(self.path(step), result)
        shutil.rmtree(scratch, ignore_errors=True)
        return result

    def _scratch(self, step: Step) -> Path:
        """The step's folder; what was begun with other settings is no part of it."""
        scratch = self.folder / "scratch" / step.name
        settings, wanted = scratch / "settings.json", msgspec.json.encode(_plain(step.settings))
        if settings.exists() and settings.read_bytes() != wanted:
            shutil.rmtree(scratch)
        scratch.mkdir(parents=True, exist_ok=True)
        artifact.write_bytes(settings, wanted)
        return scratch


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back: NumPy's numbers as Python's, tuples as lists. Raises ValueError for a number that is not
    finite: JSON has none, and a page would take what is left of it for a figure that does not exist."""
    plain = msgspec.to_builtins(value, enc_hook=_number)
    made: dict[str, Any] = json.loads(json.dumps(plain, allow_nan=False))
    return made


def _number(value: Any) -> Any:
    return value.tolist()
