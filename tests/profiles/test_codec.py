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
