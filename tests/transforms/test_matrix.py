from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dacapo_like.spec import from_shape
from dacapo_like.transforms.matrix import (
    as_floats,
    diagonal,
    identity,
    inverse,
    matrix_of,
    permutation,
    product,
    voxel_to_world,
)

numbers = st.fractions(-100, 100, max_denominator=1000)


@st.composite
def matrices(draw):
    dims = draw(st.integers(1, 3))
    rows = [tuple(draw(numbers) for _ in range(dims + 1)) for _ in range(dims)]
    return (*rows, identity(dims)[-1])


@given(matrices())
def test_an_inverse_undoes_a_matrix_exactly(matrix):
    try:
        found = inverse(matrix)
    except ZeroDivisionError:
        rank = np.linalg.matrix_rank(as_floats(matrix)[:, :-1])
        assert rank < len(matrix) - 1
        return
    assert product(matrix, found) == product(found, matrix) == identity(len(matrix) - 1)


@given(matrices(), matrices())
@settings(max_examples=30)
def test_products_are_those_of_numpy(a, b):
    assume(len(a) == len(b))
    expected = np.array([[float(v) for v in row] for row in a]) @ [
        [float(v) for v in row] for row in b
    ]
    np.testing.assert_allclose(as_floats(product(a, b)), expected[:-1], rtol=1e-12, atol=1e-9)


def test_a_singular_matrix_has_no_inverse():
    with pytest.raises(ZeroDivisionError):
        inverse(matrix_of([[1, 2, 0], [2, 4, 0], [0, 0, 1]]))


def test_axes_are_taken_to_other_places():
    swap = permutation(("z", "y", "x"), ("x", "y", "z"))
    np.testing.assert_array_equal(as_floats(swap)[:, :3], np.eye(3)[::-1])


def test_voxel_sizes_stay_exact():
    spec = from_shape((3, 3), voxel_size=(0.1, "1/3"), offset=(9.8, 0))
    matrix = voxel_to_world(spec)
    assert matrix[0] == (Fraction(1, 10), 0, Fraction(985, 100))
    assert matrix[1] == (0, Fraction(1, 3), Fraction(1, 6))
    assert product(inverse(matrix), matrix) == diagonal([1, 1])


def test_oblique_arrays_are_where_their_spec_says():
    c, s = np.cos(0.3), np.sin(0.3)
    turn = ((c, s, 0.0), (-s, c, 0.0), (0.0, 0.0, -1.0))
    spec = from_shape((3, 4, 5), voxel_size=(2, 0.5, 1), offset=(7, -3, 2), directions=turn)
    np.testing.assert_allclose(
        as_floats(voxel_to_world(spec)), spec.voxel_to_world[:-1], atol=1e-14
    )
