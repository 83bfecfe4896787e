"""On files that plain h5py writes as the format describes them; one test reads them with imaris-ims-file-reader, too."""

from __future__ import annotations

import gc
import multiprocessing
import os
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imaris_ims_file_reader.ims import ims

from dacapo_like import load, verify
from dacapo_like.errors import ReadError, SourceError, SpecError
from dacapo_like.geometry import Box, Coordinate
from dacapo_like.sources.imaris import ImarisArrayConfig
from dacapo_like.testing import ArrayContract, Case, sample_voxels

PADDING = 77
CHUNK = (4, 8, 16)
CHANNEL = "DataSet/ResolutionLevel 0/TimePoint 0/Channel 0"
needs_proc = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux's /proc")


def opened(path, **fields):
    return ImarisArrayConfig(file_name=path, **fields).array()


def characters(text):
    return np.frombuffer(text if isinstance(text, bytes) else text.encode(), "S1")


def put(group, **texts):
    for name, text in texts.items():
        group.attrs[name] = characters(text)


def padded(voxels):
    return np.pad(
        voxels,
        [(0, -n % chunk) for n, chunk in zip(voxels.shape, CHUNK, strict=True)],
        constant_values=PADDING,
    )


def write(path, *levels, first=(0, 0, 0), last=None, unit="um", names=None, **options):
    """Write levels of axes t c z y x; corners are along z, y, x."""
    options = {"chunks": CHUNK, "compression": "gzip"} | options
    last = levels[0].shape[2:] if last is None else last
    with h5py.File(path, "w") as file:
        put(file, ImarisDataSet="ImarisDataSet", ImarisVersion="5.5.0")
        put(file, DataSetDirectoryName="DataSet", DataSetInfoDirectoryName="DataSetInfo")
        for r, level in enumerate(levels):
            for t, c in np.ndindex(*level.shape[:2]):
                group = file.create_group(f"DataSet/ResolutionLevel {r}/TimePoint {t}/Channel {c}")
                put(group, HistogramMin="0.000", HistogramMax="100.000")
                put(
                    group,
                    **{
                        f"ImageSize{a}": str(n) for a, n in zip("ZYX", level.shape[2:], strict=True)
                    },
                )
                group.create_dataset("Data", data=padded(level[t, c]), **options)
        image = file.create_group("DataSetInfo/Image")
        put(image, **{axis: str(n) for axis, n in zip("ZYX", levels[0].shape[2:], strict=True)})
        put(image, **{f"ExtMin{2 - i}": str(value) for i, value in enumerate(first)})
        put(image, **{f"ExtMax{2 - i}": str(value) for i, value in enumerate(last)})
        if unit is not None:
            put(image, Unit=unit)
        for c, name in enumerate(names or ()):
            put(file.create_group(f"DataSetInfo/Channel {c}"), Name=name, Color="1.0 0.0 0.0")
        put(file.create_group("DataSetInfo/TimeInfo"), FileTimePoints=str(levels[0].shape[0]))
        file["Thumbnail/Data"] = np.zeros((8, 32), "uint8")
    return path


def voxels_of(*shape, dtype="uint16"):
    return sample_voxels(shape, dtype)


class TestLaws(ArrayContract):
    def case_padded_chunks(self, directory):
        voxels = voxels_of(1, 1, 5, 11, 19)
        return Case(opened(write(directory / "a.ims", voxels)), voxels[0])

    def case_times_and_channels(self, directory):
        voxels = voxels_of(3, 2, 4, 9, 10, dtype="uint8")
        path = write(directory / "a.ims", voxels, names=["a", "b"], unit="nm", first=(-3, 0.7, 5))
        return Case(opened(path), voxels)

    def case_one_time_and_some_channels(self, directory):
        voxels = voxels_of(2, 4, 3, 7, 8, dtype="float32")
        path = write(directory / "a.ims", voxels, names=["a", "b", "c", "d"])
        return Case(opened(path, timepoint=1, channels=["d", 0, 1]), voxels[1, [3, 0, 1]])

    def case_channels_of_all_times(self, directory):
        voxels = voxels_of(2, 3, 3, 7, 8, dtype="uint32")
        return Case(opened(write(directory / "a.ims", voxels), channels=[2]), voxels[:, [2]])

    def case_a_coarser_level(self, directory):
        fine, coarse = voxels_of(1, 2, 4, 18, 20), voxels_of(1, 2, 2, 9, 10)
        path = write(directory / "a.ims", fine, coarse)
        return Case(opened(path, level=1, snap_to_grid=(2, 4, 4)), coarse[0, :, :, :8])

    def case_axes_renamed(self, directory):
        voxels = voxels_of(1, 2, 3, 4, 5)
        path = write(directory / "a.ims", voxels)
        return Case(opened(path, axes="zcyx", timepoint=0), voxels[0].transpose(1, 0, 2, 3))


