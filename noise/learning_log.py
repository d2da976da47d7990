"""In vivo: what is watched while noise is learned (Shredder, Figure 5), a row an iteration, to be plotted."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from profiles import artifact


@dataclass
class LearningLog:
    """Rows of named figures. Without a path they are dropped, and nothing should be computed for them (`wanted`)."""

    path: Path | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def wanted(self) -> bool:
        return self.path is not None

    def add(self, **figures: Any) -> None:
        if self.wanted:
            self.rows.append(figures)

    def write(self) -> None:
        """All rows as CSV, atomically; a column that a row lacks stays empty."""
        if self.path is None:
            return
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        stream = io.StringIO()
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        artifact.write_bytes(self.path, stream.getvalue().encode())
