"""Faults of other tools in cutting, resampling and sampling, most of them seen in ZarrNii 0.21.6: none of them is ours."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from dacapo_like import Roi, from_numpy
from dacapo_like.errors import RegionError, SpecError
from dacapo_like.testing import as_zarr, sample_voxels

GRID = {"voxel_size": (40, 9.8, 4), "offset": (-20, 100, 0), "units": "nm"}


def values_at(array, world):
    """Look up true world points in the voxels of an array, by its affine."""
    homogeneous = np.hstack([world, np.ones((len(world), 1))])
    index = np.rint((homogeneous @ array.world_to_voxel.T)[:, :-1]).astype(int)
    return array[...][(..., *index.T)]


def centres_of(array):
    """Give the world positions of the centres of all voxels."""
    index = np.argwhere(np.ones(array.spec.spatial_shape))
    homogeneous = np.hstack([index, np.ones((len(index), 1))])
    return (homogeneous @ array.voxel_to_world.T)[:, :-1]


# Patches


@pytest.mark.parametrize("directions", [None, ((0, 1, 0), (-1, 0, 0), (0, 0, -1))])
@pytest.mark.parametrize("corner", [(0, 0, 0), (5, 6, 7), (0, 6, 3), (-1, 2, 9)])
def test_a_padded_patch_is_where_it_was_cut(corner, directions):
    """The origin of a patch that leaves the image was moved by the padding in the wrong direction."""
    array = from_numpy(
        np.arange(1, 337, dtype="uint16").reshape(6, 7, 8), directions=directions, **GRID
    )
    centre = (array.voxel_to_world @ [*corner, 1])[:3]
    patch = array.crop_centered(centre, (4, 5, 4))
    assert patch.shape == (4, 5, 4)
    np.testing.assert_allclose((patch.voxel_to_world @ [2, 2, 2, 1])[:3], centre, atol=1e-9)
    world = centres_of(patch)
    index = (np.hstack([world, np.ones((len(world), 1))]) @ array.world_to_voxel.T)[:, :3]
    inside = np.all((np.rint(index) >= 0) & (np.rint(index) < array.shape), axis=1)
    assert 0 < inside.sum() < len(world) or corner == (-1, 2, 9)
    np.testing.assert_array_equal(values_at(patch, world[inside]), values_at(array, world[inside]))
    assert not values_at(patch, world[~inside]).any()


@pytest.mark.parametrize("voxel", range(2, 8))
def test_the_centre_of_an_odd_patch_is_its_middle(voxel):
    """Half of an odd size was rounded to even, so that every second centre came out beside the middle."""
    array = from_numpy(np.arange(10), axes="x")
    assert array.crop_centered([voxel + 0.5], (3,))[...].tolist() == [voxel - 1, voxel, voxel + 1]


def test_a_patch_outside_has_the_shape_that_was_asked_for():
    """The sizes of a patch wholly outside of the image were given to its axes in the reverse order."""
    array = from_numpy(np.ones((6, 7, 8), "uint8"))
    for centre in ((3, 3, 3), (100, 100, 100)):
        assert array.crop_centered(centre, (2, 3, 4)).shape == (2, 3, 4)
        assert array.crop_centered(centre, (2, 3, 4))[...].shape == (2, 3, 4)


# Crops


def test_a_crop_that_leaves_the_array_does_not_wrap_around():
    """A corner before the first voxel counted from the end, and gave an empty image with an offset."""
    array = from_numpy(np.arange(10), axes="x")
    assert array.crop(Roi((-2,), (6,)))[...].tolist() == [0, 1, 2, 3]
    with pytest.raises(SpecError, match="outside of the source"):
        array.crop(Roi((-6,), (6,)))
    with pytest.raises(RegionError, match="leaves the array"):
        array.crop(np.s_[2:40])


def test_a_crop_off_the_grid_is_not_rounded_silently():
    """Corners between voxels were rounded, to even at halves, whoever asked."""
    array = from_numpy(np.arange(10), axes="x", voxel_size=(2,))
    with pytest.raises(SpecError, match="not on the voxel grid"):
        array.crop(Roi((1,), (4,)))
    assert array.crop(Roi((1,), (4,)), snap="grow").roi == Roi((0,), (6,))


# Coarser and finer voxels


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64", "int64"])
def test_labels_that_get_coarser_keep_their_ids(dtype):
    """Ids were averaged: 3 beside 8 became 5, an object that is not there."""
    rng = np.random.default_rng(0)
    labels = rng.choice(np.array([0, 3, 8, 200], dtype), (6, 8, 10))
    array = from_numpy(labels, kind="labels", voxel_size=(4, 4, 4))
    for coarse in (array.downsample((2, 2, 2)), array.downsample((3, 4, 5))):
        cells = np.array(array.shape) // coarse.shape
        for index in np.ndindex(*coarse.shape):
            cut = (slice(i * n, (i + 1) * n) for i, n in zip(index, cells, strict=True))
            counts = Counter(labels[tuple(cut)].ravel().tolist())
            assert counts[int(coarse[index])] == max(counts.values())
    near = from_numpy(labels, kind="labels", voxel_size=(1, 4, 4)).downsample_near_isotropic()
    assert set(np.unique(near[...])) <= {0, 3, 8, 200}


def test_every_finer_axis_gets_coarser():
    """Nothing at all was done to an image with two finer axes."""
    array = from_numpy(np.zeros((4, 32, 32), "uint8"), voxel_size=(40, 10, 5))
    assert array.downsample_near_isotropic().voxel_size == (40, 40, 40)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_finer_voxels_have_no_seams_at_chunks(tmp_path, order):
    """Every chunk was stretched for itself, from its first voxel to its last: steps stood between them."""
    ramp = np.arange(24, dtype="float32")
    voxels = np.ascontiguousarray(np.broadcast_to(ramp, (4, 6, 24)))
    chunked = as_zarr(voxels, tmp_path / "chunked", chunks=(4, 3, 4)).upsample(
        (1, 1, 4), interp_order=order
    )
    np.testing.assert_array_equal(
        chunked[...], from_numpy(voxels).upsample((1, 1, 4), interp_order=order)[...]
    )
    np.testing.assert_array_equal(
        chunked.to_dask((2, 2, 16)).compute(scheduler="threads"), chunked[...]
    )
    inner = chunked[0, 0, 8:-8].astype("float64")
    if order:
        np.testing.assert_allclose(np.diff(inner), 0.25, atol=1e-5)
    else:
        np.testing.assert_array_equal(inner, np.repeat(ramp[2:-2], 4))


def test_finer_voxels_stay_where_they_were():
    """The position of the first voxel's centre was kept, so that the image moved by part of a voxel."""
    voxels = np.random.default_rng(0).random((6, 7, 8))
    array = from_numpy(voxels, **GRID)
    fine = array.upsample((1, 1, 2))
    assert fine.roi == array.roi
    shift = fine.voxel_to_world[:3, 3] - array.voxel_to_world[:3, 3]
    np.testing.assert_allclose(shift, (0, 0, -1))
    index = (np.hstack([centres_of(fine), np.ones((fine.size, 1))]) @ array.world_to_voxel.T)[:, :3]
    expected = map_coordinates(voxels, index.T, order=1, mode="nearest").reshape(fine.shape)
    np.testing.assert_allclose(fine[...], expected, atol=1e-12)


