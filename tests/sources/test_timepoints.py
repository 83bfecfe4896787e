"""One time point of what is stored is numpy's index along axis t."""

from __future__ import annotations

import numpy as np
import pytest
import tensorstore
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like import from_numpy, open_array
from dacapo_like.errors import SpecError
from dacapo_like.geometry import Box
from dacapo_like.sources.layout import Stored, lay_out
from dacapo_like.sources.zarr import ZarrArrayConfig
from dacapo_like.testing import ArrayContract, Case

VOXELS = np.random.default_rng(0).integers(0, 1000, (3, 2, 8, 10, 12)).astype("uint16")


def plain_zarr(path, axes):
    order = ["tczyx".index(axis) for axis in axes]
    made = zarr.create_array(path, data=VOXELS.transpose(order), chunks=(2,) * 5)
    made.attrs.update(axis_names=list(axes), voxel_size=[4, 2, 2], units=["nm"] * 3)
    return {"type": "zarr", "file_name": str(path)}


def n5(path, axes):
    order = ["tczyx".index(axis) for axis in axes]
    metadata = {
        "dimensions": [VOXELS.shape[i] for i in order][::-1],
        "blockSize": [2] * 5,
        "dataType": "uint16",
        "compression": {"type": "gzip"},
        "axes": list(axes)[::-1],
    }
    store = {"driver": "file", "path": f"{path}/a/"}
    spec = {"driver": "n5", "kvstore": store, "metadata": metadata, "create": True}
    tensorstore.open(spec).result().T[...] = VOXELS.transpose(order)
    return {"type": "n5", "file_name": str(path), "dataset": "a"}


def ome_tiff(path, axes):
    order = ["tczyx".index(axis) for axis in axes]
    metadata = {"axes": axes.upper(), "PhysicalSizeX": 2, "PhysicalSizeY": 2, "PhysicalSizeZ": 4}
    tifffile.imwrite(path, VOXELS.transpose(order), ome=True, metadata=metadata)
    return {"type": "tiff", "file_name": str(path)}


class TestLaws(ArrayContract):
    def case_zarr(self, directory):
        config = plain_zarr(directory / "a.zarr", "ctzyx")
        return Case(open_array(config | {"timepoint": 1, "mode": "r+"}), VOXELS[1])

    def case_tiff(self, directory):
        config = ome_tiff(directory / "a.ome.tif", "tczyx")
        return Case(open_array(config | {"timepoint": 2, "channels": [1]}), VOXELS[2, 1:])


@pytest.mark.parametrize("make", [plain_zarr, n5, ome_tiff])
@pytest.mark.parametrize("axes", ["tczyx", "ctzyx"])
def test_a_time_point_is_an_index(tmp_path, make, axes):
    config = make(tmp_path / "a.n5", axes)
    whole = open_array(config)
    for t in range(3):
        array = open_array(config | {"timepoint": t})
        assert (array.axes, array.shape) == (("c", "z", "y", "x"), (2, 8, 10, 12))
        assert (array.roi, array.voxel_size) == (whole.roi, whole.voxel_size)
        np.testing.assert_array_equal(array.read(), VOXELS[t])
        np.testing.assert_array_equal(array[1, 2:5, 3:, 4:9], VOXELS[t, 1, 2:5, 3:, 4:9])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_of_every_level_of_a_pyramid(tmp_path, version, level):
    array = from_numpy(VOXELS, axes="tczyx", channels=["a", "b"], voxel_size=(2, 2, 2))
    path = array.save(tmp_path / "a.zarr", levels=2, version=version)
    config = {"type": "zarr", "file_name": str(path), "level": level}
    whole = open_array(config).read()
    one = open_array(config | {"timepoint": 2, "channels": ["b"]})
    assert one.channels == ("b",)
    np.testing.assert_array_equal(one.read(), whole[2, 1:])


def test_only_its_chunks_are_read(tmp_path):
    config = plain_zarr(tmp_path / "a.zarr", "tczyx") | {"missing": "error"}
    for chunk in (tmp_path / "a.zarr" / "c" / "0").rglob("*"):  # of the first two time points
        if chunk.is_file():
            chunk.unlink()
    np.testing.assert_array_equal(open_array(config | {"timepoint": 2}).read(), VOXELS[2])
    with pytest.raises(OSError, match="missing"):
        open_array(config | {"timepoint": 1}).read()


@pytest.mark.parametrize("axes", ["tczyx", "ctzyx"])
def test_it_is_written_to(tmp_path, axes):
    config = plain_zarr(tmp_path / "a.zarr", axes)
    array = open_array(config | {"timepoint": 1, "mode": "r+"})
    array[:, 2:4] = 7
    expected = VOXELS.copy()
    expected[1, :, 2:4] = 7
    again = open_array(config).read()
    np.testing.assert_array_equal(again if axes == "tczyx" else again.swapaxes(0, 1), expected)


@given(st.permutations("tczyx"), st.integers(0, 2), st.data())
def test_any_box_of_any_order_of_axes(axes, t, data):
    order = ["tczyx".index(axis) for axis in axes]
    stored = VOXELS.transpose(order)
    options = ZarrArrayConfig(file_name="a", channels=(1,))
    layout = lay_out(
        Stored(shape=stored.shape, dtype=stored.dtype, axes=tuple(axes)), options, "a", timepoint=t
    )
    array = VOXELS[t, 1:].transpose([0, *(1 + "zyx".index(a) for a in layout.spec.spatial_axes)])
    ends = [sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2))) for n in array.shape]
    box = Box(tuple(a for a, _ in ends), tuple(b - a for a, b in ends))
    read = layout.start(box, lambda part: lambda: stored[part.slices])()
    np.testing.assert_array_equal(read, array[box.slices])
    target = np.zeros_like(stored)

    def write(part, voxels):
        target[part.slices] = voxels

    layout.write(box, read, write)
    assert target.sum() == read.sum()
    again = layout.start(box, lambda part: lambda: target[part.slices])()
    np.testing.assert_array_equal(again, read)


@pytest.mark.parametrize("make", [plain_zarr, n5, ome_tiff])
@pytest.mark.parametrize("timepoint", [3, -1])
def test_one_that_is_not_there(tmp_path, make, timepoint):
    config = make(tmp_path / "a.n5", "tczyx")
    with pytest.raises(
        SpecError, match=f"no such time point .got {timepoint}; expected 0 to 2"
    ) as error:
        open_array(config | {"timepoint": timepoint})
    assert error.value.key[-1:] == ("timepoint",)


def test_without_an_axis_of_time(tmp_path):
    path = from_numpy(VOXELS[0], axes="czyx").save(tmp_path / "a.zarr")
    with pytest.raises(
        SpecError, match=r"no time points to choose from .*c z y x; expected an axis t"
    ):
        open_array({"type": "zarr", "file_name": str(path), "timepoint": 0})
