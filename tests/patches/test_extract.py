"""Patches out of arrays and into them, against numpy's own padding and adding."""

import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like import Roi, engine, from_numpy
from dacapo_like.errors import ConfigError, DacapoLikeError, RegionError, WriteError
from dacapo_like.geometry import Box, box_between
from dacapo_like.kernels._pool_numpy import pool
from dacapo_like.patches.extract import extract, insert
from dacapo_like.patches.grid import Patch, PatchGrid

SPANS = st.lists(st.tuples(st.integers(-9, 12), st.integers(1, 9)), min_size=2, max_size=2)


def numbered(shape, dtype="uint16"):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def around(data, box, mode, **options):
    """Give a box over the last two axes of an array that numpy has padded by plenty."""
    wide = [(0, 0)] * (data.ndim - 2) + [(30, 30)] * 2
    padded = np.pad(data, wide, mode=mode, **options)
    return padded[(..., *box.shifted((30, 30)).slices)]


@given(spans=SPANS, pad=st.sampled_from(["edge", "reflect", {"constant": 7}]), lead=st.booleans())
def test_as_numpy_pads(spans, pad, lead):
    data = numbered((2, 5, 6) if lead else (5, 6))
    box = Box(*zip(*spans, strict=True))
    mode, options = ("constant", {"constant_values": 7}) if isinstance(pad, dict) else (pad, {})
    expected = around(data, box, mode, **options)
    array = from_numpy(data, axes="cyx"[-data.ndim :])
    for source in (data, array):
        found = extract(source, box, pad)
        assert found.dtype == data.dtype
        np.testing.assert_array_equal(found, expected)
    roi = array.spec.box_to_roi(box)
    np.testing.assert_array_equal(extract(array, roi, pad), array.read(roi, pad=pad))


def exact_median(values):
    """Give the median of integers, a half rounded to even."""
    return round(statistics.median(map(Fraction, values.ravel().tolist())))


@given(spans=SPANS, seed=st.integers(0, 99), dtype=st.sampled_from(["uint8", "int16", "uint64"]))
def test_the_median_of_what_is_inside(spans, seed, dtype):
    limit = np.iinfo(dtype).max
    rng = np.random.default_rng(seed)
    data = rng.integers(limit - 9, limit, (2, 5, 6), dtype, endpoint=True)
    box = Box(*zip(*spans, strict=True))
    inside = box.intersect(Box((0, 0), (5, 6)))
    if not inside.size:
        with pytest.raises(RegionError, match="no median"):
            extract(data, box, "median")
        return
    expected = np.stack(
        [
            around(part, box, "constant", constant_values=exact_median(part[inside.slices]))
            for part in data
        ]
    )
    np.testing.assert_array_equal(extract(data, box, "median"), expected)


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint64", "float16", "float32", "float64", ">i4"]
)
@given(n=st.integers(1, 30), seed=st.integers(0, 99), nan=st.booleans())
def test_the_median_is_that_of_pooling(dtype, n, seed, nan):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind in "iu":
        limits = np.iinfo(dtype)
        kind = np.dtype(dtype).newbyteorder("=")
        data = rng.integers(limits.min, limits.max, n, kind, endpoint=True).astype(dtype)
    else:
        data = rng.integers(-3, 3, n).astype(dtype)
    if nan and data.dtype.kind == "f":
        data[rng.integers(n)] = np.nan
    found = extract(data, Box((-1,), (n + 1,)), "median")
    expected = np.empty(1, data.dtype)
    pool(data, (n,), "median", expected)
    np.testing.assert_array_equal(found[:1], expected)
    np.testing.assert_array_equal(found[1:], data)


def test_the_median_of_floats_and_bools():
    assert extract(np.array([1.0, 2.0]), Box((0,), (3,)), "median").tolist() == [1, 2, 1.5]
    assert extract(np.array([True, False]), Box((0,), (3,)), "median").tolist() == [
        True,
        False,
        False,
    ]


def test_negative_boxes_do_not_wrap_around():
    data = numbered((8, 8))
    for source in (data, from_numpy(data)):
        with pytest.raises(RegionError, match=r"leaves the array.*pass pad="):
            extract(source, Box((-3, 2), (2, 2)))
        assert extract(source, Box((-3, 2), (2, 2)), {"constant": 9}).tolist() == [[9, 9], [9, 9]]
        assert extract(source, Box((-3, 2), (2, 2)), "edge").tolist() == [[2, 3], [2, 3]]


