"""Against tifffile's own `asarray`, on files that it wrote, and against the numbers that went into their metadata."""

from __future__ import annotations

import gc
import json
import multiprocessing
import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like import Roi, TiffArrayConfig, load, verify
from dacapo_like.errors import ReadError, SourceError, SpecError
from dacapo_like.geometry import Box, Coordinate
from dacapo_like.sources._tiff_metadata import stored_axes
from dacapo_like.testing import ArrayContract, Case, sample_voxels


def write(path, voxels, **options):
    tifffile.imwrite(path, voxels, **{"photometric": "minisblack", **options})
    return path


def opened(path, **fields):
    return TiffArrayConfig(file_name=str(path), **fields).array()


class TestLaws(ArrayContract):
    def case_stack(self, directory):
        voxels = sample_voxels((5, 20, 17), "uint16")
        return Case(opened(write(directory / "a.tif", voxels)), voxels)

    def case_tiles(self, directory):
        voxels = sample_voxels((3, 70, 50), "float32")
        path = write(directory / "a.tif", voxels, tile=(32, 16), compression="zlib", predictor=True)
        fields = {"voxel_size": (9.8, 0.7, 0.7), "offset": (-9.8, 0, 1.4), "units": "um"}
        return Case(opened(path, **fields), voxels)

    def case_strips_of_a_big_endian_file(self, directory):
        voxels = sample_voxels((31, 33), "int32")
        path = write(directory / "a.tif", voxels, byteorder=">", rowsperstrip=7)
        return Case(opened(path), voxels)

    def case_ome(self, directory):
        voxels = sample_voxels((2, 4, 3, 12, 11), "uint8")
        metadata = {"axes": "TZCYX", "PhysicalSizeX": 0.7, "PhysicalSizeY": 0.7}
        path = write(directory / "a.ome.tif", voxels, metadata=metadata, compression="zlib")
        return Case(opened(path), voxels.transpose(0, 2, 1, 3, 4))

    def case_colours(self, directory):
        voxels = sample_voxels((4, 9, 8, 3), "uint8")
        path = write(directory / "a.tif", voxels, photometric="rgb")
        return Case(opened(path, channels=[2, 0]), np.moveaxis(voxels, -1, 0)[[2, 0]])

    def case_snapped(self, directory):
        voxels = sample_voxels((9, 8), "uint8")
        path = write(directory / "a.tif", voxels)
        return Case(opened(path, snap_to_grid=(4, 3)), voxels[:8, :6])


# Voxels


@given(st.data())
def test_any_box_is_what_tifffile_reads(tmp_path_factory, data):
    tiles = data.draw(st.sampled_from([{}, {"tile": (16, 32)}, {"rowsperstrip": 5}]))
    codec = data.draw(st.sampled_from([None, "zlib", "lzw", "zstd", "lzma", "packbits"]))
    dtype = data.draw(
        st.sampled_from(["bool", "uint8", "uint16", "int16", "uint32", "float16", "float64"])
    )
    order = data.draw(st.sampled_from("<>"))
    voxels = sample_voxels((3, 37, 45), dtype)
    path = tmp_path_factory.mktemp("tiff") / "a.tif"
    array = opened(write(path, voxels, compression=codec, byteorder=order, **tiles))
    starts = [data.draw(st.integers(0, n - 1)) for n in array.shape]
    counts = [data.draw(st.integers(1, n - s)) for n, s in zip(array.shape, starts, strict=True)]
    box = Box(tuple(starts), tuple(counts))
    expected = tifffile.imread(path)[box.slices]
    np.testing.assert_array_equal(array.read_box(box), expected)
    np.testing.assert_array_equal(array.read_box(box), voxels[box.slices])


def test_only_the_tiles_of_a_box_are_decoded(tmp_path):
    voxels = sample_voxels((2, 64, 64), "uint8")
    path = write(tmp_path / "a.tif", voxels, tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(path) as file:
        place = file.pages[1].dataoffsets[3]
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"spoiled")
    array = opened(path)
    np.testing.assert_array_equal(array[0], voxels[0])
    np.testing.assert_array_equal(array[1, :32], voxels[1, :32])
    with pytest.raises(
        ReadError, match=r"a\.tif, voxels \(1, 0, 0\) to \(2, 64, 64\): voxels cannot"
    ):
        array[1]


