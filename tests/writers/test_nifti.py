"""NIfTI as nibabel reads it: what came from NIfTI goes back as it came, and what did not is where it was."""

from __future__ import annotations

import gzip
import itertools
import json
from fractions import Fraction
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine
from nibabel.testing import data_path

import dacapo_like
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.spec import from_shape
from dacapo_like.units import length_factor, length_name
from dacapo_like.writers.nifti import NiftiWriter

SHIPPED = ["anatomical.nii", "functional.nii", "example4d.nii.gz", "example_nifti2.nii.gz"]


def written(array, path, **options):
    return nibabel.load(array.to_nifti(path, **options))


def nifti(path):
    return dacapo_like.NiftiArrayConfig(file_name=str(path)).array()


def example(shape=(4, 5, 6), dtype="int16", **fields):
    values = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    return dacapo_like.from_numpy(values, **fields)


def corners(affine, shape):
    return apply_affine(affine, list(itertools.product(*((-0.5, n - 0.5) for n in shape))))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_images_go_back_as_they_came(tmp_path, name):
    path = Path(data_path) / name
    original = nibabel.load(path)
    array = nifti(path)
    again = written(array, tmp_path / name)
    assert again.shape == original.shape
    assert again.get_data_dtype() == array.dtype
    if original.dataobj.slope == 1:
        assert again.get_data_dtype().newbyteorder("=") == original.get_data_dtype().newbyteorder(
            "="
        )
    np.testing.assert_array_equal(np.asanyarray(again.dataobj), array.read().T)
    np.testing.assert_allclose(again.affine, original.affine, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(again.header.get_zooms(), original.header.get_zooms(), rtol=1e-6)
    assert again.header.get_xyzt_units() == original.header.get_xyzt_units()
    assert int(again.header["sform_code"]) == int(
        original.header["sform_code"] or original.header["qform_code"]
    )
    assert again.header["descrip"] == original.header["descrip"].item().partition(b"\0")[0]
    assert nifti(tmp_path / name).spec.roi == array.spec.roi


@settings(max_examples=40)
@given(
    turn=st.tuples(*[st.floats(-3, 3)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1),
    flip=st.booleans(),
    sizes=st.tuples(*[st.decimals("0.01", 50, places=2)] * 3),
    offset=st.tuples(*[st.decimals(-500, 500, places=2)] * 3),
)
def test_oblique_corners_are_where_they_were(tmp_path_factory, turn, flip, sizes, offset):
    directions = nibabel.quaternions.quat2mat(turn) * ((-1, 1, 1) if flip else (1, 1, 1))
    array = example(voxel_size=sizes, offset=offset, units="mm", directions=directions.T.tolist())
    image = written(array, tmp_path_factory.mktemp("oblique") / "a.nii")
    expected = corners(array.voxel_to_world, array.shape)
    half_turn = abs(turn[0]) < 0.01 * np.linalg.norm(turn)  # then float32 may lose what is left
    for affine, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
        if affine is None:
            assert half_turn
            continue
        assert code == 2
        found = corners(affine[[2, 1, 0, 3]][:, [2, 1, 0, 3]], array.shape)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, atol=2e-5 * scale)
    assert image.get_sform(coded=True)[1] == 2


def test_a_turn_that_a_quaternion_loses_has_no_qform(tmp_path):
    half, nearly = (nibabel.quaternions.quat2mat((w, 0, 0, 1)).T.tolist() for w in (0, 2e-4))
    image = written(example(directions=half), tmp_path / "a.nii")
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (2, 2)
    long = example((4, 2000, 4), directions=nearly, voxel_size=(1, 1, 1), units="mm")
    image = written(long, tmp_path / "b.nii")
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (0, 2)
    expected = corners(long.voxel_to_world, long.shape)
    affine = image.affine[[2, 1, 0, 3]][:, [2, 1, 0, 3]]
    np.testing.assert_allclose(corners(affine, long.shape), expected, atol=1e-3)


def test_a_sheared_affine_has_no_qform(tmp_path):
    sheared = ((1, 0, 0), (0, 1, 0), (0, 0.6, 0.8))
    image = written(example(directions=sheared), tmp_path / "a.nii")
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (0, 2)
    np.testing.assert_allclose(image.affine[:3, 0], (0.8, 0.6, 0), rtol=1e-6)


@pytest.mark.parametrize(
    ("units", "given_units", "stored"),
    [
        ("mm", None, "mm"),
        ("um", None, "micron"),
        ("meter", None, "meter"),
        ("nm", None, "micron"),
        ("cm", None, "mm"),
        ("km", None, "meter"),
        ("nm", "mm", "mm"),
        (("mm", "um", "um"), None, "micron"),
        (None, None, "unknown"),
    ],
)
def test_units(tmp_path, units, given_units, stored):
    array = example(voxel_size=(40, 4, 4), offset=(80, 0, -4), units=units)
    path = tmp_path / "a.nii"
    image = written(array, path, **({"units": given_units} if given_units else {}))
    assert image.header.get_xyzt_units()[0] == stored
    again = nifti(path)
    factors = [
        length_factor(length_name(old), length_name(new)) if old else 1
        for old, new in zip(array.units, again.units, strict=True)
    ]
    assert again.spec.voxel_size == array.spec.voxel_size * factors
    assert again.spec.offset == array.spec.offset * factors


@pytest.mark.parametrize("units", [("mm", None, "mm"), "px"])
def test_units_that_it_cannot_say_are_refused(tmp_path, units):
    with pytest.raises(SpecError, match="NIfTI has"):
        example(units=units).to_nifti(tmp_path / "a.nii")
    with pytest.raises(SpecError, match="m, mm or um"):
        example(units="mm").to_nifti(tmp_path / "a.nii", units="cm")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("dtype", "nearest"), [("bool", "uint8"), ("float16", "float32")])