# Voxels


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    voxels = voxels_of(2, 3, 9, 20, 21)
    return write(tmp_path_factory.mktemp("imaris") / "a.ims", voxels), voxels


@given(st.data())
def test_any_box_is_that_part(example, data):
    path, voxels = example
    starts = [data.draw(st.integers(0, n - 1)) for n in voxels.shape]
    counts = [data.draw(st.integers(1, n - s)) for n, s in zip(voxels.shape, starts, strict=True)]
    box = Box(tuple(starts), tuple(counts))
    np.testing.assert_array_equal(opened(path).read_box(box), voxels[box.slices])


def test_voxels_that_fill_up_chunks_are_no_part(tmp_path):
    voxels = np.zeros((1, 1, 5, 9, 17), "uint8")
    array = opened(write(tmp_path / "a.ims", voxels))
    assert array.shape == (1, 5, 9, 17)
    assert not array.read().any()
    with h5py.File(tmp_path / "a.ims") as file:
        assert file[f"{CHANNEL}/Data"].shape == (8, 16, 32)
        assert (file[f"{CHANNEL}/Data"][...] == PADDING).any()


def test_the_other_reader_reads_the_same(tmp_path):
    fine, coarse = voxels_of(2, 3, 9, 18, 20), voxels_of(2, 3, 4, 9, 10)
    path = write(tmp_path / "a.ims", fine, coarse, first=(1, 2, 3), last=(10, 38, 33), unit="mm")
    theirs = ims(path, squeeze_output=False, resolution_decimal_places=None)
    read = [theirs[level, :, :, :, :, :] for level in range(2)]
    sizes = [theirs.metaData[level, 0, 0, "resolution"] for level in range(2)]
    theirs.close()
    for level in range(2):
        array = opened(path, level=level)
        np.testing.assert_array_equal(array.read(), read[level])
        assert [float(size) for size in array.voxel_size] == list(sizes[level])


# What the file says


def test_extents_are_corners_and_exact(tmp_path):
    voxels = voxels_of(1, 1, 10, 20, 30)
    first, last = ("-4.9", "0.1", "1e-3"), ("93.1", "14.1", "9.001")
    array = opened(write(tmp_path / "a.ims", voxels, first=first, last=last, unit="mm"))
    assert array.axes == ("c", "z", "y", "x")
    assert array.voxel_size == (Fraction("9.8"), Fraction("0.7"), Fraction("0.3"))
    assert array.roi.offset == Coordinate(Fraction("-4.9"), Fraction("0.1"), Fraction("0.001"))
    assert array.roi.end == Coordinate(Fraction("93.1"), Fraction("14.1"), Fraction("9.001"))
    assert array.units == ("mm", "mm", "mm")


@pytest.mark.parametrize(
    ("stored", "unit"),
    [("um", "um"), ("mm", "mm"), ("nm", "nm"), (b"\xb5m", "µm"), ("µm", "µm"), (" m ", "m")],
)
def test_units_are_the_ones_of_the_file(tmp_path, stored, unit):
    path = write(tmp_path / "a.ims", voxels_of(1, 1, 2, 3, 4), unit=stored)
    assert opened(path).units == (unit,) * 3


@pytest.mark.parametrize("stored", [None, b"\0"])
def test_a_unit_that_nobody_says_is_unknown(tmp_path, stored):
    path = write(tmp_path / "a.ims", voxels_of(1, 1, 2, 3, 4), unit=stored)
    assert opened(path).units == (None, None, None)
    assert opened(path, units="nm").units == ("nm", "nm", "nm")


def test_a_coarser_level_has_its_own_voxel_size(tmp_path):
    fine, coarse = voxels_of(1, 1, 4, 30, 40), voxels_of(1, 1, 4, 10, 20)
    path = write(tmp_path / "a.ims", fine, coarse, first=(1, 2, 3), last=(41, 32, 23))
    assert opened(path).voxel_size == (10, 1, Fraction("0.5"))
    assert opened(path, level=1).voxel_size == (10, 3, 1)
    assert opened(path, level=1).roi == opened(path).roi


