import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like.kernels.sums import first_overflow

NEAR = {
    "int64": st.sampled_from([-(2**63), -(2**63) + 1, -(2**62), -1, 0, 1, 2**62, 2**63 - 1]),
    "uint64": st.sampled_from([0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 2, 2**64 - 1]),
}


@given(data=st.data(), dtype=st.sampled_from(list(NEAR)))
def test_it_is_where_python_s_integers_leave_the_dtype(data, dtype):
    values = st.lists(NEAR[dtype], min_size=3, max_size=3)
    rows = data.draw(st.lists(values, min_size=1, max_size=5))
    limits = np.iinfo(dtype)
    wrong = [
        (i,)
        for i, column in enumerate(zip(*rows, strict=True))
        if not limits.min <= sum(column) <= limits.max
    ]
    found = first_overflow([np.array(row, dtype) for row in rows], np.dtype(dtype))
    assert found == (wrong[0] if wrong else None)


@pytest.mark.parametrize(
    "small", ["bool", "uint8", "uint16", "uint32", "int8", "int32"], ids="beside {}".format
)
def test_small_dtypes_count_too(small):
    one = np.ones((2, 3), small)
    full = np.full((2, 3), 2**63 - 2, "int64")
    assert first_overflow([full, one], np.dtype("int64")) is None
    full[1, 2] += 1
    assert first_overflow([full, one], np.dtype("int64")) == (1, 2)


def test_it_is_found_behind_the_first_block():
    many = np.zeros((3, 300, 301), "uint64")
    many[2, 299, 5] = 2**64 - 1
    term = np.broadcast_to(np.uint8(1), many.shape)
    assert first_overflow([term, many], np.dtype("uint64")) == (2, 299, 5)


def test_nothing_is_in_nothing():
    assert first_overflow([np.zeros((0, 3), "int64")], np.dtype("int64")) is None
