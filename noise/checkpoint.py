"""What long work has reached, so that it can be killed at any moment and goes on.

One safetensors file, replaced whole. Work is cut into named stages, each a function of the seed, the settings and the
stages before it. A stage that is done keeps its result here; one under way keeps its state every few seconds. Whoever
continues does just what an undisturbed run would have done from there, so both end with the same result.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from profiles import artifact
from profiles.errors import ArtifactError, PlanError

Array = NDArray[Any]
SCHEMA = "plan.learning/1"
#: Between two writes of a stage under way.
EVERY_S = 3.0


class Checkpoint:
    """Stages by name: arrays, and facts that JSON can hold. Without a path nothing is kept.

    The file is for whoever named it to delete, once the result is written.
    """

    def __init__(self, path: Path | None = None, *, key: str = "") -> None:
        """key: says what is being learned; a file with another key is of other work and is begun anew.

        continued: whether work was found.
        """
        self._path, self._key = path, key
        self._arrays: dict[str, dict[str, Array]] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        self._written = time.monotonic()
        self._took_s = 0.0
        if path is not None and path.is_file():
            self._load(path)
        self.continued = bool(self._facts)

    def _load(self, path: Path) -> None:
        try:
            with safe_open(path, framework="np") as archive:
                metadata = archive.metadata() or {}
                if metadata.get("schema") != SCHEMA or metadata.get("key") != self._key:
                    return
                self._facts = json.loads(metadata["stages"])
                self._arrays = {stage: {} for stage in self._facts}
                for name in archive.keys():  # noqa: SIM118
                    stage, _, key = name.partition("/")
                    self._arrays[stage][key] = archive.get_tensor(name)
        except (SafetensorError, OSError, ValueError, KeyError):
            # The file is our own and replaced whole; what is no such file is no reason not to learn.
            self._arrays, self._facts = {}, {}

    def get(self, stage: str) -> tuple[dict[str, Array], dict[str, Any]] | None:
        """Arrays and facts of a stage, None where it was not reached."""
        if stage not in self._facts:
            return None
        return self._arrays[stage], self._facts[stage]

    @property
    def due(self) -> bool:
        """Whether a stage under way should be kept now; what takes long to write is kept the more rarely."""
        return self._path is not None and time.monotonic() - self._written > max(EVERY_S, 10 * self._took_s)

    def put(self, stage: str, arrays: Mapping[str, Array] | None = None, **facts: Any) -> None:
        """Keep a copy of a stage. Raises ArtifactError where the folder takes no file or the disk is full."""
        if self._path is None:
            return
        self._arrays[stage] = {key: np.array(one, order="C") for key, one in (arrays or {}).items()}
        self._facts[stage] = facts
        start = time.monotonic()
        tensors = {f"{one}/{key}": array for one, held in self._arrays.items() for key, array in held.items()}
        metadata = {"schema": SCHEMA, "key": self._key, "stages": json.dumps(self._facts)}
        artifact.write_bytes(self._path, save(tensors, metadata=metadata))
        self._written = time.monotonic()
        self._took_s = self._written - start if EVERY_S else 0.0

    @contextlib.contextmanager
    def until_refused(self) -> Iterator[None]:
        """What cannot be learned fails again the same way: its file goes. A file that could not be written, or a
        kill, is another matter."""
        try:
            yield
        except ArtifactError:
            raise
        except PlanError:
            self.finish()
            raise

    def finish(self) -> None:
        """The result is written: the file is not needed any more."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