def test_levels_whose_sizes_are_rounded_have_the_same_extent(tmp_path):
    fine, coarse = voxels_of(1, 1, 1, 5, 7), voxels_of(1, 1, 1, 2, 4)
    path = write(tmp_path / "a.ims", fine, coarse)
    assert opened(path, level=1).voxel_size == (1, Fraction(5, 2), Fraction(7, 4))
    assert opened(path, level=1).roi.offset == (0, 0, 0)


def test_the_voxel_size_chooses_the_level(tmp_path):
    fine, coarse = voxels_of(1, 1, 4, 8, 8), voxels_of(1, 1, 4, 4, 4)
    path = write(tmp_path / "a.ims", fine, coarse)
    assert opened(path, voxel_size=(1, 2, 2)).shape == (1, 4, 4, 4)
    assert opened(path, voxel_size=(9, 2, 2), level=0).voxel_size == (9, 2, 2)
    with pytest.raises(SourceError, match=r"no level .*\(1, 1, 1\), \(1, 2, 2\)") as error:
        opened(path, voxel_size=(1, 3, 3))
    assert error.value.key == ("voxel_size",)


def test_channels_have_names_and_colours(tmp_path):
    voxels = voxels_of(1, 3, 2, 3, 4)
    path = write(tmp_path / "a.ims", voxels, names=["DAPI", "β-tubulin", "x y"])
    array = opened(path, channels=["β-tubulin"])
    assert opened(path).channels == ("DAPI", "β-tubulin", "x y")
    np.testing.assert_array_equal(array.read(), voxels[0, [1]])
    assert array.attrs["Channel 1"] == {"Name": "β-tubulin", "Color": "1.0 0.0 0.0"}
    assert array.attrs["TimeInfo"] == {"FileTimePoints": "1"}
    with pytest.raises(SpecError, match="no such channel"):
        opened(path, channels=["GFP"])


@pytest.mark.parametrize("names", [None, ["(name not specified)"] * 2, ["a", b"\0"]])
def test_channels_without_names(tmp_path, names):
    assert opened(write(tmp_path / "a.ims", voxels_of(1, 2, 2, 3, 4), names=names)).channels is None


def test_text_is_read_however_it_is_stored(tmp_path):
    path = write(tmp_path / "a.ims", voxels_of(1, 1, 2, 3, 4))
    with h5py.File(path, "a") as file:
        file["DataSetInfo/Image"].attrs["Unit"] = np.bytes_(b"nm")
        file["DataSetInfo/Image"].attrs["ExtMax0"] = "8"
        file["DataSetInfo/Image"].attrs["ExtMax1"] = 9
        file[CHANNEL].attrs["ImageSizeZ"] = np.array([2])
        file.create_dataset("DataSetInfo/Image/Description", data=characters("long " * 300))
    array = opened(path)
    assert array.units == ("nm",) * 3
    assert array.voxel_size == (1, 3, 2)
    assert array.attrs["Image"]["Description"] == ("long " * 300).strip()


def test_a_file_that_says_nothing_of_the_world(tmp_path):
    path = write(tmp_path / "a.ims", voxels_of(1, 2, 2, 3, 4))
    with h5py.File(path, "a") as file:
        del file["DataSetInfo"]
    assert opened(path).voxel_size == (1, 1, 1)
    assert opened(path).units == (None, None, None)
    assert opened(path, voxel_size=(3, 2, 1), offset=(5, 6, 7)).roi.end == (11, 12, 11)


def test_documents_and_verify(tmp_path):
    write(tmp_path / "a.ims", voxels_of(1, 2, 2, 3, 4), names=["a", "b"])
    document = tmp_path / "a.yaml"
    document.write_text("type: imaris\nfile_name: a.ims\nlevel: 0\ntimepoint: 0\nchannels: [b]\n")
    assert verify(document) == []
    assert load(document).array().channels == ("b",)
    document.write_text("type: imaris\nfile_name: a.ims\nlevel: 3\n")
    (problem,) = verify(document)
    assert (problem.line, problem.key) == (3, "level")


# What is wrong


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"level": 2}, r"no such level \(got 2; expected 0 to 1\)"),
        ({"level": -1}, "no such level"),
        ({"timepoint": 3}, r"no such time point \(got 3; expected 0 to 1\)"),
        ({"timepoint": -1}, "no such time point"),
    ],
)
def test_what_is_not_there(tmp_path, fields, message):
    path = write(tmp_path / "a.ims", voxels_of(2, 1, 2, 4, 4), voxels_of(2, 1, 2, 2, 2))
    with pytest.raises(SourceError, match=message) as error:
        opened(path, **fields)
    assert error.value.key == tuple(fields)


