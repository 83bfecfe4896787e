import gc
import gzip
import json
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.affines import apply_affine, from_matvec
from nibabel.eulerangles import euler2mat
from nibabel.testing import data_path

from dacapo_like.errors import ReadError, SourceError, SpecError
from dacapo_like.geometry import Box, Coordinate
from dacapo_like.sources import nifti
from dacapo_like.sources.nifti import NiftiArrayConfig
from dacapo_like.testing import ArrayContract, Case, random_boxes, sample_voxels

SHIPPED = Path(data_path)
PLAIN = from_matvec(np.diag([0.7, 0.7, 2.2]), [-90.7, 12.6, -72.3])
OBLIQUE = from_matvec(euler2mat(0.3, -0.2, 0.5) @ np.diag([0.7, 0.7, 2.2]), [-90.7, 12.6, -72.3])


def write(
    path, voxels, affine=PLAIN, *, of=nibabel.Nifti1Image, scaling=None, order="<", units="mm"
):
    """Let nibabel write voxels that are given in array order, the reverse of its own."""
    header = of.header_class(endianness=order)
    header.set_data_dtype(voxels.dtype)
    header.set_xyzt_units(units)
    image = of(voxels.T, affine, header)
    if scaling:
        image.header.set_slope_inter(*scaling)
    nibabel.save(image, path)
    return path


def opened(path, **fields):
    return NiftiArrayConfig(file_name=path, **fields).array()


def truth(path):
    """Give all voxels as nibabel reads them, in array order and native byte order."""
    voxels = np.asarray(nibabel.load(path).dataobj)
    return voxels.T.astype(voxels.dtype.newbyteorder("="))


def bytes_read(function):
    """Count what a function reads, in the cache of the kernel or not."""

    def count():
        lines = Path("/proc/self/io").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("rchar:")).split()[1])

    before = count()
    cost = count() - before  # of counting
    before = count()
    function()
    return count() - before - cost


class TestLaws(ArrayContract):
    def case_volume(self, directory):
        path = write(directory / "a.nii", sample_voxels((4, 5, 6), "int16"), OBLIQUE)
        return Case(opened(path), truth(path))

    def case_big_endian_pair_named_by_its_image(self, directory):
        voxels = sample_voxels((4, 5, 6), "float32")
        path = write(directory / "a.hdr", voxels, of=nibabel.Nifti1Pair, order=">")
        assert nibabel.load(path).dataobj.dtype == ">f4"
        return Case(opened(directory / "a.img"), truth(path))

    def case_compressed_in_time(self, directory):
        path = write(directory / "a.nii.gz", sample_voxels((3, 4, 5, 6), "uint16"), OBLIQUE)
        return Case(opened(path), truth(path))

    def case_scaled(self, directory):
        voxels = sample_voxels((3, 4, 5, 6), "uint8")
        path = write(directory / "a.nii", voxels, scaling=(0.1, -3), order=">")
        return Case(opened(path), truth(path).astype("float32"))

    def case_vectors_in_nifti_2(self, directory):
        voxels = sample_voxels((3, 1, 4, 5, 6), "float64")
        path = write(directory / "a.nii", voxels, OBLIQUE, of=nibabel.Nifti2Image)
        return Case(opened(path, channels=[2, 0]), truth(path)[[2, 0], 0])

    def case_channels_by_name_of_the_axis(self, directory):
        path = write(directory / "a.nii", sample_voxels((3, 4, 5, 6), "uint64"))
        return Case(opened(path, axes=["c", "z", "y", "x"], channels=[1]), truth(path)[[1]])

    def case_plane(self, directory):
        path = write(directory / "a.nii", sample_voxels((5, 6), "int8"))
        return Case(opened(path), truth(path))

    def case_rows_longer_than_a_page(self, directory):
        path = write(directory / "a.nii", sample_voxels((2, 3, 7000), "uint8"))
        return Case(opened(path), truth(path))


# Where the voxels lie