# Values at points


def test_values_at_points_are_those_of_what_was_done(tmp_path):
    """Points were looked up in the stored file, whatever had been done to the image since."""
    voxels = sample_voxels((8, 9, 10), "uint8")
    stored = as_zarr(voxels, tmp_path / "a", chunks=(4, 4, 4), **GRID)
    scaled = stored.intensities(min=0, max=51)
    world = centres_of(stored)[::7]
    np.testing.assert_allclose(
        scaled.sample_at_points(world), values_at(stored, world) / 51, rtol=1e-6
    )
    cut = stored.crop(np.s_[2:, 3:, 1:-1])
    inside = centres_of(cut)[::5]
    np.testing.assert_array_equal(cut.sample_at_points(inside), values_at(stored, inside))
    coarse = stored.downsample((1, 3, 2), method="max")
    middle = centres_of(coarse)
    expected = voxels.reshape(8, 3, 3, 5, 2).max(axis=(2, 4)).ravel()
    np.testing.assert_array_equal(coarse.sample_at_points(middle), expected)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_the_outer_half_of_the_outermost_voxels_is_inside(order):
    """Between the centre and the outer face of a border voxel there was nothing but the fill value."""
    array = from_numpy(np.full((4, 4, 4), 9.0), **GRID)
    low, high = np.array(array.roi.begin, float), np.array(array.roi.end, float)
    points = np.array([low, low + 0.01, high - 0.01, (low[0], *(high[1:] - 0.01))])
    assert array.sample_at_points(points, order, fill=-1).tolist() == pytest.approx([9] * 4)
    assert array.sample_at_points([low - 0.01, high], order, fill=-1).tolist() == [-1, -1]


def test_an_array_of_one_plane_can_be_sampled():
    """Interpolation in a grid of one plane gave the fill value beside its centre."""
    voxels = sample_voxels((1, 5, 6), "float64")
    array = from_numpy(voxels, **GRID)
    world = centres_of(array)
    for depth in (-15, 0, 19):
        np.testing.assert_allclose(
            array.sample_at_points(world + np.array([depth, 0, 0])), voxels.ravel(), rtol=1e-12
        )


def test_points_that_are_no_numbers_are_refused():
    """NaN gave the fill value, as if the point lay outside."""
    array = from_numpy(np.ones((4, 4, 4)))
    for look_up in (array.sample_at_points, array.world_to_index, array.bounded_subregion):
        with pytest.raises(RegionError, match="nowhere"):
            look_up([[1, 1, 1], [1, np.nan, 1]])