def test_a_missing_file(tmp_path):
    write(tmp_path / "brain.ims", voxels_of(1, 1, 2, 3, 4))
    with pytest.raises(SourceError, match=r"did you mean 'brain\.ims'") as error:
        opened(tmp_path / "brian.ims")
    assert error.value.key == ("file_name",)


def test_hdf5_that_is_not_of_imaris(tmp_path):
    with h5py.File(tmp_path / "a.ims", "w") as file:
        file["DataSet"] = np.zeros(3)
    with pytest.raises(SourceError, match=r"not an Imaris file .*type hdf5"):
        opened(tmp_path / "a.ims")


@pytest.mark.parametrize("content", [b"", b"\0\1\2\3" * 300])
def test_no_hdf5(tmp_path, content):
    (tmp_path / "a.ims").write_bytes(content)
    with pytest.raises(SourceError, match="not an HDF5 file"):
        opened(tmp_path / "a.ims")


def test_a_truncated_file(tmp_path):
    path = write(tmp_path / "a.ims", voxels_of(1, 1, 20, 30, 40))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(SourceError, match="truncated"):
        opened(path)


def replace(file, name, value):
    del file[name]
    file[name] = value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f[CHANNEL].attrs.pop("ImageSizeY"), "how many voxels .*None"),
        (lambda f: put(f[CHANNEL], ImageSizeX="many"), "how many voxels .*many"),
        (lambda f: put(f[CHANNEL], ImageSizeX="99"), "more voxels than its dataset .*99"),
        (lambda f: put(f[CHANNEL], ImageSizeX="0"), "more voxels than its dataset"),
        (lambda f: put(f[CHANNEL], ImageSizeX="3"), r"differ .*\(2, 3, 4\) in .*Channel 1"),
        (lambda f: replace(f, f"{CHANNEL}/Data", np.zeros((4, 8, 16), "uint8")), "differ .*uint8"),
        (lambda f: replace(f, f"{CHANNEL}/Data", np.zeros(9, "uint16")), "more voxels than"),
        (lambda f: replace(f, f"{CHANNEL}/Data", "text"), "more voxels than|no Data|damaged"),
        (lambda f: f.pop(f"{CHANNEL}/Data"), "no Data"),
        (lambda f: f.pop(CHANNEL), "Channel 1 without Channel 0"),
        (lambda f: f.pop("DataSet/ResolutionLevel 0/TimePoint 1"), "TimePoint 2 without"),
        (lambda f: put(f["DataSetInfo/Image"], ExtMin0="left"), "ExtMin .*not a number .*left"),
        (lambda f: put(f["DataSetInfo/Image"], ExtMax1="inf"), "ExtMax .*not a number"),
        (lambda f: put(f["DataSetInfo/Image"], ExtMax1="-1"), "encloses nothing"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, change, message):
    path = write(tmp_path / "a.ims", voxels_of(3, 2, 2, 3, 4))
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(SourceError, match=message) as error:
        opened(path)
    assert str(path) in error.value.where


def test_what_leads_to_other_files_is_refused(tmp_path):
    other = write(tmp_path / "b.ims", voxels_of(1, 1, 2, 3, 4))
    for name in ["DataSet", "DataSet/ResolutionLevel 0", CHANNEL, f"{CHANNEL}/Data"]:
        path = write(tmp_path / "a.ims", voxels_of(1, 1, 2, 3, 4))
        with h5py.File(path, "a") as file:
            replace(file, name, h5py.ExternalLink(other.name, f"/{name}"))
        with pytest.raises(SourceError, match=r"leads to another file \(got b.ims"):
            opened(path)


def test_a_virtual_dataset_of_another_file_is_refused(tmp_path):
    other = write(tmp_path / "b.ims", voxels_of(1, 1, 2, 3, 4))
    path = write(tmp_path / "a.ims", voxels_of(1, 1, 2, 3, 4))
    layout = h5py.VirtualLayout((4, 8, 16), "uint16")
    layout[...] = h5py.VirtualSource(other.name, f"{CHANNEL}/Data", (4, 8, 16))
    with h5py.File(path, "a") as file:
        del file[f"{CHANNEL}/Data"]
        file.create_virtual_dataset(f"{CHANNEL}/Data", layout)
    with pytest.raises(SourceError, match="virtual dataset leads to another file"):
        opened(path)


def test_links_within_the_file_are_followed(tmp_path):
    voxels = voxels_of(1, 2, 2, 3, 4)
    path = write(tmp_path / "a.ims", voxels)
    with h5py.File(path, "a") as file:
        replace(file, CHANNEL, h5py.SoftLink(f"/{CHANNEL[:-1]}1"))
    np.testing.assert_array_equal(opened(path).read(), voxels[0, [1, 1]])


