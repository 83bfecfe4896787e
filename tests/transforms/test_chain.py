"""What conventions mean: FSL's by its documented formula, others by how they are written down."""

import numpy as np
import pytest

from dacapo_like import from_numpy
from dacapo_like.spec import from_shape
from dacapo_like.transforms.chain import make_chain
from dacapo_like.transforms.config import Transform


def leads(transforms, before, after, index, fields=()):
    """Give where a voxel index leads, through a chain without fields."""
    (matrix,) = make_chain(transforms, before, after, fields).maps
    return matrix @ [*index, 1]


def volume(shape, voxel_size, directions=None, **how):
    return from_shape(shape, voxel_size=voxel_size, directions=directions, **{"units": "mm"} | how)


LEFT_HANDED = (
    (1.0, 0.0, 0.0),
    (0.0, 1.0, 0.0),
    (0.0, 0.0, -1.0),
)  # x to the left, as in most scans
OBLIQUE = tuple(map(tuple, np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0].tolist()))


def to_fsl(spec, index):
    """FSL's coordinates of a voxel: scaled indices, x from the other end where the determinant is positive.

    As its documentation of FLIRT says it: https://fsl.fmrib.ox.ac.uk/fsl/docs/#/registration/flirt/faq
    """
    z, y, x = index
    nx = spec.shape[2]
    if np.linalg.det(spec.voxel_to_world[:3, :3]) > 0:
        x = nx - 1 - x
    return np.array([x, y, z]) * [float(v) for v in spec.voxel_size[::-1]]


@pytest.mark.parametrize("source_turn", [None, LEFT_HANDED, OBLIQUE])
@pytest.mark.parametrize("output_turn", [None, LEFT_HANDED])
def test_a_matrix_of_flirt_takes_the_source_to_the_output(source_turn, output_turn):
    source = volume((20, 30, 40), (3, 1, 2), source_turn, offset=(5, 6, 7))
    output = volume((25, 35, 45), (1, 1.5, 2), output_turn, offset=(-9, 0, 2))
    flirt = np.eye(4)
    flirt[:3] = np.round(np.random.default_rng(0).normal(size=(3, 4)), 3)
    step = Transform(affine=flirt, convention="fsl")
    found = leads([step], output, source, (4, 7, 11))
    moved = flirt @ [*to_fsl(source, found), 1]
    np.testing.assert_allclose(moved[:3], to_fsl(output, (4, 7, 11)), atol=1e-9)
    other = Transform(affine=flirt, convention="fsl", invert=True)
    found = leads([other], output, source, (4, 7, 11))
    expected = flirt @ [*to_fsl(output, (4, 7, 11)), 1]
    np.testing.assert_allclose(to_fsl(source, found), expected[:3], atol=1e-9)


def test_a_matrix_of_flirt_is_in_mm():
    mm, um = volume((9, 9, 9), (3, 1, 2)), volume((9, 9, 9), (3000, 1000, 2000), units="um")
    step = Transform(affine=np.diag([1, 1, 1, 1]) + np.eye(4, k=3) * 4, convention="fsl")
    expected = leads([step], mm, mm, (1, 2, 3))
    for before, after in ((um, um), (mm, um), (um, mm)):
        np.testing.assert_allclose(leads([step], before, after, (1, 2, 3)), expected, atol=1e-12)


@pytest.fixture
def matrix():
    found = np.eye(4)
    found[:3] = np.round(np.random.default_rng(1).normal(size=(3, 4)), 3)
    return found


def test_axes_say_the_order_of_the_components(matrix):
    spec = volume((9, 9, 9), (1, 1, 1))
    point = np.array([1.5, 2.5, 3.5])  # z y x, the centre of voxel 1 2 3
    got = leads([Transform(affine=matrix, axes=("x", "y", "z"))], spec, spec, (1, 2, 3))
    expected = (matrix[:3] @ [*point[::-1], 1])[::-1] - 0.5
    np.testing.assert_allclose(got, expected)
    got = leads([Transform(affine=matrix)], spec, spec, (1, 2, 3))
    np.testing.assert_allclose(got, matrix[:3] @ [*point, 1] - 0.5)


