import gc
import multiprocessing
import os
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pytest

from dacapo_like.errors import ReadError, SourceError, SpecError
from dacapo_like.geometry import Box, Coordinate
from dacapo_like.sources.hdf5 import HDF5ArrayConfig
from dacapo_like.testing import ArrayContract, Case, sample_voxels

needs_proc = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux's /proc")


def opened(path, dataset="raw", **fields):
    return HDF5ArrayConfig(file_name=path, dataset=dataset, **fields).array()


def write(path, voxels, *, attributes=None, name="raw", **options):
    with h5py.File(path, "a") as file:
        dataset = file.create_dataset(name, data=voxels, **options)
        dataset.attrs.update(attributes or {})
    return path


def small():
    return np.arange(60, dtype="uint8").reshape(3, 4, 5)


class TestLaws(ArrayContract):
    def case_contiguous(self, directory):
        voxels = sample_voxels((5, 6, 7), "float32")
        return Case(opened(write(directory / "a.h5", voxels)), voxels)

    def case_compressed(self, directory):
        voxels = sample_voxels((9, 10, 11), "uint16")
        options = {"chunks": (4, 4, 4), "compression": "gzip", "shuffle": True, "fletcher32": True}
        return Case(opened(write(directory / "a.h5", voxels, **options)), voxels)

    def case_big_endian(self, directory):
        voxels = sample_voxels((5, 6, 7), "int32")
        path = write(directory / "a.h5", voxels.astype(">i4"), chunks=True)
        return Case(opened(path), voxels)

    def case_channels_last(self, directory):
        voxels = sample_voxels((4, 5, 6, 3), "uint64")
        path = write(directory / "a.h5", voxels, attributes={"axis_names": list("zyxc")})
        return Case(opened(path), np.moveaxis(voxels, -1, 0))

    def case_channels_last_selected_in_another_order(self, directory):
        voxels = sample_voxels((4, 5, 6, 4), "int8")
        path = write(directory / "a.h5", voxels, chunks=(2, 2, 2, 4), compression="lzf")
        array = opened(path, axes="zyxc", channels=[3, 0, 1])
        return Case(array, np.moveaxis(voxels, -1, 0)[[3, 0, 1]])

    def case_channels_first_in_time(self, directory):
        voxels = sample_voxels((2, 3, 4, 5), "bool")
        return Case(
            opened(write(directory / "a.h5", voxels), axes="tcyx", channels=[2]), voxels[:, [2]]
        )

    def case_plane_of_halves(self, directory):
        voxels = sample_voxels((6, 7), "float16")
        attributes = {"voxel_size": (0.7, 9.8), "offset": (-4.9, 0), "units": "um"}
        return Case(opened(write(directory / "a.h5", voxels, attributes=attributes)), voxels)

    def case_virtual_within_the_file(self, directory):
        voxels = sample_voxels((4, 5, 6), "uint8")
        path = directory / "a.h5"
        for i, plane in enumerate(voxels):
            write(path, plane, name=f"planes/{i}")
        layout = h5py.VirtualLayout(voxels.shape, "uint8")
        with h5py.File(path, "a") as file:
            for i in range(len(voxels)):
                layout[i] = h5py.VirtualSource(file[f"planes/{i}"])
            file.create_virtual_dataset("raw", layout)
        return Case(opened(path), voxels)


# What attributes say


def test_attributes_of_cremi(tmp_path):
    """Float64 arrays, and offsets of corners."""
    attributes = {"resolution": np.array([40.0, 4, 4]), "offset": np.array([1480.0, 3644, 3644])}
    spec = opened(write(tmp_path / "a.h5", small(), attributes=attributes)).spec
    assert spec.axes == ("z", "y", "x")
    assert spec.voxel_size == (40, 4, 4)
    assert spec.offset == (1480, 3644, 3644)
    assert spec.units == (None, None, None)
    assert spec.attrs["resolution"] == [40, 4, 4]