def test_a_filter_that_is_not_installed(tmp_path):
    path = write(tmp_path / "a.ims", voxels_of(1, 1, 2, 3, 4))
    with h5py.File(path, "a") as file:
        del file[f"{CHANNEL}/Data"]
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_chunk(CHUNK)
        created.set_filter(60001, h5py.h5z.FLAG_OPTIONAL)  # of the range for private use
        space = h5py.h5s.create_simple((4, 8, 16))
        name = f"{CHANNEL}/Data".encode()
        h5py.h5d.create(file.id, name, h5py.h5t.NATIVE_UINT16, space, created)
    with pytest.raises(SourceError, match=r"filter that is not installed .*60001.*hdf5plugin"):
        opened(path)


def test_a_corrupt_chunk_is_named(tmp_path):
    voxels = voxels_of(1, 2, 8, 8, 16)
    path = write(tmp_path / "a.ims", voxels)
    with h5py.File(path) as file:
        chunk = file[f"{CHANNEL}/Data"].id.get_chunk_info_by_coord((4, 0, 0))
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset + chunk.size // 2)
        file.write(bytes(range(60)))
    array = opened(path)
    np.testing.assert_array_equal(array[0, :4], voxels[0, 0, :4])
    np.testing.assert_array_equal(array[1], voxels[0, 1])
    with pytest.raises(ReadError, match="cannot be read") as error:
        array.read()
    assert error.value.where == f"{path}/{CHANNEL}, voxels (0, 0, 0) to (8, 8, 16)"


def test_a_file_that_goes_behind_an_array(tmp_path):
    path = write(tmp_path / "a.ims", voxels_of(1, 1, 2, 3, 4))
    array = opened(path)
    path.unlink()
    with pytest.raises(SourceError, match="No such file"):
        array.read()


# What a read costs, and keeps


def test_chunks_are_as_stored(tmp_path):
    assert opened(write(tmp_path / "a.ims", voxels_of(2, 2, 9, 9, 9))).chunks == (1, 1, *CHUNK)


def test_volumes_far_larger_than_memory(tmp_path):
    path = write(tmp_path / "a.ims", voxels_of(1, 1, 2, 3, 4))
    with h5py.File(path, "a") as file:
        del file[f"{CHANNEL}/Data"]
        put(file[CHANNEL], ImageSizeZ="99999", ImageSizeY="99999", ImageSizeX="99999")
        data = file[CHANNEL].create_dataset("Data", (100_000,) * 3, "uint16", chunks=(16, 64, 64))
        data[99_990:, 5, 5] = 9
    block = opened(path)[0, 99_980:99_999, :8, :8]
    assert np.argwhere(block).tolist() == [[i, 5, 5] for i in range(10, 19)]


@needs_proc
def test_a_read_costs_its_box(tmp_path):
    voxels = np.ones((1, 2, 64, 512, 512), "uint8")
    path = write(tmp_path / "a.ims", voxels, chunks=(16, 64, 64), compression=None)
    array = opened(path)

    def bytes_read():
        lines = Path("/proc/self/io").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("rchar:")).split()[1])

    before = bytes_read()
    assert array.read_box(Box((1, 30, 200, 100), (1, 2, 32, 32))).all()
    assert bytes_read() - before < 8 * 2**16 + 50_000  # at most eight chunks, and headers
    array.read()
    assert bytes_read() - before > array.size


def handles(path):
    gc.collect()  # an array knows its own tree: it goes in a round of garbage collection
    links = Path("/proc/self/fd").iterdir()
    return [link.name for link in links if os.path.realpath(link) == str(path)]


@needs_proc
def test_files_close_with_their_arrays(tmp_path):
    path = write(tmp_path / "a.ims", voxels_of(2, 3, 2, 3, 4))
    array = opened(path)
    assert handles(path) == []
    array.read()
    array.read()
    assert len(handles(path)) == 1
    del array
    assert handles(path) == []


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # that is what is tried
def test_reading_before_and_after_a_fork(tmp_path):
    voxels = voxels_of(1, 2, 40, 64, 64)
    array = opened(write(tmp_path / "a.ims", voxels))
    array[0, 0, 0]

    def work():
        for _ in range(5):
            np.testing.assert_array_equal(array.read(), voxels[0])

    children = [multiprocessing.get_context("fork").Process(target=work) for _ in range(2)]
    for child in children:
        child.start()
    work()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
