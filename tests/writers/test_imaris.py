"""What is written, read by imaris-ims-file-reader, by plain h5py, and by us."""

from __future__ import annotations

import gc
import itertools
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from fractions import Fraction

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imaris_ims_file_reader.ims import ims

from dacapo_like import from_numpy
from dacapo_like.errors import (
    ConfigError,
    DacapoLikeError,
    DataWarning,
    RegionError,
    SourceError,
    SpecError,
)
from dacapo_like.geometry import Box, Coordinate
from dacapo_like.materialize import materialize
from dacapo_like.sources.imaris import ImarisArrayConfig
from dacapo_like.spec import from_shape
from dacapo_like.writers._imaris_levels import chunk_shape, level_sizes, thumbnail
from dacapo_like.writers.imaris import ImarisWriter

pytestmark = pytest.mark.slow  # the module takes over ten seconds

DTYPES = ["uint8", "uint16", "uint32", "float32"]
AXES = ["yx", "zyx", "cyx", "czyx", "tzyx", "tczyx", "ctzyx", "xyz", "xy", "cxyz"]


def spec_of(axes="zyx", dtype="uint16", sizes=None, **fields):
    sizes = {"t": 2, "c": 3, "z": 9, "y": 21, "x": 10} | (sizes or {})
    worlds = {"z": (25, 100), "y": (Fraction("9.8"), Fraction("4.9")), "x": (Fraction("0.7"), -7)}
    spatial = [axis for axis in axes if axis in worlds]
    fields = {
        "voxel_size": [worlds[axis][0] for axis in spatial],
        "offset": [worlds[axis][1] for axis in spatial],
        "units": "um",
    } | fields
    return from_shape([sizes[axis] for axis in axes], dtype, axes=tuple(axes), **fields)


def voxels_of(spec, most=200):
    return np.random.default_rng(0).integers(0, most, spec.shape).astype(spec.dtype)


def write(path, spec, data=None, **options):
    data = voxels_of(spec) if data is None else data
    with ImarisWriter(path, spec, **options) as writer:
        for box in writer.boxes():
            writer.write(box, data[box.slices])
    return data


def as_tczyx(data, axes):
    """Give voxels as Imaris has them, with the axes that are not there."""
    there = [axis for axis in "tczyx" if axis in axes]
    data = data.transpose([axes.index(axis) for axis in there])
    return data[tuple(slice(None) if axis in there else None for axis in "tczyx")]


def reader(path):
    gc.collect()  # it cannot open a file that we have open
    return closing(ims(str(path), squeeze_output=False, resolution_decimal_places=None))


def text(group, name):
    return group.attrs[name].tobytes().decode()


def opened(path, **fields):
    return ImarisArrayConfig(file_name=path, **fields).array()


# Others read what is written


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axes", AXES)
def test_the_other_reader_reads_the_same(tmp_path, axes, dtype):
    spec = spec_of(axes, dtype)
    data = write(tmp_path / "a.ims", spec)
    with reader(tmp_path / "a.ims") as theirs:
        read = theirs[:, :, :, :, :]
        resolution = theirs.resolution
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, as_tczyx(data, axes))
    sizes = dict(zip(spec.spatial_axes, spec.voxel_size, strict=True))
    assert resolution == pytest.approx([float(sizes.get(axis, 1)) for axis in "zyx"])


@pytest.mark.parametrize("axes", AXES)
def test_we_read_the_same(tmp_path, axes):
    count = 3 if "c" in axes else None
    spec = spec_of(axes, channels="abc"[:count] if count else None, units="mm")
    data = write(tmp_path / "a.ims", spec)
    array = opened(tmp_path / "a.ims")
    expected = as_tczyx(data, axes)
    np.testing.assert_array_equal(array.read(), expected if "t" in axes else expected[0])
    assert array.channels == spec.channels
    assert array.units == ("mm", "mm", "mm")
    for axis, size, start, stop in zip(
        spec.spatial_axes, spec.voxel_size, spec.roi.offset, spec.roi.end, strict=True
    ):
        at = "zyx".index(axis)
        assert array.voxel_size[at] == size
        assert (array.roi.offset[at], array.roi.end[at]) == (start, stop)


