"""Real pipelines: what a request gives is what we read ourselves, in this process and in gunpowder's workers."""

from __future__ import annotations

import pickle
import sys
import warnings

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from dacapo_like import from_gunpowder, from_numpy
from dacapo_like.errors import SpecError
from dacapo_like.testing import as_zarr, sample_voxels

if sys.version_info < (3, 12):
    pytest.skip("gunpowder for zarr 3 needs Python 3.12", allow_module_level=True)

from dacapo_like.gunpowder import ArraySource

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of scipy and pydantic, about gunpowder
    import gunpowder as gp
    from funlib.persistence import open_ds

RAW, LABELS, MASK = (gp.ArrayKey(name) for name in ("RAW", "LABELS", "MASK"))
VOXEL, OFFSET, SHAPE = Coordinate(40, 4, 4), Coordinate(400, -40, 8), (8, 16, 20)


@pytest.fixture
def arrays(tmp_path):
    """Give a raw image of two channels whose voxels are all different, labels, and what is made of them."""
    grid = {"voxel_size": VOXEL, "offset": OFFSET, "units": "nm"}
    voxels = np.arange(2 * np.prod(SHAPE), dtype="uint16").reshape(2, *SHAPE)
    raw = as_zarr(voxels, tmp_path / "raw.zarr", axes="czyx", **grid)
    labels = as_zarr(sample_voxels(SHAPE, "uint64") % 9, tmp_path / "labels.zarr", **grid)
    inner = Roi(OFFSET + VOXEL, VOXEL * (Coordinate(SHAPE) - 2))
    return {
        RAW: raw.crop(inner).intensities(min=0, max=2**16 - 1),
        LABELS: labels,
        MASK: labels.binarize({"odd": [1, 3, 5, 7], "any": []}),
    }


def merged(arrays):
    return tuple(ArraySource(key, array) for key, array in arrays.items()) + gp.MergeProvider()


def request_of(roi, *keys, seed=None):
    return gp.BatchRequest({key: gp.ArraySpec(roi=roi) for key in keys}, random_seed=seed)


def place_of(batch, array):
    """Find where a batch was taken from: its first voxel is the only one of its value."""
    (index,) = np.argwhere(array[...] == batch[RAW].data.flat[0])
    return Roi(array.offset + array.voxel_size * Coordinate(index[1:]), batch[RAW].spec.roi.shape)


def require_same(batch, arrays, roi):
    for key, array in arrays.items():
        data = batch[key].data
        assert data.dtype == array.dtype
        np.testing.assert_array_equal(data, array[roi])


# In one process


def test_it_announces_what_the_array_is(arrays):
    sources = {key: ArraySource(key, array) for key, array in arrays.items()}
    with gp.build(tuple(sources.values()) + gp.MergeProvider()) as pipeline:
        for key, array in arrays.items():
            spec = pipeline.spec[key]
            assert (spec.roi, spec.voxel_size, spec.dtype) == (array.roi, VOXEL, array.dtype)
            assert not spec.nonspatial
            assert not spec.placeholder
        assert [pipeline.spec[key].interpolatable for key in arrays] == [True, False, False]


def test_a_request_gives_the_voxels_of_its_region(arrays):
    roi = Roi((480, -32, 20), (120, 20, 12))
    with gp.build(merged(arrays)) as pipeline:
        batch = pipeline.request_batch(request_of(roi, *arrays))
    require_same(batch, arrays, roi)
    assert batch[RAW].data.shape == (2, 3, 5, 3)
    assert batch[LABELS].data.shape == (3, 5, 3)
    assert batch[LABELS].spec.roi == roi


def test_each_array_may_be_asked_for_another_region_or_not_at_all(arrays):
    small, large = Roi((480, -32, 20), (40, 4, 4)), Roi((440, -36, 12), (200, 40, 40))
    request = request_of(small, LABELS)
    request[RAW] = gp.ArraySpec(roi=large)
    with gp.build(merged(arrays)) as pipeline:
        batch = pipeline.request_batch(request)
    np.testing.assert_array_equal(batch[LABELS].data, arrays[LABELS][small])
    np.testing.assert_array_equal(batch[RAW].data, arrays[RAW][large])
    assert MASK not in batch


def test_gunpowders_own_source_gives_the_same_of_the_file_and_of_the_bridge(tmp_path):
    array = as_zarr(
        sample_voxels(SHAPE, "uint16"), tmp_path / "a.zarr", voxel_size=VOXEL, offset=OFFSET
    )
    roi = Roi((480, -32, 20), (120, 20, 12))
    ours, *others = (
        ArraySource(RAW, array),
        gp.ArraySource(RAW, open_ds(tmp_path / "a.zarr")),
        gp.ArraySource(RAW, array.to_funlib()),
    )
    with gp.build(ours):
        batch = ours.request_batch(request_of(roi, RAW))
        for other in others:
            with gp.build(other):
                assert ours.spec[RAW].roi == other.spec[RAW].roi
                theirs = other.request_batch(request_of(roi, RAW))
            np.testing.assert_array_equal(batch[RAW].data, theirs[RAW].data)