def test_attributes_of_funlib(tmp_path):
    attributes = {
        "voxel_size": [40, 4, 4],
        "offset": [0, 8, 12],
        "axis_names": ["c^", "z", "y", "x"],
        "units": ["nm", "nm", "nm"],
    }
    spec = opened(write(tmp_path / "a.h5", small()[None], attributes=attributes)).spec
    assert spec.axes == ("c", "z", "y", "x")
    assert spec.roi.offset == (0, 8, 12)
    assert spec.roi.shape == (120, 16, 20)
    assert spec.units == ("nm", "nm", "nm")


@pytest.mark.parametrize(
    "size",
    [np.float32([9.8, 0.7, 0.1]), np.float64([9.8, 0.7, 0.1]), np.array([9.8, 0.7, 0.1], ">f4")],
    ids=["float32", "float64", "big-endian"],
)
def test_decimals_are_exact(tmp_path, size):
    spec = opened(write(tmp_path / "a.h5", small(), attributes={"voxel_size": size})).spec
    assert spec.voxel_size == (Fraction(49, 5), Fraction(7, 10), Fraction(1, 10))


@pytest.mark.parametrize(
    "text",
    [
        np.array(["z", "y", "x"], h5py.string_dtype()),
        np.array([b"z", b"y", b"x"], "S4"),
        "zyx",
        np.bytes_(b"zyx"),
    ],
    ids=["strings", "bytes", "one string", "one bytes"],
)
def test_text_is_read_however_it_is_stored(tmp_path, text):
    path = write(tmp_path / "a.h5", small(), attributes={"axes": text, "units": np.bytes_(b"nm")})
    spec = opened(path).spec
    assert spec.axes == ("z", "y", "x")
    assert spec.units == ("nm", "nm", "nm")


def test_attributes_that_mean_nothing_outside_are_left_out(tmp_path):
    path = write(
        tmp_path / "a.h5", small(), attributes={"bits": np.uint8(7), "none": h5py.Empty("f")}
    )
    with h5py.File(path, "a") as file:
        file["raw"].attrs["reference"] = file["raw"].ref
        file["raw"].attrs["compound"] = np.zeros(1, [("a", "i4")])
        file["scale"] = np.arange(5)
        file["scale"].make_scale("x")
        file["raw"].dims[2].attach_scale(file["scale"])  # adds a list of references
    assert dict(opened(path).attrs) == {"bits": 7, "none": None}


def test_malformed_attributes_are_refused(tmp_path):
    path = write(tmp_path / "a.h5", small(), attributes={"resolution": "coarse"})
    with pytest.raises(SourceError) as error:
        opened(path)
    assert error.value.where == f"{path}/raw"


def test_overrides(tmp_path):
    path = write(tmp_path / "a.h5", small(), attributes={"resolution": (40, 4, 4), "units": "nm"})
    spec = opened(
        path, voxel_size=(4, 0.5, 0.5), offset=(1, 2, 3), units=["um", None, "um"], kind="labels"
    ).spec
    assert spec.voxel_size == Coordinate(4, 0.5, 0.5)
    assert spec.offset == (1, 2, 3)
    assert spec.units == ("um", None, "um")
    assert spec.kind == "labels"
    with pytest.raises(SpecError, match="no channels"):
        opened(path, channels=[0])


def test_axes_nobody_names_are_asked_for(tmp_path):
    path = write(tmp_path / "a.h5", np.zeros((2, 3, 3, 4, 5), "uint8"))
    with pytest.raises(SourceError, match="give `axes`"):
        opened(path)
    assert opened(path, axes="tczyx").axes == tuple("tczyx")


# Which dataset


def test_the_only_dataset_of_numbers_needs_no_name(tmp_path):
    path = write(tmp_path / "a.h5", small(), name="volumes/labels/ids")
    with h5py.File(path, "a") as file:
        file["version"] = "0.2"
        file["threshold"] = 0.5
        file["nothing"] = h5py.Empty("f4")
        file["again"] = h5py.SoftLink("/volumes/labels/ids")
    np.testing.assert_array_equal(opened(path, dataset=None).read(), small())


def test_several_datasets_are_listed(tmp_path):
    path = write(write(tmp_path / "a.h5", small(), name="volumes/raw"), small(), name="mask")
    with pytest.raises(SourceError, match=r"several datasets .*mask, volumes/raw") as error:
        opened(path, dataset=None)
    assert error.value.key == ("dataset",)


