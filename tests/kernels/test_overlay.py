import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dacapo_like.kernels import _loading
from dacapo_like.kernels.overlay import lay_over, lay_over_by_numpy

SHAPES = hnp.array_shapes(min_dims=0, max_side=4)


@pytest.fixture(autouse=True, scope="module")
def loops_for_any_number_of_voxels():
    """Let compiled loops take all that they can."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_loading, "WORTH_LOADING", 0)
        yield


@pytest.mark.parametrize("dtype", ["?", "i8", "u8", ">u4"])
@given(data=st.data(), shape=SHAPES, shift=st.sampled_from([0, 1, 2**32, 2**63]))
def test_labels_hide_what_is_below_them(dtype, data, shape, shift):
    ids = hnp.from_dtype(np.dtype(dtype), min_value=0, max_value=300) if dtype != "?" else None
    labels = data.draw(hnp.arrays(dtype, shape, elements=ids))
    below = data.draw(hnp.arrays("u8", shape, elements=st.sampled_from([0, 0, 5, 2**64 - 1])))
    voxels = list(zip(labels.ravel().tolist(), below.ravel().tolist(), strict=True))
    expected = [int(label) + shift if label else other for label, other in voxels]
    for function in (lay_over, lay_over_by_numpy):
        out = below.copy()
        hides = function(labels, shift, out)
        assert hides == any(label and other for label, other in voxels)
        assert out.ravel().tolist() == expected


def test_both_arrays_may_be_strided():
    labels = np.arange(24, dtype="u8").reshape(2, 3, 4)[:, ::-1].T
    holder = np.full((4, 3, 6), 9, "u8")
    out = holder[..., ::3]
    expected = np.where(labels == 0, 9, labels + 100)
    assert lay_over(labels, 100, out)
    np.testing.assert_array_equal(out, expected)
    assert (holder[..., 1:3] == 9).all()