def test_what_imaris_looks_for_is_there(tmp_path):
    spec = spec_of("tczyx", channels=("DAPI", "β-tubulin", "x"), units="nm")
    write(tmp_path / "a.ims", spec, name="brain", colors=["ff0000", "00FF00", "0000ff"])
    with h5py.File(tmp_path / "a.ims") as file:
        assert {name: text(file, name) for name in file.attrs if "Number" not in name} == {
            "ImarisDataSet": "ImarisDataSet",
            "ImarisVersion": "5.5.0",
            "DataSetDirectoryName": "DataSet",
            "DataSetInfoDirectoryName": "DataSetInfo",
            "ThumbnailDirectoryName": "Thumbnail",
        }
        assert file.attrs["NumberOfDataSets"].tolist() == [1]
        image = file["DataSetInfo/Image"]
        assert image.attrs["Unit"].dtype == "S1"
        assert image.attrs["Unit"].tolist() == [b"n", b"m"]
        found = {name: text(image, name) for name in image.attrs}
        assert found["Name"] == "brain"
        assert [found[axis] for axis in "XYZ"] == ["10", "21", "9"]
        assert [found[f"ExtMin{i}"] for i in range(3)] == ["-7", "4.9", "100"]
        assert [found[f"ExtMax{i}"] for i in range(3)] == ["0", "210.7", "325"]
        assert found["RecordingDate"] == "\0"
        assert text(file["DataSetInfo/TimeInfo"], "DatasetTimePoints") == "2"
        assert text(file["DataSetInfo/Channel 1"], "Name") == "β-tubulin"
        assert text(file["DataSetInfo/Channel 1"], "Color") == "0.000 1.000 0.000"
        channel = file["DataSet/ResolutionLevel 0/TimePoint 1/Channel 2"]
        assert [text(channel, f"ImageSize{axis}") for axis in "XYZ"] == ["10", "21", "9"]
        assert channel["Data"].compression == "gzip"


# Units


@pytest.mark.parametrize(
    ("unit", "written"),
    [
        ("mm", "mm"),
        ("millimeter", "mm"),
        ("micrometer", "um"),
        ("µm", "um"),
        ("nm", "nm"),
        ("m", "m"),
        ("Å", "angstrom"),
        ("pixel", "pixel"),
    ],
)
def test_units_are_kept(tmp_path, unit, written):
    write(tmp_path / "a.ims", spec_of(units=unit))
    with h5py.File(tmp_path / "a.ims") as file:
        assert text(file["DataSetInfo/Image"], "Unit") == written
    assert opened(tmp_path / "a.ims").voxel_size == spec_of().voxel_size


def test_an_unknown_unit_is_not_written(tmp_path):
    write(tmp_path / "a.ims", spec_of(units=None))
    with h5py.File(tmp_path / "a.ims") as file:
        assert "Unit" not in file["DataSetInfo/Image"].attrs
    assert opened(tmp_path / "a.ims").units == (None, None, None)


def test_units_that_differ_become_one(tmp_path):
    write(
        tmp_path / "a.ims",
        spec_of(voxel_size=(2, 500, 250), offset=(1, 2, 3), units=["um", "nm", "nm"]),
    )
    array = opened(tmp_path / "a.ims")
    assert array.units == ("nm", "nm", "nm")
    assert array.voxel_size == (2000, 500, 250)
    assert array.roi.offset == (1000, 2, 3)
    with pytest.raises(SpecError, match="that of some is unknown"):
        ImarisWriter(tmp_path / "b.ims", spec_of(units=["um", None, "um"]))


# Levels


def test_sizes_of_levels():
    """Worked out by hand from the rule: halve while over a megabyte, but not an axis whose 10 voxels squared are fewer."""
    assert level_sizes((100, 100, 100), 1) == [(100, 100, 100)]
    assert level_sizes((1, 1024, 1024), 1) == [(1, 1024, 1024)]
    assert level_sizes((1, 1025, 1025), 1) == [(1, 1025, 1025), (1, 512, 512)]
    assert level_sizes((1, 1024, 1024), 2) == [(1, 1024, 1024), (1, 512, 512)]
    assert level_sizes((2, 2048, 2048), 1) == [(2, 2048, 2048), (2, 1024, 1024), (2, 512, 512)]
    assert level_sizes((256, 256, 256), 1) == [(256,) * 3, (128,) * 3, (64,) * 3]
    assert level_sizes((10**8, 1, 1), 1)[-1] == (781250, 1, 1)


