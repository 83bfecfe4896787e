"""N5 that z5py has written: a program of others, with blocks, codecs and attributes of its own."""

from __future__ import annotations

import numpy as np
import pytest
import z5py

from dacapo_like import N5ArrayConfig
from dacapo_like.errors import ReadError, SourceError
from dacapo_like.geometry import Coordinate
from dacapo_like.testing import ArrayContract, Case, sample_voxels

NUMBERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]


def write(path, name, voxels, compression="gzip", **attributes):
    with z5py.File(str(path), mode="a") as file:
        stored = file.create_dataset(name, data=voxels, chunks=(4, 5, 6), compression=compression)
        for key, value in attributes.items():
            stored.attrs[key] = value
    return path


def opened(path, dataset, **fields):
    return N5ArrayConfig(file_name=str(path), dataset=dataset, **fields).array()


class TestLaws(ArrayContract):
    def case_blosc(self, directory):
        voxels = sample_voxels((9, 11, 13), "uint64")
        path = write(directory / "a.n5", "seg", voxels, "blosc", resolution=[4, 4.5, 40])
        return Case(opened(path, "seg"), voxels)


@pytest.mark.parametrize("dtype", [*NUMBERS, "float32", "float64"])
@pytest.mark.parametrize("compression", ["raw", "gzip"])
def test_every_type_of_number(tmp_path, dtype, compression):
    voxels = sample_voxels((9, 11, 13), dtype)
    array = opened(write(tmp_path / "a.n5", "raw", voxels, compression), "raw")
    assert (array.dtype, array.chunks) == (np.dtype(dtype), (4, 5, 6))
    np.testing.assert_array_equal(array[...], voxels)
    np.testing.assert_array_equal(array[3:5, 4:11, 5:7], voxels[3:5, 4:11, 5:7])


@pytest.mark.parametrize("compression", ["bzip2", "xz", "zstd", "blosc"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint64", "float32"])
def test_every_compression(tmp_path, compression, dtype):
    voxels = sample_voxels((9, 11, 13), dtype)
    array = opened(write(tmp_path / "a.n5", "raw", voxels, compression), "raw")
    np.testing.assert_array_equal(array[...], voxels)


def test_the_compression_that_nobody_here_decodes_is_named(tmp_path):
    path = write(tmp_path / "a.n5", "raw", sample_voxels((9, 11, 13), "uint8"), "lz4")
    with pytest.raises(SourceError, match="unknown compression") as error:
        opened(path, "raw")
    assert error.value.got == "lz4"


def test_blocks_of_zeros_that_it_leaves_out_are_zeros(tmp_path):
    voxels = sample_voxels((9, 11, 13), "uint16") | 1
    voxels[4:8, :5, 6:12] = 0
    path = write(tmp_path / "a.n5", "raw", voxels, "blosc")
    assert not (path / "raw" / "1" / "0" / "1").exists()
    np.testing.assert_array_equal(opened(path, "raw")[...], voxels)
    with pytest.raises(ReadError, match="a chunk is missing"):
        opened(path, "raw", missing="error")[...]


@pytest.mark.parametrize("compression", ["gzip", "blosc"])
def test_a_pyramid_lies_where_its_attributes_say(tmp_path, compression):
    fine = sample_voxels((8, 10, 12), "uint8")
    size = {"pixelResolution": {"dimensions": [0.5, 0.25, 3], "unit": "um"}}
    with z5py.File(str(tmp_path / "a.n5"), mode="a") as file:
        group = file.create_group("em")
        for key, value in size.items():
            group.attrs[key] = value
    for i, (z, y, x) in enumerate([(1, 1, 1), (1, 2, 2)]):
        write(
            tmp_path / "a.n5",
            f"em/s{i}",
            fine[::z, ::y, ::x],
            compression,
            downsamplingFactors=[x, y, z],
        )
    for i, expected in enumerate([(3, 0.25, 0.5), (3, 0.5, 1)]):
        array = opened(tmp_path / "a.n5", "em", level=i)
        assert (array.voxel_size, array.units) == (Coordinate(expected), ("um",) * 3)
        assert array.roi.offset == Coordinate((0, 0, 0))
        assert array.roi.shape == Coordinate((24, 2.5, 6))
        np.testing.assert_array_equal(array[...], fine[:, :: 2**i, :: 2**i])


def test_offset_and_resolution_are_listed_x_first(tmp_path):
    place = {"resolution": [4, 5.5, 40], "offset": [1, -2, 3]}
    array = opened(write(tmp_path / "a.n5", "raw", np.zeros((2, 3, 4), "u1"), **place), "raw")
    assert array.voxel_size == Coordinate((40, 5.5, 4))
    assert array.roi.offset == Coordinate((3, -2, 1))