FLIPPED = from_matvec(np.diag([-2, 2, 2.2]), [90, -126, -72])
PERMUTED = from_matvec([[0, 0, 2.2], [-0.7, 0, 0], [0, 0.7, 0]], [-20.5, 30.1, 7])
SHEARED = from_matvec([[1.5, 0.2, 0], [0, 2, 0.3], [0.1, 0, 2.5]], [-20.5, 30.1, 7])
AFFINES = {
    "plain": PLAIN,
    "oblique": OBLIQUE,
    "flipped": FLIPPED,
    "permuted": PERMUTED,
    "flipped and oblique": OBLIQUE @ np.diag([-1, 1, -1, 1]),
    "sheared": SHEARED,
}
FILES = {
    "NIfTI-1": ("a.nii", nibabel.Nifti1Image, "<"),
    "big-endian": ("a.nii", nibabel.Nifti1Image, ">"),
    "compressed": ("a.nii.gz", nibabel.Nifti1Image, "<"),
    "pair": ("a.hdr", nibabel.Nifti1Pair, "<"),
    "NIfTI-2": ("a.nii", nibabel.Nifti2Image, "<"),
    "NIfTI-2 big-endian": ("a.nii.gz", nibabel.Nifti2Image, ">"),
}


def assert_same_world(array, path, rtol, dims=3):
    """Map the corner voxels: by the array, from indices z y x to z y x, and by nibabel, from i j k to x y z."""
    image = nibabel.load(path)
    corners = np.array(list(np.ndindex((2,) * dims))) * (np.array(array.spec.spatial_shape) - 1)
    ours = apply_affine(array.voxel_to_world, corners)
    ijk = np.zeros((len(corners), 3))
    ijk[:, :dims] = corners[:, ::-1]
    theirs = apply_affine(image.affine, ijk)[:, :dims][:, ::-1]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=rtol * max(1, np.abs(theirs).max()))


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
@pytest.mark.parametrize("shape", [(20, 30, 40), (2, 9, 8, 7)], ids=["3-D", "4-D"])
def test_corners_lie_where_nibabel_puts_them(tmp_path, affine, file, shape):
    name, kind, order = file
    path = write(tmp_path / name, np.zeros(shape, "uint8"), affine, of=kind, order=order)
    assert_same_world(opened(path), path, rtol=1e-7)


@pytest.mark.parametrize(
    "name",
    ["example4d.nii.gz", "example_nifti2.nii.gz", "anatomical.nii", "reoriented_anat_moved.nii"],
)
def test_corners_of_shipped_images(name):
    assert_same_world(opened(SHIPPED / name), SHIPPED / name, rtol=1e-7)


angles = st.integers(-180, 180).map(np.deg2rad)
sizes = st.decimals("0.01", "50", places=2).map(float)
shifts = st.decimals(-500, 500, places=1).map(float)


@given(st.tuples(angles, angles, angles), st.tuples(sizes, sizes, sizes), st.tuples(*[shifts] * 3))
def test_doubles_of_nifti_2_are_kept(tmp_path_factory, turn, size, shift):
    affine = from_matvec(euler2mat(*turn) @ np.diag(size), shift)
    path = tmp_path_factory.getbasetemp() / "doubles.nii"
    write(path, np.zeros((9, 8, 7), "uint8"), affine, of=nibabel.Nifti2Image)
    array = opened(path)
    assert array.spec.voxel_size == Coordinate(size[::-1])
    assert_same_world(array, path, rtol=1e-12)


def test_qform_alone(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((7, 8, 9), "uint8"), None)
    image.set_qform(OBLIQUE, code="scanner")
    nibabel.save(image, tmp_path / "a.nii")
    array = opened(tmp_path / "a.nii")
    assert array.voxel_size == Coordinate(2.2, 0.7, 0.7)
    assert_same_world(array, tmp_path / "a.nii", rtol=1e-6)


def test_neither_form(tmp_path):
    path = write(tmp_path / "a.nii", np.zeros((7, 8, 9), "uint8"), None)
    assert_same_world(opened(path), path, rtol=0)


def test_header_decimals_are_exact(tmp_path):
    """They are float32 in the file: 0.7 is 0.699999988… there, and -90.7 is -90.69999694…."""
    spec = opened(write(tmp_path / "a.nii", np.zeros((4, 5, 6), "uint8"), PLAIN)).spec
    assert spec.voxel_size == (Fraction(11, 5), Fraction(7, 10), Fraction(7, 10))
    assert spec.offset == (Fraction("-73.4"), Fraction("12.25"), Fraction("-91.05"))
    assert spec.directions is None