def test_planes_have_planes(tmp_path):
    voxels = sample_voxels((3, 6, 8), "float32")
    array = as_zarr(voxels, tmp_path / "a.zarr", axes="tyx", voxel_size=(4, 4))
    with gp.build(ArraySource(RAW, array)) as pipeline:
        batch = pipeline.request_batch(request_of(Roi((4, 8), (8, 12)), RAW))
    np.testing.assert_array_equal(batch[RAW].data, voxels[:, 1:3, 2:5])


@pytest.mark.parametrize(
    ("roi", "message"),
    [
        (Roi((360, -40, 8), (40, 4, 4)), "outside of my ROI"),
        (Roi(OFFSET, VOXEL * 99), "outside of my ROI"),
        (Roi(OFFSET, (40, 4, 6)), "not a multiple of voxel_size"),
        (Roi(OFFSET + Coordinate(0, 2, 0), VOXEL), "not on the voxel grid"),
    ],
)
def test_a_request_that_does_not_fit_is_an_error(arrays, roi, message):
    with (
        gp.build(merged(arrays)) as pipeline,
        pytest.raises(gp.PipelineRequestError, match=message),
    ):
        pipeline.request_batch(request_of(roi, LABELS))


def test_padding_and_augmentation_work_on_top(arrays):
    pipeline = (
        ArraySource(LABELS, arrays[LABELS])
        + gp.Pad(LABELS, Coordinate(80, 8, 8))
        + gp.SimpleAugment(mirror_only=[], transpose_only=[])
    )
    roi = Roi(OFFSET - VOXEL * 2, VOXEL * 4)
    with gp.build(pipeline):
        data = pipeline.request_batch(request_of(roi, LABELS))[LABELS].data
    expected = np.pad(arrays[LABELS][Roi(OFFSET, VOXEL * 2)], [(2, 0)] * 3)
    np.testing.assert_array_equal(data, expected)


def test_a_batch_may_be_changed_in_place():
    data = np.zeros((4, 4), "float32")
    pipeline = ArraySource(RAW, from_numpy(data)) + gp.IntensityScaleShift(RAW, 1, 5)
    with gp.build(pipeline):
        batch = pipeline.request_batch(request_of(Roi((0, 0), (4, 4)), RAW))
    batch[RAW].data += 1
    np.testing.assert_array_equal(batch[RAW].data, 6)
    np.testing.assert_array_equal(data, 0)


# At random, and in workers


def test_random_locations_are_the_same_voxels_and_follow_the_seed(arrays):
    shape = VOXEL * Coordinate(2, 3, 4)
    places = []
    with gp.build(merged(arrays) + gp.RandomLocation()) as pipeline:
        for seed in (1, 2, 3, 1):
            batch = pipeline.request_batch(request_of(Roi((0, 0, 0), shape), *arrays, seed=seed))
            places.append(place_of(batch, arrays[RAW]))
            require_same(batch, arrays, places[-1])
    assert places[0] == places[3]
    assert len(set(map(repr, places))) == 3


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # gunpowder forks
def test_workers_read_the_same_voxels(arrays):
    for array in arrays.values():
        array.read()
    assert "tensorstore" in sys.modules  # which no forked worker can use
    request = request_of(Roi((0, 0, 0), VOXEL * Coordinate(2, 3, 4)), *arrays)
    workers = gp.PreCache(cache_size=4, num_workers=2)
    with gp.build(merged(arrays) + gp.RandomLocation() + workers) as pipeline:
        for _ in range(6):
            batch = pipeline.request_batch(request)
            require_same(batch, arrays, place_of(batch, arrays[RAW]))


def test_it_pickles(arrays):
    twin = pickle.loads(pickle.dumps(ArraySource(RAW, arrays[RAW])))
    with gp.build(twin) as pipeline:
        batch = pipeline.request_batch(request_of(arrays[RAW].roi, RAW))
    np.testing.assert_array_equal(batch[RAW].data, arrays[RAW][...])


def test_a_pipeline_may_be_built_again(arrays):
    source = ArraySource(RAW, arrays[RAW])
    for _ in range(2):
        with gp.build(source) as pipeline:
            assert pipeline.spec[RAW].roi == arrays[RAW].roi


# Grids


def test_a_grid_that_gunpowder_has_no_place_for_is_refused():
    voxels = np.zeros((4, 4))
    fine = from_numpy(voxels, voxel_size=(9.8, 4), units="nm")
    with pytest.raises(SpecError, match="units='pm'"):
        ArraySource(RAW, fine)
    between = from_numpy(voxels, voxel_size=(8, 8), offset=(4, -6))
    with pytest.raises(SpecError, match=r"offset \(4, -6\).*nearest multiple is \(0, -8\)"):
        ArraySource(RAW, between)


