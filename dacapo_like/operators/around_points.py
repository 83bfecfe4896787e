"""Parts of an array around world points: patches of one size, and the smallest part that holds them all."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dacapo_like.core import Array
from dacapo_like.errors import RegionError, check_choice
from dacapo_like.geometry import Box, box_between
from dacapo_like.operators._places import Units, containing, indices_at, is_inside, points_of
from dacapo_like.operators.crop import CropArrayConfig
from dacapo_like.operators.pad import PadArrayConfig, Repeat
from dacapo_like.registry import array_method

Fill: TypeAlias = Repeat | Mapping[str, Any]
Outside = Literal["error", "clip"]

_FARTHEST = 2.0**53  # voxels: beyond, doubles do not tell neighbours apart


@array_method
def crop_centered(
    array: Array,
    centers: ArrayLike,
    shape: Sequence[int],
    *,
    fill: Fill = MappingProxyType({"constant": 0}),
    units: Units | None = None,
) -> Array | list[Array]:
    """Cut patches of one size around world points.

    The voxel that contains the centre has the index ``size // 2`` along every axis of its patch: it is the middle of an odd size,
    and an even size has one voxel more before it than behind. A patch is always whole: what stands outside of the array is
    filled, and the patch's place in the world is the true one. It is a `crop`, of a `pad` where the array ends, and can be
    saved as such.

    Parameters
    ----------
    array : Array
        Of any axes; time and channels are whole. No voxel is read.
    centers : array_like
        World points of shape (dims,), (N, dims) or (dims, N), components in the order of the spatial axes; where N is dims, rows
        are points. They are true world positions, as of `voxel_to_world`, and may lie outside of the array.
    shape : sequence of int
        Voxels along every spatial axis.
    fill : "edge", "reflect" or {"constant": value}
        What stands outside of the array; by default zeros.
    units : str or sequence of str, optional
        Of the centres; by default the array's own.

    Returns
    -------
    Array or list of Array
        One for a single centre, a list for several.

    Raises
    ------
    RegionError
        The centres are no such points, not finite, or too far away; or `shape` is not one positive integer per spatial axis.
    SpecError
        The units cannot be converted into the array's.
    ConfigError
        `fill` is none of these, or the dtype cannot hold the constant.

    Examples
    --------
    >>> from dacapo_like import from_numpy
    >>> array = from_numpy(np.arange(5), axes="x", voxel_size=(10,))
    >>> patch = array.crop_centered([3], (4,), fill="edge")
    >>> patch[...].tolist(), patch.roi
    ([0, 0, 0, 1], [-20:20] (40))
    >>> [patch[...].tolist() for patch in array.crop_centered([[25], [47]], (3,))]
    [[1, 2, 3], [3, 4, 0]]
    """
    spec = array.spec
    size = _counts(shape, array, least=1)
    border = PadArrayConfig(source_array_config=array.config, before=(0,) * spec.dims, fill=fill)
    border.derive(spec)  # a wrong `fill` is an error wherever the centres are
    given = points_of(centers, array, units)
    cells = containing(indices_at(spec, given.rows))
    _check_distance(cells, given.rows, array)
    patches = [
        _patch(array, tuple(int(i) - n // 2 for i, n in zip(cell, size, strict=True)), size, fill)
        for cell in cells.tolist()
    ]
    return patches[0] if given.layout == "one" else patches


@array_method
def bounded_subregion(
    array: Array,
    points: ArrayLike,
    *,
    margin: int | Sequence[int] = 1,
    outside: Outside = "error",
    units: Units | None = None,
) -> Array:
    """Cut the smallest part of an array that holds world points, and some voxels around them.

    With a margin of 1 the part has all that linear interpolation at the points needs, with 2 all that cubic needs.

    Parameters
    ----------
    array : Array
        Of any axes; time and channels are whole. No voxel is read.
    points : array_like
        World points of shape (dims,), (N, dims) or (dims, N), as `crop_centered` takes them.
    margin : int or sequence of int
        Voxels to keep around the points' own, on every side, per spatial axis; at the ends of the array there are fewer.
    outside : {"error", "clip"}
        What to do about points that no voxel contains: to refuse them, or to keep what lies between them inside of the array.
    units : str or sequence of str, optional
        Of the points; by default the array's own.

    Returns
    -------
    Array
        A `crop`.

    Raises
    ------
    RegionError
        There are no points, or they are not such points, or not finite; one lies outside, or with ``clip`` nothing that they
        span is inside; or the margin is not of whole numbers.
    SpecError
        The units cannot be converted into the array's.
    ConfigError
        `outside` is none of these.

    Examples
    --------
    >>> from dacapo_like import from_numpy
    >>> array = from_numpy(np.arange(100), axes="x", voxel_size=(10,))
    >>> array.bounded_subregion([[512], [534]], margin=1)[...].tolist()
    [50, 51, 52, 53, 54]
    """
    check_choice("outside", outside, get_args(Outside))
    spec = array.spec
    given = points_of(points, array, units)
    if not len(given.rows):
        raise RegionError("no points to hold", where=array.describe(), expected="at least one")
    index = indices_at(spec, given.rows)
    missed = np.flatnonzero(~is_inside(index, spec.spatial_shape))
    if outside == "error" and missed.size:
        raise _outside(array, given.rows, missed, 'pass outside="clip" to keep what is inside')
    cells = containing(index)
    margins = _counts(
        margin if isinstance(margin, Sequence) else (margin,) * spec.dims, array, least=0
    )
    hull = box_between(
        (int(low) - m for low, m in zip(cells.min(axis=0), margins, strict=True)),
        (int(high) + 1 + m for high, m in zip(cells.max(axis=0), margins, strict=True)),
    )
    kept = hull.intersect(Box((0,) * spec.dims, spec.spatial_shape))
    if not kept.size:
        raise _outside(array, given.rows, missed, None)
    return array.apply(CropArrayConfig, roi=spec.box_to_roi(kept))


def _patch(array: Array, start: tuple[int, ...], shape: tuple[int, ...], fill: Fill) -> Array:
    """Cut a box over the spatial axes, after padding the array by as much as the box leaves it."""
    spec = array.spec
    box = Box(start, shape)
    before = [max(-low, 0) for low in box.offset]
    after = [max(stop - n, 0) for stop, n in zip(box.end, spec.spatial_shape, strict=True)]
    if any(before) or any(after):
        array = array.apply(
            PadArrayConfig,
            before=spec.voxel_size * before,
            after=spec.voxel_size * after,
            fill=fill,
        )
    return array.apply(CropArrayConfig, roi=spec.box_to_roi(box))


def _counts(values: Sequence[int], array: Array, *, least: int) -> tuple[int, ...]:
    """Read whole numbers of voxels, one per spatial axis."""
    spec = array.spec
    refusal = RegionError(
        "not numbers of voxels",
        got=repr(values),
        expected=f"{spec.dims} integers of at least {least}, one per spatial axis {' '.join(spec.spatial_axes)}",
        where=array.describe(),
    )
    try:
        counts = tuple(operator.index(value) for value in values)
    except TypeError as error:
        raise refusal from error
    if len(counts) != spec.dims or min(counts, default=least) < least:
        raise refusal
    return counts


def _check_distance(cells: NDArray[np.float64], rows: NDArray[np.float64], array: Array) -> None:
    far = np.flatnonzero((np.abs(cells) > _FARTHEST).any(axis=1))
    if far.size:
        raise RegionError(
            "a centre that is too far away",
            got=rows[far[0]].tolist(),
            expected=f"at most {_FARTHEST:.0f} voxels from the array",
            where=array.describe(),
        )


def _outside(
    array: Array, rows: NDArray[np.float64], missed: NDArray[np.intp], hint: str | None
) -> RegionError:
    return RegionError(
        "points outside of the array",
        got=f"{missed.size} of {len(rows)}, the first {rows[missed[0]].tolist()}",
        expected=f"points inside {array.spec.roi}",
        where=array.describe(),
        hint=hint,
    )
