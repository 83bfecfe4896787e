"""World points to voxel indices and back."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.affines import apply_affine

from dacapo_like import from_numpy, open_array
from dacapo_like.errors import RegionError, SpecError

OBLIQUE = np.array([[1.9, -0.4, 0.1, -7], [0.5, 1.8, -0.3, 12], [0.0, 0.4, 2.4, 3], [0, 0, 0, 1]])


def plane(**grid):
    return from_numpy(np.zeros((5, 6), "uint8"), **grid)


def test_the_centre_of_a_voxel_is_an_integer():
    array = plane(voxel_size=(9.8, 4), offset=(-4.9, 100))
    assert array.world_to_index((0, 102)).tolist() == [0, 0]
    assert array.world_to_index((9.8, 110)).tolist() == [1, 2]
    assert array.index_to_world((1, 2)).tolist() == [9.8, 110]


@given(
    size=st.sampled_from(["0.1", "0.3", "9.8", "0.007", "4"]),
    offset=st.sampled_from(["0", "0.1", "-7.7", "12345.6"]),
    halves=st.integers(-200, 200),
)
def test_faces_and_centres_are_exact(size, offset, halves):
    # the double nearest to the point, as anyone has it who computes with decimals
    point = float(Fraction(offset) + Fraction(size) * (Fraction(halves, 2) + Fraction(1, 2)))
    array = plane(voxel_size=(float(size), 1), offset=(float(offset), 0))
    assert array.world_to_index((point, 0))[0] == halves / 2


def test_exact_numbers_are_understood():
    array = plane(voxel_size=("1/3", 1))
    point = (Fraction(1, 3), Decimal("0.5"))
    assert array.world_to_index(point).tolist() == [0.5, 0]
    assert array.world_to_index(array.roi.end).tolist() == [4.5, 5.5]


def test_points_off_the_faces_are_not_moved():
    array = plane(voxel_size=(1, 1), offset=(-0.5, -0.5))
    near = [1.5 - 1e-12, 1.5 + 1e-12]
    assert array.world_to_index(near) == pytest.approx(near, abs=1e-15)
    assert array.world_to_index(near).tolist() != [1.5, 1.5]


def test_oblique_axes_are_those_of_the_file(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((4, 5, 6), "uint8"), OBLIQUE)
    nibabel.save(image, tmp_path / "a.nii")
    array = open_array({"type": "nifti", "file_name": str(tmp_path / "a.nii")})
    order = [array.spec.spatial_axes.index(axis) for axis in "xyz"]
    voxels = np.random.default_rng(0).uniform(-3, 9, (20, 3))
    world = apply_affine(image.affine, voxels)  # both in x, y, z
    back = array.world_to_index(world[:, np.argsort(order)])
    np.testing.assert_allclose(back[:, order], voxels, atol=1e-5)  # NIfTI keeps float32
    np.testing.assert_allclose(array.index_to_world(back)[:, order], world, atol=1e-10)


@given(st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 3), min_size=1, max_size=5))
def test_there_and_back_again(points):
    array = from_numpy(
        np.zeros((3, 4, 5)),
        voxel_size=(40, 9.8, 0.3),
        offset=(-7, 0, 1000),
        directions=((0.6, 0.8, 0), (-0.8, 0.6, 0), (0, 0, -1)),
    )
    back = array.index_to_world(array.world_to_index(points))
    np.testing.assert_allclose(back, points, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("method", ["world_to_index", "index_to_world"])
def test_points_come_back_in_their_layout(method):
    array = plane(voxel_size=(10, 4))
    points = np.arange(10.0).reshape(5, 2)
    rows = getattr(array, method)(points)
    assert rows.shape == (5, 2)
    columns = getattr(array, method)(points.T)
    assert columns.shape == (2, 5)
    np.testing.assert_array_equal(columns.T, rows)
    np.testing.assert_array_equal(getattr(array, method)(points[3]), rows[3])
    np.testing.assert_array_equal(getattr(array, method)(points[:2]), rows[:2])
    assert getattr(array, method)(np.empty((0, 2))).shape == (0, 2)
    assert getattr(array, method)(np.empty((2, 0))).shape == (2, 0)


def test_units_are_converted():
    array = plane(voxel_size=(10, 4), units=("nm", "um"))
    assert array.world_to_index((0.015, 0.006), units=("um", "mm")).tolist() == [1, 1]
    assert array.index_to_world((1, 1), units="um") == pytest.approx([0.015, 6])
    for method in (array.world_to_index, array.index_to_world):
        with pytest.raises(SpecError, match="units do not fit the axes"):
            method((1, 1), units=["nm"])
        with pytest.raises(RegionError, match="nowhere"):
            method((np.nan, 1))
        with pytest.raises(RegionError, match="wrong shape"):
            method((1, 1, 1))


def test_units_are_those_of_the_world_that_axes_point_along():
    array = plane(voxel_size=(10, 4), units=("nm", "um"), directions=((0, 1), (1, 0)))
    assert array.index_to_world((1, 1)).tolist() == [6, 15]
    assert array.index_to_world((1, 1), units="nm").tolist() == [6000, 15]
    assert array.world_to_index((6000, 15), units="nm").tolist() == [1, 1]


def test_points_along_oblique_axes_of_different_units_are_not_converted():
    array = plane(units=("nm", "um"), directions=((0.6, 0.8), (-0.8, 0.6)))
    with pytest.raises(SpecError, match="oblique axes of different units"):
        array.index_to_world((1, 1), units="nm")


def test_no_voxel_is_read(unreadable):
    array = unreadable(plane(voxel_size=(10, 4)).spec)
    assert array.world_to_index(array.index_to_world((3, 3))).tolist() == [3, 3]
