"""Values at world points."""

from __future__ import annotations

import math
import threading
from fractions import Fraction

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from dacapo_like import Roi, create_array, from_numpy, open_array
from dacapo_like.core import Reader, SourceConfig
from dacapo_like.errors import ConfigError, ReadError, RegionError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.operators import sample_at_points
from dacapo_like.spec import from_shape
from dacapo_like.testing import as_zarr, sample_voxels

GRID = {"voxel_size": (40, 9.8, 0.7), "offset": (-60, 100, 0.35)}
DIRECTIONS = ((0.0, 0.6, 0.8), (1.0, 0.0, 0.0), (0.0, 0.8, -0.6))  # of z, y, x


def points_in(array, count=200, margin=0.0, seed=0):
    """Give random world points whose voxel indices lie within the array, or so many voxels around it."""
    shape = np.array(array.spec.spatial_shape)
    voxels = np.random.default_rng(seed).uniform(
        -0.5 - margin, shape - 0.5 + margin, (count, len(shape))
    )
    homogeneous = np.hstack([voxels, np.ones((count, 1))])
    return (homogeneous @ array.voxel_to_world.T)[:, :-1], voxels


# Against other answers


@pytest.mark.parametrize("directions", [None, DIRECTIONS], ids=["aligned", "oblique"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16"])
def test_linear_is_scipy_s(dtype, directions):
    voxels = sample_voxels((6, 7, 8), dtype)
    array = from_numpy(voxels, directions=directions, **GRID)
    world, index = points_in(array)
    expected = map_coordinates(voxels.astype("float64"), index.T, order=1, mode="nearest")
    found = array.sample_at_points(world)
    assert found.dtype == voxels.dtype
    step = 0.5 if voxels.dtype.kind in "iu" else 1e-6 * np.ptp(voxels)
    np.testing.assert_allclose(found, expected, rtol=0, atol=step + 1e-9)


@given(data=st.data())
def test_nearest_is_the_voxel_that_contains_the_point(data):
    sizes = [Fraction(data.draw(st.sampled_from(["0.1", "9.8", "4"]))) for _ in range(2)]
    offset = [Fraction(data.draw(st.sampled_from(["-0.3", "0", "100.1"]))) for _ in range(2)]
    tenths = [data.draw(st.integers(-20, 90)) for _ in range(2)]  # of a voxel: faces are among them
    voxels = np.arange(1, 43, dtype="uint16").reshape(6, 7)
    array = from_numpy(
        voxels, voxel_size=[float(s) for s in sizes], offset=[float(o) for o in offset]
    )
    point = [float(o + s * Fraction(t, 10)) for o, s, t in zip(offset, sizes, tenths, strict=True)]
    y, x = (t // 10 for t in tenths)
    inside = 0 <= y < 6 and 0 <= x < 7
    expected = voxels[y, x] if inside else 0
    assert array.sample_at_points(point, 0).tolist() == [expected]


def test_cubic_convolution_keeps_quadratics():
    z, y, x = np.indices((9, 10, 11), dtype="float64")

    def value(z, y, x):
        return 3 * z * z - 2 * z * y + 0.5 * x * x - 7 * y + x + 4

    array = from_numpy(value(z, y, x), directions=DIRECTIONS, **GRID)
    world, index = points_in(array, margin=-1.6)  # all of the taps are inside
    np.testing.assert_allclose(array.sample_at_points(world, 3), value(*index.T), atol=1e-9)


@pytest.mark.parametrize("order", [1, 3])
def test_a_ramp_over_the_world_stays_one(order):
    blank = from_numpy(np.zeros((9, 10, 11)), directions=DIRECTIONS, **GRID)
    centres = blank.index_to_world(np.argwhere(np.ones(blank.shape)))
    slope = np.array([0.3, -2, 5])
    array = from_numpy((centres @ slope + 7).reshape(blank.shape), directions=DIRECTIONS, **GRID)
    world, _ = points_in(array, margin=-1.6)
    np.testing.assert_allclose(array.sample_at_points(world, order), world @ slope + 7, atol=1e-8)


# Shapes, orders, fill, units


def test_time_and_channels_come_first():
    voxels = sample_voxels((2, 3, 5, 6, 7), "float32")
    array = from_numpy(voxels, axes="tczyx", **GRID)
    world, _ = points_in(array, 20)
    found = array.sample_at_points(world)
    assert found.shape == (2, 3, 20)
    for t in range(2):
        for c in range(3):
            alone = from_numpy(voxels[t, c], **GRID).sample_at_points(world)
            np.testing.assert_array_equal(found[t, c], alone)


def test_points_may_stand_in_rows_or_columns():
    array = from_numpy(np.arange(60.0).reshape(3, 4, 5))
    points = np.array([[0.5, 0.5, 0.5], [1.5, 2.5, 3.5], [2.5, 0.5, 4.5], [0.5, 3.5, 0.5]])
    expected = [0, 33, 44, 15]
    assert array.sample_at_points(points).tolist() == expected
    assert array.sample_at_points(points.T).tolist() == expected
    assert array.sample_at_points(points.tolist()).tolist() == expected
    assert array.sample_at_points(points[:3]).tolist() == expected[:3]  # square: rows
    assert array.sample_at_points(points[1]).tolist() == [33]
    assert array.sample_at_points([]).shape == (0,)
    assert array.sample_at_points(np.empty((3, 0))).shape == (0,)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_outside_is_the_fill(order):
    array = from_numpy(np.full((2, 4, 4), 9, "int16"), axes="cyx", voxel_size=(10, 4))
    corners = [(0, 0), (39.9, 15.9), (40, 0), (0, 16), (-0.1, 0), (0, -0.1), (1e9, -1e9)]
    expected = [9, 9] + [-1] * 5
    assert array.sample_at_points(corners, order, fill=-1).tolist() == [expected] * 2
    assert array.sample_at_points(corners, order).tolist() == [[9, 9] + [0] * 5] * 2


def test_the_fill_may_be_nan_where_voxels_may():
    array = from_numpy(np.ones((4, 4), "float32"))
    assert np.isnan(array.sample_at_points([(9, 9), (1, 1)], fill=math.nan)).tolist() == [
        True,
        False,
    ]
    for fill in (math.nan, 256, 0.5, "0"):
        with pytest.raises(ConfigError, match="dtype cannot hold"):
            from_numpy(np.ones((4, 4), "uint8")).sample_at_points([(1, 1)], fill=fill)


def test_integers_are_rounded_half_to_even_and_clipped():
    array = from_numpy(np.array([0, 1, 2, 255, 0, 255], "uint8"), axes="x")
    assert array.sample_at_points([[1], [2], [3]]).tolist() == [0, 2, 128]
    steep = from_numpy(np.array([0, 255, 255, 0, 0, 255], "uint8"), axes="x")
    assert steep.sample_at_points([[2], [4]], 3).tolist() == [255, 0]  # 286.9 and -31.9


def test_half_floats_are_sampled():
    voxels = sample_voxels((5, 6), "float16")
    array = from_numpy(voxels)
    world, index = points_in(array, 30)
    expected = map_coordinates(voxels.astype("float64"), index.T, order=1, mode="nearest")
    np.testing.assert_allclose(array.sample_at_points(world), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", ["uint64", "bool", "int32"])
def test_labels_and_masks_are_never_interpolated(dtype):
    voxels = sample_voxels((6, 7), dtype)
    array = from_numpy(voxels)
    world, index = points_in(array, 50)
    cells = np.floor(index + 0.5).astype(int)
    np.testing.assert_array_equal(array.sample_at_points(world), voxels[tuple(cells.T)])
    for order in (1, 3):
        with pytest.raises(SpecError, match="would invent values"):
            array.sample_at_points(world, order)


def test_an_image_of_booleans_is_not_interpolated():
    array = from_numpy(np.array([[False, True]]), kind="image")
    assert array.sample_at_points([(0.5, 0.9), (0.5, 1)]).tolist() == [False, True]
    with pytest.raises(SpecError, match="would invent values in image of bool"):
        array.sample_at_points((0.5, 1), 1)


def test_large_ids_are_exact():
    ids = np.array([[2**64 - 1, 2**53 + 1]], "uint64")
    assert from_numpy(ids).sample_at_points([(0.5, 0.5), (0.5, 1.5)]).tolist() == ids[0].tolist()


@pytest.mark.parametrize("order", [2, -1, "1"])
def test_an_unknown_order_is_refused(order):
    with pytest.raises(ConfigError, match="unknown order"):
        from_numpy(np.zeros((4, 4))).sample_at_points((1, 1), order)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([(1, 1), (math.nan, 1)], "nowhere.*as point 1, 1 in all"),
        ((math.inf, 1), "nowhere"),
        ((1, 1, 1), "wrong shape"),
        ("xy", "not points"),
    ],
)
def test_what_are_no_points_is_refused(points, words):
    with pytest.raises(RegionError, match=words):
        from_numpy(np.zeros((4, 4))).sample_at_points(points)


def test_points_in_other_units_are_converted():
    array = from_numpy(np.arange(8.0), axes="x", voxel_size=(250,), units="nm")
    assert array.sample_at_points([[0.375], [0.5]], units="um").tolist() == [1, 1.5]


def test_an_array_of_four_spatial_axes_is_refused():
    array = from_numpy(np.zeros((2, 2, 2, 2)), axes="wzyx")
    with pytest.raises(SpecError, match="got 4 spatial axes; expected one to three"):
        array.sample_at_points((1, 1, 1, 1))


def test_an_empty_array_gives_the_fill():
    assert from_numpy(np.zeros((0, 4))).sample_at_points((0, 0), fill=3).tolist() == [3]


# What is done to an array counts


def test_every_tree_is_read_as_it_is(tmp_path):
    voxels = sample_voxels((8, 10), "uint8")
    source = as_zarr(voxels, tmp_path / "a", voxel_size=(10, 4), chunks=(3, 3))
    trees = {
        "crop": source.crop(Roi((20, 8), (50, 28))),
        "intensities": source.intensities(min=0, max=255),
        "coarse": source.downsample((2, 2)),
        "fine": source.upsample((2, 2)),
        "channels": source.concat({"other": source.intensities(min=0, max=51)}, name="raw"),
        "patch": source.crop_centered((0, 0), (6, 6), fill={"constant": 4}),
    }
    for name, tree in trees.items():
        world, index = points_in(tree, 60, margin=0.5, seed=1)
        whole = from_numpy(tree.read(), axes=tree.axes, kind="image")
        inside = np.all((index >= -0.5) & (index < np.array(whole.shape[-2:]) - 0.5), axis=1)
        assert 0 < inside.sum() < 60
        for order in (0, 1, 3):
            expected = whole.sample_at_points(index + 0.5, order)
            found = tree.sample_at_points(world, order)
            if order == 0:
                np.testing.assert_array_equal(found, expected, err_msg=name)
            else:
                np.testing.assert_allclose(found, expected, atol=1, rtol=1e-4, err_msg=name)


def test_what_is_read_does_not_depend_on_the_other_points(tmp_path):
    voxels = sample_voxels((12, 13, 14), "float32")
    stored = as_zarr(voxels, tmp_path / "a", chunks=(5, 4, 3), **GRID)
    world, _ = points_in(stored, 80, margin=0.3)
    for order in (0, 1, 3):
        together = stored.sample_at_points(world, order)
        whole = from_numpy(voxels, **GRID).sample_at_points(world, order)
        np.testing.assert_array_equal(together, whole)
        np.testing.assert_array_equal(stored.sample_at_points(world[::-1], order)[::-1], together)
        alone = [stored.sample_at_points(point, order)[0] for point in world[:20]]
        np.testing.assert_array_equal(alone, together[:20])


# Only what is needed is read


def chunks_of(boxes, chunk):
    """Give the chunks that boxes touch."""
    touched = set()
    for box in boxes:
        spans = (range(o // c, (o + n - 1) // c + 1) for o, n, c in zip(*box, chunk, strict=True))
        touched |= {tuple(index) for index in np.array(np.meshgrid(*spans)).reshape(3, -1).T}
    return {tuple(map(int, index)) for index in touched}


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EndlessArrayConfig(SourceConfig):
    """A volume of 100,000 voxels a side, whose voxels are computed; it notes every box that is read."""

    boxes: list = attrs.field(eq=False, factory=list)

    def open(self):
        return _EndlessReader(self.boxes)


class _EndlessReader(Reader):
    def __init__(self, boxes):
        self.boxes = boxes
        self.spec = from_shape(
            (100_000,) * 3,
            "float64",
            voxel_size=(30, 8, 8),
            units="nm",
            chunk_shape=(64, 128, 128),
            attrs={},
        )

    def read(self, box, out=None):
        self.boxes.append(box)
        z, y, x = np.ix_(*(np.arange(o, o + n) for o, n in zip(*box, strict=True)))
        return 1.0 * z - 2.0 * y + 4.0 * x


@pytest.mark.parametrize("cropped", [False, True])
@pytest.mark.parametrize(("order", "reach"), [(0, (0, 0)), (1, (0, 1)), (3, (-1, 2))])
def test_points_scattered_over_a_huge_array_read_their_chunks_only(order, reach, cropped):
    config = EndlessArrayConfig()
    array = config.array()
    world, index = points_in(array, 300)
    if cropped:
        array = array.crop(np.s_[100:99_000, 70:, 33:-5])
        keep = np.all((index >= (99.5, 69.5, 32.5)) & (index < (98_999.5, 1e5, 99_994.5)), axis=1)
        world, index = world[keep], index[keep]
    found = array.sample_at_points(world, order)
    first = np.floor(index + (0.5 if order == 0 else 0)).astype(int)
    expected = (first if order == 0 else index) @ [1, -2, 4]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    taps = [first + np.array(np.meshgrid(*[[*reach]] * 3)).reshape(3, -1).T[i] for i in range(8)]
    low, high = ((100, 70, 33), (98_999, 99_999, 99_994)) if cropped else (0, 99_999)
    needed = {tuple(map(int, t // (64, 128, 128))) for t in np.vstack(taps).clip(low, high)}
    assert chunks_of(config.boxes, (64, 128, 128)) == needed
    assert len(config.boxes) <= len(index)
    assert max(box.size for box in config.boxes) <= 67 * 131 * 131


def test_points_of_one_chunk_are_read_together():
    config = EndlessArrayConfig()
    voxels = np.random.default_rng(0).uniform((64, 256, 512), (126, 382, 638), (1000, 3))
    found = config.array().sample_at_points((voxels + 0.5) * (30, 8, 8))
    np.testing.assert_allclose(found, voxels @ [1, -2, 4], atol=1e-6)
    assert len(config.boxes) == 1
    assert chunks_of(config.boxes, (64, 128, 128)) == {(1, 2, 4)}


@pytest.mark.parametrize("cut", [(0, 0, 0), (10, 20, 30)], ids=["whole", "cropped"])
def test_a_chunk_is_read_once_for_all_of_its_points(cut):
    config = EndlessArrayConfig()
    array = config.array().crop([Box(cut, (1000, 1000, 1000))])[0]
    voxels = np.random.default_rng(0).integers(64, 320, (3000, 3))  # 4, 3 and 3 chunks
    array.sample_at_points((voxels + 0.5) * (30, 8, 8), 0)
    assert len(config.boxes) == 4 * 3 * 3
    assert all(len(chunks_of([box], (64, 128, 128))) == 1 for box in config.boxes)


def test_chunks_that_no_point_needs_may_be_lost(tmp_path):
    array = create_array(
        tmp_path / "a.zarr",
        "raw",
        axes="zyx",
        roi=Roi((0, 0, 0), (100_000,) * 3),
        voxel_size=(1, 1, 1),
        dtype="uint16",
        chunks=(64, 64, 64),
    )
    corners = np.array([[0, 0, 0], [6400, 64, 99_968], [50_048, 99_968, 128]])
    for value, corner in enumerate(corners, start=1):
        z, y, x = corner
        array[z : z + 32, y : y + 32, x : x + 32] = value
    document = {
        "type": "zarr",
        "file_name": str(tmp_path / "a.zarr"),
        "dataset": "raw",
        "missing": "error",
    }
    again = open_array(document)
    points = np.vstack([corners + 5.3, corners + 20.1])
    for order in (0, 1, 3):
        assert again.sample_at_points(points, order).tolist() == [1, 2, 3, 1, 2, 3]
    with pytest.raises(ReadError):
        again.sample_at_points([*points, (70_000, 5, 5)])


def test_reads_that_would_hold_too_much_are_taken_apart(monkeypatch, watched):
    monkeypatch.setattr(sample_at_points, "READ_AT_ONCE", 2000)
    voxels = sample_voxels((40, 50), "float64")
    source = watched(from_numpy(voxels))
    world, index = points_in(source.array())
    found = source.array().sample_at_points(world)
    assert max(box.size for box in source.boxes) * 8 <= 2000
    assert len(source.boxes) < len(world)
    expected = map_coordinates(voxels, index.T, order=1, mode="nearest")
    np.testing.assert_allclose(found, expected, atol=1e-9 * np.abs(voxels).max())


def test_points_of_one_voxel_are_read_together_however_little_is_allowed(monkeypatch, watched):
    monkeypatch.setattr(sample_at_points, "READ_AT_ONCE", 1)
    source = watched(from_numpy(np.arange(20.0).reshape(4, 5)))
    points = [(y + 0.6, x + shift) for y in range(3) for x in range(4) for shift in (0.6, 0.7)]
    found = source.array().sample_at_points(points)
    np.testing.assert_allclose(found, [5 * (y - 0.5) + x - 0.5 for y, x in points], atol=1e-12)
    assert len(source.boxes) == 12


def test_the_chunks_of_a_finer_array_are_no_blocks_of_a_coarser(tmp_path, watched):
    stored = as_zarr(sample_voxels((64, 64), "uint8"), tmp_path / "a", chunks=(4, 4))
    source = watched(stored)
    coarse = source.array().downsample((2, 2))
    coarse.sample_at_points(points_in(coarse, 50)[0])
    assert len(source.boxes) == 1


def test_a_coarse_array_of_a_huge_one_is_sampled_in_pieces():
    config = EndlessArrayConfig()
    coarse = config.array().downsample((16, 32, 32))
    index = np.random.default_rng(0).uniform(1000, 1060, (20, 3))
    found = coarse.sample_at_points((index + 0.5) * (30 * 16, 8 * 32, 8 * 32))
    fine = (index + 0.5) * (16, 32, 32) - 0.5  # the mean of a ramp is its value at the centre
    np.testing.assert_allclose(found, fine @ [1, -2, 4], rtol=1e-9)
    assert max(box.size for box in config.boxes) * 8 <= sample_at_points.READ_AT_ONCE


@attrs.frozen(kw_only=True, eq=False, repr=False)
class WaitingArrayConfig(SourceConfig):
    """An array whose reads wait until several are in flight."""

    together: threading.Barrier = attrs.field(eq=False)

    def open(self):
        return _WaitingReader(self.together)


class _WaitingReader(Reader):
    def __init__(self, together):
        self.together = together
        self.spec = from_shape((64, 64), chunk_shape=(8, 8))

    def read(self, box, out=None):
        self.together.wait(timeout=60)
        return np.full(box.shape, 3, "uint8")


def test_several_blocks_are_read_at_a_time():
    array = WaitingArrayConfig(together=threading.Barrier(4)).array()
    points = [(8 * i + 3, 8 * i + 3) for i in range(8)]
    assert array.sample_at_points(points).tolist() == [3] * 8


def test_no_points_read_nothing(unreadable):
    array = unreadable(from_shape((8, 8)))
    assert array.sample_at_points([]).shape == (0,)
    assert array.sample_at_points([(9, 9), (-1, 3)], fill=7).tolist() == [7, 7]
    with pytest.raises(ReadError):
        array.sample_at_points((3, 3))