def test_in_a_finer_unit_requests_are_in_it_too():
    voxels = sample_voxels((4, 6), "uint8")
    fine = from_numpy(voxels, voxel_size=(9.8, 4), offset=(-9.8, 0), units="nm")
    with gp.build(ArraySource(RAW, fine, units="pm")) as pipeline:
        assert pipeline.spec[RAW].voxel_size == Coordinate(9800, 4000)
        assert pipeline.spec[RAW].roi == Roi((-9800, 0), (39200, 24000))
        batch = pipeline.request_batch(request_of(Roi((0, 8000), (19600, 12000)), RAW))
    np.testing.assert_array_equal(batch[RAW].data, voxels[1:3, 2:5])


def test_interpolation_may_be_said():
    array = from_numpy(np.zeros((4, 4), "uint8"))
    assert ArraySource(RAW, array).array_spec.interpolatable
    assert not ArraySource(RAW, array, interpolatable=False).array_spec.interpolatable


# From gunpowder


def gunpowder_array(data, voxel_size=VOXEL, offset=OFFSET, **fields):
    shape = Coordinate(data.shape[-len(voxel_size) :]) * voxel_size
    return gp.Array(data, gp.ArraySpec(roi=Roi(offset, shape), voxel_size=voxel_size, **fields))


def test_an_array_of_a_batch_is_an_array(arrays):
    with gp.build(merged(arrays)) as pipeline:
        batch = pipeline.request_batch(request_of(Roi((480, -32, 20), (120, 20, 12)), *arrays))
    for key, array in arrays.items():
        taken = from_gunpowder(batch[key], units="nm", name=key.identifier)
        assert taken.axes == array.axes
        assert taken.units == array.units
        assert taken.kind == ("image" if key is RAW else "labels")
        assert taken.config.name == key.identifier
        roi = Roi((520, -28, 24), (40, 8, 4))
        np.testing.assert_array_equal(taken[roi], array[roi])


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((2, 3, 4), "zyx"), ((5, 2, 3, 4), "czyx"), ((6, 5, 2, 3, 4), "sczyx")],
)
def test_axes_that_gunpowder_does_not_name(shape, axes):
    assert "".join(from_gunpowder(gunpowder_array(np.zeros(shape))).axes) == axes


def test_more_axes_have_to_be_named():
    deep = gunpowder_array(np.zeros((7, 6, 5, 2, 3, 4)))
    with pytest.raises(SpecError, match="pass axes="):
        from_gunpowder(deep)
    assert from_gunpowder(deep, axes=["s", "t", "c", "z", "y", "x"]).dims == 3


@pytest.mark.parametrize(
    ("dtype", "interpolatable", "kind"),
    [
        ("uint8", True, "image"),
        ("uint64", True, "image"),
        ("bool", True, "image"),
        ("uint8", False, "labels"),
        ("int64", False, "labels"),
        ("bool", False, "mask"),
        ("float32", False, "image"),
        ("uint8", None, "image"),
        ("uint64", None, "labels"),
        ("bool", None, "mask"),
    ],
)
def test_kinds(dtype, interpolatable, kind):
    array = gunpowder_array(np.zeros((2, 3, 4), dtype), interpolatable=interpolatable)
    assert from_gunpowder(array).kind == kind
    assert from_gunpowder(array, kind="mask").kind == "mask"


def test_voxels_are_not_copied():
    array = gunpowder_array(np.zeros((2, 3, 4)))
    taken = from_gunpowder(array)
    array.data[1, 2, 3] = 5
    assert taken[1, 2, 3] == 5


def test_there_and_back_is_the_same():
    voxels = sample_voxels((2, 3, 4, 5), "int16")
    array = from_numpy(voxels, axes="czyx", voxel_size=VOXEL, offset=OFFSET, attrs={"a": 1})
    with gp.build(ArraySource(RAW, array)) as pipeline:
        batch = pipeline.request_batch(request_of(array.roi, RAW))
    back = from_gunpowder(batch[RAW])
    assert back.spec == array.spec
    assert back.attrs == array.attrs
    np.testing.assert_array_equal(back[...], voxels)


def test_what_has_no_place_is_refused():
    loss = gp.Array(np.zeros(3), gp.ArraySpec(nonspatial=True))
    with pytest.raises(SpecError, match="nonspatial"):
        from_gunpowder(loss)
    with pytest.raises(SpecError, match="not an array of gunpowder"):
        from_gunpowder(from_numpy(np.zeros(3)))
    changed = gunpowder_array(np.zeros((2, 3, 4)))
    changed.data = changed.data[:1]
    with pytest.raises(SpecError, match="do not fill the ROI"):
        from_gunpowder(changed)
