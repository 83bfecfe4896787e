"""Where the voxels of a grid lie on another array that a matrix leads to.

Every position is a function of the voxel's index alone, ``((m0 * i + m1 * j) + m2 * k) + m3``: nothing accumulates along the way,
so that a block has the very positions that the whole has.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def grid_points(
    matrix: NDArray[np.float64],
    start: Sequence[int],
    shape: Sequence[int],
    first: int,
    count: int,
) -> Points:
    """Give the positions of some voxels of a box.

    Parameters
    ----------
    matrix : ndarray, shape (d, d + 1)
        From voxel indices to positions, the last column moves; ``d`` is at most 3.
    start, shape : sequence of int
        The box, d axes.
    first, count : int
        Which of its voxels, in C order.

    Returns
    -------
    ndarray, shape (3, count)
        In C order; rows of missing axes, in front, are zero.

    Examples
    --------
    >>> grid_points(np.array([[0.5, -1.0]]), [4], [9], 2, 3)[2]
    array([2. , 2.5, 3. ])
    """
    from dacapo_like.kernels import _walk  # numba is heavy

    points = np.empty((3, count))
    lead = 3 - len(start)
    box = np.array([(*(0,) * lead, *start), (*(1,) * lead, *shape)], np.int64)
    _walk.walk()(in_three(matrix), box[0], box[1], first, points)
    return points


def move_points(matrix: NDArray[np.float64], points: Points) -> None:
    """Apply a matrix, shape (d, d + 1), to points, shape (3, n), in place."""
    from dacapo_like.kernels import _walk  # numba is heavy

    _walk.move()(in_three(matrix), points)


def grid_extremes(
    matrix: NDArray[np.float64], start: Sequence[int], shape: Sequence[int]
) -> NDArray[np.float64]:
    """Give the least and the greatest position of a box's voxels along each axis, shape (d, 2).

    They are those of its corners, to the bit: every operation that makes a position grows, or falls, with each index.
    """
    ends = [(at, at + n - 1) for at, n in zip(start, shape, strict=True)]
    corners = np.array(list(itertools.product(*ends)), np.float64).T
    places = reference_positions(matrix, corners)
    return np.stack([places.min(axis=1), places.max(axis=1)], axis=1)


def reference_positions(matrix: NDArray[np.float64], indices: NDArray[np.float64]) -> Points:
    """Do what the compiled loops do with indices, shape (d, n), in plain numpy, to the same bits."""
    dims = len(indices)
    rows = []
    for row in matrix:
        total = np.zeros(indices.shape[1])
        for axis in range(dims):
            total = total + row[axis] * indices[axis]
        rows.append(total + row[dims])
    return np.array(rows)


def in_three(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give a matrix, shape (d, d + 1), for three axes: the ones that are missing, in front, stay zero."""
    dims = len(matrix)
    if dims == 3:
        return np.ascontiguousarray(matrix)
    whole = np.zeros((3, 4))
    whole[3 - dims :, 3 - dims :] = matrix
    return whole
