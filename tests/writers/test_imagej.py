"""Hyperstacks as tifffile reads them, and as ImageJ's own source says they are."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

import dacapo_like
from dacapo_like.errors import ConfigError, DataWarning, SpecError
from dacapo_like.spec import from_shape
from dacapo_like.writers import imagej, tiff
from dacapo_like.writers.imagej import check_plane, first_page

TCZYX = (2, 3, 4, 20, 24)


def example(shape=TCZYX, dtype="uint16", **fields):
    voxels = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    given = {
        "axes": "tczyx"[-len(shape) :],
        "voxel_size": (2, 0.5, 0.7)[-len(shape) :],
        "units": "um",
    }
    return dacapo_like.from_numpy(voxels, **(given | fields))


def described(array):
    text = first_page(array.spec, "a.tif")["description"]
    return dict(line.split("=", 1) for line in text.splitlines())


def test_the_voxels_of_all_planes_follow_each_other(tmp_path):
    """ImageJ reads the first page, and passes over the others."""
    array = example()
    path = array.to_tiff(tmp_path / "a.tif", metadata="imagej")
    with tifffile.TiffFile(path) as file:
        assert file.is_imagej
        assert len(file.pages) == 24
        start = file.pages[0].dataoffsets[0]
        assert file.byteorder == ">"
    stored = np.fromfile(path, ">u2", array.read().size, offset=start).reshape(2, 4, 3, 20, 24)
    np.testing.assert_array_equal(stored, array.read().transpose(0, 2, 1, 3, 4))


@pytest.mark.parametrize("order", ["tczyx", "ctzyx"])
def test_the_axes_are_imagejs(tmp_path, order):
    array = example(axes=order)
    with tifffile.TiffFile(array.to_tiff(tmp_path / "a.tif", metadata="imagej")) as file:
        assert file.series[0].axes == "TZCYX"
        turned = array.read().transpose([order.index(axis) for axis in "tzcyx"])
        np.testing.assert_array_equal(file.asarray(), turned)
        assert file.imagej_metadata["hyperstack"]


@pytest.mark.parametrize("channels", [None, ("DAPI", "GFP", "µ")])
def test_what_has_no_room_for_all_pages_is_one_page(tmp_path, monkeypatch, channels):
    monkeypatch.setattr(tiff, "_CLASSIC", 10_000)
    array = example(channels=channels, offset=(3, 0, -7))
    path = array.to_tiff(tmp_path / "a.tif", metadata="imagej")
    with tifffile.TiffFile(path) as file:
        assert (len(file.pages), file.is_bigtiff) == (1, False)
        assert file.series[0].axes == "TZCYX"
        np.testing.assert_array_equal(file.asarray().transpose(0, 2, 1, 3, 4), array.read())
    again = dacapo_like.open_array({"type": "tiff", "file_name": str(path)})
    np.testing.assert_array_equal(again[1, 1:, 2:, 3:9], array[1, 1:, 2:, 3:9])
    assert (again.roi, again.voxel_size, again.channels) == (array.roi, array.voxel_size, channels)


def test_what_the_description_says():
    shown = {"omero": {"channels": [{"window": {"min": 0, "max": 99, "start": 3, "end": 40.5}}]}}
    array = example((4, 20, 24), offset=(10, -2, 7))
    spec = array.spec.replace(attrs=shown)
    assert first_page(spec, "a.tif")["description"].splitlines() == [
        *("ImageJ=1.54f", "images=4", "slices=4", "hyperstack=true", "mode=grayscale"),
        *(r"unit=\u00B5m", "zorigin=-5.0", "yorigin=4.0", "xorigin=-10.0", "spacing=2.0"),
        *("loop=false", "min=3.0", "max=40.5"),
    ]


def test_channels_are_shown_over_each_other_and_name_their_planes(tmp_path):
    array = example((2, 2, 20, 24), channels=("DAPI", "GFP"))
    assert described(array)["mode"] == "composite"
    with tifffile.TiffFile(array.to_tiff(tmp_path / "a.tif", metadata="imagej")) as file:
        assert file.imagej_metadata["Labels"] == ["DAPI", "GFP"] * 2
    assert described(example((9, 4, 20, 24)))["mode"] == "grayscale"


@pytest.mark.parametrize(
    ("units", "unit", "spacing"),
    [
        (("nm",) * 3, "nm", "2.0"),
        (("mm", "um", "nm"), "nm", "2000000.0"),
        (("px",) * 3, "px", "2.0"),
        (("angstrom",) * 3, r"\u00C5", "2.0"),
    ],
)
def test_the_unit_is_that_of_x(units, unit, spacing):
    said = described(example((4, 20, 24), units=units))
    assert (said["unit"], said["spacing"]) == (unit, spacing)


@pytest.mark.parametrize("units", [None, ("um", None, "um"), ("um", "px", "um")])
def test_sizes_of_which_the_unit_is_not_known_are_said_to_be_lost(tmp_path, units):
    array = example((4, 20, 24), units=units)
    with pytest.warns(DataWarning, match="ImageJ does not keep voxel_size and offset"):
        path = array.to_tiff(tmp_path / "a.tif", metadata="imagej")
    again = dacapo_like.open_array({"type": "tiff", "file_name": str(path)})
    assert (again.voxel_size, again.units) == ((1, 1, 1), (None,) * 3)


@pytest.mark.parametrize("offset", [100, 99.3, -512.34, 0.001, 123456.789])
@pytest.mark.parametrize("size", [9.8, 0.325, 0.7])
def test_a_copy_does_not_move_by_a_rounding(tmp_path, size, offset):
    array = example(voxel_size=(40, 4, size), offset=(7, 11.1, offset))
    path = array.to_tiff(tmp_path / "a.tif", metadata="imagej")
    assert dacapo_like.open_array({"type": "tiff", "file_name": str(path)}).roi == array.roi


def test_what_imagej_has_no_word_for_is_said(tmp_path):
    array = example((4, 20, 24), kind="labels")
    with pytest.warns(DataWarning, match="kind: labels"):
        array.to_tiff(tmp_path / "a.tif", metadata="imagej")


@pytest.mark.parametrize("size", ["1/3", 0.000123456789, "12345678901/1000"])
def test_sizes_that_no_ratio_of_tiff_holds_are_the_nearest(tmp_path, size):
    array = example((4, 20, 24), voxel_size=(size, size, 1))
    path = array.to_tiff(tmp_path / "a.tif", metadata="imagej")
    again = dacapo_like.open_array({"type": "tiff", "file_name": str(path)})
    np.testing.assert_allclose(*(list(map(float, a.voxel_size)) for a in (again, array)), rtol=1e-9)


@pytest.mark.parametrize("size", [2**33, "1/8589934592"])
def test_sizes_that_are_far_from_any_ratio_of_tiff_are_refused(tmp_path, size):
    with pytest.raises(SpecError, match=r"no ratio for such a voxel size .*other units"):
        example(voxel_size=(1, 1, size)).to_tiff(tmp_path / "a.tif", metadata="imagej")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_types_that_it_has(tmp_path, dtype):
    array = example((4, 20, 24), dtype)
    path = array.to_tiff(tmp_path / "a.tif", metadata="imagej")
    np.testing.assert_array_equal(tifffile.imread(path), array.read())


@pytest.mark.parametrize(
    ("dtype", "way_out"),
    [("bool", "uint8"), ("int8", "int16"), ("float16", "float32"), ("uint32", "OME-Zarr")],
)
def test_types_that_it_lacks_are_refused(tmp_path, dtype, way_out):
    with pytest.raises(SpecError, match=f"ImageJ has no such voxels.*{way_out}"):
        example(dtype=dtype).to_tiff(tmp_path / "a.tif", metadata="imagej")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options", [{"compression": "zlib"}, {"tile": (16, 16)}, {"bigtiff": True}]
)
def test_what_imagej_does_not_read_is_refused(tmp_path, options):
    with pytest.raises(ConfigError, match=f"ImageJ have no {next(iter(options))}"):
        example().to_tiff(tmp_path / "a.tif", metadata="imagej", **options)
    assert list(tmp_path.iterdir()) == []


def test_planes_are_arrays_of_javas():
    check_plane(from_shape((2**16, 2**15 - 1)))
    with pytest.raises(SpecError, match="so many pixels"):
        check_plane(from_shape((2**16, 2**15)))
    assert set(imagej.LACKING) & {"uint8", "uint16", "int16", "float32"} == set()
