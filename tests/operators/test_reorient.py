"""Against nibabel."""

import itertools

import nibabel
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from nibabel import orientations
from nibabel.testing import data_path
from scipy.spatial.transform import Rotation

from dacapo_like import Coordinate, NiftiArrayConfig, ReorientArrayConfig, from_numpy
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels

CODES = [
    "".join(letters)
    for order in itertools.permutations(["RL", "AP", "SI"])
    for letters in itertools.product(*order)
]
IMAGES = [  # aligned, moved, and two that are oblique; the last has a time
    "anatomical.nii",
    "reoriented_anat_moved.nii",
    "example_nifti2.nii.gz",
]


def nifti(name):
    path = f"{data_path}/{name}"
    return nibabel.load(path), NiftiArrayConfig(file_name=path).array()


def affine_of(array):
    """Give the affine as nibabel has it: from i, j, k to x, y, z, which is the reverse of z, y, x."""
    matrix = array.voxel_to_world
    affine = np.eye(4)
    affine[:3, :3] = matrix[:3, :3][::-1, ::-1]
    affine[:3, 3] = matrix[:3, 3][::-1]
    return affine


def assert_same_image(array, image):
    expected = np.asanyarray(image.dataobj).astype(array.dtype)  # nibabel scales in float64
    np.testing.assert_array_equal(array.read().T, expected)
    np.testing.assert_allclose(affine_of(array), image.affine, rtol=0, atol=1e-4)


class TestLaws(ArrayContract):
    def case_a_volume_to_lps(self, directory):
        voxels = sample_voxels((3, 4, 5), "uint8")
        source = as_zarr(voxels, directory / "a", voxel_size=(9.8, 0.7, 4), offset=(-4.9, 0, 1))
        return Case(source.reorient("LPS"), voxels[:, ::-1, ::-1])

    def case_axes_exchanged(self, directory):
        voxels = sample_voxels((2, 3, 4, 5), "float32")
        source = as_zarr(voxels, directory / "a", axes="czyx", voxel_size=(40, 4, 2), units="um")
        return Case(source.reorient("SRP"), voxels.transpose(0, 2, 3, 1)[:, ::-1])

    def case_a_plane(self, directory):
        voxels = sample_voxels((4, 5), "int16")
        return Case(as_zarr(voxels, directory / "a").reorient("PRS"), voxels.T[:, ::-1])

    def case_an_oblique_nifti(self, directory):
        voxels = sample_voxels((4, 5, 6), "int16")
        affine = np.eye(4)
        affine[:3, :3] = Rotation.from_euler("zyx", [1.8, 0.3, -0.2]).as_matrix() * (2, 1, 0.5)
        affine[:3, 3] = 7, -20, 3
        path = directory / "a.nii"
        image = nibabel.Nifti1Image(voxels.T, affine)
        nibabel.save(image, path)
        expected = np.asanyarray(nibabel.as_closest_canonical(image).dataobj).T
        return Case(NiftiArrayConfig(file_name=str(path)).array().reorient("RAS"), expected)


@pytest.mark.parametrize("name", [*IMAGES, "example4d.nii.gz", "functional.nii"])
def test_ras_is_nibabel_s_closest_canonical(name):
    image, array = nifti(name)
    assert_same_image(array.reorient("RAS"), nibabel.as_closest_canonical(image))


@pytest.mark.parametrize("name", IMAGES)
def test_every_code_is_what_nibabel_makes_of_it(name):
    image, array = nifti(name)
    start = orientations.io_orientation(image.affine)
    for code in CODES:
        target = orientations.axcodes2ornt(code)
        turned = array.reorient(code)
        assert_same_image(turned, image.as_reoriented(orientations.ornt_transform(start, target)))
        assert "".join(orientations.aff2axcodes(affine_of(turned))) == code
        assert turned.attrs["nifti"]["orientation"] == code