def test_directions_of_turned_axes_are_whole(tmp_path):
    """The offset lies in the array's own frame: along each axis, the position projected on its direction."""
    spec = opened(write(tmp_path / "a.nii", np.zeros((4, 5, 6), "uint8"), PERMUTED)).spec
    assert spec.directions == ((0, 0, 1), (1, 0, 0), (0, -1, 0))
    assert spec.voxel_size == Coordinate(2.2, 0.7, 0.7)
    assert spec.offset == Coordinate(-20.5, 7, -30.1) - Coordinate(1.1, 0.35, 0.35)


def test_directions_have_no_negative_zeros():
    spec = opened(SHIPPED / "example4d.nii.gz").spec
    assert spec.directions[2] == (0, 0, -1)
    assert "-0.0," not in str(spec.directions)


def test_voxel_size_is_the_affines_where_pixdim_contradicts(tmp_path):
    path = write(tmp_path / "a.nii", np.zeros((4, 5, 6), "uint8"), PLAIN)
    data = bytearray(path.read_bytes())
    data[80:84] = np.float32(3).tobytes()  # pixdim[1]
    path.write_bytes(data)
    assert nibabel.load(path).header.get_zooms()[0] == 3
    assert opened(path).spec.voxel_size == Coordinate(2.2, 0.7, 0.7)


@pytest.mark.parametrize(
    ("units", "expected"), [("mm", "mm"), ("micron", "um"), ("meter", "m"), (None, None)]
)
def test_units(tmp_path, units, expected):
    path = write(tmp_path / "a.nii", np.zeros((2, 4, 5, 6), "uint8"), units=units)
    assert opened(path).units == (expected,) * 3


def test_what_a_spec_does_not_hold_is_in_attrs():
    attrs = opened(SHIPPED / "example4d.nii.gz").attrs["nifti"]
    assert json.loads(json.dumps(attrs)) == {
        "orientation": "LAS",
        "sform_code": 1,
        "qform_code": 1,
        "xyzt_units": 10,
        "intent_code": 0,
        "pixdim": [2.0, 2.0, 2.199999, 2000.0],
        "descrip": "FSL3.3",
    }


# Axes and overrides


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((5,), "x"), ((4, 5), "yx"), ((2, 3, 4, 5), "tzyx"), ((3, 2, 2, 4, 5), "ctzyx")],
)
def test_axes_are_the_formats_own(tmp_path, shape, axes):
    array = opened(write(tmp_path / "a.nii", np.zeros(shape, "uint8")))
    assert array.axes == tuple(axes)
    assert array.shape == shape


@pytest.mark.parametrize("units", [("mm", "unknown"), ("mm", "sec")])
def test_the_time_of_vectors_is_there_where_it_is_named(tmp_path, units):
    voxels = sample_voxels((3, 1, 4, 5, 6), "float32")
    image = nibabel.Nifti1Image(voxels.T, OBLIQUE)
    image.header.set_intent("vector")
    image.header.set_xyzt_units(*units)
    nibabel.save(image, tmp_path / "a.nii")
    array = opened(tmp_path / "a.nii")
    assert array.axes == ("c", "z", "y", "x")
    np.testing.assert_array_equal(array.read(), voxels[:, 0])
    box = Box((1, 1, 2, 3), (2, 2, 3, 2))
    np.testing.assert_array_equal(array.read_box(box), voxels[:, 0][box.slices])
    assert opened(tmp_path / "a.nii", axes="szyx").axes == tuple("szyx")
    five = opened(tmp_path / "a.nii", axes="ctzyx")
    np.testing.assert_array_equal(five.read(), voxels)


# Names of channels


def write_labelled(path, voxels, *contents, code=1):
    image = nibabel.Nifti1Image(voxels.T, PLAIN)
    for content in contents:
        extension = nibabel.nifti1.Nifti1Extension(code, content)
        image.header.extensions.append(extension)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("shape", [(2, 4, 5, 6), (2, 1, 4, 5, 6), (2, 3, 4, 5, 6)])
def test_names_of_channels_as_zarrnii_writes_them(tmp_path, name, shape):
    voxels = sample_voxels(shape, "uint8")
    content = json.dumps({"channel_labels": ["DAPI", "Größe"]}).encode("utf-8")
    path = write_labelled(tmp_path / name, voxels, b"not JSON", content)
    array = opened(path)
    assert array.axes[0] == "c"
    assert array.channels == ("DAPI", "Größe")
    np.testing.assert_array_equal(array.read(), voxels.squeeze())
    np.testing.assert_array_equal(opened(path, channels=["Größe"]).read(), voxels.squeeze()[1:])


