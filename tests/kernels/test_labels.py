import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dacapo_like.kernels.labels import group_masks

DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i2", ">u4", ">u8"]
EDGES = sorted(
    {
        sign * 2**power + step
        for power in (0, 7, 8, 15, 16, 31, 32, 53, 63, 64)
        for step in (-1, 0, 1)
        for sign in (-1, 1)
    }
)
IDS = st.sampled_from(EDGES) | st.integers(-(2**65), 2**65)


def per_voxel(labels, groups, background):
    """Python's unbounded integers, one voxel at a time."""
    masks = np.empty((len(groups), *labels.shape), np.uint8)
    for channel, group in enumerate(groups):
        for index in np.ndindex(*labels.shape):
            label = int(labels[index])
            masks[(channel, *index)] = label != background and (not group or label in group)
    return masks


@st.composite
def cases(draw):
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    held = st.sampled_from([edge for edge in EDGES if low <= edge <= high])
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    labels = draw(hnp.arrays(dtype, shape, elements=held, fill=st.nothing()))
    groups = draw(st.lists(st.lists(held | IDS, max_size=5), max_size=4))
    return labels, groups, draw(held | IDS)


@given(cases())
def test_every_dtype_and_id_is_exact(case):
    labels, groups, background = case
    masks = group_masks(labels, groups, background=background)
    assert masks.flags.c_contiguous
    np.testing.assert_array_equal(masks, per_voxel(labels, groups, background), strict=True)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "u8"])
def test_many_ids_over_many_voxels_agree_with_numpy_isin(dtype):
    random = np.random.default_rng(4)
    labels = random.integers(0, 120, (3, 150, 200)).astype(dtype)  # more than are done at once
    groups = [random.choice(200, size, replace=False).tolist() for size in (1, 7, 90)]
    groups = [[index for index in group if index < 127] for group in groups]
    masks = group_masks(np.asfortranarray(labels), [*groups, []], background=0)
    for mask, group in zip(masks[:-1], groups, strict=True):
        np.testing.assert_array_equal(mask, np.isin(labels, group) & (labels != 0))
    np.testing.assert_array_equal(masks[-1], labels != 0)


def test_neighbouring_ids_above_the_reach_of_float64_stay_apart():
    labels = np.array([2**53, 2**53 + 1, 2**63, 2**63 + 1, 2**64 - 2, 2**64 - 1], np.uint64)
    groups = [[int(label)] for label in labels]
    np.testing.assert_array_equal(group_masks(labels, groups, background=0), np.eye(6))


def test_ids_never_wrap_around():
    minus_one = np.array([-1], np.int64)
    assert group_masks(minus_one, [[2**64 - 1]], background=0).tolist() == [[0]]
    assert group_masks(np.array([255], np.uint8), [[-1]], background=0).tolist() == [[0]]
    assert group_masks(np.array([0], np.uint8), [[]], background=256).tolist() == [[1]]
    assert group_masks(np.array([7], np.uint64), [[]], background=-1).tolist() == [[1]]


def test_a_group_of_nothing_but_foreign_ids_is_not_an_empty_group():
    labels = np.array([0, 1, 200], np.uint8)
    assert group_masks(labels, [[1000], [0]], background=0).tolist() == [[0] * 3] * 2


def test_the_background_is_never_marked():
    labels = np.array([3, 4, 5], np.uint32)
    masks = group_masks(labels, [[3, 4], [], [4]], background=4)
    assert masks.tolist() == [[1, 0, 0], [1, 0, 1], [0, 0, 0]]


def test_no_groups_give_no_channels():
    assert group_masks(np.zeros((2, 3), "u8"), [], background=0).shape == (0, 2, 3)


def test_numpy_integers_are_ids_too():
    ids = np.array([2**64 - 1], np.uint64)
    assert group_masks(ids, [ids], background=np.int64(0)).tolist() == [[1]]


@pytest.mark.parametrize("dtype", ["u1", "u8"])
def test_out_may_be_strided(dtype):
    labels = np.arange(12).reshape(3, 4).astype(dtype)
    holder = np.full((4, 6, 2), 9, np.uint8)
    out = holder[:, ::2].T
    assert group_masks(labels, [[1, 5], []], background=5, out=out) is out
    np.testing.assert_array_equal(out, per_voxel(labels, [[1, 5], []], 5))
    assert (holder[:, 1::2] == 9).all()


def test_an_out_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"expected \(1, 3\) uint8"):
        group_masks([1, 2, 3], [[1]], background=0, out=np.zeros((1, 3), bool))


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "O"])
def test_labels_that_are_not_integers_are_refused(dtype):
    with pytest.raises(TypeError, match="labels are bool or integers"):
        group_masks(np.zeros(3, dtype), [[1]], background=0)


def test_fractional_ids_are_refused():
    with pytest.raises(TypeError):
        group_masks(np.zeros(3, "u1"), [[1.0]], background=0)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u8"])
def test_memory_beyond_the_masks_is_bounded(dtype):
    labels = np.ones((64, 256, 256), dtype)
    tracemalloc.start()
    try:
        masks = group_masks(labels, [[1]], background=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - masks.nbytes < 4 * 2**20  # 64-bit codes of all voxels would be 32 MiB