@given(
    turn=st.tuples(*[st.floats(-3.2, 3.2)] * 3),
    shear=st.floats(-0.4, 0.4),
    code=st.sampled_from(CODES),
)
def test_oblique_axes_take_the_closest_as_nibabel_s_do(turn, shear, code):
    columns = Rotation.from_rotvec(turn).as_matrix()
    columns[:, 0] += shear * columns[:, 1]
    columns /= np.linalg.norm(columns, axis=0)
    left, _, right = np.linalg.svd(columns)
    sizes = np.sort(np.abs(left @ right), axis=0)
    assume((sizes[-1] - sizes[-2]).min() > 1e-6)  # else rounding decides, there and here
    affine = np.eye(4)
    affine[:3, :3] = columns * (2, 1, 0.5)
    affine[:3, 3] = 7, -20, 3
    voxels = np.arange(24, dtype="int16").reshape(2, 3, 4)
    array = from_numpy(
        voxels.T,
        voxel_size=(0.5, 1, 2),
        offset=np.linalg.solve(columns, affine[:3, 3])[::-1] - np.array([0.5, 1, 2]) / 2,
        directions=columns.T[::-1, ::-1].tolist(),
    )
    np.testing.assert_allclose(affine_of(array), affine, atol=1e-9)
    start, target = orientations.io_orientation(affine), orientations.axcodes2ornt(code)
    image = nibabel.Nifti1Image(voxels, affine)
    expected = image.as_reoriented(orientations.ornt_transform(start, target))
    assert_same_image(array.reorient(code), expected)


def test_what_points_there_already_stays_as_it_is():
    _, array = nifti("anatomical.nii")
    assert array.reorient("LAS").spec == array.spec
    plain = from_numpy(np.zeros((2, 3, 4)), voxel_size=(9.8, 4, "10/3"))
    assert plain.reorient("RAS").spec == plain.spec
    assert plain.reorient("IPL").reorient("RAS").spec == plain.spec


def test_units_and_sizes_go_with_the_voxels():
    source = from_numpy(
        np.zeros((2, 3, 4)), voxel_size=(40, 9.8, 4), offset=(1, 2, 3), units=("um", None, "nm")
    )
    spec = source.reorient("SRA").spec  # x, y, z are made of z, x, y
    assert spec.axes == ("z", "y", "x")
    assert spec.shape == (3, 4, 2)
    assert spec.voxel_size == Coordinate(9.8, 4, 40)
    assert spec.offset == (2, 3, 1)
    assert spec.units == (None, "nm", "um")


def test_lower_case_is_the_same():
    config = from_numpy(np.zeros((2, 3, 4))).config
    assert ReorientArrayConfig(source_array_config=config, orientation="lpi").orientation == "LPI"


def test_only_what_is_shown_is_read(watched):
    source = watched(from_numpy(np.zeros((8, 10, 12), "uint8")))
    turned = ReorientArrayConfig(source_array_config=source, orientation="LSA").array()
    turned[1:3, 4:5, 0:7]
    assert source.boxes == [Box((4, 1, 5), (1, 2, 7))]


def test_no_voxel_is_read_to_open(unreadable):
    assert unreadable(from_shape((7, 8, 9))).reorient("SAR").shape == (9, 8, 7)


@pytest.mark.parametrize("code", ["RA", "RRS", "RAX", "", 7, None])
def test_what_is_no_code(code):
    with pytest.raises(ConfigError, match="not an anatomical orientation") as error:
        from_numpy(np.zeros((2, 3, 4))).reorient(code)
    assert error.value.key == ("orientation",)


def test_axes_that_letters_do_not_name():
    with pytest.raises(SpecError, match="do not name") as error:
        from_numpy(np.zeros((2, 3)), axes=("depth", "x")).reorient("RAS")
    assert error.value.key == ("source",)
    with pytest.raises(SpecError, match="points out of the array") as error:
        from_numpy(np.zeros((2, 3))).reorient("SAR")
    assert error.value.key == ("orientation",)


def test_an_array_that_lies_in_another_world_is_refused():
    words = {"z": "dorsal-to-ventral", "y": "rostral-to-caudal", "x": "left-to-right"}
    array = from_numpy(np.zeros((2, 3, 4)), attrs={"axis_orientation": words})
    with pytest.raises(SpecError, match="anatomical letters do not say") as error:
        array.reorient("RAS")
    assert "z dorsal-to-ventral" in error.value.got
