import numpy as np
import pytest
from scipy import ndimage

from dacapo_like.kernels.displace import displace, reference_displacements, undisplace

SHAPE = (14, 12, 16)
WHOLE = {"data_start": [0, 0, 0], "bounds": [(0, n) for n in SHAPE]}


def smooth(size, dims=3, seed=0):
    noise = np.random.default_rng(seed).normal(size=(dims, *SHAPE[3 - dims :]))
    field = ndimage.gaussian_filter(noise, (0, *(2.5,) * dims))
    return size * field / np.abs(field).max()


def points(count, dims=3, margin=-1.0, seed=1):
    rng = np.random.default_rng(seed)
    rows = np.zeros((3, count))
    for axis in range(3 - dims, 3):
        rows[axis] = rng.uniform(margin, SHAPE[axis] - 1 - margin, count)
    return rows


TURN = np.array([[1.0, 0.2, 0.0], [0.0, 0.8, -0.1], [0.3, 0.0, 1.2]])


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_points_are_moved_by_the_vectors_between_voxels(dims):
    field, start = smooth(2.0, dims), points(400, dims)
    turn = TURN[3 - dims :, 3 - dims :]
    grid = {"data_start": [0] * dims, "bounds": WHOLE["bounds"][3 - dims :]}
    moved = start.copy()
    displace(moved, field, turn, **grid)
    rows = start[3 - dims :]
    expected = reference_displacements(rows, field, turn, **grid)
    np.testing.assert_allclose(moved[3 - dims :] - rows, expected, atol=1e-12)
    np.testing.assert_array_equal(moved[: 3 - dims], 0)
    inside = np.all(
        [(x >= 0) & (x <= n - 1) for x, n in zip(rows, field.shape[1:], strict=True)], axis=0
    )
    vectors = [ndimage.map_coordinates(f, rows[:, inside], order=1) for f in field]
    np.testing.assert_allclose(expected[:, inside], turn @ np.array(vectors), atol=1e-12)
    outside = np.any(
        [(x < -0.5) | (x >= n - 0.5) for x, n in zip(rows, field.shape[1:], strict=True)], axis=0
    )
    assert outside.any()
    np.testing.assert_array_equal(moved[:, outside], start[:, outside])


@pytest.mark.parametrize("size", [0.0, 1.0, 2.5])
def test_moving_back_undoes_moving(size):
    field, start = smooth(size), points(300, margin=3.0)
    moved = start.copy()
    displace(moved, field, TURN, **WHOLE)
    assert np.abs(moved - start).max() >= size / 2
    shortage = undisplace(moved, field, TURN, **WHOLE)
    assert shortage.lost == 0
    assert all(low >= high for low, high in shortage.wanted)
    np.testing.assert_allclose(moved, start, atol=1e-7)


def test_it_says_which_voxels_it_lacks():
    field = np.zeros((3, *SHAPE))
    field[0] = 4.0
    start = np.array([[9.0, 2.0], [5.0, 5.0], [6.0, 6.0]])
    part = field[:, 7:, 4:9, 5:9]
    moved = start.copy()
    shortage = undisplace(moved, part, np.eye(3), data_start=[7, 4, 5], bounds=WHOLE["bounds"])
    assert shortage.lost == 0
    assert shortage.wanted == ((2, 6), (5, 6), (6, 7))
    whole = start.copy()
    assert undisplace(whole, field, np.eye(3), **WHOLE).lost == 0
    np.testing.assert_allclose(whole[0], [5.0, -2.0])


def test_a_point_depends_on_itself_alone():
    field, start = smooth(2.0), points(64)
    together = start.copy()
    undisplace(together, field, TURN, **WHOLE)
    for i in range(64):
        alone = start[:, i : i + 1].copy()
        undisplace(alone, field, TURN, **WHOLE)
        np.testing.assert_array_equal(alone[:, 0], together[:, i])


def test_vectors_of_no_weight_do_no_harm():
    field = smooth(1.0)
    field[:, 5, 6, 7] = np.nan
    start = np.array([[4.0, 5.0, 5.0, 5.0], [6.0, 5.0, 6.0, 6.0], [7.0, 7.0, 6.0, 7.0]])
    moved = start.copy()
    displace(moved, field, TURN, **WHOLE)
    expected = start + reference_displacements(start, field, TURN, **WHOLE)
    np.testing.assert_allclose(moved, expected, atol=1e-12)
    assert np.isnan(moved).all(axis=0).tolist() == [False, False, False, True]
    still = np.zeros_like(field)
    still[:, 5, 6, 7] = np.nan
    assert undisplace(start, still, TURN, **WHOLE).lost == 1


def test_points_that_are_lost_are_counted():
    field = smooth(1.0)
    field[:, 8:] = np.nan
    start = np.array([[2.0, 11.0, 12.0], [5.0, 5.0, 5.0], [6.0, 6.0, 6.0]])
    shortage = undisplace(start, field, np.eye(3), **WHOLE)
    assert (shortage.lost, shortage.first) == (2, 1)
