import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dacapo_like.kernels import _loading
from dacapo_like.kernels import labels as module
from dacapo_like.kernels._label_reference import mark_groups
from dacapo_like.kernels._label_table import make_table
from dacapo_like.kernels.labels import GroupLookup, group_masks, mark_positive

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


@pytest.fixture(autouse=True, scope="module")
def loops_for_any_number_of_voxels():
    """Let compiled loops take all that they can."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_loading, "WORTH_LOADING", 0)
        yield


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


def strided(values, draw):
    """Put values into an array of other strides: a part of a larger one, turned, and every other voxel of it."""
    axes = draw(st.permutations(range(values.ndim)))
    steps = [draw(st.sampled_from([1, 1, 2, -1, -3])) for _ in axes]
    larger = [values.shape[axis] * abs(step) + 1 for axis, step in zip(axes, steps, strict=True)]
    holder = np.full(larger, 7, values.dtype)
    cuts = [
        slice(None, n * step, step) if step > 0 else slice(-2, -2 + n * step, step)
        for n, step in zip((values.shape[axis] for axis in axes), steps, strict=True)
    ]
    view = holder[(*cuts, ...)].transpose(np.argsort(axes))
    assert view.shape == values.shape
    view[...] = values
    return holder, view


@given(st.data(), st.sampled_from(["u1", "f4"]), st.sampled_from([20, 2**40]))
def test_labels_and_out_may_be_strided_in_any_way(data, dtype, reach):
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=4, max_side=4))
    ids = [0, 1, 5, reach]
    values = data.draw(hnp.arrays("u8", shape, elements=st.sampled_from([*ids, 6])))
    groups = [[1], [5, reach], []]
    _, labels = strided(values, data.draw)
    holder, out = strided(np.full((3, *shape), 9, dtype), data.draw)
    around = (holder == 7).sum()
    assert group_masks(labels, groups, background=1, out=out) is out
    np.testing.assert_array_equal(out, per_voxel(values, groups, 1))
    assert (holder == 7).sum() == around


@pytest.mark.parametrize("dtype", ["u1", "i2", "f2", "u4", "f4", "i8", "f8", "g", ">f4", "c8"])
def test_out_may_be_of_any_dtype_that_holds_the_masks(dtype):
    voxels = np.arange(24, dtype="u1").reshape(4, 6)[:, ::-1]
    groups = [[3, 4], [], [99]]
    out = np.full((3, 4, 6), 9, dtype)
    assert group_masks(voxels, groups, background=4, out=out) is out
    np.testing.assert_array_equal(out, per_voxel(voxels, groups, 4).astype(dtype), strict=True)


@given(
    st.lists(st.tuples(st.sampled_from([0, 3, 4, 200]), st.integers(1, 40)), max_size=12),
    st.sampled_from(["u1", "u8"]),
    st.sampled_from([1, -1, 2]),
)
def test_runs_of_any_length_are_looked_up(runs, dtype, step):
    values = np.repeat(*np.array(runs, int).reshape(-1, 2).T).astype(dtype)
    values[values == 200] = 2 ** (8 * values.itemsize) - 1  # far away: u8 are hashed
    groups = [[3], [4, 2 ** (8 * values.itemsize) - 1], []]
    masks = group_masks(values[::step], groups, background=0)
    np.testing.assert_array_equal(masks, per_voxel(values[::step], groups, 0))


@pytest.mark.parametrize("dtype", ["u1", "u8"])
def test_broadcast_labels_are_looked_up(dtype):
    labels = np.broadcast_to(np.array([[1], [2]], dtype), (2, 9000))
    masks = group_masks(labels, [[2]], background=0)
    np.testing.assert_array_equal(masks[0], labels == 2)


@pytest.mark.parametrize("dtype", ["u2", "u8"])
@pytest.mark.parametrize("count", [8, 9, 70])
def test_there_may_be_any_number_of_groups(dtype, count):
    labels = np.random.default_rng(1).integers(0, 90, (11, 1000)).astype(dtype)
    groups = [[i, i + 1, 40] for i in range(count)]
    lookup = GroupLookup(groups, background=40)
    masks = lookup(labels)
    for mask, group in zip(masks, groups, strict=True):
        np.testing.assert_array_equal(mask, np.isin(labels, group) & (labels != 40))
    np.testing.assert_array_equal(lookup(labels, slice(5, 8)), masks[5:8])
    np.testing.assert_array_equal(lookup(labels, slice(count - 1, None)), masks[-1:])
    assert lookup(labels, slice(3, 3)).shape == (0, 11, 1000)


@given(
    st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 99), max_size=300),
    st.integers(0, 2**64 - 1),
)
def test_every_id_has_its_place_in_the_table(ids, other):
    """As the loops look for it, in Python."""
    listed = np.array(ids, "u8")
    table = make_table([listed, None], np.empty(0, "u8"), np.dtype("u8"))
    for label in {*ids, other}:
        if table.keys.size:
            place = (label * 0x9E3779B97F4A7C15) % 2**64 >> int(table.shift)
            while table.codes[place] and int(table.keys[place]) != label:
                place = (place + 1) % len(table.keys)
        else:
            place = min((label - int(table.start)) % 2**64, len(table.codes) - 1)
        assert table.members[0, table.codes[place]] == 0b10 + (label in ids)


def test_many_ids_that_want_one_place_are_found():
    """Multiples of 2^60 differ in the highest bits only: those of the products are all alike."""
    ids = [i << 60 for i in range(16)]
    labels = np.array([*ids, 1, 1 << 59], "u8")
    masks = group_masks(labels, [ids[::2], ids[1::2]], background=1)
    assert masks[0].tolist() == [1, 0] * 8 + [0, 0]
    assert masks[1].tolist() == [0, 1] * 8 + [0, 0]


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "i2", "u4", "i4", "u8", "i8", ">i4"])
def test_loops_and_plain_numpy_agree(dtype):
    labels = np.random.default_rng(7).integers(0, 2**63, (5, 40, 50)) >> 45
    labels = np.repeat(labels, 3, axis=2).astype(dtype)
    ids = [labels[0, 0, 0], *labels[1, 2, :40]]
    groups = [np.array(ids[:1]), np.array(ids), None]
    background = labels[4, 4, :1]
    expected = np.empty((3, *labels.shape), np.uint8)
    mark_groups(labels, groups, background, expected)
    listed = [[] if group is None else group.tolist() for group in groups]
    masks = group_masks(labels, listed, background=int(background[0]))
    np.testing.assert_array_equal(masks, expected, strict=True)


@given(
    hnp.arrays(
        st.sampled_from(["?", "u1", "i2", "i8", "u8"]), hnp.array_shapes(min_dims=0, max_side=5)
    ),
    st.lists(st.booleans(), max_size=4),
    st.sampled_from(["u1", "i8", "f4"]),
)
def test_positive_labels_are_marked(labels, channels, dtype):
    holder = np.full((*labels.shape, len(channels) + 1), 9, dtype)
    out = np.moveaxis(holder, -1, 0)[1:]
    mark_positive(labels, channels, out=out)
    for mask, channel in zip(out, channels, strict=True):
        np.testing.assert_array_equal(mask, (labels > 0) if channel else 0)
    assert (holder[..., 0] == 9).all()


def test_positive_labels_of_large_arrays_are_marked():
    labels = np.arange(-300_000, 300_000).reshape(3, 1000, 200)
    out = np.empty((2, *labels.shape), np.float32)
    mark_positive(labels, [True, False], out=out)
    np.testing.assert_array_equal(out[0], labels > 0)
    assert not out[1].any()


@pytest.mark.parametrize("dtype", ["u1", "u2", "u8", ">u8"])
def test_memory_beyond_the_masks_is_bounded(dtype):
    labels = np.ones((64, 256, 256), dtype)
    tracemalloc.start()
    try:
        masks = group_masks(labels, [[1]], background=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - masks.nbytes < 4 * 2**20  # 64-bit codes of all voxels would be 32 MiB


@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_marking_into_an_array_takes_next_to_no_memory(dtype):
    labels = np.ones((64, 64, 64), "u8")
    out = np.empty((2, 3, *labels.shape), dtype)
    lookup = GroupLookup([[1], [2], []], background=0)
    lookup(labels, out=out[0])
    tracemalloc.start()
    try:
        lookup(labels, out=out[0])
        looked_up = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        mark_positive(labels, [True, False, True], out=out[1])
        marked = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert looked_up < 2**14
    assert marked < 2**18 + 2**14  # one mask of bool


def test_large_arrays_are_marked_in_parts(monkeypatch):
    monkeypatch.setattr(_loading, "WORTH_LOADING", 0)
    monkeypatch.setattr(module, "_TO_A_THREAD", 500)
    source = np.random.default_rng(0).integers(0, 9, (7, 30, 40)).astype("u8").transpose(1, 0, 2)
    groups = [[1, 2], [], [7]]
    expected = np.stack([np.isin(source, [1, 2]), source != 0, source == 7])
    found = group_masks(source, groups, background=0)
    np.testing.assert_array_equal(found, expected)
    out = np.zeros((3, *source.shape, 2), "f4")[..., 1]
    group_masks(source, groups, background=0, out=out)
    np.testing.assert_array_equal(out, expected)
