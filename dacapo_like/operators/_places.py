"""Places as callers give them: world points in any layout, numbers in other units."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dacapo_like.core import Array
from dacapo_like.errors import RegionError, SpecError
from dacapo_like.spec import ArraySpec
from dacapo_like.transforms.matrix import world_units
from dacapo_like.units import length_factor

Units = str | Sequence[str | None]

_ROUNDING = 8 * np.finfo(np.float64).eps  # of a product of matrix and point, relative to its terms


def invents(spec: ArraySpec) -> bool:
    """Whether values between those of an array's voxels mean nothing."""
    return spec.kind != "image" or spec.dtype.kind == "b"


def invention(spec: ArraySpec, got: object, key: str) -> SpecError:
    """Make the error for voxels that are not to be interpolated."""
    return SpecError(
        f"interpolation would invent values in {spec.kind} of {spec.dtype.name}",
        got=got,
        expected="order 0",
        hint="make them numbers with `astype` first"
        if spec.dtype.kind == "b"
        else "say `kind: image` on the source if its voxels are intensities",
        key=(key,),
    )


class Points(NamedTuple):
    """Points in rows, and the layout that they came in.

    Attributes
    ----------
    rows : ndarray of float64
        Shape (N, dims).
    layout : {"one", "rows", "columns"}
        Of shape (dims,), (N, dims) or (dims, N).
    """

    rows: NDArray[np.float64]
    layout: str

    def laid_out(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give other points, one for each of these, in the same layout."""
        if self.layout == "one":
            return np.asarray(rows[0])
        return rows.T if self.layout == "columns" else rows


def points_of(values: ArrayLike, array: Array, units: Units | None = None) -> Points:
    """Read points: their components are in the order of the spatial axes, and finite.

    Parameters
    ----------
    values : array_like
        Of shape (dims,), (N, dims) or (dims, N); where N is dims, the rows are the points. Empty: no points.
    array : Array
        That they are for.
    units : str or sequence of str, optional
        Of their components; by default the array's own.

    Raises
    ------
    RegionError
        Another shape, no numbers, or one that is not finite.
    SpecError
        The units cannot be converted into the array's.
    """
    spec, where = array.spec, array.describe()
    layouts = f"({spec.dims},), (N, {spec.dims}) or ({spec.dims}, N): one number per spatial axis"
    refusal = RegionError("not points", got=repr(values)[:80], expected=layouts, where=where)
    try:
        given = np.asarray(values)
        if given.dtype.kind not in "iufO":  # numpy would read numbers out of text
            raise refusal
        found = given.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise refusal from error
    if found.shape == (0,):
        found = found.reshape(0, spec.dims)
    if found.ndim not in (1, 2) or spec.dims not in found.shape:
        raise RegionError(
            "points of the wrong shape", got=found.shape, expected=layouts, where=where
        )
    if found.ndim == 1:
        points = Points(found.reshape(1, -1), "one")
    elif found.shape[1] == spec.dims:
        points = Points(found, "rows")
    else:
        points = Points(found.T, "columns")
    bad = np.flatnonzero(~np.isfinite(points.rows).all(axis=1))
    if bad.size:
        raise RegionError(
            "points that are nowhere",
            got=f"{points.rows[bad[0]].tolist()} as point {bad[0]}, {bad.size} in all",
            expected="finite numbers",
            where=where,
        )
    if units is None:
        return points
    return points._replace(rows=points.rows * world_factors(units, spec))


def world_factors(units: Units, spec: ArraySpec) -> NDArray[np.float64]:
    """Give what world points in some units are multiplied with to be in those of an array's world, per component.

    Raises
    ------
    SpecError, ConfigError
        As `unit_factors`.
    """
    world = spec.replace(units=world_units(spec))
    return np.array([float(factor) for factor in unit_factors(units, world)])


def unit_factors(units: Units, spec: ArraySpec) -> tuple[Fraction, ...]:
    """Give what numbers in some units are multiplied with to be in those of an array, per spatial axis.

    Raises
    ------
    SpecError
        There is not one unit per spatial axis, or the array does not know its own.
    ConfigError
        A unit is not one of length.

    Examples
    --------
    >>> from dacapo_like.spec import from_shape
    >>> unit_factors("um", from_shape((4, 4), units=("nm", "um")))
    (Fraction(1000, 1), Fraction(1, 1))
    """
    given = (units,) * spec.dims if isinstance(units, str) else tuple(units)
    if len(given) != spec.dims:
        raise SpecError(
            "units do not fit the axes",
            got=f"{len(given)} units",
            expected=f"one, or {spec.dims}: one per spatial axis {' '.join(spec.spatial_axes)}",
        )
    if any(unit and not own and unit != own for unit, own in zip(given, spec.units, strict=True)):
        raise SpecError(
            "the unit of an axis is unknown",
            got=f"units {spec.units}",
            expected=f"units of length, to convert {' '.join(str(unit) for unit in given)} into",
            hint="say `units` where the array is defined, or leave them out here",
        )
    return tuple(
        length_factor(unit, own) if unit and own and unit != own else Fraction(1)
        for unit, own in zip(given, spec.units, strict=True)
    )


def indices_at(spec: ArraySpec, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the voxel indices of world points: fractional, the centre of a voxel is an integer.

    A point that is within the rounding of this computation from a face or a centre is taken to be on it: 0.3 lies on a face of
    voxels of 0.1, although the quotient of the two doubles does not say so.

    Parameters
    ----------
    spec : ArraySpec
        Of the array.
    rows : ndarray
        Shape (N, dims), true world positions as of `ArraySpec.voxel_to_world`.
    """
    matrix = spec.world_to_voxel
    turn, move = matrix[:-1, :-1], matrix[:-1, -1]
    index = rows @ turn.T + move
    halves = np.rint(2 * index) / 2
    slack = _ROUNDING * (np.abs(rows) @ np.abs(turn).T + np.abs(move))
    return np.where(np.abs(index - halves) <= slack, halves, index)


def containing(index: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the voxels that contain points, as whole floats; a face belongs to the voxel after it."""
    return np.floor(index + 0.5)


def is_inside(index: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.bool_]:
    """Say of each point, given by its indices (N, dims), whether a voxel of an array of this spatial shape contains it."""
    cells = containing(index)
    return np.asarray(((cells >= 0) & (cells < shape)).all(axis=1))