@pytest.mark.parametrize(
    "content",
    [
        b'{"channel_labels": ["a", "b", "c"]}',
        b'{"channel_labels": [1, 2]}',
        b'{"channel_labels": "ab"}',
        b'["a", "b"]',
        b'{"channel_labels": ["a',
        b"\xff\xfe",
        b"",
    ],
)
def test_other_extensions_name_no_channels(tmp_path, content):
    voxels = sample_voxels((2, 4, 5, 6), "uint8")
    array = opened(write_labelled(tmp_path / "a.nii", voxels, content))
    assert (array.axes, array.channels) == (("t", "z", "y", "x"), None)
    np.testing.assert_array_equal(array.read(), voxels)
    named = b'{"channel_labels": ["a", "b"]}'
    comment = write_labelled(tmp_path / "b.nii", voxels, named, code="comment")
    assert opened(comment).channels is None


def test_a_plane_lies_in_the_plane(tmp_path):
    path = write(tmp_path / "a.nii", np.zeros((4, 5), "uint8"), PLAIN)
    array = opened(path)
    assert array.spec.offset == Coordinate(12.25, -91.05)
    assert_same_world(array, path, rtol=1e-7, dims=2)


def test_slices_named_as_channels_have_no_place(tmp_path):
    path = write(tmp_path / "a.nii", np.zeros((3, 4, 5), "uint8"), PLAIN)
    array = opened(path, axes=["channel", "y", "x"])
    assert array.axes == ("c", "y", "x")
    assert array.spec.voxel_size == Coordinate(0.7, 0.7)
    assert_same_world(array, path, rtol=1e-7, dims=2)


@pytest.mark.parametrize(
    "axes",
    [["x", "y", "z"], ["z", "y", "x", "c"], ["y", "x"], ["t", "c", "s"], ["z", "z", "x"]],
    ids=" ".join,
)
def test_axes_in_another_order_are_refused(tmp_path, axes):
    path = write(tmp_path / "a.nii", np.zeros((3, 4, 5), "uint8"))
    with pytest.raises(SourceError, match="the reverse of nibabel's") as error:
        opened(path, axes=axes)
    assert error.value.key == ("axes",)


def test_six_dimensions_need_names(tmp_path):
    path = write(tmp_path / "a.nii", np.zeros((2, 3, 1, 4, 5, 6), "uint8"))
    with pytest.raises(SourceError, match="give `axes`"):
        opened(path)
    assert opened(path, axes="sctzyx").axes == tuple("sctzyx")


def test_a_tilted_plane_is_refused(tmp_path):
    path = write(tmp_path / "a.nii", np.zeros((4, 5), "uint8"), OBLIQUE)
    with pytest.raises(SourceError, match="tilted"):
        opened(path)


def test_overrides(tmp_path):
    path = write(tmp_path / "a.nii", np.zeros((4, 5, 6), "int32"), PLAIN)
    spec = opened(path, voxel_size=(4, 2, 2), units=["um", None, "nm"], kind="image").spec
    assert spec.units == ("um", None, "nm")
    assert spec.kind == "image"
    np.testing.assert_allclose(spec.voxel_to_world[:3, 3], [-72.3, 12.6, -90.7])  # the centre stays
    assert opened(path, offset=(1, 2, 3.5)).spec.offset == Coordinate(1, 2, 3.5)
    with pytest.raises(SourceError, match="voxel_size does not fit"):
        opened(path, voxel_size=(2, 2))
    with pytest.raises(SpecError, match="no channels"):
        opened(path, channels=[0])


# Types of voxels


