from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from profiles import codec
from profiles.errors import PlanError


@given(
    st.sampled_from(sorted(codec.DATATYPES)).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0))
    )
)
def test_what_is_packed_comes_back(tensor: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> None:
    datatype = codec.datatype_of(str(tensor.dtype))
    back = codec.unpack(bytes(codec.pack(tensor)), datatype=datatype, shape=tensor.shape)
    assert back.dtype == tensor.dtype
    assert back.tobytes() == tensor.tobytes()


def test_a_transposed_tensor_is_packed_row_by_row() -> None:
    tensor = np.arange(6, dtype=np.float32).reshape(2, 3).T
    back = codec.unpack(bytes(codec.pack(tensor)), datatype="FP32", shape=(3, 2))
    assert (back == tensor).all()


def test_bytes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(PlanError, match="expected 8"):
        codec.unpack(b"1234567", datatype="FP32", shape=(2,))
    with pytest.raises(PlanError, match="BYTES"):
        codec.unpack(b"", datatype="BYTES", shape=(0,))


@given(arrays.arrays(np.float32, st.integers(1, 50), elements=st.floats(-1e6, 1e6, width=32)))
def test_int8_is_off_by_no_more_than_its_step(tensor: Any) -> None:
    sent, parameters = codec.to_wire(tensor, name="t", wire="int8")
    assert sent.dtype == np.int8
    back = codec.from_wire(sent, name="t", dtype="float32", parameters=parameters)
    step = (float(tensor.max()) - float(tensor.min())) / 255
    assert np.abs(back.astype(float) - tensor).max() <= step + 1e-6 * np.abs(tensor).max() + 1e-30


def test_a_wire_carries_floats_in_its_bits_and_the_rest_as_it_is() -> None:
    floats, whole = np.array([1.5, -2.25, 1e9], np.float32), np.array([3], np.int64)
    half, none = codec.to_wire(floats, name="t", wire="float16")
    assert half.dtype == np.float16
    assert not none
    assert np.isfinite(half).all()
    np.testing.assert_array_equal(codec.from_wire(half, name="t", dtype="float32", parameters={})[:2], floats[:2])
    for wire in codec.WIRE_ITEMSIZE:
        assert codec.to_wire(whole, name="t", wire=wire)[0] is whole
    assert codec.to_wire(floats, name="t", wire="float32")[0] is floats
    assert codec.wire_dtype("float16", "float32") == "float16"


@pytest.mark.parametrize("tensor", [[1000.0, 1000.5, 1001.0], [0.0, 6e-8], [5.0, 5.0], [0.0, 0.0], [-6e4, 6e4]])
def test_int8_keeps_what_16_bits_hold(tensor: list[float]) -> None:
    given = np.array(tensor, np.float16)
    sent, parameters = codec.to_wire(given, name="t", wire="int8")
    back = codec.from_wire(sent, name="t", dtype="float16", parameters=parameters).astype(float)
    step = (float(given.max()) - float(given.min())) / 255
    assert np.abs(back - given).max() <= step + 1e-3 * np.abs(given.astype(float)).max()
    assert abs(parameters["t.zero_point"]) < 2**31


@pytest.mark.parametrize("parameters", [{}, {"t.scale": "1", "t.zero_point": 0}, {"t.scale": float("nan")}])
def test_int8_without_its_scale_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match=r"t\.(scale|zero_point)"):
        codec.from_wire(np.zeros(3, np.int8), name="t", dtype="float32", parameters=parameters)
