"""The real ZarrNii, in an environment of its own: we read what it writes, it reads what we write, and of its faults none is ours."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from nibabel.affines import apply_affine

from dacapo_like import from_numpy, open_array
from dacapo_like.geometry import Coordinate
from dacapo_like.testing import sample_voxels
from dacapo_like.units import length_factor

pytestmark = pytest.mark.slow

VERSIONS = {"zarrnii": "0.21.6", "ome-zarr": "0.16.0", "ngff-zarr": "0.34.2"}
"""The faults are those of these."""

VOXELS = sample_voxels((2, 10, 12, 14), "uint16")
LABELS = ["DAPI", "GFP"]
STRAIGHT = np.array([[-0.5, 0, 0, 5], [0, -0.75, 0, -7], [0, 0, 3, 30], [0, 0, 0, 1]])
OBLIQUE = np.array([[1.9, -0.4, 0.1, -7], [0.5, 1.8, -0.3, 12], [0, 0.4, 2.4, 3], [0, 0, 0, 1]])
ZARRS = [
    "a.zarr",
    "a.ozx",
    "a.zarr.zip",
    "v2.zarr",
    "sharded.zarr",
    "ngff.zarr",
    "from_nifti.zarr",
]


# What is given to it


def make_nifti(path, affine):
    image = nibabel.Nifti1Image(sample_voxels((4, 5, 6), "int16"), affine, dtype=np.int16)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def make_ngff(path, axes, datasets, **image):
    group = zarr.create_group(path)
    for i in range(len(datasets)):
        group.create_array(str(i), data=VOXELS[0])
    listed = [{"path": str(i), "coordinateTransformations": d} for i, d in enumerate(datasets)]
    image |= {"axes": axes, "datasets": listed}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}


def make_given(folder):
    make_nifti(folder / "straight.nii", STRAIGHT)
    make_nifti(folder / "oblique.nii", OBLIQUE)
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 2}
    with tifffile.TiffWriter(folder / "pyramid.ome.tif") as file:
        file.write(VOXELS[0], subifds=1, tile=(16, 16), metadata=metadata)
        file.write(VOXELS[0, :, ::2, ::2], subfiletype=1, tile=(16, 16))
    axes = [{"name": axis, "type": "space"} for axis in "zyx"]
    scale = [{"type": "scale", "scale": [3, 0.75, 0.5]}]
    make_ngff(folder / "no_unit.zarr", axes, [scale])
    whole = [
        {"type": "scale", "scale": [5, 7, 2]},
        {"type": "translation", "translation": [1, 2, 3]},
    ]
    with_units = [axis | {"unit": "millimeter"} for axis in axes]
    make_ngff(folder / "whole.zarr", with_units, [scale], coordinateTransformations=whole)


PLACE = {"voxel_size": (3, 0.75, 0.5), "offset": (30, -8, 5), "units": "um"}


def ours():
    return from_numpy(VOXELS, axes=("c", "z", "y", "x"), channels=LABELS, **PLACE)


def make_ours(folder):
    ours().to_ome_zarr(folder / "ours_5.zarr", levels=2)
    ours().to_ome_zarr(folder / "ours_4.zarr", version="0.4")
    for name in ("ours.zarr.zip", "ours.ome.tif", "ours.ims"):
        ours().save(folder / name)
    from_numpy(VOXELS[1], **PLACE).save(folder / "ours.nii.gz")


@pytest.fixture(scope="module")
def zarrnii(tmp_path_factory, run_peer):
    """Give the folder of what ZarrNii wrote and read."""
    folder = tmp_path_factory.mktemp("zarrnii")
    np.save(folder / "voxels.npy", VOXELS)
    (folder / "given").mkdir()
    make_given(folder / "given")
    make_ours(folder / "given")
    run_peer("zarrnii", folder)
    return folder


@pytest.fixture(scope="module")
def answers(zarrnii):
    return json.loads((zarrnii / "answers.json").read_text())


# Where voxels lie

CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))


def to_millimeters(array):
    """Give the affine from the indices x, y, z of a voxel to where its centre is, x, y, z."""
    assert len(set(array.units)) == 1
    order = [array.spec.spatial_axes.index(axis) for axis in "xyz"]
    affine = array.voxel_to_world[np.ix_([*order, 3], [*order, 3])]
    affine[:3] *= float(length_factor(array.units[0], "mm"))
    return affine


def assert_same_corners(affine, expected, shape_xyz):
    corners = CORNERS * (np.array(shape_xyz) - 1)
    np.testing.assert_allclose(
        apply_affine(affine, corners), apply_affine(np.array(expected), corners), rtol=1e-5
    )


def opened(path, kind, **fields):
    return open_array({"type": kind, "file_name": str(path), **fields})


def test_the_versions_are_those_whose_faults_are_told(answers):
    assert answers["versions"] == VERSIONS


# What it writes, read by us


@pytest.mark.parametrize("name", [*ZARRS, "a.nii.gz"])
def test_a_file_of_its_holds_what_it_says(zarrnii, answers, name):
    array = opened(zarrnii / "written" / name, "zarr" if "nii.gz" not in name else "nifti")
    assert array.axes == ("c", "z", "y", "x")
    np.testing.assert_array_equal(array[...], VOXELS)
    assert {length_factor(unit, "mm") for unit in array.units} == {1}
    assert_same_corners(to_millimeters(array), answers["written"]["affine"], (14, 12, 10))
    if name != "ngff.zarr":
        assert list(array.channels) == LABELS == answers["written"]["labels"]


@pytest.mark.parametrize("suffix", [".zarr", ".nii.gz"])
def test_a_copy_of_ours_lies_where_its_image_lies(zarrnii, answers, tmp_path, suffix):
    array = opened(zarrnii / "written" / "a.ozx", "zarr")
    path = array.save(tmp_path / f"copy{suffix}")
    copy = opened(path, "zarr" if suffix == ".zarr" else "nifti")
    assert_same_corners(to_millimeters(copy), answers["written"]["affine"], (14, 12, 10))
    np.testing.assert_array_equal(copy[...], VOXELS)
    assert list(copy.channels) == LABELS


def test_its_tiff_stack_holds_the_channel(zarrnii):
    pattern = str(zarrnii / "written" / "stack" / "z{z:04d}.tif")
    array = open_array({"type": "tiff", "pattern": pattern})
    np.testing.assert_array_equal(array[...], VOXELS[1])


def test_its_imaris_file_holds_the_voxels_and_their_size(zarrnii):
    array = opened(zarrnii / "written" / "a.ims", "imaris")
    np.testing.assert_array_equal(array[...], VOXELS)
    assert array.voxel_size == Coordinate((3, 0.75, 0.5))


# What we write, read by it


@pytest.mark.parametrize("name", ["ours_5", "ours_4", "ours_zip", "ours_tif", "ours_ims"])
def test_it_reads_from_us_what_we_wrote(zarrnii, answers, name):
    said, array = answers["read"][name], ours()
    np.testing.assert_array_equal(np.load(zarrnii / f"{name}.npy"), VOXELS)
    assert (said["dims"], said["dtype"]) == ("czyx", "uint16")
    assert said["scale"] == pytest.approx({"x": 0.0005, "y": 0.00075, "z": 0.003})
    if name not in ("ours_tif", "ours_ims"):  # of these it reads neither place nor labels
        assert said["labels"] == LABELS
        assert_same_corners(said["affine"], to_millimeters(array), (14, 12, 10))


def test_it_reads_our_nifti(zarrnii, answers):
    said = answers["read"]["ours_nii"]
    voxels = np.load(zarrnii / "ours_nii.npy")
    np.testing.assert_array_equal(voxels.transpose(0, 3, 2, 1), VOXELS[1:2])
    assert_same_corners(said["affine"], to_millimeters(ours()), (14, 12, 10))


def test_it_reads_a_level_of_ours_where_it_lies(zarrnii, answers):
    array = opened(zarrnii / "given" / "ours_5.zarr", "zarr", level=1)
    said = answers["read"]["ours_5_level_1"]
    assert array.shape == (2, 10, 6, 7)
    np.testing.assert_array_equal(np.load(zarrnii / "ours_5_level_1.npy"), array[...])
    assert_same_corners(said["affine"], to_millimeters(array), array.shape[:0:-1])


# Its faults


def test_fault_a_nifti_as_zyx_has_its_spacing_swapped(zarrnii, answers):
    assert answers["read"]["straight"]["affine"] == STRAIGHT.tolist()
    assert answers["read"]["straight_zyx"]["scale"] == {"x": 3, "y": 0.75, "z": 0.5}
    array = opened(zarrnii / "given" / "straight.nii", "nifti", axes=["z", "y", "x"])
    assert dict(zip(array.axes, array.voxel_size, strict=True)) == {
        "x": Fraction(1, 2),
        "y": Fraction(3, 4),
        "z": 3,
    }
    assert_same_corners(to_millimeters(array), STRAIGHT, (4, 5, 6))


def test_fault_an_oblique_scan_loses_its_rotation(zarrnii, answers):
    theirs = np.array(answers["read"]["oblique"]["affine"])
    assert (theirs[:3, :3] == np.diag(theirs.diagonal()[:3])).all()
    array = opened(zarrnii / "given" / "oblique.nii", "nifti")
    assert_same_corners(to_millimeters(array), OBLIQUE, (4, 5, 6))


def test_fault_integers_become_float64(zarrnii, answers):
    assert answers["read"]["straight"]["dtype"] == "float64"
    written = opened(zarrnii / "written" / "from_nifti.zarr", "zarr")
    assert written.dtype == np.float64
    assert opened(zarrnii / "given" / "straight.nii", "nifti").dtype == np.int16


def imaris_unit(path):
    with h5py.File(path) as file:
        return b"".join(file["DataSetInfo/Image"].attrs["Unit"].tolist()).decode()


def test_fault_millimeters_become_micrometers_in_imaris(zarrnii, answers, tmp_path):
    assert answers["written"]["scale"] == {"x": 0.5, "y": 0.75, "z": 3}
    assert imaris_unit(zarrnii / "written" / "a.ims") == "um"
    array = from_numpy(VOXELS, voxel_size=(3, 0.75, 0.5), units="mm")
    assert imaris_unit(array.save(tmp_path / "a.ims")) == "mm"


def test_fault_names_of_channels_are_lost_in_imaris(zarrnii, tmp_path):
    assert opened(zarrnii / "written" / "a.ims", "imaris").channels == ("Channel 0", "Channel 1")
    again = opened(ours().save(tmp_path / "a.ims"), "imaris")
    assert list(again.channels) == LABELS


def test_fault_a_unit_that_nobody_gave_becomes_micrometer(zarrnii, answers, tmp_path):
    written = opened(zarrnii / "written" / "no_unit.zarr", "zarr")
    assert {length_factor(unit, "um") for unit in written.units} == {1}
    assert answers["read"]["no_unit"]["scale"]["z"] == pytest.approx(0.003)
    array = opened(zarrnii / "given" / "no_unit.zarr", "zarr")
    assert array.voxel_size == Coordinate((3, 0.75, 0.5))
    assert array.units == opened(array.save(tmp_path / "a.zarr"), "zarr").units == (None,) * 3


def test_fault_a_level_of_an_ome_tiff_has_the_spacing_of_the_finest(zarrnii, answers):
    said = answers["read"]
    assert np.load(zarrnii / "pyramid_1.npy").shape == (1, 10, 6, 7)
    assert said["pyramid_1"]["scale"] == said["pyramid_0"]["scale"]
    array = opened(zarrnii / "given" / "pyramid.ome.tif", "tiff", level=1)
    assert array.voxel_size == Coordinate((2, 0.5, 1))


def test_fault_omero_is_lost_by_its_other_writer(zarrnii, tmp_path):
    assert "omero" not in zarr.open_group(zarrnii / "written" / "ngff.zarr").attrs["ome"]
    array = opened(zarrnii / "written" / "a.zarr", "zarr")
    copy = zarr.open_group(array.save(tmp_path / "a.zarr"), mode="r").attrs["ome"]
    shown = [
        (channel["label"], channel["color"], channel["window"]["end"])
        for channel in copy["omero"]["channels"]
    ]
    assert shown == [("DAPI", "0000FF", 99), ("GFP", "00FF00", 50)]


def test_fault_transformations_of_the_whole_pyramid_are_dropped(zarrnii, answers):
    assert answers["read"]["whole"]["scale"] == {"x": 0.5, "y": 0.75, "z": 3}
    array = opened(zarrnii / "given" / "whole.zarr", "zarr")
    assert array.voxel_size == Coordinate((15, 5.25, 1))
    assert to_millimeters(array)[:3, 3].tolist() == [3, 2, 1]


def test_fault_a_coarser_level_is_shifted_where_an_axis_points_the_other_way(zarrnii, answers):
    path = zarrnii / "written" / "a.zarr"
    fine, coarse = opened(path, "zarr"), opened(path, "zarr", level=1)
    factors = [int(c / f) for c, f in zip(coarse.voxel_size, fine.voxel_size, strict=True)][::-1]
    first = np.array(list(itertools.product(*(range(factor) for factor in factors))))
    centre = apply_affine(to_millimeters(fine), first).mean(axis=0)
    np.testing.assert_allclose(to_millimeters(coarse)[:3, 3], centre)
    theirs = np.array(answers["read"]["level_1"]["affine"])[:3, 3]
    assert factors == [8, 4, 1]
    np.testing.assert_allclose(theirs - centre, [3.5, 2.25, 0])