def test_what_is_given_belongs_to_the_caller():
    data = numbered((4,))
    extract(data, Box((0,), (4,)))[...] = 0
    extract(data, Box((-1,), (6,)), "edge")[...] = 0
    assert data.tolist() == [0, 1, 2, 3]


def test_a_patch_is_one_read(monkeypatch):
    array = from_numpy(numbered((30, 30)))
    reads = []
    start = engine.Readout.start
    monkeypatch.setattr(engine.Readout, "start", lambda *args: reads.append(args) or start(*args))
    for number, pad in enumerate(["edge", "reflect", "median", {"constant": 1}], 1):
        extract(array, Box((-4, 25), (9, 9)), pad)
        assert len(reads) == number


@pytest.mark.parametrize("pad", ["edge", "reflect", "median", {"constant": 3}])
def test_a_grid_that_pads_ends_where_its_region_does(pad):
    data = numbered((4, 12))
    array = from_numpy(data, voxel_size=(5, 2), offset=(100, 0))
    grid = PatchGrid(
        Roi((105, 4), (15, 10)), (10, 6), voxel_size=(5, 2), edge="pad", context=(0, 2)
    )
    inner = data[1:4, 2:7]
    assert len(grid) == 4
    for patch in grid:
        np.testing.assert_array_equal(extract(array, patch, pad), extract(inner, patch, pad))
    with pytest.raises(RegionError, match="leaves the array"):
        extract(array, grid[0])


def test_other_grids_read_on_where_their_region_ends():
    data = numbered((20,))
    array = from_numpy(data, axes="x", voxel_size=[2])
    options = {"voxel_size": [2], "context": 2}
    region = Roi([10], [10])
    for edge, last in (("overhang", (8, 14)), ("shift", (5, 11)), ("shrink", (8, 11))):
        patch = PatchGrid(region, [8], edge=edge, **options)[-1]
        np.testing.assert_array_equal(extract(array, patch), data[slice(*last)])


def test_patches_without_a_place_count_voxels():
    data = numbered((2, 6, 6))
    array = from_numpy(data, axes="cyx", voxel_size=(9.8, 4), offset=(3, 3))
    patch = PatchGrid((6, 6), (2, 3))[3]
    np.testing.assert_array_equal(extract(array, patch), data[:, 2:4, 3:6])
    np.testing.assert_array_equal(extract(data, patch), data[:, 2:4, 3:6])


@pytest.mark.parametrize(
    ("source", "patch", "pad", "message"),
    [
        (np.zeros(4), Box((0,), (2,)), "wrap", "unknown way to pad .*median"),
        (np.zeros(4), Box((0,), (2,)), {"edge": 1}, "unknown way to pad"),
        (np.zeros(4, "uint8"), Box((0,), (2,)), {"constant": 300}, "dtype cannot hold"),
        (np.zeros(4), Roi([0], [2]), "edge", "ndarray has no world units"),
        (np.zeros(4), Box((0, 0), (2, 2)), "edge", "wrong rank"),
        (from_numpy(np.zeros((2, 4))), Box((0,), (2,)), "edge", "wrong rank.*y x"),
        (from_numpy(np.zeros(4, "uint32"), axes="x"), Box((0,), (2,)), "median", "no label"),
        (from_numpy(np.zeros(4), axes="x", voxel_size=[2]), Roi([1], [2]), "edge", "not on the"),
    ],
)
def test_what_cannot_be_extracted(source, patch, pad, message):
    with pytest.raises(DacapoLikeError, match=message):
        extract(source, patch, pad)


# Insert


@given(
    shape=st.tuples(st.integers(1, 25), st.integers(1, 25)),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    edge=st.sampled_from(["shift", "pad", "shrink", "overhang"]),
    part=st.sampled_from(["read", "box", "write"]),
    in_world=st.booleans(),
)
def test_cut_and_put_back(shape, size, edge, part, in_world):
    size = tuple(map(min, size, shape))
    data = numbered((2, *shape))
    source = from_numpy(data, axes="cyx", voxel_size=(9.8, 4), offset=(1, 2))
    out = np.zeros_like(data)
    target = from_numpy(out, axes="cyx", voxel_size=(9.8, 4), offset=(1, 2), mode="r+")
    plain = np.zeros_like(data)
    covered = source if in_world else shape
    for patch in PatchGrid(covered, size, overlap=0.3, edge=edge, context=2):
        read = extract(source, patch, "edge")
        voxels = read[(..., *getattr(patch, part).slices_in(patch.read))]
        insert(target, patch, voxels)
        insert(plain, patch, voxels, mode="sum")
    np.testing.assert_array_equal(out, data)
    np.testing.assert_array_equal(plain, data)


