"""Patches around world points, and the smallest part that holds some."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dacapo_like
from dacapo_like import Roi, from_numpy
from dacapo_like.config.loading import dump
from dacapo_like.errors import ConfigError, RegionError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels

# What numpy.pad calls the ways to fill
FILLS = [
    ({"constant": 0}, {"mode": "constant"}),
    ({"constant": 7}, {"mode": "constant", "constant_values": 7}),
    ("edge", {"mode": "edge"}),
    ("reflect", {"mode": "reflect"}),
]
BORDER = 40


def patch_of(voxels, start, shape, how):
    """Cut a patch out of the voxels after padding them by far too much, along the last axes."""
    lead = voxels.ndim - len(shape)
    around = np.pad(voxels, [(0, 0)] * lead + [(BORDER, BORDER)] * len(shape), **how)
    cut = (slice(s + BORDER, s + BORDER + n) for s, n in zip(start, shape, strict=True))
    return around[(..., *cut)]


class TestLaws(ArrayContract):
    def case_inside(self, directory):
        voxels = sample_voxels((6, 7), "uint16")
        source = as_zarr(voxels, directory / "a", voxel_size=(9.8, 4), offset=(-4.9, 100))
        return Case(source.crop_centered((20, 112), (4, 3)), voxels[0:4, 2:5])

    def case_beyond_a_corner(self, directory):
        voxels = sample_voxels((2, 5, 4, 3), "int16")
        source = as_zarr(voxels, directory / "a", axes="czyx", voxel_size=(40, 4, 4))
        patch = source.crop_centered((0, 0, 11), (4, 4, 4), fill={"constant": -3})
        how = {"mode": "constant", "constant_values": -3}
        return Case(patch, patch_of(voxels, (-2, -2, 0), (4, 4, 4), how))

    def case_larger_than_the_array(self, directory):
        voxels = sample_voxels((4, 3), "float32")
        source = as_zarr(voxels, directory / "a", voxel_size=(0.7, 0.7))
        patch = source.crop_centered((1, 1), (11, 10), fill="reflect")
        return Case(patch, patch_of(voxels, (-4, -4), (11, 10), {"mode": "reflect"}))

    def case_wholly_outside(self, directory):
        voxels = sample_voxels((4, 3), "uint64")
        source = as_zarr(voxels, directory / "a")
        patch = source.crop_centered((-9, 20), (2, 5), fill="edge")
        return Case(patch, patch_of(voxels, (-10, 18), (2, 5), {"mode": "edge"}))

    def case_bounded(self, directory):
        voxels = sample_voxels((2, 6, 8), "uint8")
        source = as_zarr(voxels, directory / "a", axes="cyx", voxel_size=(9.8, 4))
        part = source.bounded_subregion([(20, 10), (31, 12)], margin=1)
        return Case(part, voxels[:, 1:5, 1:5])


def ramp():
    """An array whose voxels say which they are."""
    return from_numpy(np.arange(80, dtype="uint8").reshape(8, 10), voxel_size=(10, 4))


# Patches


@pytest.mark.parametrize(("fill", "how"), FILLS, ids=str)
@given(data=st.data())
def test_patches_are_those_of_a_padded_array(fill, how, data):
    sizes = [data.draw(st.sampled_from(["0.1", "0.7", "9.8", "4"])) for _ in range(2)]
    offset = [data.draw(st.sampled_from(["-0.3", "0", "100.1"])) for _ in range(2)]
    shape = [data.draw(st.integers(1, 9)) for _ in range(2)]
    tenths = [data.draw(st.integers(-60, 160)) for _ in range(2)]  # of a voxel, from the corner
    exact = [
        Fraction(o) + Fraction(s) * Fraction(t, 10)
        for o, s, t in zip(offset, sizes, tenths, strict=True)
    ]
    voxels = sample_voxels((5, 6), "uint8")
    array = from_numpy(
        voxels, voxel_size=[float(s) for s in sizes], offset=[float(o) for o in offset]
    )
    patch = array.crop_centered([float(c) for c in exact], shape, fill=fill)
    start = [math.floor(Fraction(t, 10)) - n // 2 for t, n in zip(tenths, shape, strict=True)]
    np.testing.assert_array_equal(patch[...], patch_of(voxels, start, shape, how), strict=True)
    corner = [Fraction(o) + Fraction(s) * i for o, s, i in zip(offset, sizes, start, strict=True)]
    assert patch.roi == Roi(corner, [Fraction(s) * n for s, n in zip(sizes, shape, strict=True)])


@pytest.mark.parametrize("size", range(1, 8))
@pytest.mark.parametrize("voxel", [0, 3, 7])
def test_the_voxel_of_the_centre_has_the_index_of_half_the_size(size, voxel):
    array = from_numpy(np.arange(10, 18), axes="x", voxel_size=(4,))
    for centre in (4 * voxel, 4 * voxel + 2, 4 * voxel + 3.99):
        patch = array.crop_centered([centre], [size])
        assert patch.shape == (size,)
        assert patch[size // 2] == 10 + voxel


def test_one_centre_gives_an_array_and_several_a_list():
    array = ramp()
    one = array.crop_centered((35, 18), (3, 3))
    assert isinstance(one, dacapo_like.Array)
    assert one[1, 1] == 34
    for several in ([(35, 18)], np.array([[35, 18]]), [[35], [18]]):
        (patch,) = array.crop_centered(several, (3, 3))
        assert patch.config == one.config
    assert array.crop_centered([], (3, 3)) == []
    assert array.crop_centered(np.empty((0, 2)), (3, 3)) == []


def test_rows_of_a_square_of_centres_are_points():
    first, second = ramp().crop_centered([[5, 38], [75, 2]], (1, 1))
    assert (first[0, 0], second[0, 0]) == (9, 70)


def test_centres_are_true_world_points_where_axes_are_oblique():
    # y of the array runs along -x of the world, x along y
    array = from_numpy(
        np.arange(80).reshape(8, 10), voxel_size=(10, 4), directions=((0, -1), (1, 0))
    )
    centre = array.voxel_to_world @ [5, 7, 1]
    np.testing.assert_allclose(centre[:2], [30, -55])
    patch = array.crop_centered(centre[:2], (3, 3))
    assert patch[1, 1] == 57
    np.testing.assert_allclose(patch.voxel_to_world @ [1, 1, 1], centre)


def test_centres_in_other_units_are_converted():
    array = from_numpy(np.arange(100), axes="x", voxel_size=(250,), units="nm")
    assert array.crop_centered([2.6], [1], units="um")[0] == 10
    with pytest.raises(SpecError, match="the unit of an axis is unknown"):
        ramp().crop_centered((1, 1), (1, 1), units="um")


def test_time_and_channels_are_whole():
    voxels = sample_voxels((2, 3, 4, 5, 6), "uint8")
    patch = from_numpy(voxels, axes="tczyx", channels=("a", "b", "c")).crop_centered(
        (2.5, 2.5, 2.5), (1, 1, 1)
    )
    assert (patch.shape, patch.channels) == ((2, 3, 1, 1, 1), ("a", "b", "c"))
    np.testing.assert_array_equal(patch[...], voxels[..., 2:3, 2:3, 2:3])


def test_patches_are_documents(tmp_path):
    source = as_zarr(sample_voxels((6, 7), "uint16"), tmp_path / "a", voxel_size=(9.8, 4))
    patch = source.crop_centered((0, 26), (4, 4), fill="edge")
    (tmp_path / "patch.yaml").write_text(dump(patch.config))
    again = dacapo_like.open_array(tmp_path / "patch.yaml")
    assert again.config == patch.config
    np.testing.assert_array_equal(again[...], patch[...])
    tags = [node.config.tag for node in (patch, patch.inputs[0], patch.inputs[0].inputs[0])]
    assert tags == ["crop", "pad", "zarr"]


def test_a_patch_inside_is_a_crop_and_can_be_written():
    voxels = np.zeros((4, 4), "uint8")
    patch = from_numpy(voxels, mode="r+").crop_centered((2, 2), (2, 2))
    assert patch.config.tag == "crop"
    assert patch.inputs[0].config.tag == "numpy"
    patch[...] = 5
    assert voxels[1:3, 1:3].tolist() == [[5, 5], [5, 5]]


def test_only_what_a_patch_holds_is_read(watched):
    source = watched(ramp())
    inside, beside, outside = source.array().crop_centered(
        [(35, 18), (75, 38), (1000, 1000)], (3, 3)
    )
    assert source.boxes == []
    inside.read(), beside.read(), outside.read()
    assert source.boxes == [Box((2, 3), (3, 3)), Box((6, 8), (2, 2))]


@pytest.mark.parametrize(
    ("centers", "words"),
    [
        ((1, 2, 3), r"wrong shape.*got \(3,\).*expected \(2,\), \(N, 2\) or \(2, N\)"),
        (np.zeros((3, 3)), "wrong shape"),
        (np.zeros((1, 1, 2)), "wrong shape"),
        (5, "wrong shape"),
        ([(1, 1), (math.nan, 1)], r"nowhere.*\[nan, 1.0\] as point 1"),
        ([(math.inf, 1)], "nowhere"),
        ([(1, 1), (1,)], "not points"),
        ("ab", "not points"),
        (("1", "2"), "not points"),
        ((True, False), "not points"),
        ((1j, 0), "not points"),
        ((1e30, 1), "too far away"),
    ],
)
def test_what_are_no_centres_is_refused(centers, words):
    with pytest.raises(RegionError, match=words):
        ramp().crop_centered(centers, (3, 3))


@pytest.mark.parametrize("shape", [(3,), (3, 3, 3), (0, 3), (-1, 3), (1.5, 3), ("3", "3"), 3])
def test_what_is_no_patch_shape_is_refused(shape):
    with pytest.raises(RegionError, match="not numbers of voxels"):
        ramp().crop_centered((1, 1), shape)


@pytest.mark.parametrize("fill", [{"constant": 256}, {"constant": 0.5}, "wrap", {"edge": 1}, 0])
def test_a_wrong_fill_is_refused_wherever_the_centres_are(fill):
    for centers in ((35, 18), (-100, -100), []):
        with pytest.raises(ConfigError):
            ramp().crop_centered(centers, (1, 1), fill=fill)


# The smallest part that holds points


@given(
    cells=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 9)), min_size=1, max_size=6),
    within=st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)),
    margin=st.tuples(st.integers(0, 4), st.integers(0, 4)),
)
def test_the_part_is_that_around_the_voxels_of_the_points(cells, within, margin):
    points = [(10 * (y + within[0]), 4 * (x + within[1])) for y, x in cells]
    part = ramp().bounded_subregion(points, margin=margin)
    low = np.maximum(np.min(cells, axis=0) - margin, 0)
    high = np.minimum(np.max(cells, axis=0) + 1 + margin, (8, 10))
    expected = np.arange(80).reshape(8, 10)[low[0] : high[0], low[1] : high[1]]
    np.testing.assert_array_equal(part[...], expected)
    assert part.offset == (10 * low[0], 4 * low[1])


def test_the_margin_is_one_voxel_unless_said_otherwise():
    assert ramp().bounded_subregion((35, 18)).shape == (3, 3)
    assert ramp().bounded_subregion((35, 18), margin=2).shape == (5, 5)
    assert ramp().bounded_subregion((35, 18), margin=0).shape == (1, 1)


def test_with_its_margin_the_part_gives_the_values_of_the_whole():
    array = from_numpy(sample_voxels((20, 20), "float64"), voxel_size=(10, 4))
    points = np.random.default_rng(0).uniform((50, 20), (150, 60), (50, 2))
    for order, margin in ((0, 0), (1, 1), (3, 2)):
        part = array.bounded_subregion(points, margin=margin)
        assert part.size < array.size
        expected = array.sample_at_points(points, order)
        np.testing.assert_array_equal(part.sample_at_points(points, order), expected)


def test_points_may_stand_in_rows_or_columns():
    points = np.array([(15, 2), (25, 6), (35, 30)])
    array = ramp()
    rows, columns = array.bounded_subregion(points), array.bounded_subregion(points.T)
    assert rows.config == columns.config
    assert rows.roi == Roi((0, 0), (50, 36))


def test_a_point_outside_is_an_error_that_names_it():
    with pytest.raises(RegionError) as error:
        ramp().bounded_subregion([(15, 2), (80, 2), (15, 40)])
    assert error.value.message == (
        "points outside of the array (got 2 of 3, the first [80.0, 2.0]; "
        "expected points inside Roi(offset=(0, 0), shape=(80, 40)))"
    )
    assert "clip" in error.value.hint


def test_clipping_keeps_what_the_points_span_inside():
    part = ramp().bounded_subregion([(15, 2), (800, 2)], margin=0, outside="clip")
    assert part.roi == Roi((10, 0), (70, 4))
    around = ramp().bounded_subregion([(-15, -2), (800, 200)], outside="clip")
    assert around.roi == ramp().roi


@pytest.mark.parametrize("points", [(800, 2), [(15, 41), (15, 99)], [(-30, 2), (-90, 2)]])
def test_nothing_inside_is_an_error(points):
    with pytest.raises(RegionError, match="points outside of the array"):
        ramp().bounded_subregion(points, outside="clip", margin=0)


def test_no_points_are_an_error():
    with pytest.raises(RegionError, match="no points to hold"):
        ramp().bounded_subregion([])


@pytest.mark.parametrize("margin", [-1, 0.5, (1,), (1, 2, 3), (1, -1), None])
def test_what_is_no_margin_is_refused(margin):
    with pytest.raises(RegionError, match="not numbers of voxels"):
        ramp().bounded_subregion((15, 2), margin=margin)


def test_an_unknown_way_to_treat_points_outside_is_refused():
    with pytest.raises(ConfigError, match="expected one of error, clip"):
        ramp().bounded_subregion((15, 2), outside="clamp")


def test_no_voxel_is_read_to_bound(watched):
    source = watched(ramp())
    part = source.array().bounded_subregion([(15, 2), (25, 6)], margin=0)
    assert source.boxes == []
    assert part[...].tolist() == [[10, 11], [20, 21]]
    assert source.boxes == [Box((1, 0), (2, 2))]