def test_missing_types_are_refused_with_the_nearest(tmp_path, dtype, nearest):
    with pytest.raises(SpecError, match=f"NIfTI has no such voxels.*{nearest}"):
        example(dtype=dtype).to_nifti(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("axes", "hint"), [("szyx", "one file"), ("tsyx", "one file"), ("cxyz", "order z y x")]
)
def test_other_axes_are_refused(tmp_path, axes, hint):
    with pytest.raises(SpecError, match=f"no place for these axes.*{hint}"):
        example((2, 3, 4, 5), axes=axes).to_nifti(tmp_path / "a.nii")


def test_channel_labels_are_where_zarrnii_looks_for_them(tmp_path):
    array = example((3, 2, 4, 5), axes="czyx", channels=("DAPI", "GFP", "µ"))
    (extension,) = written(array, tmp_path / "a.nii.gz").header.extensions
    assert extension.get_code() == 1
    assert json.loads(extension.get_content().decode("utf-8").rstrip("\0")) == {
        "channel_labels": ["DAPI", "GFP", "µ"]
    }


def test_labels_keep_their_intent(tmp_path):
    array = example(dtype="uint8", kind="labels")
    assert written(array, tmp_path / "a.nii").header.get_intent()[0] == "label"
    assert nifti(tmp_path / "a.nii").spec.kind == "labels"


def test_nifti_2_where_nifti_1_is_too_small(tmp_path):
    for name, array, version in (
        ("far.nii", example(voxel_size=(0.1, 0.1, 0.1), offset=(10**6, 0, 0)), 2),
        ("long.nii", example((2, 2, 40000)), 2),
        ("plain.nii", example(voxel_size=(Fraction(1, 3), 1, 1)), 1),
    ):
        image = written(array, tmp_path / name)
        assert isinstance(image, nibabel.Nifti2Image) == (version == 2)
        assert nifti(tmp_path / name).shape == array.shape
    assert nifti(tmp_path / "far.nii").spec.offset == (10**6, 0, 0)
    assert isinstance(written(example(), tmp_path / "two.nii", version=2), nibabel.Nifti2Image)
    with pytest.raises(SpecError, match="version=2"):
        example((2, 2, 40000)).to_nifti(tmp_path / "b.nii", version=1)
    with pytest.raises(ConfigError, match="no such version"):
        example().to_nifti(tmp_path / "b.nii", version=3)


def test_the_same_array_compresses_to_the_same_bytes(tmp_path):
    array = example((30, 40, 50))
    one, two = (array.to_nifti(tmp_path / name).read_bytes() for name in ("a.nii.gz", "b.nii.gz"))
    assert one == two
    plain = array.to_nifti(tmp_path / "a.nii").read_bytes()
    assert gzip.decompress(one) == plain
    fast = array.to_nifti(tmp_path / "c.nii.gz", compression_level=1).read_bytes()
    assert gzip.decompress(fast) == plain


def test_the_quickstart_goes_to_nifti_and_back(configs, tmp_path):
    array = dacapo_like.open_array(configs / "quickstart.yaml", "composed")
    array.save(tmp_path / "composed.nii.gz")
    again = nifti(tmp_path / "composed.nii.gz")
    assert again.axes == ("c", "t", "z", "y", "x") == array.axes
    np.testing.assert_array_equal(again.read(), array.read())
    np.testing.assert_allclose(again.voxel_to_world, array.voxel_to_world, rtol=1e-6, atol=1e-5)
    assert set(again.units) == {"mm"}


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match="cannot write here"):
        NiftiWriter(tmp_path / "nowhere" / "a.nii", from_shape((2, 2)))


@pytest.mark.parametrize(
    "remembered",
    [
        "text",
        {"sform_code": 99, "xyzt_units": "mm", "pixdim": 3, "intent_code": -1, "descrip": 5},
        {"sform_code": None, "pixdim": [1, 1, 1, "s"], "descrip": "µ" * 100},
    ],
)
def test_what_others_call_nifti_does_no_harm(tmp_path, remembered):
    array = example((2, 3, 4, 5), axes="tzyx", units="mm", attrs={"nifti": remembered})
    header = written(array, tmp_path / "a.nii").header
    assert (int(header["sform_code"]), int(header["intent_code"])) == (2, 0)
    assert header.get_xyzt_units() == ("mm", "unknown")
    assert header.get_zooms() == (1, 1, 1, 1)