@pytest.mark.parametrize(
    "dtype", [*(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "f4", "f8"]
)
@pytest.mark.parametrize("order", "<>")
def test_stored_types_stay(tmp_path, dtype, order):
    voxels = sample_voxels((3, 4, 5), dtype)
    array = opened(write(tmp_path / "a.nii", voxels, order=order))
    assert array.dtype == np.dtype(dtype)
    assert array.dtype.isnative
    np.testing.assert_array_equal(array.read(), voxels)


@pytest.mark.parametrize(
    ("dtype", "scaling", "expected"),
    [
        ("uint8", (0.5, 3), "float32"),
        ("int16", (0.0754, 3100.76), "float32"),
        ("int16", (1e-4, 1e6), "float64"),  # float32 has no room for 1e-4 beside 1e6
        ("int16", (1e36, 0), "float64"),  # nor for 1e40
        ("int32", (2, 0), "float64"),
        ("float32", (2, 0), "float64"),
    ],
)
def test_scaled_types_hold_what_was_stored(tmp_path, dtype, scaling, expected):
    voxels = sample_voxels((3, 4, 5), dtype)
    voxels = np.nan_to_num(voxels, posinf=1, neginf=0) if dtype == "float32" else voxels
    path = write(tmp_path / "a.nii", voxels, scaling=scaling)
    array = opened(path)
    assert array.dtype == np.dtype(expected)
    assert array.kind == "image"
    np.testing.assert_array_equal(array.read(), truth(path).astype(expected))
    if np.dtype(dtype).kind in "iu":
        assert len(np.unique(array.read())) == len(np.unique(voxels))


def test_labels_by_intent(tmp_path):
    image = nibabel.Nifti1Image(sample_voxels((3, 4, 5), "int16"), PLAIN)
    image.header.set_intent("label")
    nibabel.save(image, tmp_path / "a.nii")
    assert opened(tmp_path / "a.nii").kind == "labels"


@pytest.mark.parametrize("dtype", ["complex64", [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_voxels_that_are_no_numbers_are_refused(tmp_path, dtype):
    path = write(tmp_path / "a.nii", np.zeros((3, 4, 5), dtype))
    with pytest.raises(SourceError, match="no number"):
        opened(path)


# What a read costs


def sparse(path, shape):
    """Make a file of zeros that takes no space."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype("uint8")
    header.set_data_shape(shape[::-1])
    header["magic"], header["vox_offset"] = b"n+1", 352
    path.write_bytes(header.binaryblock + bytes(4))
    os.truncate(path, 352 + int(np.prod(shape)))
    return path


needs_proc = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux's /proc")


@pytest.fixture(params=["indexed_gzip", "gzip"])
def streams(request, monkeypatch):
    """Read streams with an index, and without."""
    if request.param == "gzip":
        monkeypatch.setattr(nifti, "indexed_stream", lambda *_: None)
    else:
        pytest.importorskip("indexed_gzip")
    return request.param


def test_any_box_of_a_stream(tmp_path, streams):
    voxels = sample_voxels((40, 50, 600), "int16")
    array = opened(write(tmp_path / "a.nii.gz", voxels))
    with ThreadPoolExecutor(4) as threads:
        boxes = random_boxes(array.spec, np.random.default_rng(0), 40)
        for box, block in zip(boxes, threads.map(array.read_box, boxes), strict=True):
            np.testing.assert_array_equal(block, voxels[box.slices])


@needs_proc
def test_a_stream_that_was_read_once_is_read_from_near_the_box(tmp_path):
    pytest.importorskip("indexed_gzip")
    path = write(tmp_path / "a.nii.gz", sample_voxels((200, 300, 400), "uint8") // 4)
    array, size = opened(path), path.stat().st_size
    last, middle = Box((199, 0, 0), (1, 300, 400)), Box((100, 9, 9), (1, 9, 9))
    assert bytes_read(lambda: array.read_box(last)) > 0.9 * size
    assert bytes_read(lambda: array.read_box(middle)) < 0.2 * size
    assert bytes_read(lambda: array.read_box(last)) < 0.2 * size


def test_a_stream_that_was_replaced_is_read_anew(tmp_path, streams):
    first, second = (sample_voxels((20, 300, 400), "uint8", seed) for seed in (0, 1))
    array = opened(write(tmp_path / "a.nii.gz", first))
    np.testing.assert_array_equal(array.read(), first)
    write(tmp_path / "b.nii.gz", second).replace(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(array[15:], second[15:])


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # that is what is tried
def test_a_stream_after_a_fork(tmp_path, streams):
    voxels = sample_voxels((20, 300, 400), "uint8")
    array = opened(write(tmp_path / "a.nii.gz", voxels))
    array.read()
    expected = [int(plane.sum()) for plane in voxels]
    fork = multiprocessing.get_context("fork")
    queue = fork.SimpleQueue()
    children = [
        fork.Process(target=lambda: queue.put([int(array[z].sum()) for z in range(20)]))
        for _ in range(2)
    ]
    for child in children:
        child.start()
    assert [int(array[z].sum()) for z in range(20)] == expected
    assert [queue.get() for _ in children] == [expected] * 2
    for child in children:
        child.join()


@needs_proc
@pytest.mark.parametrize("shape", [(400, 400, 400), (4, 200, 30000)], ids=["short", "long rows"])
def test_a_read_costs_its_box(tmp_path, shape):
    path = sparse(tmp_path / "a.nii", shape)
    array = opened(path)
    assert bytes_read(lambda: opened(path)) < 100_000
    assert bytes_read(lambda: array.read_box(Box((2, 50, 60), (2, 32, 32)))) < 600_000
    assert bytes_read(array.read) >= np.prod(shape)


def test_files_far_larger_than_memory(tmp_path):
    """Offsets pass 2**32 and no read is of the whole: that would be 64 GB."""
    path = sparse(tmp_path / "a.nii", (4096, 4096, 4096))
    place = (4095, 4000, 3000)
    with path.open("r+b") as file:
        file.seek(352 + int(np.ravel_multi_index(place, (4096,) * 3)))
        file.write(b"\x07")
    array = opened(path)
    block = array.read_box(Box((4094, 3990, 2990), (2, 20, 20)))
    assert np.argwhere(block).tolist() == [[1, 10, 10]]
    assert block[1, 10, 10] == 7


def test_planes_larger_than_one_call_reads(tmp_path):
    path = write(tmp_path / "a.nii", sample_voxels((2, 2100, 2100), "uint8"))
    np.testing.assert_array_equal(opened(path).read(), truth(path))


@given(st.data())
def test_any_box_of_shipped_images(data):
    name = data.draw(st.sampled_from(["functional.nii", "anatomical.nii"]))
    array = opened(SHIPPED / name)
    starts = [data.draw(st.integers(0, n - 1)) for n in array.shape]
    counts = [data.draw(st.integers(1, n - s)) for n, s in zip(array.shape, starts, strict=True)]
    box = Box(tuple(starts), tuple(counts))
    expected = truth(SHIPPED / name).astype(array.dtype)[box.slices]
    np.testing.assert_array_equal(array.read_box(box), expected)
    out = np.empty(box.shape[::-1], array.dtype).T  # not in C order
    assert array.read_box(box, out=out) is out
    np.testing.assert_array_equal(out, expected)


def test_shipped_compressed_image():
    path = SHIPPED / "example4d.nii.gz"
    array, expected = opened(path), truth(path)
    for box in random_boxes(array.spec, np.random.default_rng(0)):
        np.testing.assert_array_equal(array.read_box(box), expected[box.slices])


def test_chunks_are_what_lies_together(tmp_path):
    voxels = np.zeros((2, 9, 600, 500), "int16")
    assert opened(write(tmp_path / "a.nii", voxels)).chunks == (1, 1, 600, 500)
    assert opened(write(tmp_path / "a.nii.gz", voxels)).chunks == voxels.shape
    assert opened(write(tmp_path / "b.nii", voxels[0, :, :99])).chunks == (9, 99, 500)
    wide = sparse(tmp_path / "c.nii", (2, 3, 30000, 30000))
    assert opened(wide).chunks == (1, 1, 34, 30000)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_no_file_stays_open(streams):
    gc.collect()  # what other tests left behind
    before = len(list(Path("/proc/self/fd").iterdir()))
    arrays = [opened(SHIPPED / name) for name in ("example4d.nii.gz", "anatomical.nii")]
    for array in arrays:
        array.read()
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# What can go wrong


def test_no_such_file(tmp_path):
    with pytest.raises(SourceError, match="No such file") as error:
        opened(tmp_path / "a.nii")
    assert error.value.where == str(tmp_path / "a.nii")


@pytest.mark.parametrize("name", ["a.png", "a.gz", "a", "a.nii.zst"])
def test_other_suffixes_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(SourceError, match="not the name of a NIfTI file"):
        opened(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"hello", bytes(400), b"\x1f\x8b" + bytes(400)])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.hdr"])
def test_other_content_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match="not a NIfTI file") as error:
        opened(tmp_path / name)
    assert error.value.where == str(tmp_path / name)


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "a.nii").mkdir()
    with pytest.raises(SourceError, match="Is a directory"):
        opened(tmp_path / "a.nii")


def test_an_analyze_image_is_refused():
    """It does not say how it is oriented."""
    with pytest.raises(SourceError, match="not a NIfTI file"):
        opened(SHIPPED / "analyze.hdr")


def test_half_a_pair_is_refused():
    with pytest.raises(SourceError, match=r"image of the pair .*nifti1\.img"):
        opened(SHIPPED / "nifti1.hdr")


def test_a_truncated_file_is_found_at_open(tmp_path):
    path = write(tmp_path / "a.nii", sample_voxels((4, 5, 6), "int16"))
    os.truncate(path, 352 + 239)
    with pytest.raises(SourceError, match=r"truncated .*got 591 bytes.*expected 592 bytes"):
        opened(path)


def test_a_file_that_shrinks_behind_an_array_is_found_at_read(tmp_path):
    path = write(tmp_path / "a.nii", sample_voxels((4, 5, 6), "int16"))
    array = opened(path)
    os.truncate(path, 352 + 100)
    with pytest.raises(ReadError, match="too early") as error:
        array.read()
    assert error.value.where == str(path)
    assert array.read_box(Box((0, 0, 0), (1, 5, 6))).shape == (1, 5, 6)  # what is there is given
    path.unlink()
    with pytest.raises(ReadError, match="No such file"):
        array.read()


def test_a_truncated_stream_is_found_at_read(tmp_path, streams):
    path = write(tmp_path / "a.nii.gz", sample_voxels((40, 50, 60), "int16"))
    os.truncate(path, path.stat().st_size // 2)
    array = opened(path)
    for _ in range(2):
        with pytest.raises(ReadError) as error:
            array.read()
        assert error.value.where == str(path)
        assert isinstance(error.value.__cause__, EOFError)


@pytest.mark.parametrize("where", ["body", "checksum"])
def test_a_corrupt_stream_is_found_at_every_read(tmp_path, where, streams):
    path = write(tmp_path / "a.nii.gz", sample_voxels((40, 50, 60), "int16"))
    array = opened(path)  # before: what reads ahead finds it when it opens so small a file
    data = bytearray(path.read_bytes())
    at = len(data) // 2 if where == "body" else len(data) - 8
    data[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    for _ in range(2):
        with pytest.raises(ReadError, match="damaged"):
            array.read()


def test_a_stream_that_holds_too_little_is_found_at_read(tmp_path, streams):
    whole = write(tmp_path / "a.nii", sample_voxels((4, 5, 6), "int16")).read_bytes()
    path = tmp_path / "b.nii.gz"
    path.write_bytes(gzip.compress(whole[:-10]))
    with pytest.raises(ReadError, match="10 bytes too early"):
        opened(path).read()


@pytest.mark.parametrize(
    "row", [(0, 0, 0, 5), (np.nan, 0, 0, 0), (0.7, 0, 0, np.inf), (1e38, 1e38, 1e38, 0)]
)
def test_an_unusable_affine_is_refused(tmp_path, row):
    path = write(tmp_path / "a.nii", np.zeros((3, 4, 5), "uint8"), PLAIN)
    data = bytearray(path.read_bytes())
    data[280:296] = np.array(row, "<f4").tobytes()  # srow_x
    path.write_bytes(data)
    with pytest.raises(SourceError, match="cannot be inverted"):
        opened(path)


@given(st.lists(st.tuples(st.integers(4, 543), st.integers(0, 255)), min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore::UserWarning")  # nibabel's, about extensions
def test_damaged_headers_open_or_are_refused(tmp_path_factory, damage):
    """Whatever they say, nothing but the package's own errors comes out."""
    path = tmp_path_factory.getbasetemp() / "damaged.nii"
    write(path, np.zeros((3, 4, 5), "uint8"), PLAIN, of=nibabel.Nifti2Image)
    data = bytearray(path.read_bytes())
    for at, value in damage:
        data[at] = value
    path.write_bytes(data)
    try:
        array = opened(path)
    except SourceError as error:
        assert error.where == str(path)  # noqa: PT017  # both outcomes are right
    else:
        assert array.read_box(Box((0,) * array.ndim, (1,) * array.ndim)).dtype == array.dtype
