import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dacapo_like.kernels._rows import layout, memory, walkable

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, max_side=4)


@st.composite
def views(draw, count):
    """Give arrays of one shape, of different strides, all of whose voxels are different."""
    shape = draw(SHAPES)
    found = []
    for _ in range(count):
        axes = draw(st.permutations(range(len(shape))))
        steps = [draw(st.sampled_from([1, 2, -1, -2])) for _ in axes]
        sides = [shape[axis] * abs(step) for axis, step in zip(axes, steps, strict=True)]
        whole = np.arange(np.prod(sides, dtype=int)).reshape(sides)
        view = whole[(*(slice(None, None, step) for step in steps), ...)]
        found.append(view.transpose(np.argsort(axes)))
    return found


@given(views(2))
def test_rows_meet_every_voxel_of_both_arrays_at_once(arrays):
    lengths, *steps = layout(*arrays)
    met = []
    for index in np.ndindex(*lengths):
        places = [begin + int(np.dot(index, along)) for along, (_, begin) in walks(steps, arrays)]
        met.append(tuple(int(memory(a)[0][p]) for a, p in zip(arrays, places, strict=True)))
    expected = zip(arrays[0].flat, arrays[1].flat, strict=True)
    assert sorted(met) == sorted((int(a), int(b)) for a, b in expected)


def walks(steps, arrays):
    return zip(steps, map(memory, arrays), strict=True)


@given(views(1))
def test_memory_is_a_view(arrays):
    (array,) = arrays
    flat, begin = memory(array)
    assert np.shares_memory(flat, array)
    assert flat.ndim == 1
    assert flat.flags.c_contiguous
    assert flat[begin] == array[(0,) * array.ndim]


def test_memory_that_is_not_written_stays_so():
    array = np.arange(12).reshape(3, 4)[:, ::2]
    array.setflags(write=False)
    assert not memory(array)[0].flags.writeable


def test_axes_are_joined_where_both_arrays_go_on():
    whole = np.zeros((4, 5, 6, 7))
    assert layout(whole, whole).shape == (3, 1)
    assert layout(whole[:, 1:], whole[:, :-1]).tolist() == [[4, 168], [210, 1], [210, 1]]
    assert layout(whole.T, whole.T).shape == (3, 1)
    assert layout(whole, np.zeros((4, 5, 7, 6)).swapaxes(2, 3)).shape == (3, 3)


@pytest.mark.parametrize("dtype", [">i4", [("a", "u1"), ("b", "i4")]])
def test_what_loops_cannot_walk_is_told(dtype):
    array = np.zeros(3, dtype)
    assert not walkable(array["b"] if array.dtype.names else array)
    assert walkable(array.astype("i4") if not array.dtype.names else array["a"])
