"""What a table or figure of the paper is here: steps, a verdict and a section."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from profiles import artifact
from reproduction.step import Result, Step

#: By name of the step; a step that failed or was not run is missing.
Found = Mapping[str, Result]
Outcome = Literal["reproduced", "reproduced in part", "on a stand-in", "differs", "not reproduced", "not made"]


@dataclass(frozen=True)
class Verdict:
    """outcome, and why in one sentence."""

    outcome: Outcome
    why: str


@dataclass(frozen=True)
class Pictures:
    """Where pictures of the page go: `folder`, called `address` on the page."""

    folder: Path
    address: str

    def svg(self, name: str, data: bytes, *, text: str) -> str:
        """Keep a picture; what the page shows of it. text: what is to be seen, for who cannot see it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        artifact.write_bytes(self.folder / f"{name}.svg", data)
        return f"![{text}]({self.address}/{name}.svg)"


class Part(Protocol):
    """A module of this shape. NAME: for --only; TITLE: as the paper calls it."""

    NAME: str
    TITLE: str

    def steps(self, *, quick: bool) -> Sequence[Step]:
        """In order; cheap to make, since only their work computes."""
        ...

    def verdict(self, found: Found) -> Verdict: ...

    def section(self, found: Found, pictures: Pictures, *, quick: bool) -> str:
        """Markdown below the heading: tables, pictures, and the reasons for each difference."""
        ...