@given(st.tuples(*[st.integers(1, 10**5)] * 3), st.sampled_from([1, 2, 4]))
def test_levels_and_chunks_of_any_size(size, itemsize):
    sizes = level_sizes(size, itemsize)
    for finer, coarser in itertools.pairwise(sizes):
        assert all(m in {n, n // 2} and m for n, m in zip(finer, coarser, strict=True))
        assert finer != coarser
    assert np.prod(sizes[-1], dtype=object) * itemsize <= 2**20
    for level in sizes:
        chunk = chunk_shape(level, itemsize)
        assert np.prod(chunk) * itemsize <= 2**20
        assert all(c & (c - 1) == 0 and c < 2 * n for c, n in zip(chunk, level, strict=True))


def pooled(data, factors):
    """Join voxels as the mean of a cell, a half rounded to even; what is left over is dropped."""
    cut = data[tuple(slice(n // f * f) for n, f in zip(data.shape, factors, strict=True))]
    split = [part for n, f in zip(cut.shape, factors, strict=True) for part in (n // f, f)]
    mean = cut.reshape(split).astype(np.float64).mean(axis=(1, 3, 5))
    return np.rint(mean).astype(data.dtype) if data.dtype.kind == "u" else mean.astype(data.dtype)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_coarser_levels_are_means(tmp_path, dtype):
    spec = spec_of("czyx", dtype, {"c": 2, "z": 65, "y": 153, "x": 131})
    data = write(tmp_path / "a.ims", spec)
    expected = [pooled(channel, (2, 2, 2)) for channel in data]
    np.testing.assert_array_equal(opened(tmp_path / "a.ims", level=1).read(), expected)
    with reader(tmp_path / "a.ims") as theirs:
        assert theirs.ResolutionLevels == len(level_sizes(spec.spatial_shape, spec.dtype.itemsize))
        np.testing.assert_array_equal(theirs[1, :, :, :, :, :], np.array(expected)[None])
        theirs.change_resolution_lock(1)
        resolution = theirs.resolution
    sizes = opened(tmp_path / "a.ims", level=1).voxel_size
    assert resolution == pytest.approx([float(size) for size in sizes])


def test_a_thin_stack_is_not_halved_along_z(tmp_path):
    spec = spec_of("zyx", "uint8", {"z": 3, "y": 700, "x": 800})
    data = write(tmp_path / "a.ims", spec)
    array = opened(tmp_path / "a.ims", level=1)
    np.testing.assert_array_equal(array.read()[0], pooled(data, (1, 2, 2)))
    assert array.voxel_size == spec.voxel_size * (1, 2, 2)
    assert array.roi == opened(tmp_path / "a.ims").roi


def test_labels_are_never_averaged(tmp_path):
    spec = spec_of("zyx", "uint32", {"z": 64, "y": 80, "x": 64}, kind="labels")
    data = np.where(np.arange(64) % 4, np.uint32(2**32 - 1), np.uint32(7)) * np.ones(
        (64, 80, 1), "u4"
    )
    write(tmp_path / "a.ims", spec, data)
    array = opened(tmp_path / "a.ims", level=1)
    assert array.kind == "labels"
    np.testing.assert_array_equal(np.unique(array.read()), [7, 2**32 - 1])


# Histograms and the thumbnail


@pytest.mark.parametrize("dtype", DTYPES)
def test_histograms_count_every_voxel(tmp_path, dtype):
    spec = spec_of("tczyx", dtype, {"z": 40, "y": 130, "x": 130, "c": 2})
    data = write(tmp_path / "a.ims", spec)
    with h5py.File(tmp_path / "a.ims") as file:
        for level in range(len(file["DataSet"])):
            group = file[f"DataSet/ResolutionLevel {level}/TimePoint 1/Channel 1"]
            counts = group["Histogram"][...]
            size = np.prod([int(text(group, f"ImageSize{axis}")) for axis in "XYZ"])
            assert (counts.shape, counts.dtype, counts.sum()) == ((256,), "uint64", size)
        low, high = (float(text(group, f"Histogram{name}")) for name in ("Min", "Max"))
        assert (low, high) == (data[:, 1].min(), data[:, 1].max())
        first = file["DataSet/ResolutionLevel 0/TimePoint 1/Channel 1/Histogram"][...]
    expected, _ = np.histogram(data[1, 1], 256, (low, high))
    np.testing.assert_array_equal(first, expected)


def test_histograms_of_one_value_and_of_none(tmp_path):
    spec = spec_of("cyx", "float32")
    data = np.full(spec.shape, 5, "float32")
    data[1, :3] = [[np.nan], [np.inf], [-np.inf]]
    data[2] = np.nan
    write(tmp_path / "a.ims", spec, data)
    with h5py.File(tmp_path / "a.ims") as file:
        for c, count in [(0, 210), (1, 180), (2, 0)]:
            group = file[f"DataSet/ResolutionLevel 0/TimePoint 0/Channel {c}"]
            assert float(text(group, "HistogramMin")) < float(text(group, "HistogramMax"))
            assert group["Histogram"][...].sum() == count
    np.testing.assert_array_equal(opened(tmp_path / "a.ims").read()[:, 0], data)


@pytest.mark.parametrize("value", [0, 1e-30, 3e38, -3e38])
def test_extreme_values(tmp_path, value):
    spec = spec_of("zyx", "float32")
    data = np.full(spec.shape, value, "float32")
    data[0, :, 0] = np.inf
    write(tmp_path / "a.ims", spec, data)
    with h5py.File(tmp_path / "a.ims") as file:
        group = file["DataSet/ResolutionLevel 0/TimePoint 0/Channel 0"]
        assert group["Histogram"][...].sum() == data.size - 21


def test_the_thumbnail_shows_the_channels_in_their_colours(tmp_path):
    spec = spec_of("czyx", "uint8", {"c": 2, "z": 4, "y": 8, "x": 16}, voxel_size=(1, 1, 1))
    data = np.zeros(spec.shape, "uint8")
    data[0, 2, :4] = 100
    data[1, :, :, 8:] = 50
    write(tmp_path / "a.ims", spec, data, colors=["FF0000", "0000FF"])
    with h5py.File(tmp_path / "a.ims") as file:
        picture = file["Thumbnail/Data"][...]
    assert (picture.shape, picture.dtype) == ((128, 1024), "uint8")
    pixels = picture.reshape(128, 256, 4)
    assert pixels[0, 0].tolist() == [255, 0, 0, 255]
    assert pixels[0, -1].tolist() == [255, 0, 255, 255]
    assert pixels[-1, -1].tolist() == [0, 0, 255, 255]
    assert pixels[-1, 0].tolist() == [0, 0, 0, 255]


def test_a_thumbnail_of_nothing_but_nan():
    picture = thumbnail([np.full((2, 3), np.nan)], [(0, 1)], [(1.0, 1.0, 1.0)], (2, 3))
    assert picture.reshape(-1, 4).tolist() == [[0, 0, 0, 255]] * (171 * 256)


# Place in the world, and what else is kept


def test_numbers_that_no_decimal_can_say_are_kept(tmp_path):
    spec = spec_of(voxel_size=(Fraction(10, 3), Fraction(1, 7), 1), offset=(Fraction(1, 3), 0, -1))
    write(tmp_path / "a.ims", spec)
    array = opened(tmp_path / "a.ims")
    assert array.voxel_size == spec.voxel_size
    assert array.roi == spec.roi
    with h5py.File(tmp_path / "a.ims", "a") as file:  # somebody else moves it
        file["DataSetInfo/Image"].attrs["ExtMin2"] = np.frombuffer(b"0.25", "S1")
    assert opened(tmp_path / "a.ims").roi.offset == Coordinate(Fraction(1, 4), 0, -1)


def test_long_decimals_are_written_in_full(tmp_path):
    offset = Fraction("0.1234567890123456789012345")
    write(tmp_path / "a.ims", spec_of(offset=(offset, 0, 0)))
    with h5py.File(tmp_path / "a.ims") as file:
        assert text(file["DataSetInfo/Image"], "ExtMin2") == "0.1234567890123456789012345"
    assert opened(tmp_path / "a.ims").roi.offset[0] == offset


@pytest.mark.parametrize("axes", ["zyx", "xyz"])
def test_directions_are_kept_with_a_warning(tmp_path, axes):
    vectors = {"z": {"z": 0.6, "y": 0.8}, "y": {"z": -0.8, "y": 0.6}, "x": {"x": -1}}
    directions = [[vectors[a].get(b, 0) for b in axes] for a in axes]
    with pytest.warns(DataWarning, match="no place for the directions"):
        write(tmp_path / "a.ims", spec_of(axes, directions=directions))
    expected = tuple(tuple(float(vectors[a].get(b, 0)) for b in "zyx") for a in "zyx")
    assert opened(tmp_path / "a.ims").spec.directions == expected


def test_directions_of_a_plane_are_those_of_a_volume_of_one_plane(tmp_path):
    spec = spec_of("yx", directions=[[0, -1], [1, 0]])
    with pytest.warns(DataWarning, match="no place for the directions"):
        write(tmp_path / "a.ims", spec)
    again = opened(tmp_path / "a.ims").spec
    assert again.directions == ((1, 0, 0), (0, 0, -1), (0, 1, 0))
    np.testing.assert_array_equal(again.voxel_to_world[1:, 1:], spec.voxel_to_world)


@pytest.mark.parametrize("length", [10, 100_000])
def test_attributes_are_kept(tmp_path, length):
    write(tmp_path / "a.ims", spec_of(), attributes={"note": "x" * length})
    with h5py.File(tmp_path / "a.ims") as file:
        group = file["DataSetInfo/dacapo_like"]
        found = group["Record"][...] if length > 1000 else group.attrs["Record"]
        assert f'"note": "{"x" * length}"' in found.tobytes().decode()
    assert opened(tmp_path / "a.ims").shape == (1, 9, 21, 10)
    with pytest.raises(ConfigError, match="not JSON"):
        ImarisWriter(tmp_path / "b.ims", spec_of(), attributes={"note": object()})


def test_a_record_that_is_none_is_refused(tmp_path):
    write(tmp_path / "a.ims", spec_of())
    with h5py.File(tmp_path / "a.ims", "a") as file:
        file["DataSetInfo/dacapo_like"].attrs["Record"] = np.frombuffer(b"{]", "S1")
    with pytest.raises(SourceError, match="not what this package writes"):
        opened(tmp_path / "a.ims")


def test_materialize_writes_it(tmp_path):
    data = np.random.default_rng(1).integers(0, 99, (2, 40, 50, 60), "uint16")
    fields = {"voxel_size": (4, 2, 2), "offset": (8, 2, 0), "units": "um", "axes": "czyx"}
    array = from_numpy(data, **fields)
    path = materialize(array, tmp_path / "a.ims")
    copy = opened(path)
    np.testing.assert_array_equal(copy.read(), data)
    assert copy.roi == array.roi
    again = opened(materialize(copy, tmp_path / "b.ims", compression_level=9))
    np.testing.assert_array_equal(again.read(), data)
    assert again.spec == copy.spec
    assert list(tmp_path.glob(".*")) == []


# How it is written


def test_blocks_in_any_order_from_many_threads(tmp_path):
    spec = spec_of("czyx", "uint8", {"z": 70, "y": 150, "x": 140})
    data = voxels_of(spec)
    with ImarisWriter(tmp_path / "a.ims", spec) as writer, ThreadPoolExecutor(4) as pool:
        boxes = list(writer.boxes())[::-1]
        assert len(boxes) > 10
        list(pool.map(lambda box: writer.write(box, data[box.slices]), boxes))
    np.testing.assert_array_equal(opened(tmp_path / "a.ims").read(), data)


def test_chunks_are_as_asked_for(tmp_path):
    spec = spec_of("cxyz", "uint8", {"z": 65, "y": 153, "x": 131})
    data = write(tmp_path / "a.ims", spec, chunks=(3, 64, 32, 10))
    for level in range(2):
        assert opened(tmp_path / "a.ims", level=level).chunks == (1, 10, 32, 64)
    expected = data.transpose(0, 3, 2, 1)
    np.testing.assert_array_equal(opened(tmp_path / "a.ims").read(), expected)
    coarse = opened(tmp_path / "a.ims", level=1).read()
    np.testing.assert_array_equal(coarse, [pooled(channel, (2, 2, 2)) for channel in expected])


def test_blocks_that_are_not_written_are_zeros(tmp_path):
    spec = spec_of("zyx", "uint8", {"z": 70, "y": 150, "x": 140})
    with ImarisWriter(tmp_path / "a.ims", spec) as writer:
        box = next(writer.boxes())
        writer.write(box, np.full(box.shape, 9, "uint8"))
    found = opened(tmp_path / "a.ims").read()[0]
    assert (found[box.slices] == 9).all()
    assert found.sum() == 9 * np.prod(box.shape)
    with h5py.File(tmp_path / "a.ims") as file:
        group = file["DataSet/ResolutionLevel 0/TimePoint 0/Channel 0"]
        assert text(group, "HistogramMin") == "0"
        assert group["Histogram"][...].sum() == found.size
    with pytest.raises(RegionError), ImarisWriter(tmp_path / "b.ims", spec) as writer:
        writer.write(Box((1, 0, 0), (2, 150, 140)), np.zeros((2, 150, 140), "uint8"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.ims"]


def test_nothing_is_replaced_unless_told(tmp_path):
    write(tmp_path / "a.ims", spec_of())
    with pytest.raises(SourceError, match="exists already"):
        ImarisWriter(tmp_path / "a.ims", spec_of())
    other = spec_of("czyx", "uint8")
    data = write(tmp_path / "a.ims", other, overwrite=True)
    np.testing.assert_array_equal(opened(tmp_path / "a.ims").read(), data)
    (tmp_path / "b.ims").mkdir()
    (tmp_path / "b.ims" / "c").touch()
    with pytest.raises(SourceError, match="another kind"):
        ImarisWriter(tmp_path / "b.ims", spec_of(), overwrite=True)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(SourceError, match="cannot write here"):
        ImarisWriter(tmp_path / "none" / "a.ims", spec_of())


@pytest.mark.parametrize(
    ("fields", "options", "message"),
    [
        ({"dtype": "bool"}, {}, "no such voxels .*bool.*nearest type .* is uint8"),
        ({"dtype": "int16"}, {}, "nearest type .* is float32"),
        ({"dtype": "uint64"}, {}, "none of its types holds all"),
        ({"dtype": "float64"}, {}, "none of its types holds all"),
        ({"axes": "sczyx", "sizes": {"s": 2}}, {}, "no place for these axes .*s c z y x"),
        ({"axes": "zx"}, {}, "no place for these axes"),
        ({"sizes": {"z": 0}}, {}, "without voxels"),
        ({}, {"compression_level": 10}, "no such compression_level"),
        ({}, {"colors": ["FF0000", "00FF00"]}, "colours do not fit"),
        ({}, {"colors": ["FF00"]}, "colours do not fit"),
        ({}, {"colors": ["red"]}, "no hexadecimal"),
        ({}, {"colors": [0xFF0000]}, "no hexadecimal"),
        ({}, {"chunks": (4, 4)}, "chunks do not fit"),
    ],
)
def test_what_the_format_has_no_place_for(tmp_path, fields, options, message):
    with pytest.raises(DacapoLikeError, match=message):
        ImarisWriter(tmp_path / "a.ims", spec_of(**fields), **options)
    assert list(tmp_path.iterdir()) == []


def test_memory_is_bounded_by_some_blocks(tmp_path):
    spec = spec_of("zyx", "uint8", {"z": 200, "y": 640, "x": 640})
    with ImarisWriter(tmp_path / "a.ims", spec, compression_level=0) as writer:
        boxes = list(writer.boxes())
        tracemalloc.start()
        for box in boxes:
            writer.write(box, np.full(box.shape, 3, "uint8"))
        writer.commit()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 40 * 2**20 < np.prod(spec.shape)
    assert (opened(tmp_path / "a.ims", level=1).read() == 3).all()


FULL_DISK = """
import resource, sys
import numpy as np
from dacapo_like.errors import SourceError
from dacapo_like.spec import from_shape
from dacapo_like.writers.imaris import ImarisWriter

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
spec = from_shape((64, 256, 256), "uint8")
data = np.random.default_rng(0).integers(0, 255, spec.shape).astype("uint8")
try:
    with ImarisWriter(sys.argv[1], spec) as writer:
        for box in writer.boxes():
            writer.write(box, data[box.slices])
except SourceError as error:
    print(error)
"""


@pytest.mark.parametrize("most", [1_000_000, 4_300_000, 4_800_000])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, most):
    """It fills up while blocks are written, while levels are made, and while the file is closed."""
    pytest.importorskip("resource")
    command = [sys.executable, "-c", FULL_DISK, tmp_path / "a.ims", str(most)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []
