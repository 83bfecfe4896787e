"""Faults that are known from other tools, each on files of the format's own library: none of them is ours."""

from __future__ import annotations

from fractions import Fraction
from xml.etree import ElementTree as ET

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from nibabel.affines import apply_affine

import dacapo_like
from dacapo_like import from_numpy, open_array
from dacapo_like.geometry import Coordinate
from dacapo_like.testing import sample_voxels

OBLIQUE = np.array([[1.9, -0.4, 0.1, -7], [0.5, 1.8, -0.3, 12], [0.0, 0.4, 2.4, 3], [0, 0, 0, 1]])


def scan(path, shape=(4, 5, 6), dtype="int16", affine=None):
    affine = np.diag([0.5, 0.7, 3, 1]) if affine is None else affine
    image = nibabel.Nifti1Image(sample_voxels(shape, dtype), affine, dtype=np.dtype(dtype))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
    return image


def test_the_spacing_of_a_nifti_is_not_swapped_with_its_axes(tmp_path):
    scan(tmp_path / "a.nii")
    array = open_array({"type": "nifti", "file_name": str(tmp_path / "a.nii")})
    assert array.axes == ("z", "y", "x") or array.axes == ("x", "y", "z")
    sizes = dict(zip(array.axes, array.voxel_size, strict=True))
    assert sizes == {"x": Fraction("0.5"), "y": Fraction("0.7"), "z": 3}


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".zarr"])
def test_the_rotation_of_an_oblique_scan_survives(tmp_path, suffix):
    image = scan(tmp_path / "a.nii", affine=OBLIQUE)
    array = open_array({"type": "nifti", "file_name": str(tmp_path / "a.nii")})
    copy = array.save(tmp_path / f"copy{suffix}")
    kind = "zarr" if suffix == ".zarr" else "nifti"
    again = open_array({"type": kind, "file_name": str(copy)})
    corners = np.array([[0, 0, 0], [3, 0, 0], [0, 4, 0], [0, 0, 5], [3, 4, 5]])
    expected = apply_affine(image.affine, corners)
    for opened in (array, again):
        turned = corners[:, ["xyz".index(axis) for axis in opened.spec.spatial_axes]]
        found = apply_affine(opened.voxel_to_world, turned)
        world = found[:, [opened.spec.spatial_axes.index(axis) for axis in "xyz"]]
        np.testing.assert_allclose(world, expected, atol=1e-5)


@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32"])
def test_voxels_of_a_nifti_are_not_blown_up(tmp_path, dtype):
    image = scan(tmp_path / "a.nii", dtype=dtype)
    array = open_array({"type": "nifti", "file_name": str(tmp_path / "a.nii")})
    assert array.dtype == array[...].dtype == np.dtype(dtype)
    assert sorted(array[...].ravel()) == sorted(np.asanyarray(image.dataobj).ravel())
    copy = nibabel.load(array.save(tmp_path / "b.nii"))
    assert copy.get_data_dtype() == np.dtype(dtype)


def imaris_unit(path):
    with h5py.File(path) as file:
        attributes = file["DataSetInfo/Image"].attrs
        return b"".join(attributes["Unit"].tolist()).decode() if "Unit" in attributes else None


@pytest.mark.parametrize(("unit", "written"), [("mm", "mm"), ("um", "um"), (None, None)])
def test_units_of_imaris_are_those_of_the_array(tmp_path, unit, written):
    array = from_numpy(sample_voxels((4, 5, 6), "uint8"), voxel_size=(2, 1, 1), units=unit)
    path = array.save(tmp_path / "a.ims")
    assert imaris_unit(path) == written
    again = open_array({"type": "imaris", "file_name": str(path)})
    assert again.voxel_size == array.voxel_size
    assert again.units == ((unit,) * 3)


def test_a_level_of_an_ome_tiff_has_its_own_voxel_size(tmp_path):
    voxels = sample_voxels((64, 96), "uint16")
    metadata = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        file.write(voxels, subifds=1, tile=(16, 16), metadata=metadata)
        file.write(voxels[::2, ::2], subfiletype=1, tile=(16, 16))
    document = {"type": "tiff", "file_name": str(tmp_path / "a.ome.tif")}
    fine, coarse = open_array(document), open_array(document | {"level": 1})
    assert fine.voxel_size == Coordinate((Fraction(1, 4), Fraction(1, 2)))
    assert coarse.voxel_size == Coordinate((Fraction(1, 2), 1))
    assert coarse.roi == fine.roi


def test_omero_and_units_survive_a_copy(tmp_path):
    omero = {
        "channels": [
            {
                "label": "DAPI",
                "color": "0000FF",
                "window": {"min": 0, "max": 255, "start": 3, "end": 99},
            },
            {
                "label": "GFP",
                "color": "00FF00",
                "window": {"min": 0, "max": 255, "start": 0, "end": 50},
            },
        ]
    }
    axes = [
        {"name": "c", "type": "channel"},
        *({"name": axis, "type": "space", "unit": "nanometer"} for axis in "yx"),
    ]
    dataset = {
        "path": "0",
        "coordinateTransformations": [{"type": "scale", "scale": [1, 4, 4]}],
    }
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("0", data=sample_voxels((2, 6, 7), "uint8"))
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [{"axes": axes, "datasets": [dataset]}],
        "omero": omero,
    }
    copy = open_array({"type": "zarr", "file_name": str(tmp_path / "a.zarr")}).save(
        tmp_path / "b.zarr"
    )
    written = zarr.open_group(copy, mode="r").attrs["ome"]
    assert [
        {key: channel[key] for key in ("label", "color", "window")}
        for channel in written["omero"]["channels"]
    ] == omero["channels"]
    assert [axis.get("unit") for axis in written["multiscales"][0]["axes"]] == [
        None,
        "nanometer",
        "nanometer",
    ]


def test_transformations_of_the_whole_pyramid_are_applied(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("0", data=sample_voxels((6, 7), "uint8"))
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [
            {
                "axes": [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"],
                "datasets": [
                    {
                        "path": "0",
                        "coordinateTransformations": [
                            {"type": "scale", "scale": [2, 3]},
                            {"type": "translation", "translation": [10, 20]},
                        ],
                    }
                ],
                "coordinateTransformations": [
                    {"type": "scale", "scale": [5, 7]},
                    {"type": "translation", "translation": [1, 2]},
                ],
            }
        ],
    }
    array = open_array({"type": "zarr", "file_name": str(tmp_path / "a.zarr")})
    assert array.voxel_size == (10, 21)
    centre = array.spec.offset + array.spec.voxel_size / 2
    assert centre == Coordinate((10 * 5 + 1, 20 * 7 + 2))


def test_a_unit_that_nobody_gave_is_not_invented(tmp_path):
    array = from_numpy(sample_voxels((4, 5, 6), "uint8"), voxel_size=(2, 1, 1))
    path = array.save(tmp_path / "a.ome.tif")
    with tifffile.TiffFile(path) as file:
        pixels = ET.fromstring(file.ome_metadata).find(".//{*}Pixels")
    assert pixels.get("PhysicalSizeXUnit") in (None, "pixel", "reference frame")
    assert open_array({"type": "tiff", "file_name": str(path)}).units == (None,) * 3
    image = nibabel.load(array.save(tmp_path / "a.nii"))
    assert image.header.get_xyzt_units()[0] == "unknown"
    axes = zarr.open_group(array.save(tmp_path / "a.zarr"), mode="r").attrs["ome"]["multiscales"][
        0
    ]["axes"]
    assert all("unit" not in axis for axis in axes)
    assert (
        dacapo_like.open_array({"type": "zarr", "file_name": str(tmp_path / "a.zarr")}).units
        == (None,) * 3
    )