def test_a_file_far_larger_than_what_is_read(tmp_path):
    path = tmp_path / "a.tif"
    volume = tifffile.memmap(path, shape=(3000, 2048, 2048), dtype="uint8", bigtiff=True)  # sparse
    volume[2900, 2000:, 7] = 5
    volume.flush()
    del volume
    block = opened(path)[2890:2910, 1990:2010, :10]
    assert np.argwhere(block).tolist() == [[10, i, 7] for i in range(10, 20)]


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("shape", [(200, 1024, 1024), (1, 15000, 15000)], ids=["pages", "a page"])
def test_a_read_of_what_is_not_compressed_costs_its_box(tmp_path, shape):
    def count():
        lines = Path("/proc/self/io").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("rchar:")).split()[1])

    path = tmp_path / "a.tif"
    tifffile.memmap(path, shape=shape, dtype="uint8", bigtiff=True).flush()  # sparse
    array = opened(path)
    before = count()
    array.read_box(Box((0, 500, 500), (min(shape[0], 32), 32, 32)))
    assert count() - before < 2_000_000


@pytest.mark.parametrize("order", "<>")
def test_a_file_that_shrinks_behind_an_array_is_found_at_read(tmp_path, order):
    voxels = sample_voxels((5, 40, 50), "uint16")
    path = write(tmp_path / "a.tif", voxels, byteorder=order)
    array = opened(path)
    np.testing.assert_array_equal(array[1:3, 5:, :7], voxels[1:3, 5:, :7])
    path.write_bytes(path.read_bytes()[:-3000])
    np.testing.assert_array_equal(array[0], voxels[0])
    with pytest.raises(ReadError, match="too early") as error:
        array.read()
    assert error.value.where.startswith(f"{path}, voxels")


def test_a_series_is_chosen(tmp_path):
    one, two = sample_voxels((6, 7), "uint8"), sample_voxels((3, 8, 9), "uint16")
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        file.write(one, metadata={"axes": "YX", "PhysicalSizeX": 2})
        file.write(two, metadata={"axes": "ZYX", "PhysicalSizeX": 3})
    for index, (voxels, size) in enumerate([(one, 2), (two, 3)]):
        array = opened(tmp_path / "a.ome.tif", series=index)
        np.testing.assert_array_equal(array[...], voxels)
        assert array.voxel_size[-1] == size
    with pytest.raises(SourceError, match="no such series") as error:
        opened(tmp_path / "a.ome.tif", series=2)
    assert error.value.expected == "0 to 1"
    assert error.value.key == ("series",)


# Metadata


def test_what_ome_says(tmp_path):
    voxels = sample_voxels((4, 2, 5, 6), "uint8")
    metadata = {
        "axes": "ZCYX",
        "PhysicalSizeX": 0.1,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 9.8,
        "PhysicalSizeZ": 3,
        "PhysicalSizeZUnit": "mm",
        "Channel": {"Name": ["DAPI", "GFP"]},
    }
    array = opened(write(tmp_path / "a.ome.tif", voxels, metadata=metadata))
    assert array.voxel_size == Coordinate((3, Fraction("9.8"), Fraction("0.1")))
    assert array.units == ("mm", "µm", "nm")  # micrometres are OME's default
    assert array.channels == ("DAPI", "GFP")
    assert array.axes == ("c", "z", "y", "x")
    green = opened(tmp_path / "a.ome.tif", channels=["GFP"])
    np.testing.assert_array_equal(green[0], voxels[:, 1])


def test_what_ome_does_not_say(tmp_path):
    array = opened(write(tmp_path / "a.ome.tif", sample_voxels((4, 5), "uint8"), metadata={}))
    assert array.voxel_size == Coordinate((1, 1))
    assert array.units == (None, None)


@pytest.mark.parametrize(
    ("unit", "shown"), [("um", "um"), ("micron", "micron"), ("\\u00B5m", "µm"), ("nm", "nm")]
)
def test_what_imagej_says(tmp_path, unit, shown):
    voxels = sample_voxels((3, 2, 5, 6), "uint16")
    metadata = {"axes": "ZCYX", "spacing": 2.5, "unit": unit}
    options = {"imagej": True, "resolution": (10, 4), "metadata": metadata}
    array = opened(write(tmp_path / "a.tif", voxels, **options))
    assert array.voxel_size == Coordinate((Fraction("2.5"), Fraction(1, 4), Fraction(1, 10)))
    assert array.units == (shown,) * 3
    np.testing.assert_array_equal(array[...], voxels.transpose(1, 0, 2, 3))


def test_an_imagej_file_that_nobody_calibrated_has_no_units(tmp_path):
    array = opened(
        write(
            tmp_path / "a.tif",
            sample_voxels((3, 5, 6), "uint8"),
            imagej=True,
            metadata={"axes": "ZYX"},
        )
    )
    assert array.units == (None,) * 3
    assert array.voxel_size == Coordinate((1, 1, 1))


