"""Stacks of files, pyramids, and axes of length 1, on files that tifffile wrote."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tifffile

import dacapo_like
from dacapo_like import Roi, TiffArrayConfig, dump, load, verify
from dacapo_like.errors import ConfigError, ReadError, SourceError
from dacapo_like.geometry import Box, Coordinate
from dacapo_like.testing import ArrayContract, Case, sample_voxels


def write(path, voxels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, voxels, **{"photometric": "minisblack", **options})
    return path


def write_stack(directory, pattern, voxels, fields, first=0, **options):
    """Write one file per index of the first axes."""
    for index in np.ndindex(voxels.shape[: len(fields)]):
        numbers = {field: first + i for field, i in zip(fields, index, strict=True)}
        write(directory / pattern.format(**numbers), voxels[index], **options)
    return str(directory / pattern)


def write_pyramid(path, voxels, levels=2, **metadata):
    """Write an OME-TIFF whose levels are every second voxel of the one before."""
    options = {"tile": (16, 16), "photometric": "minisblack"}
    with tifffile.TiffWriter(path) as file:
        file.write(voxels, subifds=levels, metadata={"axes": "ZYX", **metadata}, **options)
        for _ in range(levels):
            voxels = voxels[:, ::2, ::2]
            file.write(voxels, subfiletype=1, **options)
    return path


def opened(path=None, **fields):
    if path is not None:
        fields["file_name"] = str(path)
    return TiffArrayConfig(**fields).array()


class TestLaws(ArrayContract):
    def case_pattern(self, directory):
        voxels = sample_voxels((5, 2, 20, 17), "uint16")
        path = write_stack(directory, "scan/z{z:04d}_c{c}.tif", voxels, "zc", first=8)
        fields = {"axes": "czyx", "voxel_size": (2, 0.5, 0.5), "units": "um"}
        return Case(opened(pattern=path, **fields), voxels.swapaxes(0, 1))

    def case_time_and_multipage_files(self, directory):
        voxels = sample_voxels((3, 4, 20, 17), "float32")
        path = write_stack(directory, "t{t}.tif", voxels, "t", compression="zlib")
        return Case(opened(pattern=path, offset=(4, 0, -1)), voxels)

    def case_nested_list(self, directory):
        voxels = sample_voxels((2, 3, 9, 8), "uint8")
        path = write_stack(directory, "{c}/{z}.tif", voxels, "cz")
        files = [[path.format(c=c, z=z) for z in range(3)] for c in range(2)]
        return Case(opened(files=files, axes="czyx", channels=[1, 0]), voxels[::-1])

    def case_colours_in_a_list(self, directory):
        voxels = sample_voxels((3, 9, 8, 3), "uint8")
        path = write_stack(directory, "{z}.tif", voxels, "z", photometric="rgb")
        files = [path.format(z=z) for z in range(3)]
        return Case(opened(files=files, axes="zyxc"), np.moveaxis(voxels, -1, 0))

    def case_level(self, directory):
        voxels = sample_voxels((3, 50, 42), "uint16")
        path = write_pyramid(directory / "a.ome.tif", voxels, PhysicalSizeX=0.7)
        return Case(opened(path, level=2), voxels[:, ::4, ::4])

    def case_axis_of_one(self, directory):
        path = write(directory / "a.ome.tif", sample_voxels((5, 6), "uint8"), metadata={})
        return Case(opened(path, axes="czyx"), tifffile.imread(path)[None, None])


# Stacks


def test_fields_give_the_axes_where_nobody_names_them(tmp_path):
    voxels = sample_voxels((2, 3, 5, 6), "uint8")
    array = opened(pattern=write_stack(tmp_path, "c{c}z{z}.tif", voxels, "cz"))
    assert array.axes == ("c", "z", "y", "x")
    np.testing.assert_array_equal(array.read(), voxels)


def test_fields_in_folders_and_twice(tmp_path):
    voxels = sample_voxels((2, 12, 5, 6), "uint8")
    path = write_stack(tmp_path, "ch{c}/z{z:02d}/a{{}}_{z}.tif", voxels, "cz")
    write(tmp_path / "ch0/z03/a{}_7.tif", voxels[0, 0])  # fits neither
    write(tmp_path / "ch0/z3/a{}_3.tif", voxels[0, 0])
    (tmp_path / "chx").mkdir()
    np.testing.assert_array_equal(opened(pattern=path).read(), voxels)


def test_every_missing_file_of_a_pattern_is_named_the_first_first(tmp_path):
    path = write_stack(tmp_path, "z{z:02d}_c{c}.tif", sample_voxels((4, 2, 5, 6), "uint8"), "zc")
    for missing in ("z03_c0.tif", "z01_c1.tif"):
        (tmp_path / missing).unlink()
    with pytest.raises(SourceError, match="a file of the stack is missing") as error:
        opened(pattern=path)
    assert error.value.expected == str(tmp_path / "z01_c1.tif")
    assert error.value.key == ("pattern",)


def test_a_pattern_without_files(tmp_path):
    with pytest.raises(SourceError, match="no file has a name of this pattern"):
        opened(pattern=str(tmp_path / "nowhere/z{z}.tif"))


@pytest.mark.parametrize(
    "pattern",
    ["a.tif", "{x}.tif", "{z!r}.tif", "{z:>4}.tif", "{}.tif", "{z.tif", "{z.real}", "{z:04x}"],
)
def test_other_patterns_are_refused(pattern):
    with pytest.raises(ConfigError, match="not a pattern of file names") as error:
        TiffArrayConfig(pattern=pattern)
    assert error.value.key == ("pattern",)


@pytest.mark.parametrize("files", [[], [[]], ["a", ["b"]], [["a", "b"], ["c"]]])
def test_ragged_lists_are_refused(files):
    with pytest.raises(ConfigError):
        TiffArrayConfig(files=files, axes="zyx")


@pytest.mark.parametrize(
    "fields", [{}, {"file_name": "a", "pattern": "{z}"}, {"pattern": "{z}", "files": ["a"]}]
)
def test_one_file_or_one_stack(fields):
    with pytest.raises(ConfigError, match="one file or one stack"):
        TiffArrayConfig(**fields)


def test_a_list_needs_its_axes_and_its_files(tmp_path):
    path = str(write(tmp_path / "a.tif", sample_voxels((5, 6), "uint8")))
    for axes in (None, "z"):
        with pytest.raises(SourceError, match="what the nesting of `files` is"):
            opened(files=[path], axes=axes)
    with pytest.raises(SourceError, match="does not exist") as error:
        opened(files=[path, str(tmp_path / "b.tif")], axes="zyx")
    assert error.value.where == str(tmp_path / "b.tif")


def test_axes_that_leave_out_a_field_or_an_axis(tmp_path):
    path = write_stack(tmp_path, "{z}.tif", sample_voxels((2, 5, 6), "uint8"), "z")
    with pytest.raises(SourceError, match="leave out a field of the pattern"):
        opened(pattern=path, axes="cyx")
    with pytest.raises(SourceError, match="axes do not fit"):
        opened(pattern=path, axes="zcyx")


def test_pages_and_names_that_both_seem_z_have_to_be_named(tmp_path):
    voxels = sample_voxels((2, 3, 5, 6), "uint8")
    path = write_stack(tmp_path, "{z}.tif", voxels, "z")
    with pytest.raises(SourceError, match="not clear what the axes") as error:
        opened(pattern=path)
    assert error.value.key == ("axes",)
    array = opened(pattern=path, axes="zcyx")
    np.testing.assert_array_equal(array.read(), voxels.swapaxes(0, 1))


def test_the_files_of_a_stack_say_their_voxel_size(tmp_path):
    voxels = sample_voxels((3, 5, 6), "uint8")
    metadata = {"axes": "YX", "PhysicalSizeX": 0.7, "PhysicalSizeY": 9.8, "PhysicalSizeYUnit": "nm"}
    path = write_stack(tmp_path, "{z}.ome.tif", voxels, "z", metadata=metadata)
    array = opened(pattern=path)
    assert array.voxel_size == Coordinate((1, Fraction("9.8"), Fraction("0.7")))
    assert array.units == (None, "nm", "µm")
    files = [path.format(z=z) for z in range(3)]
    assert opened(files=files, axes="cyx").units == ("nm", "µm")


@pytest.mark.parametrize("other", [sample_voxels((5, 7), "uint8"), sample_voxels((5, 6), "int8")])
def test_a_file_that_differs_is_named_when_it_is_read(tmp_path, other):
    voxels = sample_voxels((3, 5, 6), "uint8")
    path = write_stack(tmp_path, "{z}.tif", voxels, "z")
    write(tmp_path / "1.tif", other)
    array = opened(pattern=path)
    np.testing.assert_array_equal(array[:1], voxels[:1])
    with pytest.raises(ReadError, match="not like the first") as error:
        array.read()
    assert error.value.where == str(tmp_path / "1.tif")
    assert error.value.expected == f"uint8 (5, 6), as in {tmp_path / '0.tif'}"


def test_only_the_files_of_a_box_are_opened(tmp_path):
    voxels = sample_voxels((4, 5, 6), "uint8")
    path = write_stack(tmp_path, "{z}.tif", voxels, "z")
    for name in ("1.tif", "3.tif"):
        (tmp_path / name).write_bytes(b"no TIFF")
    array = opened(pattern=path)
    np.testing.assert_array_equal(array[2:3], voxels[2:3])
    with pytest.raises(SourceError, match="not a TIFF file") as error:
        array[2:]
    assert error.value.where == str(tmp_path / "3.tif")


@pytest.fixture
def three_files():
    """Let three files stay open."""
    before = dacapo_like.settings.current().open_files
    dacapo_like.configure(open_files=3)
    yield
    dacapo_like.configure(open_files=before)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_files_that_are_open_are_few(tmp_path, three_files):
    voxels = sample_voxels((20, 5, 6), "uint8")
    path = write_stack(tmp_path, "{z}.tif", voxels, "z", compression="zlib")
    array = opened(pattern=path)
    with ThreadPoolExecutor(4) as threads:
        for z, plane in enumerate(threads.map(lambda z: array[z], range(20))):
            np.testing.assert_array_equal(plane, voxels[z])
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert sum(link.readlink().parent == tmp_path for link in links) == 3


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # that is what is tried
def test_a_stack_after_a_fork_and_pickled(tmp_path):
    voxels = sample_voxels((9, 30, 31), "uint32")
    array = opened(pattern=write_stack(tmp_path, "{z}.tif", voxels, "z", compression="zlib"))
    array.read()
    fork = multiprocessing.get_context("fork")
    queue = fork.SimpleQueue()
    children = [
        fork.Process(target=lambda: queue.put(int(array.read().sum(dtype="u8")))) for _ in range(2)
    ]
    for child in children:
        child.start()
    expected = int(voxels.sum(dtype="u8"))
    assert int(array.read().sum(dtype="u8")) == expected
    assert [queue.get() for _ in children] == [expected] * 2
    for child in children:
        child.join()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(array)).read(), voxels)


def test_a_document_names_a_stack(tmp_path):
    voxels = sample_voxels((2, 5, 6), "uint8")
    write_stack(tmp_path, "scan/z{z}.tif", voxels, "z")
    (tmp_path / "a.yaml").write_text("type: tiff\npattern: scan/z{z}.tif\n")
    (tmp_path / "b.yaml").write_text(
        "type: tiff\nfiles: [scan/z0.tif, scan/z1.tif]\naxes: [z, y, x]\n"
    )
    (tmp_path / "c.yaml").write_text(
        "type: tiff\nfiles: [[scan/z0.tif, scan/z1.tif]]\naxes: [c, z, y, x]\n"
    )
    for name in ("a", "b", "c"):
        path = tmp_path / f"{name}.yaml"
        assert verify(path) == []
        config = load(path)
        np.testing.assert_array_equal(np.squeeze(config.array().read()), voxels)
        text = dump(config, relative_to=tmp_path)
        assert str(tmp_path) not in text
        (tmp_path / "again.yaml").write_text(text)
        assert load(tmp_path / "again.yaml") == config
    assert load(tmp_path / "b.yaml").files == tuple(
        str(tmp_path / f"scan/z{z}.tif") for z in (0, 1)
    )


# Pyramids


def test_each_level_has_its_own_voxel_size(tmp_path):
    voxels = sample_voxels((3, 50, 42), "uint16")
    sizes = {"PhysicalSizeX": 0.7, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2}
    path = write_pyramid(tmp_path / "a.ome.tif", voxels, **sizes)
    finest = opened(path)
    np.testing.assert_array_equal(finest.read(), voxels)
    for level, factor in enumerate((1, 2, 4)):
        array = opened(path, level=level)
        np.testing.assert_array_equal(array.read(), voxels[:, ::factor, ::factor])
        assert array.roi == finest.roi  # the same place, whatever the rounding
        height, width = array.shape[1:]
        size = Coordinate((2, Fraction(50, height) / 2, Fraction("0.7") * Fraction(42, width)))
        assert array.voxel_size == size
        assert opened(path, voxel_size=size).spec == array.spec
    overridden = opened(path, level=1, voxel_size=(1, 1, 1))
    assert overridden.shape == (3, 25, 21)
    assert overridden.voxel_size == Coordinate((1, 1, 1))


def test_levels_that_are_not_there(tmp_path):
    path = write_pyramid(
        tmp_path / "a.ome.tif", sample_voxels((3, 50, 42), "uint8"), PhysicalSizeX=2
    )
    with pytest.raises(SourceError, match="no such level") as error:
        opened(path, level=3)
    assert error.value.hint == "the series has 3 levels"
    assert error.value.key == ("level",)
    with pytest.raises(SourceError, match="no level has this voxel size") as error:
        opened(path, voxel_size=(1, 3, 3))
    assert error.value.key == ("voxel_size",)


def test_a_pyramid_that_nobody_measured_takes_the_configs_voxel_size(tmp_path):
    path = write_pyramid(tmp_path / "a.ome.tif", sample_voxels((3, 50, 42), "uint8"))
    array = opened(path, voxel_size=(5, 3, 3))
    assert array.shape == (3, 50, 42)
    assert array.voxel_size == Coordinate((5, 3, 3))


def test_a_level_of_a_stack(tmp_path):
    voxels = sample_voxels((2, 3, 50, 42), "uint8")
    for t in range(2):
        write_pyramid(tmp_path / f"{t}.ome.tif", voxels[t])
    array = opened(pattern=str(tmp_path / "{t}.ome.tif"), level=1)
    np.testing.assert_array_equal(array.read(), voxels[:, :, ::2, ::2])


# Axes of length 1


@pytest.mark.parametrize(
    ("metadata", "axes"),
    [
        ({}, "yx"),
        ({"PhysicalSizeZ": 3}, "zyx"),
        ({"Channel": {"Name": ["DAPI"]}}, "cyx"),
        ({"TimeIncrement": 0.5}, "tyx"),
        ({"PhysicalSizeZ": 3, "Channel": {"Name": ["DAPI"]}}, "czyx"),
    ],
)
def test_ome_axes_of_length_one_stay_where_something_is_said_of_them(tmp_path, metadata, axes):
    voxels = sample_voxels((5, 6), "uint8")
    array = opened(write(tmp_path / "a.ome.tif", voxels, metadata={"axes": "YX", **metadata}))
    assert array.axes == tuple(axes)
    np.testing.assert_array_equal(np.squeeze(array.read()), voxels)
    if "z" in axes:
        assert array.voxel_size == Coordinate((3, 1, 1))
        assert array.units == ("µm", None, None)
    if "c" in axes:
        assert array.channels == ("DAPI",)


@pytest.mark.parametrize(("n", "axes"), [((5, 1), "yx"), ((1, 6), "yx"), ((1, 1), "yx")])
@pytest.mark.parametrize("options", [{}, {"metadata": {}}, {"imagej": True}, {"metadata": None}])
def test_rows_and_columns_stay(tmp_path, n, axes, options):
    name = "a.ome.tif" if options == {"metadata": {}} else "a.tif"
    array = opened(write(tmp_path / name, sample_voxels(n, "uint8"), **options))
    assert (array.axes, array.shape) == (tuple(axes), n)


@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}])
def test_axes_of_the_config_keep_those_of_length_one(tmp_path, options):
    voxels = sample_voxels((3, 5, 6), "uint8")
    path = write(tmp_path / "a.tif", voxels, metadata={"axes": "ZYX"}, **options)
    assert opened(path).axes == ("z", "y", "x")
    array = opened(path, axes="tzcyx")  # all that the formats have, in the order of the file
    assert array.shape == (1, 1, 3, 5, 6)
    np.testing.assert_array_equal(array.read()[0, 0], voxels)


def test_imagej_keeps_a_section_whose_thickness_is_stated(tmp_path):
    metadata = {"axes": "YX", "spacing": 2.5, "unit": "nm"}
    path = write(tmp_path / "a.tif", sample_voxels((5, 6), "uint8"), imagej=True, metadata=metadata)
    assert opened(path).roi == Roi((0, 0, 0), (Fraction("2.5"), 5, 6))


# Sets of OME files


def write_set(folder, name, voxels):
    """Write planes into one file each; the first says where all are."""
    folder.mkdir(exist_ok=True)
    planes = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name.format(z)}">urn:uuid:{z}</UUID></TiffData>'
        for z in range(len(voxels))
    )
    _, height, width = voxels.shape
    for z, plane in enumerate(voxels):
        xml = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{z}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
            f'Type="uint8" SizeX="{width}" SizeY="{height}" SizeZ="{len(voxels)}" SizeC="1" SizeT="1">'
            f'<Channel ID="Channel:0"/>{planes}</Pixels></Image></OME>'
        )
        write(folder / Path(name.format(z)).name, plane, description=xml, metadata=None)
    return folder / Path(name.format(0)).name


def test_planes_in_several_files(tmp_path):
    voxels = sample_voxels((3, 5, 6), "uint8")
    path = write_set(tmp_path / "a", "p{}.ome.tif", voxels)
    array = opened(path)
    np.testing.assert_array_equal(array.read(), voxels)
    np.testing.assert_array_equal(array.read_box(Box((1, 0, 0), (1, 5, 6))), voxels[1:2])
    (path.parent / "p2.ome.tif").unlink()
    with pytest.raises(SourceError, match="name is missing") as error:
        opened(path)
    assert error.value.got == "p2.ome.tif"


@pytest.mark.parametrize("name", ["../p{}.ome.tif", "{}", "..\\p{}.ome.tif", "C:\\p{}.ome.tif"])
def test_planes_outside_of_the_folder_are_refused(tmp_path, name):
    voxels = sample_voxels((3, 5, 6), "uint8")
    name = name.replace("{}", str(tmp_path / "p{}.ome.tif")) if name == "{}" else name
    for z in range(3):
        write(tmp_path / f"p{z}.ome.tif", voxels[z])  # it is there
    path = write_set(tmp_path / "inner", name, voxels)
    with pytest.raises(SourceError, match="outside of the folder"):
        opened(path)


def test_a_file_that_was_renamed(tmp_path):
    voxels = sample_voxels((1, 5, 6), "uint8")
    path = write_set(tmp_path, "old{}.ome.tif", voxels)
    path.replace(tmp_path / "new.ome.tif")
    np.testing.assert_array_equal(opened(tmp_path / "new.ome.tif").read(), voxels[0])


def test_planes_that_are_missing_are_not_zeros(tmp_path):
    path = write(
        tmp_path / "a.ome.tif", sample_voxels((4, 5, 6), "uint8"), metadata={"axes": "ZYX"}
    )
    path.write_bytes(path.read_bytes().replace(b'SizeZ="4"', b'SizeZ="9"'))
    with pytest.raises(SourceError, match="corrupt"):
        opened(path)