def test_lps_negates_x_and_y(matrix):
    spec = volume((9, 9, 9), (1, 1, 1))
    got = leads([Transform(affine=matrix, axes="xyz", convention="lps")], spec, spec, (1, 2, 3))
    moved = matrix[:3] @ [-3.5, -2.5, 1.5, 1]
    np.testing.assert_allclose(got, [moved[2] - 0.5, -moved[1] - 0.5, -moved[0] - 0.5])


def test_units_of_the_numbers(matrix):
    um = volume((9, 9, 9), (1, 1, 1), units="um")
    got = leads([Transform(affine=matrix, units="nm")], um, um, (1, 2, 3))
    expected = matrix[:3] @ [1500, 2500, 3500, 1] / 1000 - 0.5
    np.testing.assert_allclose(got, expected)
    unknown = volume((9, 9, 9), (1, 1, 1), units=None)
    got = leads([Transform(affine=matrix, units="nm")], unknown, unknown, (1, 2, 3))
    np.testing.assert_allclose(got, matrix[:3] @ [1.5, 2.5, 3.5, 1] - 0.5)


def test_the_first_is_applied_first(matrix):
    spec = volume((9, 9, 9), (1, 1, 1))
    shift = np.eye(4) + np.eye(4, k=3) * 10
    got = leads([Transform(affine=shift), Transform(affine=matrix)], spec, spec, (1, 2, 3))
    np.testing.assert_allclose(got, (matrix @ shift)[:3] @ [1.5, 2.5, 3.5, 1] - 0.5)
    back = Transform(affine=matrix, invert=True)
    got = leads([Transform(affine=matrix), back], spec, spec, (1, 2, 3))
    assert got.tolist() == [1, 2, 3], "exactly"


@pytest.mark.parametrize(
    ("intent", "convention", "expected"),
    [("vector", None, (-1, -1)), ("displacement vector", None, (1, 1)), ("vector", "ras", (1, 1))],
)
def test_what_the_vectors_of_a_nifti_mean(intent, convention, expected, tmp_path):
    import nibabel

    vectors = np.zeros((6, 6, 1, 1, 2), "f4")
    vectors[...] = 1.0
    image = nibabel.Nifti1Image(vectors, np.eye(4))
    image.header.set_intent(intent)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "warp.nii")
    array = from_numpy(np.zeros((6, 6)), units="mm", offset=(-0.5, -0.5))
    step = Transform(file_name=tmp_path / "warp.nii", convention=convention)
    got = array.points_to(array, [3, 3], [step])
    np.testing.assert_allclose(got, np.add(3, expected))


def test_points_keep_their_layout():
    fine, coarse = from_numpy(np.zeros((8, 8))), from_numpy(np.zeros((4, 4)), voxel_size=(2, 2))
    points = np.random.default_rng(0).uniform(0, 4, (5, 2))
    expected = 2 * points + 0.5
    np.testing.assert_allclose(coarse.points_to(fine, points), expected)
    np.testing.assert_allclose(coarse.points_to(fine, points.T), expected.T)
    np.testing.assert_allclose(coarse.points_to(fine, points[0]), expected[0])
    assert coarse.points_to(fine, np.zeros((0, 2))).shape == (0, 2)


def test_vectors_are_in_the_units_of_the_field_s_world():
    field = from_shape((2, 9, 9), "f8", axes="cyx", units=("um", "nm"))
    plane = from_shape((9, 9), units="nm")
    step = Transform(field=from_numpy(np.zeros((2, 9, 9)), axes="cyx").config, axes="yx")
    (warp,) = make_chain([step], plane, plane, [field]).warps
    np.testing.assert_array_equal(warp.turn, np.eye(2))
