import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like.kernels._blocks import boxes, destination, part


@given(st.lists(st.integers(0, 7), max_size=4).map(tuple), st.integers(1, 50))
def test_boxes_cover_every_voxel_once_in_c_order(shape, voxels):
    index = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    seen = [part(index, box).ravel() for box in boxes(shape, voxels)]
    assert all(0 < piece.size <= voxels for piece in seen)
    np.testing.assert_array_equal(np.concatenate([[], *seen]), index.ravel())


def test_destination_makes_a_c_contiguous_array_or_gives_back_the_one_that_fits():
    made = destination(None, (2, 3), "<u2")
    assert (made.shape, made.dtype, made.flags.c_contiguous) == ((2, 3), np.uint16, True)
    strided = np.zeros((4, 6), np.uint16)[::2, ::2]
    assert destination(strided, (2, 3), np.uint16) is strided


@pytest.mark.parametrize("out", [np.zeros((3, 2), "u2"), np.zeros((2, 3), "i2")])
def test_destination_refuses_another_shape_or_dtype(out):
    with pytest.raises(ValueError, match=r"expected \(2, 3\) uint16"):
        destination(out, (2, 3), np.uint16)
