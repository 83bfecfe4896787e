import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dacapo_like.kernels.walk import grid_extremes, grid_points, move_points, reference_positions


@st.composite
def walks(draw):
    dims = draw(st.integers(1, 3))
    numbers = st.floats(-1e6, 1e6)
    matrix = np.array([[draw(numbers) for _ in range(dims + 1)] for _ in range(dims)])
    start = [draw(st.integers(-50, 10**6)) for _ in range(dims)]
    shape = [draw(st.integers(1, 6)) for _ in range(dims)]
    first = draw(st.integers(0, int(np.prod(shape)) - 1))
    return matrix, start, shape, first, draw(st.integers(1, int(np.prod(shape)) - first))


def places(matrix, start, shape):
    indices = np.indices(shape).reshape(len(shape), -1) + np.array(start)[:, None]
    return reference_positions(matrix, indices.astype(float))


@given(walks())
@settings(max_examples=60)
def test_any_part_of_a_box_is_where_plain_numpy_says(walk):
    matrix, start, shape, first, count = walk
    got = grid_points(matrix, start, shape, first, count)
    dims = len(shape)
    expected = places(matrix, start, shape)[:, first : first + count]
    np.testing.assert_array_equal(got[3 - dims :], expected)
    np.testing.assert_array_equal(got[: 3 - dims], 0)


@given(walks())
@settings(max_examples=60)
def test_the_extremes_are_those_of_all_voxels(walk):
    matrix, start, shape, _, _ = walk
    found = places(matrix, start, shape)
    expected = np.stack([found.min(axis=1), found.max(axis=1)], axis=1)
    np.testing.assert_array_equal(grid_extremes(matrix, start, shape), expected)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_points_are_moved_in_place(dims):
    rng = np.random.default_rng(dims)
    matrix, points = rng.normal(size=(dims, dims + 1)), rng.normal(size=(dims, 50))
    rows = np.zeros((3, 50))
    rows[3 - dims :] = points
    move_points(matrix, rows)
    np.testing.assert_array_equal(rows[3 - dims :], reference_positions(matrix, points))
    np.testing.assert_allclose(rows[3 - dims :], matrix[:, :dims] @ points + matrix[:, dims:])