def test_sums_are_those_of_numpy():
    rng = np.random.default_rng(0)
    for dtype in ("uint8", "int8", "int64", "uint64", "float32", "float64"):
        out = rng.integers(0, 60, (3, 20)).astype(dtype)
        array = from_numpy(out.copy(), axes="cx", mode="r+")
        more = rng.integers(0, 60, (3, 7)).astype(dtype)
        expected = out.copy()
        expected[:, 4:11] += more
        insert(out, Box((4,), (7,)), more, mode="sum")
        insert(array, Box((4,), (7,)), more, mode="sum")
        np.testing.assert_array_equal(out, expected)
        np.testing.assert_array_equal(array[...], expected)


@pytest.mark.parametrize(
    ("old", "more", "dtype"),
    [(200, 100, "uint8"), (100, 100, "int8"), (-100, -100, "int8"), (2**64 - 1, 1, "uint64"),
     (2**63 - 1, 1, "int64"), (1, 0.5, "uint8"), (0, -1, "uint8"), (True, True, "bool")],
)  # fmt: skip
def test_sums_do_not_wrap_around(old, more, dtype):
    out = np.array([0, old], dtype)
    with pytest.raises(ConfigError, match="dtype cannot hold"):
        insert(out, Box((0,), (2,)), np.array([0, more]), mode="sum")
    assert out.tolist() == [0, old]


def test_sums_of_bools_that_fit():
    out = np.array([True, False, False])
    insert(out, Box((0,), (3,)), np.array([False, True, False]), mode="sum")
    assert out.tolist() == [True, True, False]
    assert out.dtype == bool


def test_regions_are_written_whole():
    data = np.zeros((2, 6), "uint8")
    array = from_numpy(data, axes="cx", voxel_size=[2], mode="r+")
    insert(array, Roi([4], [4]), np.ones((2, 2)))
    assert data.tolist() == [[0, 0, 1, 1, 0, 0]] * 2


@pytest.mark.parametrize(
    ("target", "patch", "data", "options", "message"),
    [
        (np.zeros(9), PatchGrid((9,), (4,), context=1)[0], np.zeros(5), {}, r"\(6,\) or \(4,\) or"),
        (np.zeros(9), PatchGrid((9,), (4,))[0], np.zeros((1, 4)), {}, "do not fit the patch"),
        (np.zeros((2, 9)), PatchGrid((9,), (4,))[0], np.zeros((1, 4)), {}, "do not fit the patch"),
        (np.zeros((2, 9)), PatchGrid((9,), (4,))[0], np.zeros(4), {}, "do not fit the patch"),
        (np.zeros(9), Box((1,), (3,)), np.zeros(4), {}, "do not fit the patch"),
        (np.zeros(9), Box((-1,), (3,)), np.zeros(3), {}, "leaves the array"),
        (np.zeros(8), PatchGrid((9,), (3,))[2], np.zeros(3), {}, "leaves the array"),
        (np.zeros(9, "uint8"), Box((0,), (1,)), np.array([0.5]), {}, "dtype cannot hold"),
        (np.zeros(9), Box((0,), (1,)), np.zeros(1), {"mode": "add"}, "not a way to insert"),
        (from_numpy(np.zeros(9), axes="x"), Box((0,), (1,)), np.zeros(1), {}, "not writable"),
        (np.broadcast_to(np.zeros(1), 9), Box((0,), (1,)), np.zeros(1), {}, "read-only"),
    ],
)  # fmt: skip
def test_what_cannot_be_inserted(target, patch, data, options, message):
    with pytest.raises((DacapoLikeError, WriteError), match=message):
        insert(target, patch, data, **options)


def test_boxes_of_one_shape_that_are_not_one_are_refused():
    box = Box((2,), (3,))
    patch = Patch(0, box=box, read=box.shifted((1,)), write=box_between((2,), (4,)))
    with pytest.raises(RegionError, match="do not fit the patch"):
        insert(np.zeros(9), patch, np.zeros(3))