def test_ids_at_points_are_those_that_are_there():
    """Labels were interpolated: halfway between 3 and 8 stood 5.5."""
    labels = from_numpy(np.array([[[3, 8]]], "uint32"))
    assert labels.sample_at_points([(0.5, 0.5, 0.9), (0.5, 0.5, 1)]).tolist() == [3, 8]
    with pytest.raises(SpecError, match="would invent values"):
        labels.sample_at_points((0.5, 0.5, 1), 1)


@pytest.mark.parametrize("count", [1, 2, 4, 50])
def test_points_in_rows_bound_the_region_that_they_span(count):
    """Rows of points were documented, columns were taken: the region came from the first three points alone."""
    array = from_numpy(sample_voxels((8, 9, 10), "uint8"), **GRID)
    index = np.random.default_rng(count).integers(0, array.shape, (count, 3))
    world = index @ array.voxel_to_world[:3, :3].T + array.voxel_to_world[:3, 3]
    part = array.bounded_subregion(world, margin=0)
    assert part.shape == tuple(np.ptp(index, axis=0) + 1)
    np.testing.assert_array_equal(values_at(part, world), values_at(array, world))


def test_index_maps_map():
    """The maps between indices were placeholders that gave their input back."""
    a = from_numpy(np.zeros((8, 9, 10)), **GRID)
    b = from_numpy(np.zeros((4, 3, 5)), voxel_size=(80, 29.4, 8), offset=(-20, 100, 0))
    index = np.random.default_rng(0).uniform(0, 3, (20, 3))
    mapped = a.world_to_index(b.index_to_world(index))
    # one voxel of b is 2, 3 and 2 of a, from a common corner
    np.testing.assert_allclose(mapped, (index + 0.5) * (2, 3, 2) - 0.5, atol=1e-12)


# Transforms


SHIFT = [[1, 0, 0, 40], [0, 1, 0, -9.8], [0, 0, 1, 8], [0, 0, 0, 1]]  # whole voxels


@pytest.mark.parametrize("chunks", [(1, 3, 3, 3), (3, 3, 3, 3), (2, 6, 7, 8)])
def test_channels_in_chunks_of_their_own_are_transformed(tmp_path, chunks):
    """An image of several channels, each in chunks of its own, failed with an IndexError."""
    voxels = sample_voxels((3, 6, 7, 8), "uint16")
    array = as_zarr(voxels, tmp_path / "a", axes="czyx", chunks=chunks, **GRID)
    moved = array.transform(SHIFT, like=array)
    expected = np.zeros_like(voxels)
    expected[:, :5, 1:, :6] = voxels[:, 1:, :6, 2:]
    np.testing.assert_array_equal(moved[...], expected, strict=True)
    np.testing.assert_array_equal(moved.to_dask(chunks).compute(scheduler="threads"), expected)


def test_the_channels_of_the_grid_are_not_those_of_the_array():
    """The result had as many channels as the reference, and failed where the image had more."""
    voxels = sample_voxels((3, 6, 7, 8), "uint16")
    array, flat = from_numpy(voxels, axes="czyx", **GRID), from_numpy(voxels[0], **GRID)
    assert array.transform(SHIFT, like=flat).shape == (3, 6, 7, 8)
    assert flat.transform(SHIFT, like=array).shape == (6, 7, 8)


def test_a_transform_is_of_what_was_done(tmp_path):
    """The stored file was transformed, or an error asked to write a copy first, whatever had been done to the image."""
    voxels = sample_voxels((8, 6, 8), "uint8")
    stored = as_zarr(voxels, tmp_path / "a", chunks=(4, 4, 4), **GRID)
    coarse = stored.downsample((2, 2, 2), method="max")
    np.testing.assert_array_equal(
        coarse.transform(np.eye(4), like=coarse)[...],
        voxels.reshape(4, 2, 3, 2, 4, 2).max(axis=(1, 3, 5)),
    )


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_a_transform_keeps_the_dtype(dtype):
    """The result was declared as float32 whatever the image was."""
    voxels = sample_voxels((6, 7, 8), dtype)
    moved = from_numpy(voxels, **GRID).transform(SHIFT, like=from_numpy(voxels, **GRID))
    assert moved.dtype == moved[...].dtype == np.dtype(dtype)
    np.testing.assert_allclose(moved[...][:5, 1:, :6], voxels[1:, :6, 2:], rtol=1e-6)


def test_labels_stay_labels_when_they_are_turned():
    """Labels were interpolated linearly into ids that no object has."""
    labels = np.random.default_rng(0).choice(np.array([3, 8, 200], "uint32"), (6, 7, 8))
    c, s = np.cos(0.3), np.sin(0.3)
    turn = [[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]]
    array = from_numpy(labels, voxel_size=(4, 4, 4))
    assert set(np.unique(array.transform(turn, like=array)[...])) <= {0, 3, 8, 200}
