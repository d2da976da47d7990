import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from profiles import codec
from profiles.codec import Quantisation
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


FLOATS = st.sampled_from(["float16", "float32", "float64"]).flatmap(
    lambda dtype: arrays.arrays(dtype, st.integers(1, 50), elements={"allow_nan": False, "allow_infinity": False})
)


def crossed(tensor: Any, levels: Quantisation) -> Any:
    sent, parameters = codec.to_wire(tensor, name="t", wire="int8", quantisation=levels)
    assert sent.dtype == np.int8
    return codec.from_wire(sent, name="t", dtype=str(tensor.dtype), parameters=parameters)


@given(FLOATS)
@example(np.array([2.22507386e-309]))
def test_int8_is_off_by_half_a_level_at_most_within_its_range(tensor: Any) -> None:
    levels = Quantisation.over(float(tensor.min()), float(tensor.max()))
    back = crossed(tensor, levels).astype(np.longdouble)
    assert np.isfinite(back).all()
    rounding = np.finfo(tensor.dtype).eps * np.abs(tensor).max() + np.finfo(tensor.dtype).smallest_subnormal
    assert (np.abs(back - tensor) <= 0.501 * levels.scale + rounding).all()
    assert -128 <= levels.zero_point <= 127
    assert (crossed(np.zeros(2, tensor.dtype), levels) == 0).all()


@given(FLOATS, st.floats(0.01, 1e4), st.floats(0.01, 1e4))
def test_what_lies_beyond_the_range_crosses_as_its_end(tensor: Any, below: float, above: float) -> None:
    levels = Quantisation.over(-below, above)
    back = crossed(tensor, levels)
    inside = crossed(np.clip(tensor, -below, above).astype(tensor.dtype), levels)
    # The range's end may be rounded up into it, so the two can differ by the neighbouring level.
    assert (np.abs(back.astype(float) - inside.astype(float)) <= 1.01 * levels.scale).all()
    ends = crossed(np.array([-np.inf, np.inf], tensor.dtype), levels)
    assert (ends[0] <= back).all()
    assert (back <= ends[1]).all()


@given(arrays.arrays(np.float32, (4, 6), elements=st.floats(-20, 20, width=32)))
def test_a_row_crosses_alone_as_in_a_batch(tensor: Any) -> None:
    levels = Quantisation.over(-7, 9)
    sent, _ = codec.to_wire(tensor, name="t", wire="int8", quantisation=levels)
    for row, one in zip(sent, tensor, strict=True):
        alone, _ = codec.to_wire(one[None], name="t", wire="int8", quantisation=levels)
        assert codec.pack(alone) == codec.pack(row)


@given(st.floats(2.0**-90, 2.0**90), st.integers(-128, 127))
def test_float32_tells_levels_as_float64_does(scale: float, zero_point: int) -> None:
    every, levels = np.arange(-128, 128, dtype=np.int8), Quantisation(scale, zero_point)
    exact = (every.astype(np.float64) - zero_point) * scale
    fast = codec.from_wire(every, name="t", dtype="float32", parameters=parameters_of(levels))
    assert (np.abs(fast - exact) <= 2.0**-22 * np.abs(exact)).all()
    # And there and back every level is itself, half a level to either side but for a hair.
    for offset in (-0.499, 0.0, 0.499):
        moved = ((every.astype(np.float64) - zero_point + offset) * scale).astype(np.float32)
        assert (levels.levels(moved) == every).all()


def parameters_of(levels: Quantisation) -> dict[str, float]:
    return codec.to_wire(np.zeros(1, np.float32), name="t", wire="int8", quantisation=levels)[1]


def test_int8_without_levels_is_not_sent() -> None:
    with pytest.raises(PlanError, match="t is to cross as int8 and has no scale"):
        codec.to_wire(np.zeros(3, np.float32), name="t", wire="int8")


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


@pytest.mark.parametrize("parameters", [{}, {"t.scale": "1", "t.zero_point": 0}, {"t.scale": float("nan")}])
def test_int8_without_its_scale_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match=r"t\.(scale|zero_point)"):
        codec.from_wire(np.zeros(3, np.int8), name="t", dtype="float32", parameters=parameters)


@pytest.mark.parametrize(("scale", "zero_point"), [(1e300, 0), (1e-300, 3), (0.5, 1e200), (3e38, -1e9), (2.0, 0.5)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_whatever_numbers_a_peer_sends_the_tensor_stays_finite(scale: float, zero_point: float, dtype: str) -> None:
    every = np.arange(-128, 128, dtype=np.int8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = codec.from_wire(
            every, name="t", dtype=dtype, parameters={"t.scale": scale, "t.zero_point": zero_point}
        )
    assert np.isfinite(back).all()
    limit = float(np.finfo(dtype).max)
    exact = np.clip((every.astype(np.longdouble) - zero_point) * scale, -limit, limit)
    np.testing.assert_allclose(back, exact.astype(dtype), rtol=2e-3 if dtype == "float16" else 1e-6)
