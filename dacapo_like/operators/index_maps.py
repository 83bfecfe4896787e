"""Which voxels are at places of the world, and where voxels are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dacapo_like.core import Array
from dacapo_like.operators._places import Units, indices_at, points_of, world_factors
from dacapo_like.registry import array_method


@array_method
def world_to_index(
    array: Array, points: ArrayLike, *, units: Units | None = None
) -> NDArray[np.float64]:
    """Give the voxel indices of world points, by `voxel_to_world`: oblique axes count.

    A point that is within rounding of a face or a centre of a voxel is on it.

    Parameters
    ----------
    array : Array
        Any; its voxels are not read.
    points : array_like
        Of shape (dims,), (N, dims) or (dims, N), components in the order of the spatial axes; where N is dims, rows are points.
        They may lie outside of the array.
    units : str or sequence of str, optional
        Of the points; by default the array's own.

    Returns
    -------
    ndarray of float64
        In the layout of `points`: fractional indices along the spatial axes. The centre of a voxel is an integer ``i``, the voxel
        covers ``i - 0.5 <= index < i + 0.5``.

    Raises
    ------
    RegionError
        They are not such points, or not finite.
    SpecError
        The units cannot be converted into the array's.

    Examples
    --------
    >>> from dacapo_like import from_numpy
    >>> array = from_numpy(np.zeros((4, 4)), voxel_size=(10, 4), offset=(100, 0))
    >>> array.world_to_index([[105, 2], [120, 5]])
    array([[0.  , 0.  ],
           [1.5 , 0.75]])
    """
    given = points_of(points, array, units)
    return given.laid_out(indices_at(array.spec, given.rows))


@array_method
def index_to_world(
    array: Array, indices: ArrayLike, *, units: Units | None = None
) -> NDArray[np.float64]:
    """Give the world points of voxel indices, by `voxel_to_world`; the inverse of `world_to_index`.

    Parameters
    ----------
    array : Array
        Any; its voxels are not read.
    indices : array_like
        Along the spatial axes, of shape (dims,), (N, dims) or (dims, N); where N is dims, rows are points. An integer is the
        centre of a voxel; fractions, and indices outside of the array, are places as well.
    units : str or sequence of str, optional
        Of the result; by default the array's own.

    Returns
    -------
    ndarray of float64
        World points in the layout of `indices`.

    Raises
    ------
    RegionError
        They are not such indices, or not finite.
    SpecError
        The array's units cannot be converted.

    Examples
    --------
    >>> from dacapo_like import from_numpy
    >>> array = from_numpy(np.zeros((4, 4)), voxel_size=(10, 4), offset=(100, 0))
    >>> array.index_to_world([1.5, 0.75])
    array([120.,   5.])
    """
    given = points_of(indices, array)
    matrix = array.spec.voxel_to_world
    world = given.rows @ matrix[:-1, :-1].T + matrix[:-1, -1]
    if units is not None:
        world = world / world_factors(units, array.spec)
    return given.laid_out(world)