def test_long_lists_are_cut(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for i in range(50):
            file[f"crop{i:02}"] = np.zeros(2)
    with pytest.raises(SourceError, match="crop19 and 30 more"):
        opened(path, dataset=None)


def test_a_file_without_datasets(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["version"] = "0.2"
    with pytest.raises(SourceError, match="no dataset of numbers"):
        opened(tmp_path / "a.h5", dataset=None)


@pytest.mark.parametrize("dataset", ["volumes/rew", "volumes/raw/x", "/volumes/raws/"])
def test_a_mistyped_name_gets_a_suggestion(tmp_path, dataset):
    path = write(tmp_path / "a.h5", small(), name="volumes/raw")
    with pytest.raises(SourceError, match="did you mean 'volumes/raw'") as error:
        opened(path, dataset=dataset)
    assert error.value.key == ("dataset",)


@pytest.mark.parametrize("dataset", ["volumes", "", "/", "volumes/"])
def test_a_group_is_no_dataset(tmp_path, dataset):
    path = write(tmp_path / "a.h5", small(), name="volumes/raw")
    with pytest.raises(SourceError, match=r"not a dataset .*a group; expected one of volumes/raw"):
        opened(path, dataset=dataset)


@pytest.mark.parametrize(
    "dataset", ["volumes/raw", "/volumes/raw", "volumes//raw/", "./volumes/raw"]
)
def test_spellings_of_a_path(tmp_path, dataset):
    path = write(tmp_path / "a.h5", small(), name="volumes/raw")
    np.testing.assert_array_equal(opened(path, dataset).read(), small())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (h5py.Empty("f4"), "null"),
        (3.5, "a scalar"),
        ("text", "a scalar"),
        (["a", "b"], "no number"),
        (np.zeros(3, "S3"), "no number"),
        (np.zeros(3, [("a", "i4"), ("b", "f4")]), "no number"),
        (np.zeros(3, "complex64"), "no number"),
        (np.dtype("f4"), "a named type"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(tmp_path, value, message):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = value
    with pytest.raises(SourceError, match=message):
        opened(tmp_path / "a.h5")


def test_a_type_that_numpy_does_not_know_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        h5py.h5d.create(file.id, b"raw", h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple((3,)))
    with pytest.raises(SourceError, match="no number"):
        opened(tmp_path / "a.h5")


# Nothing leads out of the file


@pytest.fixture
def linked(tmp_path):
    """Two files, with links of every kind from one into itself and into the other."""
    write(tmp_path / "other.h5", small() + 1, name="volumes/raw")
    path = write(tmp_path / "a.h5", small(), name="volumes/raw")
    with h5py.File(path, "a") as file:
        file["hard"] = file["volumes"]
        file["absolute"] = h5py.SoftLink("/volumes/raw")
        file["volumes/relative"] = h5py.SoftLink("raw")
        file["chain"] = h5py.SoftLink("/hard/relative")
        file["loop"] = h5py.SoftLink("/loop")
        file["dangling"] = h5py.SoftLink("/gone")
        file["outside"] = h5py.ExternalLink("other.h5", "/volumes/raw")
        file["group"] = h5py.ExternalLink("other.h5", "/volumes")
        file["through"] = h5py.SoftLink("/group/raw")
        file["missing"] = h5py.ExternalLink("missing.h5", "/raw")
    return path


@pytest.mark.parametrize("dataset", ["hard/raw", "absolute", "volumes/relative", "chain"])
def test_links_inside_the_file_are_followed(linked, dataset):
    np.testing.assert_array_equal(opened(linked, dataset).read(), small())


@pytest.mark.parametrize("dataset", ["outside", "group/raw", "through", "missing"])
def test_links_out_of_the_file_are_refused(linked, dataset):
    with pytest.raises(SourceError, match=r"a link leads to another file .*(other|missing)\.h5"):
        opened(linked, dataset)


@pytest.mark.parametrize("dataset", ["loop", "dangling"])
def test_links_to_nothing_are_no_datasets(linked, dataset):
    with pytest.raises(SourceError, match="no such dataset"):
        opened(linked, dataset)


def test_storage_outside_of_the_file_is_refused(tmp_path):
    (tmp_path / "a.raw").write_bytes(small().tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        external = [(str(tmp_path / "a.raw"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("raw", small().shape, "uint8", external=external)
    with pytest.raises(SourceError, match=r"the storage leads to another file .*a\.raw"):
        opened(tmp_path / "a.h5")


@pytest.mark.parametrize("dataset", ["direct", "nested", "linked"])
def test_virtual_datasets_of_other_files_are_refused(linked, dataset):
    """Directly, over another virtual dataset of the file, or over an external link of it."""
    with h5py.File(linked, "a") as file:
        for name, source in {
            "direct": h5py.VirtualSource("other.h5", "volumes/raw", small().shape),
            "nested": h5py.VirtualSource(".", "direct", small().shape),
            "linked": h5py.VirtualSource(".", "outside", small().shape),
        }.items():
            layout = h5py.VirtualLayout(small().shape, "uint8")
            layout[...] = source
            file.create_virtual_dataset(name, layout)
    with pytest.raises(SourceError, match=r"leads to another file .*other\.h5"):
        opened(linked, dataset)


# Files and voxels that cannot be read


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), (b"", "not an HDF5 file"), (b"hello" * 200, "not an HDF5 file")],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "a.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as error:
        opened(path)
    assert error.value.where == str(path)


def test_a_mistyped_file_name_gets_a_suggestion(tmp_path):
    write(tmp_path / "sample.h5", small())
    with pytest.raises(SourceError, match=r"did you mean 'sample\.h5'") as error:
        opened(tmp_path / "smaple.h5")
    assert error.value.key == ("file_name",)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(SourceError, match="Is a directory"):
        opened(tmp_path)


def test_a_truncated_file_is_found_at_open(tmp_path):
    path = write(tmp_path / "a.h5", sample_voxels((40, 50, 60), "uint8"))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(SourceError, match="truncated"):
        opened(path)


def damage(path, at, content):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


@pytest.mark.parametrize("dataset", ["raw", None])
def test_a_damaged_header_is_found_at_open(tmp_path, dataset):
    path = write(tmp_path / "a.h5", small())
    with h5py.File(path) as file:
        at = h5py.h5o.get_info(file["raw"].id).addr
    damage(path, at, b"\xff" * 16)
    with pytest.raises(SourceError, match="the file is damaged") as error:
        opened(path, dataset)
    assert error.value.where == str(path)


@pytest.mark.parametrize("options", [{"compression": "gzip"}, {"fletcher32": True}], ids=str)
def test_a_corrupt_chunk_is_found_at_read(tmp_path, options):
    voxels = sample_voxels((40, 50, 60), "uint8")
    path = write(tmp_path / "a.h5", voxels, chunks=(20, 50, 60), **options)
    with h5py.File(path) as file:
        chunk = file["raw"].id.get_chunk_info_by_coord((20, 0, 0))
    damage(path, chunk.byte_offset + chunk.size // 2, bytes(range(100)))
    array = opened(path)
    np.testing.assert_array_equal(array.read_box(Box((0, 0, 0), (20, 50, 60))), voxels[:20])
    with pytest.raises(ReadError, match="cannot be read") as error:
        array.read_box(Box((19, 0, 0), (2, 50, 60)))
    assert error.value.where == f"{path}/raw"


def test_a_filter_that_is_not_installed_is_found_at_open(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_chunk((4,))
        created.set_filter(60000, h5py.h5z.FLAG_OPTIONAL)  # of the range for private use
        space = h5py.h5s.create_simple((8,))
        h5py.h5d.create(file.id, b"raw", h5py.h5t.NATIVE_INT32, space, created)
    with pytest.raises(SourceError, match=r"filter that is not installed .*60000.*hdf5plugin"):
        opened(path)


def test_a_dataset_that_shrinks_behind_an_array_is_found_at_read(tmp_path):
    path = write(tmp_path / "a.h5", np.zeros((8, 8), "uint8"), maxshape=(8, 8))
    array = opened(path)
    with h5py.File(path, "a") as file:
        file["raw"].resize((4, 8))
    with pytest.raises(ReadError):
        array.read()


def test_a_file_that_goes_behind_an_array_is_found_at_read(tmp_path):
    path = write(tmp_path / "a.h5", small())
    array = opened(path)
    path.unlink()
    with pytest.raises(SourceError, match="No such file"):
        array.read()


# What a read costs, and keeps


def test_chunks_are_as_stored(tmp_path):
    path = write(tmp_path / "a.h5", np.zeros((9, 9, 9, 2), "uint8"), chunks=(3, 4, 5, 2))
    assert opened(path, axes="zyxc").chunks == (2, 3, 4, 5)
    assert opened(write(tmp_path / "b.h5", small())).chunks is None


@needs_proc
def test_a_read_costs_its_box(tmp_path):
    path = write(tmp_path / "a.h5", np.ones((64, 512, 512), "uint8"))
    array = opened(path)
    box = Box((30, 200, 100), (2, 32, 32))

    def bytes_read():
        lines = Path("/proc/self/io").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("rchar:")).split()[1])

    before = bytes_read()
    assert array.read_box(box).all()
    assert bytes_read() - before < 200_000
    array.read()
    assert bytes_read() - before > array.size


def test_volumes_far_larger_than_memory(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        raw = file.create_dataset("raw", (100_000,) * 3, "uint64", chunks=(16, 16, 16), fillvalue=7)
        raw[99_990:, 5, 5] = 9
    block = opened(tmp_path / "a.h5").read_box(Box((99_980, 0, 0), (20, 8, 8)))
    assert np.argwhere(block != 7).tolist() == [[i, 5, 5] for i in range(10, 20)]


def test_out_is_filled_in_any_order_of_memory(tmp_path):
    voxels = sample_voxels((4, 5, 6), "int16")
    array = opened(write(tmp_path / "a.h5", voxels.astype(">i2")))
    box = Box((1, 2, 0), (3, 3, 6))
    for out in (np.empty(box.shape, "int16"), np.empty(box.shape[::-1], "int16").T):
        assert array.reader.read(box, out) is out
        np.testing.assert_array_equal(out, voxels[box.slices])


def handles(path):
    """Give the descriptors by which this process has a file open."""
    gc.collect()
    links = (item for item in Path("/proc/self/fd").iterdir() if item.is_symlink())
    return [int(item.name) for item in links if item.readlink() == path]


@needs_proc
def test_files_close_with_their_arrays(tmp_path):
    path = write(tmp_path / "a.h5", small())

    array = opened(path)
    assert handles(path) == []
    array.read()
    array.read()
    assert len(handles(path)) == 1
    del array
    assert handles(path) == []


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # that is what is tried
def test_reading_before_and_after_a_fork(tmp_path):
    """Parent and children read at the same time, the parent with the file that it had open before."""
    voxels = sample_voxels((40, 64, 64), "uint32")
    array = opened(write(tmp_path / "a.h5", voxels, chunks=(8, 8, 8), compression="lzf"))
    array.read_box(Box((0, 0, 0), (1, 1, 1)))
    boxes = [Box((i % 40, i % 32, 0), (1, 32, 64)) for i in range(200)]
    expected = [int(voxels[box.slices].sum()) for box in boxes]

    def work(queue):
        queue.put([int(array.read_box(box).sum()) for box in boxes])

    fork = multiprocessing.get_context("fork")
    queue = fork.SimpleQueue()
    children = [fork.Process(target=work, args=(queue,)) for _ in range(2)]
    for child in children:
        child.start()
    assert [int(array.read_box(box).sum()) for box in boxes] == expected
    assert [queue.get() for _ in children] == [expected] * 2
    for child in children:
        child.join()
    assert [int(array.read_box(box).sum()) for box in boxes] == expected


@needs_proc
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_opens_the_file_for_itself(tmp_path):
    """A position that the child moves would move for the parent too, if they shared what is open."""
    path = write(tmp_path / "a.h5", small())
    array = opened(path)
    array.read()

    def work():
        array.read()
        (descriptor,) = handles(path)
        os.lseek(descriptor, 4321, os.SEEK_SET)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    assert child.exitcode == 0
    (descriptor,) = handles(path)
    assert os.lseek(descriptor, 0, os.SEEK_CUR) != 4321
