"""Versioned files in and out: validated on load with the offending field named, written atomically.

A record is a frozen `msgspec.Struct` whose tag is its schema (`tag_field="schema"`, `tag="plan.link/1"`), so the
first field of every file says what it is, and an unknown version is refused.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import msgspec

from profiles.errors import ArtifactError, PlanError

Record = TypeVar("Record", bound=msgspec.Struct)

# Numbers as the files allow them. JSON has no NaN and no infinity, and msgspec refuses both.
Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]


class _Header(msgspec.Struct):
    schema: str | None = None


def schema_of(record: type[msgspec.Struct]) -> str:
    """The schema name a record carries, for example `plan.link/1`."""
    return str(record.__struct_config__.tag)


def digest(data: bytes) -> str:
    """SHA-256 as `sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def read_bytes(path: Path, *, what: str) -> bytes:
    """The bytes of a file, or an ArtifactError that says what was looked for."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file, expected {what}") from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}), expected {what}") from error


def read(path: Path, record: type[Record]) -> Record:
    """Read and validate one file.

    Raises ArtifactError: missing, not JSON, cut short, another schema, or a field that is wrong (named).
    """
    return decode(read_bytes(path, what=f"a {schema_of(record)} file"), record, origin=str(path))


def decode(data: bytes, record: type[Record], *, origin: str) -> Record:
    """Validate bytes as one record; `origin` is what the error calls them."""
    expected = schema_of(record)
    try:
        header = msgspec.json.decode(data, type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if isinstance(error, msgspec.ValidationError):
            raise ArtifactError(f"{origin}: {_named(error)}, expected a {expected} file") from error
        raise ArtifactError(
            f"{origin}: not a whole JSON document ({error}), expected a {expected} file; write it anew"
        ) from error
    if header.schema != expected:
        found = f"schema {header.schema!r}" if header.schema else "no field `schema`"
        raise ArtifactError(f"{origin}: got {found}, expected {expected!r}; give the right file or write it anew")
    try:
        return msgspec.json.decode(data, type=record)
    except msgspec.ValidationError as error:
        raise ArtifactError(f"{origin}: {_named(error)}; correct the field or write the file anew") from error
    except PlanError as error:
        raise type(error)(f"{origin}: {error}") from error


def _named(error: msgspec.ValidationError) -> str:
    """msgspec's "Expected `float`, got `str` - at `$.nodes[0].time_ms`", the field first."""
    message = str(error).replace("`", "")
    found = re.fullmatch(r"(?s)(.*) - at (?:key in )?\$\.?(.*)", message)
    return f"field {found[2]}: {found[1]}" if found and found[2] else message


def encode(record: msgspec.Struct) -> bytes:
    """Readable JSON, two spaces deep, with a final newline."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def write(path: Path, record: msgspec.Struct) -> None:
    """Write a record atomically."""
    write_bytes(path, encode(record))


class Artifact(msgspec.Struct, frozen=True):
    """A record that is a file of its own: `Plan.read("plan.json")`, `plan.write("plan.json")`."""

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The record in a file. Raises ArtifactError: missing, not JSON, another schema, or a wrong field (named)."""
        return read(Path(path), cls)

    def write(self, path: Path | str) -> None:
        """Write it as readable JSON, atomically. Raises ArtifactError where it cannot be put there."""
        write(Path(path), self)


def require_writable(*paths: Path | None, beside: Iterable[Path | None] = ()) -> None:
    """Before long work: its results must have a place each, which is not that of an input (`beside`).

    Raises ArtifactError as `write_bytes` would.
    """
    inputs = {one.resolve() for one in beside if one is not None}
    taken: set[Path] = set()
    for path in filter(None, paths):
        if path.resolve() in taken and not _is_special(path):
            raise ArtifactError(f"{path}: two results would go there and one be lost; give each a file of its own")
        taken.add(path.resolve())
        if path.resolve() in inputs:
            raise ArtifactError(
                f"{path}: is read here as well and would be lost; choose another place for the result"
            )
        if path.is_dir() or not path.name:
            raise ArtifactError(f"{path}: is a folder, expected a file's name for the result")
        if not _is_special(path):
            try:
                Path(_temporary(path)).unlink()
            except OSError as error:
                raise _unwritable(path, error) from error


def write_bytes(path: Path, data: bytes) -> None:
    """Temporary file beside the target, then rename: a reader sees the old file or the new one, never a part.

    A link is followed; a device or a pipe is written to, never replaced. Raises ArtifactError where the folder does
    not take the file.
    """
    temporary = ""
    try:
        if _is_special(path):  # asked before links are followed: that of /dev/stdout leads a pipe's reader nowhere
            path.write_bytes(data)
            return
        path = Path(os.path.realpath(path))
        temporary = _temporary(path)
        with open(temporary, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder beside the target that takes its place at the end: a reader sees all of it or nothing.

    Raises ArtifactError where something stands there that is no empty folder, or the place takes none.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ArtifactError(f"{path}: holds something already; choose a new or an empty folder")
    target, temporary = Path(os.path.realpath(path)), None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        temporary.replace(target)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _temporary(path: Path) -> str:
    """A new, empty file beside the target."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    return name


def _is_special(path: Path) -> bool:
    """Whether a device or a pipe stands there."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _unwritable(path: Path, error: OSError) -> ArtifactError:
    reason = f"{error.filename} is no folder" if isinstance(error, FileExistsError) else error.strerror
    return ArtifactError(f"{path}: cannot be written ({reason}); choose another place")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def json_schema(record: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of a record's file."""
    return msgspec.json.schema(record)
