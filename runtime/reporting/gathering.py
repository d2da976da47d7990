"""Every file of ours in a folder and its direct subfolders, told by schema, never by name. No torch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from safetensors import SafetensorError, safe_open

from noise import collection
from noise.audit import record as audits
from noise.audit.record import Audit
from noise.auditing import pictures
from noise.auditing.pictures import Pictures
from noise.collection import NoiseFacts
from planner import explored as explorations
from planner import plan as plans
from planner.explored import Explored
from planner.plan import Plan
from profiles import artifact, device
from profiles.device import DeviceProfile
from profiles.errors import PlanError
from profiles.link import LinkProfile
from runtime.record import RunRecord

Record = TypeVar("Record", bound=object)

#: Beyond this a file is left out: none of ours that is shown here comes near.
MOST_BYTES = 200_000_000
#: Files looked at, so that a folder given by mistake ends soon.
MOST_FILES = 2_000
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Kept(Generic[Record]):
    """A file that was read. name: relative to the folder. made: its file's date."""

    name: str
    path: Path
    record: Record
    digest: str
    made: datetime
    size: int


@dataclass
class Gathered:
    """What a folder holds. sheets: PNG pictures by path. left_out: name → why."""

    folder: Path
    plans: list[Kept[Plan]] = field(default_factory=list)
    profiles: list[Kept[DeviceProfile]] = field(default_factory=list)
    links: list[Kept[LinkProfile]] = field(default_factory=list)
    noises: list[Kept[NoiseFacts]] = field(default_factory=list)
    runs: list[Kept[RunRecord]] = field(default_factory=list)
    audits: list[Kept[Audit]] = field(default_factory=list)
    pictures: list[Kept[Pictures]] = field(default_factory=list)
    explored: list[Kept[Explored]] = field(default_factory=list)
    sheets: dict[Path, bytes] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def kept(self) -> list[Kept[Any]]:
        """All files that were read, by name."""
        every = (self.plans, self.profiles, self.links, self.noises, self.runs, self.audits, self.pictures)
        found: list[Kept[Any]] = [one for kind in (*every, self.explored) for one in kind]
        return sorted(found, key=lambda one: one.name)

    @property
    def shows_something(self) -> bool:
        return any((self.plans, self.profiles, self.noises, self.runs, self.audits, self.explored))


#: Schema → where it goes, how it is read.
READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    artifact.schema_of(Plan): ("plans", plans.read),
    artifact.schema_of(DeviceProfile): ("profiles", device.read),
    artifact.schema_of(LinkProfile): ("links", LinkProfile.read),
    artifact.schema_of(NoiseFacts): ("noises", collection.read_facts),
    artifact.schema_of(RunRecord): ("runs", RunRecord.read),
    artifact.schema_of(Audit): ("audits", audits.read),
    pictures.SCHEMA: ("pictures", pictures.read),
    artifact.schema_of(Explored): ("explored", explorations.read),
}


def gather(folder: Path, *, leaving: frozenset[Path] = frozenset()) -> Gathered:
    """Read a folder. leaving: what is left out in silence, a report made before.

    Raises PlanError for what is no folder, or one that cannot be listed.
    """
    if not folder.is_dir():
        raise PlanError(f"{folder}: {'no folder' if folder.exists() else 'no such folder'}, expected one of results")
    found = Gathered(folder)
    taken: dict[Path, str] = {}
    for path in _files(folder, found):
        name = path.relative_to(folder).as_posix()
        same = taken.setdefault(path.resolve(), name)
        if same != name:
            found.left_out[name] = f"the same file as {same}"
            continue
        try:
            _take(path, name, found)
        except PlanError as error:
            found.left_out[name] = str(error).removeprefix(f"{path}: ")
        except OSError as error:
            found.left_out[name] = f"cannot be read ({error.strerror})"
        if path.resolve() in leaving:
            found.left_out.pop(name, None)
    return found


def _files(folder: Path, found: Gathered) -> Iterator[Path]:
    """In order of their names; a hidden file is somebody's own affair."""
    try:
        inside = [one for one in sorted(folder.iterdir()) if not one.name.startswith(".")]
        below = [one for one in inside if one.is_dir()]
        names = [one for one in inside if one.is_file()]
        for each in below:
            for one in sorted(each.iterdir()):
                if one.is_file() and not one.name.startswith("."):
                    names.append(one)
                elif one.is_dir():
                    found.left_out[f"{one.relative_to(folder).as_posix()}/"] = "too deep; report on it by itself"
    except OSError as error:
        raise PlanError(f"{error.filename}: cannot be listed ({error.strerror})") from error
    if len(names) > MOST_FILES:
        raise PlanError(
            f"{folder}: {len(names)} files, expected at most {MOST_FILES}; give the folder of the results"
        )
    yield from names


def _take(path: Path, name: str, found: Gathered) -> None:
    facts = path.stat()
    if facts.st_size > MOST_BYTES:
        found.left_out[name] = f"{facts.st_size / 1e6:.0f} MB, more than a file of results has"
        return
    with path.open("rb") as stream:
        begin = stream.read(9)
    if begin.startswith(PNG):
        found.sheets[path] = path.read_bytes()
        return
    schema = _schema(path, begin)
    if schema is None:
        found.left_out[name] = "not a file of plan, or not a whole one"
    elif schema not in READERS:
        ours = schema.startswith("plan.")
        shown = schema[:40]
        found.left_out[name] = f"{shown}: nothing of it is shown" if ours else f"schema {shown!r}, not of plan"
    else:
        kind, read = READERS[schema]
        made = datetime.fromtimestamp(int(facts.st_mtime), UTC)
        whole = Kept(name, path, read(path), artifact.digest(path.read_bytes()), made, facts.st_size)
        getattr(found, kind).append(whole)


class _Header(msgspec.Struct):
    schema: str | None = None


def _schema(path: Path, begin: bytes) -> str | None:
    if begin.lstrip()[:1] == b"{":
        try:
            return msgspec.json.decode(path.read_bytes(), type=_Header).schema
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
    if begin[8:9] == b"{":
        try:
            with safe_open(path, framework="np") as archive:
                return (archive.metadata() or {}).get("schema")
        except (SafetensorError, OSError):
            return None
    return None