@pytest.mark.parametrize(
    ("said", "channels"),
    [
        ({}, ("a", "b")),
        ({"Labels": ["a", "b", "a", "c"]}, None),
        ({"Labels": ["a", "a"] * 2}, None),
        ({"Labels": ["a", "b"]}, ("a", "b")),
        ({"order": "zct"}, None),
    ],
)
def test_labels_of_imagej_that_name_channels(tmp_path, said, channels):
    metadata = {"axes": "ZCYX", "unit": "um", "Labels": ["a", "b"] * 2} | said
    voxels = np.zeros((2, 2, 6, 7), "uint8")
    path = write(tmp_path / "a.tif", voxels, imagej=True, metadata=metadata)
    assert opened(path).channels == channels


def test_the_origin_of_imagej_is_where_the_world_is_0(tmp_path):
    metadata = {"axes": "ZYX", "unit": "nm", "spacing": 40, "xorigin": 2.5, "zorigin": -3}
    options = {"imagej": True, "resolution": (0.25, 0.125), "metadata": metadata}
    path = write(tmp_path / "a.tif", np.zeros((2, 6, 7), "uint8"), **options)
    assert opened(path).voxel_size == (40, 8, 4)
    assert opened(path).spec.offset == (120, 0, -10)


def plane(the_z, **said):
    return (
        {f"Position{axis.upper()}": value for axis, value in said.items()}
        | {f"Position{axis.upper()}Unit": "um" for axis in said}
        | {"TheZ": the_z, "TheC": 0, "TheT": 0}
    )


STAGE = [plane(z, x=100.25, y=-3, z=7 + 2 * z) for z in range(3)]


@pytest.mark.parametrize(
    ("planes", "offset"),
    [
        (STAGE, (6000, -3500, 100000)),
        (STAGE[::-1], (6000, -3500, 100000)),
        (STAGE[:1], (6000, -3500, 100000)),
        ([*STAGE[:2], plane(2, x=100.25, y=-3, z=7)], (0, -3500, 100000)),
        ([*STAGE[:2], plane(2, x=90, y=-3, z=11)], (6000, -3500, 0)),
        ([plane(0, x=100.25, y=-3)], (0, -3500, 100000)),
        ([STAGE[0] | {"PositionXUnit": "reference frame"}], (6000, -3500, 0)),
        ([{k: v for k, v in STAGE[0].items() if not k.endswith("Unit")}], (0, 0, 0)),
        ([], (0, 0, 0)),
    ],
)
def test_where_omes_planes_are(tmp_path, planes, offset):
    """Positions name centres of voxels, and have units of their own."""
    path = write(tmp_path / "a.ome.tif", np.zeros((3, 6, 7), "uint8"), metadata={"axes": "ZYX"})
    places = "".join(
        f"<Plane {' '.join(f'{k}={json.dumps(str(v))}' for k, v in sorted(p.items()))}/>"
        for p in planes
    )
    sizes = "".join(
        f' PhysicalSize{axis}="{size}" PhysicalSize{axis}Unit="nm"'
        for axis, size in zip("ZYX", (2000, 1000, 500), strict=True)
    )
    text = tifffile.tiffcomment(path)
    text = text.replace("<Pixels ", f"<Pixels{sizes} ").replace("</Pixels>", f"{places}</Pixels>")
    tifffile.tiffcomment(path, text)
    array = opened(path)
    assert array.units == ("nm",) * 3
    assert array.spec.offset == offset
    assert opened(path, offset=(1, 2, 3)).spec.offset == (1, 2, 3)


def test_the_config_has_the_last_word(tmp_path):
    metadata = {"axes": "ZYX", "PhysicalSizeX": 2}
    path = write(tmp_path / "a.ome.tif", sample_voxels((3, 5, 6), "uint8"), metadata=metadata)
    fields = {"axes": "cyx", "voxel_size": (4, 4), "offset": (8, -4), "units": "nm"}
    array = opened(path, **fields)
    assert array.axes == ("c", "y", "x")
    assert array.roi == Roi((8, -4), (20, 24))
    assert array.units == ("nm", "nm")


@pytest.mark.parametrize(
    ("letters", "axes"),
    [
        ("YX", "yx"),
        ("IYX", "zyx"),
        ("QYX", "zyx"),
        ("TCZYX", "tczyx"),
        ("YXS", "yxc"),
        ("CYXS", ("c", "y", "x", "s^")),
        ("RYX", ("r^", "y", "x")),
        ("QQYX", None),
        ("IZYX", None),
    ],
)
def test_the_letters_of_tifffile(letters, axes):
    assert stored_axes(letters) == (None if axes is None else tuple(axes))


def test_pages_of_unknown_meaning_have_to_be_named(tmp_path):
    voxels = sample_voxels((2, 3, 5, 6), "uint8")
    path = write(tmp_path / "a.tif", voxels)
    with pytest.raises(SourceError, match="does not say what its axes are"):
        opened(path, voxel_size=(1, 1))
    np.testing.assert_array_equal(opened(path, axes="tzyx")[...], voxels)


