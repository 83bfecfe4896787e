"""Against numpy's own indexing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like.errors import RegionError
from dacapo_like.geometry import Box
from dacapo_like.indexing import index_box


def bounds(n):
    return st.none() | st.integers(-n, n)


def axis_indices(n):
    slices = st.builds(slice, bounds(n), bounds(n), st.none() | st.integers(1, 4))
    return slices | st.integers(-n, n - 1) | st.integers(-n, n - 1).map(np.int64) if n else slices


@st.composite
def arrays_and_indices(draw):
    shape = tuple(draw(st.lists(st.integers(0, 5), max_size=4)))
    parts = [draw(axis_indices(n)) for n in shape]
    if draw(st.booleans()):
        cut = sorted(draw(st.tuples(*[st.integers(0, len(parts))] * 2)))
        parts[cut[0] : cut[1]] = [Ellipsis]
    else:
        parts = parts[: draw(st.integers(0, len(parts)))]
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    return array, parts[0] if len(parts) == 1 and draw(st.booleans()) else tuple(parts)


@given(arrays_and_indices())
def test_indices_inside_of_the_array_are_numpys(array_and_index):
    array, index = array_and_index
    box, rest = index_box(index, array.shape)
    assert Box((0,) * array.ndim, array.shape).contains(box)
    assert min(box.shape, default=0) >= 0
    np.testing.assert_array_equal(array[box.slices][rest], array[index])
    assert np.shape(array[box.slices][rest]) == np.shape(array[index])


@pytest.mark.parametrize(
    ("index", "what"),
    [
        (10, "leaves the array"),
        (-11, "leaves the array"),
        (slice(0, 11), "slice leaves the array"),
        (slice(-11, None), "slice leaves the array"),
        (slice(12, 14), "slice leaves the array"),
        (slice(None, None, -1), "step below 1"),
        (slice(None, None, 0), "step below 1"),
        ((0, 0, 0), "wrong rank"),
        ((..., ...), "wrong rank"),
        ((0, ..., 0, 0), "wrong rank"),
        (1.0, "not an index"),
        (slice(1.0, None), "not an index"),
        (slice(None, None, 0.5), "not an index"),
        (True, "not an index"),
        (np.True_, "not an index"),
        (slice(True, None), "not an index"),
        (None, "not an index"),
        ([0, 1], "not an index"),
        (np.array([0, 1]), "not an index"),
        (np.ones((10, 5), bool), "not an index"),
        ("c", "not an index"),
    ],
)
def test_what_numpy_might_take_otherwise_is_refused(index, what):
    with pytest.raises(RegionError, match=what):
        index_box(index, (10, 5))
