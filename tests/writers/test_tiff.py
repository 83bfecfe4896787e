"""TIFF as tifffile reads it."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import tifffile

import dacapo_like
from dacapo_like.errors import ConfigError, DataWarning, SpecError
from dacapo_like.spec import from_shape
from dacapo_like.units import LENGTH_UNITS
from dacapo_like.writers import tiff
from dacapo_like.writers.ome_xml import ome_xml
from dacapo_like.writers.tiff import TiffWriter


def example(shape=(2, 3, 20, 24), dtype="uint16", **fields):
    data = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    given = {"axes": "tczyx"[-len(shape) :], "voxel_size": (2, 0.5, 0.7), "units": "um"}
    return dacapo_like.from_numpy(data, **(given | fields))


def test_pages_are_planes(tmp_path):
    array = example(channels=("DAPI", "GFP"))
    with tifffile.TiffFile(array.to_tiff(tmp_path / "a.tif", tile=(16, 32))) as file:
        assert file.is_ome
        assert len(file.pages) == 6
        page = file.pages[3]
        assert (page.tile, page.compression.name) == ((16, 32), "ADOBE_DEFLATE")
        np.testing.assert_array_equal(page.asarray(), array[1, 0])
        assert not file.is_bigtiff
    with tifffile.TiffFile(
        array.to_tiff(tmp_path / "b.tif", compression=None, bigtiff=True)
    ) as file:
        assert file.is_bigtiff
        assert file.pages[0].compression.name == "NONE"
        np.testing.assert_array_equal(file.asarray(), array.read())


def test_the_metadata_are_of_omes_own_schema(tmp_path):
    """Order of elements and required attributes of OME 2016-06, as its schema has them."""
    spec = example(offset=(5, 0, 0), channels=("DAPI", "<&>")).spec
    root = ET.fromstring(ome_xml(spec, "µ & co"))
    names = [item.tag.partition("}")[2] for item in root.iter()]
    assert names == [
        *("OME", "Image", "Pixels", "Channel", "Channel", "TiffData", "Plane"),
        *("AnnotationRef", "StructuredAnnotations", "CommentAnnotation", "Value"),
    ]
    pixels = root.find(".//{*}Pixels")
    assert {"ID", "DimensionOrder", "Type", *(f"Size{axis}" for axis in "XYZCT")} <= set(
        pixels.attrib
    )
    assert [channel.get("Name") for channel in root.iter(f"{{{_NAMESPACE}}}Channel")] == [
        "DAPI",
        "<&>",
    ]
    assert root.find("{*}Image").get("Name") == "µ & co"
    place = root.find(".//{*}Plane")
    assert [place.get(f"Position{axis}") for axis in "ZYX"] == ["6.0", "0.25", "0.35"]


_NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


@pytest.mark.parametrize("unit", LENGTH_UNITS)
def test_every_unit_of_length_has_its_symbol(unit):
    root = ET.fromstring(ome_xml(from_shape((4, 4), units=unit), "a"))
    symbol = root.find(".//{*}Pixels").get("PhysicalSizeXUnit")
    assert symbol not in {"reference frame", "pixel", None}
    if symbol not in _ONLY_OMES:
        assert dacapo_like.units.length_name(symbol) == unit


_ONLY_OMES = {"Ym", "Zm", "Em", "Pm", "Tm", "Gm", "Mm", "hm", "am", "zm", "ym"}


def test_unknown_units_stay_unknown(tmp_path):
    array = example(units=(None, "px", "um"))
    with tifffile.TiffFile(array.to_tiff(tmp_path / "a.tif")) as file:
        pixels = ET.fromstring(file.ome_metadata).find(".//{*}Pixels")
        ours = ET.fromstring(file.ome_metadata).find(".//{*}Value").text
    assert [pixels.get(f"PhysicalSize{axis}Unit") for axis in "ZYX"] == [
        *("reference frame", "reference frame", "µm")
    ]
    assert json.loads(ours)["units"] == ["", "px", "um"]


@pytest.mark.parametrize(
    ("dtype", "way_out"), [("bool", "uint8"), ("float16", "float32"), ("uint64", "OME-Zarr")]
)
def test_missing_types_are_refused(tmp_path, dtype, way_out):
    with pytest.raises(SpecError, match=f"OME-TIFF has no such voxels.*{way_out}"):
        example(dtype=dtype).to_tiff(tmp_path / "a.tif")


def test_bare_pages_hold_every_type_and_say_what_is_lost(tmp_path):
    for dtype in ("uint64", "int64", "float16"):
        array = example(dtype=dtype)
        with pytest.warns(DataWarning, match=r"voxel_size: \[2, 0.5, 0.7\]"):
            path = array.to_tiff(tmp_path / f"{dtype}.tif", metadata=None)
        with tifffile.TiffFile(path) as file:
            assert not file.is_ome
            np.testing.assert_array_equal(file.asarray().reshape(array.shape), array.read())


@pytest.mark.parametrize(
    "options",
    [
        {"tile": (15, 16)},
        {"tile": (16,)},
        {"tile": 16},
        {"bigtiff": "yes"},
        {"compression": "jpeg"},
        {"metadata": "x"},
    ],
)
def test_options_that_it_has_not_are_refused(tmp_path, options):
    with pytest.raises(ConfigError):
        example().to_tiff(tmp_path / "a.tif", **options)
    assert list(tmp_path.iterdir()) == []


def test_other_axes_are_refused(tmp_path):
    with pytest.raises(SpecError, match="t and c before y x or z y x"):
        example((2, 2, 4, 4, 4), axes="sczyx").to_tiff(tmp_path / "a.tif")


# Stacks


@pytest.mark.parametrize("pattern", ["stack/z{z:04d}_c{c}.tif", "stack/c{c}/{z}.tiff"])
def test_a_stack_has_one_file_for_each_plane(tmp_path, pattern):
    array = example((2, 12, 20, 24), voxel_size=(1, 1, 1), units=None)
    with pytest.warns(DataWarning, match=r"axes: \[c, z, y, x\]"):
        array.to_tiff(tmp_path / pattern)
    for c in range(2):
        for z in range(12):
            page = tifffile.imread(tmp_path / pattern.format(c=c, z=z))
            np.testing.assert_array_equal(page, array[c, z])
    assert len([p for p in (tmp_path / "stack").rglob("*") if p.is_file()]) == 24
    assert [item.name for item in tmp_path.iterdir()] == ["stack"]


def test_a_stack_replaces_only_its_like(tmp_path):
    pattern = tmp_path / "stack" / "z{z:02d}.tif"
    long, short = (example((n, 4, 4), axes="zyx", voxel_size=(1, 1, 1), units=None) for n in (9, 3))
    long.to_tiff(pattern)
    with pytest.raises(OSError, match="exists already"):
        short.to_tiff(pattern)
    short.to_tiff(pattern, overwrite=True)
    assert sorted(item.name for item in pattern.parent.iterdir()) == [
        "z00.tif",
        "z01.tif",
        "z02.tif",
    ]
    (pattern.parent / "notes.txt").write_text("mine")
    with pytest.raises(OSError, match="of another kind"):
        short.to_tiff(pattern, overwrite=True)


@pytest.mark.parametrize(
    "pattern",
    [
        "s/z{z}.tif",
        "s/{z}_{c}_{t}.tif",
        "s/{z}_{c}.png",
        "s/{z}_{c",
        "s/{}_{}.tif",
        "s/{z.q}{c}.tif",
    ],
)
def test_patterns_that_do_not_name_each_plane_are_refused(tmp_path, pattern):
    with pytest.raises(ConfigError, match=r"pattern|file name"):
        example().to_tiff(tmp_path / pattern)
    with pytest.raises(ConfigError, match="folder of its own"):
        example().save("{z}_{c}.tif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("planes", "big"), [(1, False), (10, True)])
def test_large_arrays_are_bigtiff(tmp_path, monkeypatch, planes, big):
    monkeypatch.setattr(tiff, "_CLASSIC", 10_000)
    array = example((planes, 20, 24), axes="zyx")
    with tifffile.TiffFile(array.to_tiff(tmp_path / "a.tif")) as file:
        assert file.is_bigtiff == big


def test_annotations_are_json(tmp_path):
    with pytest.raises(ConfigError, match="not JSON"):
        TiffWriter(tmp_path / "a.tif", from_shape((4, 4)), attributes={"note": float("nan")})
    assert list(tmp_path.iterdir()) == []