# Faults


def test_a_file_that_is_not_there(tmp_path):
    write(tmp_path / "scan.tif", sample_voxels((5, 6), "uint8"))
    with pytest.raises(SourceError, match="file does not exist") as error:
        opened(tmp_path / "scam.tif")
    assert error.value.hint == "did you mean 'scan.tif'?"


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"II*\0" + bytes(3), b"II*\0\x08\0\0\0\xff\xff"]
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(SourceError, match=r"not a TIFF file|corrupt|no such series") as error:
        opened(tmp_path / "a.tif")
    assert error.value.where == str(tmp_path / "a.tif")


@pytest.mark.parametrize("options", [{"metadata": None}, {}, {"compression": "zlib"}])
def test_a_file_that_was_cut_off_is_an_error(tmp_path, options):
    voxels = sample_voxels((5, 40, 50), "uint16")
    path = write(tmp_path / "a.tif", voxels, **options)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 3000])
    with pytest.raises(SourceError, match=r"corrupt|cannot be read"):
        opened(path)[...]


def test_corrupt_metadata_are_an_error(tmp_path):
    path = write(
        tmp_path / "a.ome.tif", sample_voxels((3, 5, 6), "uint8"), metadata={"axes": "ZYX"}
    )
    text = path.read_bytes()
    path.write_bytes(text.replace(b'SizeX="6"', b'SizeX="6&'))
    with pytest.raises(SourceError):
        opened(path)


@pytest.mark.parametrize("size", ["1e999999999", "1e-999999999", "one", "inf"])
@pytest.mark.parametrize("place", ["<Pixels PhysicalSizeX", '<Plane PositionXUnit="um" PositionX'])
def test_numbers_without_end_are_an_error(tmp_path, place, size):
    options = {"metadata": {"axes": "ZYX", "PhysicalSizeX": 1, "PhysicalSizeXUnit": "um"}}
    path = write(tmp_path / "a.ome.tif", sample_voxels((3, 5, 6), "uint8"), **options)
    text = tifffile.tiffcomment(path)
    if "Plane" in place:
        text = text.replace("</Pixels>", f'{place}="{size}"/></Pixels>')
    else:
        text = text.replace('PhysicalSizeX="1"', "").replace("<Pixels", f'{place}="{size}"')
    tifffile.tiffcomment(path, text)
    with pytest.raises(SourceError, match="metadata of the TIFF are corrupt"):
        opened(path)


def test_a_codec_that_is_not_installed_is_named(tmp_path):
    """In an interpreter of its own: tifffile remembers which codecs there are."""
    path = write(tmp_path / "a.tif", sample_voxels((32, 32), "uint8"), compression="lzw")
    program = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from dacapo_like import TiffArrayConfig\n"
        f"TiffArrayConfig(file_name={str(path)!r}).array()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert (
        "MissingExtraError: tiff: the compression of the TIFF needs imagecodecs"
        in done.stderr.replace(str(path), "tiff")
    )
    assert "pip install 'dacapo_like[tiff]'" in done.stderr


def test_axes_that_do_not_fit_are_refused(tmp_path):
    path = write(tmp_path / "a.tif", sample_voxels((5, 6), "uint8"))
    with pytest.raises((SourceError, SpecError), match="axes do not fit") as error:
        opened(path, axes="zyx")
    assert error.value.key == ("axes",)


# Files and processes


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_files_close_with_their_arrays(tmp_path):
    def handles():
        gc.collect()
        links = (item for item in Path("/proc/self/fd").iterdir() if item.is_symlink())
        return sum(item.readlink() == path for item in links)

    path = write(tmp_path / "a.tif", sample_voxels((5, 6), "uint8"), compression="zlib")
    array = opened(path)
    assert handles() == 0
    array.read()
    assert handles() == 1
    del array
    assert handles() == 0


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # that is what is tried
def test_reading_before_and_after_a_fork(tmp_path):
    """Parent and children read at the same time, the parent with the file that it had open before."""
    voxels = sample_voxels((20, 64, 64), "uint32")
    array = opened(write(tmp_path / "a.tif", voxels, tile=(16, 16), compression="zlib"))
    array.read_box(Box((0, 0, 0), (1, 1, 1)))
    boxes = [Box((i % 20, i % 32, 0), (1, 32, 64)) for i in range(60)]
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


def test_a_document_names_it(tmp_path):
    write(tmp_path / "stack.tif", sample_voxels((3, 5, 6), "uint8"))
    document = tmp_path / "a.yaml"
    document.write_text("type: tiff\nfile_name: stack.tif\nvoxel_size: [2, 0.5, 0.5]\n")
    assert verify(document) == []
    assert load(document).array().voxel_size == Coordinate((2, Fraction(1, 2), Fraction(1, 2)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(document).array().read()
