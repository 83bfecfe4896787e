"""Reading several regions: each is what `read` gives for it alone."""

import itertools

import h5py
import numpy as np
import pytest
import zarr

from dacapo_like import Roi, from_numpy, open_array, using
from dacapo_like.errors import RegionError

VOXELS = np.random.default_rng(0).integers(0, 250, (2, 20, 22, 24)).astype("uint8")


@pytest.fixture(params=["numpy", "zarr", "hdf5", "tree"])
def array(request, tmp_path):
    where = {"axes": ["c", "z", "y", "x"], "voxel_size": [4, 4, 4], "offset": [8, 0, 0]}
    if request.param == "numpy":
        return from_numpy(VOXELS, **where)
    path = str(tmp_path / f"a.{request.param}")
    if request.param == "hdf5":
        with h5py.File(path, "w") as file:
            file.create_dataset("raw", data=VOXELS, chunks=(1, 8, 8, 8), compression="gzip")
        return open_array({"type": "hdf5", "file_name": path, "dataset": "raw", **where})
    stored = zarr.create_array(path, shape=VOXELS.shape, chunks=(1, 8, 8, 8), dtype="uint8")
    stored[...] = VOXELS
    opened = open_array({"type": "zarr", "file_name": path, **where})
    return opened.intensities(min=0, max=100) if request.param == "tree" else opened


def rois(number, shape=(20, 12, 16)):
    rng = np.random.default_rng(3)
    for _ in range(number):
        corner = rng.integers(0, [20 - 5, 22 - 3, 24 - 4])
        yield Roi([8 + 4 * int(corner[0]), *(4 * int(n) for n in corner[1:])], shape)


@pytest.mark.parametrize("flying", [1, 4])
def test_each_region_is_as_it_is_read_alone(array, flying):
    wanted = list(rois(15))
    with using(reads_in_flight=flying):
        found = list(array.read_each(wanted))
    assert len(found) == 15
    for roi, voxels in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(voxels, array.read(roi))


def test_a_batch_holds_one_region_after_the_other(array):
    wanted = list(rois(7))
    batch = array.read_many(wanted)
    assert (batch.shape, batch.dtype) == ((7, 2, 5, 3, 4), array.dtype)
    for roi, voxels in zip(wanted, batch, strict=True):
        np.testing.assert_array_equal(voxels, array.read(roi))
    out = np.zeros((7, 2, 5, 3, 8), array.dtype)[..., ::2]
    assert array.read_many(wanted, out=out) is out
    np.testing.assert_array_equal(out, batch)


def test_regions_may_be_off_the_grid_and_leave_the_array(array):
    wanted = [Roi((5, -3, 2), (9, 9, 9)), Roi((80, 80, 90), (9, 9, 9))]
    found = array.read_each(wanted, snap="grow", pad={"constant": 0})
    for roi, voxels in zip(wanted, found, strict=True):
        alone = array.read(roi, snap="grow", pad={"constant": 0})
        np.testing.assert_array_equal(voxels, alone)


def test_only_as_many_are_taken_as_are_in_flight(array):
    taken = []

    def endless():
        for roi in itertools.cycle(rois(3)):
            taken.append(roi)
            yield roi

    found = array.read_each(endless())
    assert not taken
    with using(reads_in_flight=3):
        next(found)
        assert len(taken) == 3
        next(found)
        assert len(taken) == 4
    found.close()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ([], "no batch"),
        ([Roi((8, 0, 0), (4, 4, 4)), Roi((8, 0, 0), (4, 4, 8))], "no batch"),
        ([Roi((8, 0, 0), (4, 4, 4)), Roi((0, 0, 0), (4, 4, 4))], "leaves the array"),
        ([Roi((8, 0, 0), (4, 4, 3))], "not on the voxel grid"),
    ],
)
def test_what_is_no_batch_is_said(array, wanted, message):
    with pytest.raises(RegionError, match=message) as caught:
        array.read_many(wanted)
    assert caught.value.where == array.describe()


@pytest.mark.parametrize("shape", [(1, 2, 5, 3, 4), (3, 2, 5, 3, 4), (2, 5, 3, 4)])
def test_a_batch_that_does_not_fit_is_refused(array, shape):
    with pytest.raises(RegionError, match="`out` does not fit"):
        array.read_many(list(rois(2)), out=np.zeros(shape, array.dtype))
    locked = np.zeros((2, 2, 5, 3, 4), array.dtype)
    locked.setflags(write=False)
    with pytest.raises(RegionError, match="cannot be written"):
        array.read_many(list(rois(2)), out=locked)


def test_an_error_comes_when_its_region_is_asked_for(array):
    wanted = [*rois(2), Roi((0, 0, 0), (4, 4, 4))]
    with using(reads_in_flight=1):
        found = array.read_each(wanted)
        next(found)
        next(found)
        with pytest.raises(RegionError, match="leaves the array"):
            next(found)
