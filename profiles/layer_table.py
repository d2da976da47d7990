"""A table of timed layers (CSV): read, and checked to the line and column. No torch."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from profiles import artifact
from profiles.errors import DataError

Floats = NDArray[np.float64]

#: The features that every table has, and that a traced graph gives.
FEATURES = ("flops", "input_bytes", "output_bytes", "parameter_bytes")
COLUMNS = ("kind", *FEATURES, "latency_ms")


@dataclass(frozen=True)
class Layers:
    """Layers of one kind. features: [rows, features]. latency_ms: [rows], each more than 0."""

    features: Floats
    latency_ms: Floats

    def __len__(self) -> int:
        return len(self.latency_ms)


@dataclass(frozen=True)
class LayerTable:
    """features: the names of the columns of `Layers.features`. device: where the layers were timed, if told."""

    features: tuple[str, ...]
    kinds: Mapping[str, Layers]
    device: str | None


def read_table(path: Path, *, further_features: Sequence[str] = ()) -> LayerTable:
    """Columns `kind,flops,input_bytes,output_bytes,parameter_bytes,latency_ms` in any order; others are left alone.

    further_features: numeric columns that are features as well. Raises ArtifactError for a file that cannot be read,
    DataError with line and column for one that is wrong.
    """
    text = artifact.read_bytes(path, what="a CSV table of timed layers")
    try:
        rows = csv.reader(io.StringIO(text.decode("utf-8-sig"), newline=""), strict=True)
        lines = [(rows.line_num, row) for row in rows if any(cell.strip() for cell in row)]
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not text in UTF-8 (byte {error.start}), expected a CSV table") from error
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV table ({error}); write it anew") from error
    features = (*FEATURES, *(name for name in dict.fromkeys(further_features) if name not in FEATURES))
    if not lines:
        raise DataError(f"{path}: empty, expected a line with the columns {','.join(COLUMNS)} and layers below it")
    place = _columns(path, lines[0][1], ("kind", *features, "latency_ms"))
    if len(lines) == 1:
        raise DataError(f"{path}: no layers below the line of columns, expected one a line")
    return _collect(path, lines, place, features)


def _columns(path: Path, header: Sequence[str], wanted: Sequence[str]) -> dict[str, int]:
    names = [name.strip() for name in header]
    for name in wanted:
        if names.count(name) != 1:
            found = "stands twice" if name in names else "is missing"
            raise DataError(f"{path}: line 1: column {name} {found}, got {','.join(names)}; it is needed once")
    return {name: index for index, name in enumerate(names)}


def _collect(
    path: Path, lines: Sequence[tuple[int, list[str]]], place: Mapping[str, int], features: tuple[str, ...]
) -> LayerTable:
    found: dict[str, list[list[float]]] = {}
    devices = set()
    for number, row in lines[1:]:
        where = f"{path}: line {number}"
        if len(row) != len(lines[0][1]):
            raise DataError(f"{where}: {len(row)} cells, expected {len(lines[0][1])} as in the line of columns")
        kind = row[place["kind"]].strip()
        if not kind:
            raise DataError(f"{where}: column kind is empty, expected a word, for example convolution")
        values = [_number(where, name, row[place[name]]) for name in (*features, "latency_ms")]
        found.setdefault(kind, []).append(values)
        devices.add(row[place["device"]].strip() if "device" in place else "")
    arrays = {kind: np.array(rows) for kind, rows in found.items()}
    kinds = {kind: Layers(rows[:, :-1], rows[:, -1]) for kind, rows in arrays.items()}
    return LayerTable(features, kinds, devices.pop() or None if len(devices) == 1 else None)


def _number(where: str, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise DataError(f"{where}: column {column} is {text.strip()!r}, expected a number") from None
    if not math.isfinite(value):
        raise DataError(f"{where}: column {column} is {text.strip()}, expected a finite number")
    if column == "latency_ms" and value <= 0:
        raise DataError(f"{where}: column latency_ms is {text.strip()}, expected more than 0")
    if column in FEATURES and value < 0:
        raise DataError(f"{where}: column {column} is {text.strip()}, expected 0 or more")
    return value
