"""Whether an ONNX file reads other files. A half from a folder must not: it is opened as it lies, whoever wrote it.

ONNX may keep a tensor's numbers in any file that it names. ONNX Runtime 1.32 refuses paths that lead out of the
model's folder; older ones read them. So the file's own protobuf is walked first (field numbers: onnx.proto), by hand,
since the edge has no `onnx`.
"""

from collections.abc import Iterator

from profiles.errors import ArtifactError

#: Message → its fields that hold messages in which a tensor can lie: number → message.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "function": {7: "node", 11: "attribute"},
    "training": {1: "graph", 2: "graph"},
    "tensor": {},
}
#: Of a tensor: the entries that say where its numbers are, and whether they are elsewhere.
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def require_self_contained(model: bytes, *, origin: str) -> None:
    """Raises ArtifactError for an ONNX file with external data, or for bytes that are no protobuf message."""
    waiting = [("model", memoryview(model))]
    while waiting:
        kind, message = waiting.pop()
        try:
            for number, value in _fields(message):
                if kind == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value)):
                    raise ArtifactError(
                        f"{origin}: a tensor of it lies in another file, expected all in one; split anew"
                    )
                if isinstance(value, memoryview) and number in _FIELDS[kind]:
                    waiting.append((_FIELDS[kind][number], value))
        except (IndexError, ValueError) as error:
            raise ArtifactError(f"{origin}: not a whole ONNX file; split the plan anew") from error


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """A message's fields: number and value. Raises IndexError, ValueError for what is no message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire not in (_FIXED64, _BYTES, _FIXED32):
            raise ValueError(f"wire type {wire}")
        size, at = _varint(message, at) if wire == _BYTES else (8 if wire == _FIXED64 else 4, at)
        if at + size > len(message):
            raise IndexError(at)
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")
