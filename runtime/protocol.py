"""Open Inference Protocol v2 over HTTP with the binary tensor extension: requests, replies, errors as bytes.

Both sides are here, so that what one writes the other reads: a JSON header, then the tensors' bytes, the header's
length in `Inference-Header-Content-Length`. The tensors are `message_tensors`'. No socket in this file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from numpy.typing import NDArray

from runtime.message_tensors import MOST_TENSORS, ProtocolError, TensorHeader, as_bytes, as_numbers, tensors_of

HEADER_LENGTH = "Inference-Header-Content-Length"
#: The extension by which tensors travel as bytes.
BINARY = "binary_tensor_data"
#: A JSON header in front of binary tensors; where all is JSON, the body's own limit holds.
MOST_HEADER_BYTES = 2**20
#: Ids and names come back in answers.
MOST_NAME_CHARACTERS = 1024
MOST_ERROR_CHARACTERS = 500
Array = NDArray[Any]


class TensorFacts(msgspec.Struct, frozen=True):
    """A tensor in a model's metadata; −1 stands for any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def described(self) -> str:
        return f"{self.name} {self.datatype} {list(self.shape)}"


class ModelMetadata(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    versions: tuple[str, ...] = ()
    platform: str = ""


class ServerMetadata(msgspec.Struct, frozen=True):
    name: str = ""
    version: str = ""
    extensions: tuple[str, ...] = ()


class _Wanted(msgspec.Struct, omit_defaults=True):
    name: str
    parameters: dict[str, Any] = {}


class _Request(msgspec.Struct, omit_defaults=True):
    inputs: list[TensorHeader]
    outputs: list[_Wanted] = []
    id: str = ""
    parameters: dict[str, Any] = {}


class _Reply(msgspec.Struct, omit_defaults=True):
    model_name: str
    outputs: list[TensorHeader]
    model_version: str = ""
    id: str = ""
    parameters: dict[str, Any] = {}


class _Error(msgspec.Struct):
    error: str


_read_request = msgspec.json.Decoder(_Request)
_read_reply = msgspec.json.Decoder(_Reply)
_write = msgspec.json.Encoder()


@dataclass(frozen=True)
class InferRequest:
    """tensors: by name. wanted: names of outputs, none for all; binary: those to be sent as bytes."""

    tensors: Mapping[str, Array]
    wanted: tuple[str, ...] = ()
    binary: frozenset[str] | None = None
    id: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def is_binary(self, output: str) -> bool:
        return self.binary is None or output in self.binary


@dataclass(frozen=True)
class InferReply:
    tensors: Mapping[str, Array]
    model: str
    id: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    """A body in parts, so that no tensor is copied into it, and the headers that say what it is. half_as_json: FP16
    tensors are in it as numbers, which the protocol does not foresee."""

    parts: tuple[bytes | memoryview, ...]
    headers: Mapping[str, str]
    half_as_json: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return sum(map(len, self.parts))


def encode_request(request: InferRequest, *, binary: bool = True) -> Message:
    """Tensors as bytes and binary replies asked for; or, for servers without that extension, all as JSON."""
    if not binary:
        tensors = [as_numbers(name, array) for name, array in request.tensors.items()]
        made = _message(_Request(tensors, id=request.id, parameters=dict(request.parameters)), [])
        return replace(made, half_as_json=any(one.datatype == "FP16" for one in tensors))
    facts, parts = as_bytes(request.tensors)
    parameters = {**request.parameters, "binary_data_output": True}
    return _message(_Request(facts, id=request.id, parameters=parameters), parts)


def decode_request(body: bytes | memoryview, header_length: str | None) -> InferRequest:
    """Raises ProtocolError for anything that is not whole and consistent."""
    head, tail = _cut(body, header_length)
    request = _parse(_read_request, head)
    if len(request.outputs) > MOST_TENSORS or len(request.id) > MOST_NAME_CHARACTERS:
        raise ProtocolError(
            f"{len(request.outputs)} outputs and an id of {len(request.id)} characters, expected at most "
            f"{MOST_TENSORS} and {MOST_NAME_CHARACTERS}"
        )
    tensors = tensors_of(request.inputs, tail)
    if not tensors:
        raise ProtocolError("the request has no inputs")
    default = bool(request.parameters.get("binary_data_output", False))
    binary = (
        None
        if default and not request.outputs
        else frozenset(one.name for one in request.outputs if one.parameters.get("binary_data", default))
    )
    wanted = tuple(one.name for one in request.outputs)
    return InferRequest(tensors, wanted, binary, request.id, request.parameters)


def encode_reply(reply: InferReply, *, binary: Iterable[str]) -> Message:
    """Outputs named in `binary` as bytes, the others as JSON."""
    names = frozenset(binary)
    packed = {name: array for name, array in reply.tensors.items() if name in names}
    facts, parts = as_bytes(packed)
    by_name = {fact.name: fact for fact in facts}
    for name, array in reply.tensors.items():
        if name not in names:
            by_name[name] = as_numbers(name, array)
    outputs = [by_name[name] for name in reply.tensors]
    return _message(_Reply(reply.model, outputs, id=reply.id, parameters=dict(reply.parameters)), parts)


def decode_reply(body: bytes | memoryview, header_length: str | None) -> InferReply:
    """Raises ProtocolError for anything that is not whole and consistent."""
    head, tail = _cut(body, header_length)
    reply = _parse(_read_reply, head)
    return InferReply(tensors_of(reply.outputs, tail), reply.model_name, reply.id, reply.parameters)


def encode_error(message: str) -> bytes:
    """One line of bounded length, whatever of the peer's own it repeats."""
    return _write.encode(_Error(" ".join(message.split())[:MOST_ERROR_CHARACTERS]))


def decode_error(body: bytes) -> str:
    """A server's own words, shortened; whatever it sent."""
    try:
        return msgspec.json.decode(body, type=_Error).error[:300]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "no reason given"


def encode_metadata(facts: msgspec.Struct) -> bytes:
    return _write.encode(facts)


def decode_metadata(body: bytes) -> ModelMetadata:
    """Raises ProtocolError where it is no model metadata."""
    try:
        return msgspec.json.decode(body, type=ModelMetadata)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"the server's model metadata cannot be read ({error})") from error


def decode_server(body: bytes) -> ServerMetadata:
    """A server's metadata; nothing is known of one whose answer cannot be read."""
    try:
        return msgspec.json.decode(body, type=ServerMetadata)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ServerMetadata()


def _message(header: msgspec.Struct, parts: Sequence[memoryview]) -> Message:
    head = _write.encode(header)
    if not parts:
        return Message((head,), {"Content-Type": "application/json"})
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return Message((head, *parts), headers)


def _cut(body: bytes | memoryview, header_length: str | None) -> tuple[memoryview, memoryview]:
    view = memoryview(body)
    if header_length is None:
        return view, view[:0]
    plain = header_length.isascii() and header_length.isdigit() and len(header_length) <= 18
    if not plain or int(header_length) > len(view):
        raise ProtocolError(f"{HEADER_LENGTH} is {header_length[:20]!r}, the body has {len(view)} bytes")
    if int(header_length) > MOST_HEADER_BYTES:
        raise ProtocolError(f"a JSON header of {int(header_length)} bytes, expected at most {MOST_HEADER_BYTES}")
    return view[: int(header_length)], view[int(header_length) :]


def _parse(decoder: "msgspec.json.Decoder[Any]", head: memoryview) -> Any:
    try:
        return decoder.decode(head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"the JSON header is not that of the protocol: {str(error)[:200]}") from error
