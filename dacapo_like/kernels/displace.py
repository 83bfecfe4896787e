"""Moving points by a field of displacements, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dacapo_like.kernels._sample_reference import reference
from dacapo_like.kernels.sample import Range
from dacapo_like.kernels.walk import Points


class Shortage(NamedTuple):
    """What keeps points from being moved back.

    Attributes
    ----------
    wanted : tuple of (int, int)
        Voxels of the field, along each axis, that were asked for and are not given; empty ranges where all are.
    lost : int
        Points at which the iteration does not converge.
    first : int
        The first of them.
    """

    wanted: tuple[Range, ...]
    lost: int
    first: int


def displace(
    points: Points,
    field: NDArray[np.float64],
    turn: NDArray[np.float64],
    *,
    data_start: Sequence[int],
    bounds: Sequence[Range],
) -> None:
    """Move points by the vectors of a field, in place; points outside of it stay.

    Parameters
    ----------
    points : ndarray, shape (3, n)
        Voxel indices of the field; rows of missing axes, in front, are zero.
    field : ndarray, shape (components, spatial...)
        The part of the field that `kernels.sample.support` names for order 1, or more. It is interpolated linearly.
    turn : ndarray, shape (d, components)
        From the components of a vector to voxels of the field.
    data_start, bounds
        As for `kernels.sample.sample`.
    """
    from dacapo_like.kernels import _walk  # numba is heavy

    _walk.displace()(points, _in_three(field), _grid(data_start, bounds), _turn(turn, field))


def undisplace(
    points: Points,
    field: NDArray[np.float64],
    turn: NDArray[np.float64],
    *,
    data_start: Sequence[int],
    bounds: Sequence[Range],
) -> Shortage:
    """Move points to where `displace` moves them from, in place; points outside of the field stay.

    At each point the equation ``place + displacement(place) == point`` is solved by fixed-point iteration [1]_, to a billionth of
    a voxel; steps are halved where they lead further away. It converges where displacements differ by less than the places do, and
    mostly beyond. On the way a place outside of the field has the vector of its edge. A point depends on the field and itself alone, bit for bit.

    Parameters
    ----------
    points, field, turn, data_start, bounds
        As for `displace`; the iteration says which further part of the field it needs.

    Returns
    -------
    Shortage
        Points that it counts have not been moved.

    References
    ----------
    .. [1] M. Chen et al., "A simple fixed-point approach to invert a deformation field", Medical Physics 35 (2008) 81-88.
    """
    from dacapo_like.kernels import _walk  # numba is heavy

    wanted, status = np.zeros((3, 2)), np.zeros(3, np.int64)
    voxels, matrix = _in_three(field), _turn(turn, field)
    _walk.undisplace()(points, voxels, _grid(data_start, bounds), matrix, wanted, status)
    short, lost, first = status.tolist()
    ranges = wanted[3 - len(bounds) :].astype(int).tolist()
    found = tuple((low, high + 1) if short else (low, low) for low, high in ranges)
    return Shortage(found, lost, first)


def reference_displacements(
    points: Points,
    field: NDArray[np.float64],
    turn: NDArray[np.float64],
    *,
    data_start: Sequence[int],
    bounds: Sequence[Range],
) -> Points:
    """Give by how much `displace` moves points, shape (d, n), in plain numpy."""
    vectors = reference(field, points, 1, data_start=data_start, bounds=bounds)
    return np.asarray(turn @ vectors)


def _in_three(field: NDArray[np.float64]) -> NDArray[np.float64]:
    shape = (len(field), *(1,) * (4 - field.ndim), *field.shape[1:])
    return np.ascontiguousarray(field, np.float64).reshape(shape)


def _grid(data_start: Sequence[int], bounds: Sequence[Range]) -> NDArray[np.int64]:
    grid = np.zeros((3, 3), np.int64)
    grid[3 - len(bounds) :] = [
        (low, stop - 1, at) for (low, stop), at in zip(bounds, data_start, strict=True)
    ]
    return grid


def _turn(turn: NDArray[np.float64], field: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.zeros((3, len(field)))
    matrix[3 - len(turn) :] = turn
    return matrix
