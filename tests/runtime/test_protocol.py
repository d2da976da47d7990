import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from runtime import protocol
from runtime.message_tensors import ProtocolError
from runtime.protocol import HEADER_LENGTH, InferReply, InferRequest

tensors = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.sampled_from(["float32", "float16", "int64", "uint8", "bool"]).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(max_dims=3, max_side=4))
    ),
    min_size=1,
    max_size=3,
)


def same(one: "dict[str, np.ndarray]", other: "dict[str, np.ndarray]") -> bool:
    return list(one) == list(other) and all(
        one[name].dtype == other[name].dtype
        and one[name].shape == other[name].shape
        and one[name].tobytes() == other[name].tobytes()
        for name in one
    )


@given(tensors, st.text(max_size=5))
def test_a_request_comes_back(made: "dict[str, np.ndarray]", name: str) -> None:
    message = protocol.encode_request(InferRequest(made, id=name, parameters={"key": 3}))
    back = protocol.decode_request(message.body, message.headers[HEADER_LENGTH])
    assert same(made, dict(back.tensors))
    assert back.id == name
    assert back.parameters["key"] == 3
    assert back.is_binary("anything")


@given(tensors, st.booleans())
def test_a_reply_comes_back_as_bytes_and_as_json(made: "dict[str, np.ndarray]", binary: bool) -> None:
    made = {name: np.nan_to_num(value, posinf=0, neginf=0) for name, value in made.items()}
    message = protocol.encode_reply(InferReply(made, "net"), binary=made if binary else ())
    back = protocol.decode_reply(message.body, message.headers.get(HEADER_LENGTH))
    assert back.model == "net"
    assert list(back.tensors) == list(made)
    for name, value in made.items():
        assert back.tensors[name].dtype == value.dtype
        assert np.array_equal(back.tensors[name], value)


def request(**changes: object) -> bytes:
    tensor: dict[str, object] = {"name": "a", "shape": [2], "datatype": "FP32", "data": [1, 2]}
    return json.dumps({"inputs": [tensor | changes]}).encode()


@pytest.mark.parametrize(
    ("body", "length", "word"),
    [
        (b"", None, "JSON header"),
        (b"[1, 2", None, "JSON header"),
        (b"[" * 100_000, None, "JSON header"),
        (b"{}", None, "inputs"),
        (b'{"inputs": []}', None, "no inputs"),
        (request(), "9999", HEADER_LENGTH),
        (request(), "-1", HEADER_LENGTH),
        (request(), "1e3", HEADER_LENGTH),
        (request(), "٣", HEADER_LENGTH),
        (request(data=[1]), None, "data are not FP32"),
        (request(data=[1, "x"]), None, "data are not FP32"),
        (request(data=[[1], [2, 3]]), None, "data are not FP32"),
        (request(data=None), None, "neither data nor binary_data_size"),
        (request(datatype="BYTES"), None, "BYTES"),
        (request(shape=[-2]), None, "cannot be"),
        (request(shape=[1] * 100), None, "cannot be"),
        (request(shape=[2**62, 2**62]), None, "cannot be"),
        (request(parameters={"binary_data_size": 8}), None, "0 bytes left"),
        (request(parameters={"binary_data_size": -8}), None, "binary_data_size -8"),
        (request(parameters={"binary_data_size": "8"}), None, "binary_data_size '8'"),
        (request(parameters={"binary_data_size": True}), None, "binary_data_size True"),
    ],
)
def test_what_is_not_the_protocols_is_refused(body: bytes, length: str | None, word: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        protocol.decode_request(body, length)
    assert word in str(caught.value)


def test_bytes_must_fit_the_shape_and_none_may_follow() -> None:
    head = json.dumps(
        {"inputs": [{"name": "a", "shape": [3], "datatype": "FP32", "parameters": {"binary_data_size": 8}}]}
    ).encode()
    with pytest.raises(ProtocolError, match="expected 12"):
        protocol.decode_request(head + bytes(8), str(len(head)))
    message = protocol.encode_request(InferRequest({"a": np.zeros(3, np.float32)}))
    with pytest.raises(ProtocolError, match="2 bytes follow"):
        protocol.decode_request(message.body + b"xx", message.headers[HEADER_LENGTH])


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 300), st.integers(0, 300), st.integers(-50, 400))
def test_a_damaged_request_is_refused_or_read_never_worse(junk: bytes, start: int, stop: int, length: int) -> None:
    good = protocol.encode_request(InferRequest({"a": np.ones((2, 3), np.float32), "b": np.ones(4, np.uint8)})).body
    damaged = good[:start] + junk + good[stop:]
    for said in (None, str(length), str(len(damaged))):
        with contextlib.suppress(ProtocolError):
            protocol.decode_request(damaged, said)
