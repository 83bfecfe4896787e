"""Sampling an array at points, or on another grid that an affine map leads to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dacapo_like.kernels._blocks import destination
from dacapo_like.kernels._sample_reference import (
    SPLINE_RADIUS,
    coefficients,
    reference,
    round_to,
)
from dacapo_like.kernels.walk import in_three

Order = Literal[0, 1, 3]
Method = Literal["keys", "spline"]
Range: TypeAlias = tuple[int, int]  # first, stop
Points: TypeAlias = NDArray[np.float64]
Write: TypeAlias = Callable[[Points, int], None]

POINTS_AT_ONCE = 1 << 13
"""Of a walk over a grid: their coordinates stay in the processor's cache."""

_TAPS = {0: (0, 0), 1: (0, 1), 3: (-1, 2)}  # relative to the voxel at or before the point
_IN_PLACE = tuple(map(np.dtype, ("uint8", "uint16", "float32", "float64")))
_BY_ROWS = tuple(map(np.dtype, ("uint8", "uint16", "float32")))  # each takes its time to compile
_FLOAT64 = np.dtype(np.float64)


def sample(
    data: ArrayLike,
    points: ArrayLike,
    order: Order,
    *,
    fill: Any = 0,
    data_start: Sequence[int],
    bounds: Sequence[Range],
    method: Method = "keys",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Give the values of an array at points between its voxels.

    Points are voxel indices: the centres of voxels are the integers. A point is inside the array where
    ``first - 1/2 <= x < stop - 1/2`` along every axis, which is the extent of the voxels; elsewhere the value is `fill`. What a
    value is made of beyond the array is its edge voxel. The value at a point depends on the array and the point alone: however
    the points are divided, and however little of the array is given, it is the same bit for bit.

    - Order 0: the voxel that holds the point, ``floor(x + 1/2)``. Values are copied, of any dtype.
    - Order 1: linear between the two nearest voxels along each axis.
    - Order 3: cubic convolution with a = -1/2 over the four nearest [1]_; it may overshoot. With `method` ``"spline"`` the
      interpolating cubic B-spline, mirrored at the centres of the edge voxels, as `scipy.ndimage` has it with ``mode="mirror"``
      [2]_, but for 1e-8 of the range: what a voxel contributes to places that are more than 15 voxels away.

    Sums are taken in float64, along the last axis first, from the first tap to the last; a tap of weight zero is left out, so a
    NaN there does no harm. Integers are rounded half to even and clipped to their dtype (those beyond 2**53 are thus not exact),
    floats are cast once.

    Parameters
    ----------
    data : array_like, shape (leading..., spatial...)
        The part of the array that `support` names, or more. Its last ``d`` axes are the spatial ones, at most three.
    points : array_like, shape (d, N)
        Voxel indices on the whole array, a row per spatial axis.
    order : {0, 1, 3}
        Bool allows 0 only.
    fill : number
        The value outside, of the array's dtype.
    data_start : sequence of int
        Index of the first voxel of `data` on the whole array, per spatial axis.
    bounds : sequence of (int, int)
        First and stop index of the whole array, per spatial axis: (0, n).
    method : {"keys", "spline"}
        Of order 3.
    out : ndarray, optional
        Where to write: of the result's shape, the dtype of `data`, any strides, no memory of `data`.

    Returns
    -------
    ndarray, shape (leading..., N)
        `out`, or new and C-contiguous.

    Raises
    ------
    ValueError
        If the arguments do not fit together, bool is to be interpolated, or `data` lacks voxels that are needed.

    References
    ----------
    .. [1] R. Keys, "Cubic convolution interpolation for digital image processing", IEEE Transactions on Acoustics, Speech, and
       Signal Processing 29 (1981) 1153-1160.
    .. [2] M. Unser, "Splines: a perfect fit for signal and image processing", IEEE Signal Processing Magazine 16 (1999) 22-38.

    Examples
    --------
    >>> whole = {"data_start": [0], "bounds": [(0, 3)]}
    >>> sample([0.0, 4.0, 8.0], [[-0.5, 0.25, 2.0, 2.5]], 1, fill=-1, **whole)
    array([ 0.,  1.,  8., -1.])
    """
    source, places = np.asarray(data), np.asarray(points, np.float64)
    dims = _check(source, places, order, data_start, bounds, method)
    found = support(places, order, bounds, method)
    if found is not None:
        _require(source.shape[source.ndim - dims :], data_start, found)
    lead = source.shape[: source.ndim - dims]
    result = destination(out, (*lead, places.shape[1]), source.dtype)
    flat = result if result.flags.c_contiguous else np.empty(result.shape, result.dtype)
    write = sampler(
        source,
        order,
        fill=fill,
        data_start=data_start,
        bounds=bounds,
        method=method,
        out=flat.reshape(math.prod(lead), places.shape[1]),
    )
    for first in range(0, places.shape[1], POINTS_AT_ONCE):
        write(places[:, first : first + POINTS_AT_ONCE], first)
    if flat is not result:
        result[...] = flat
    return result


def sampler(
    data: NDArray[Any],
    order: Order,
    *,
    fill: Any,
    data_start: Sequence[int],
    bounds: Sequence[Range],
    method: Method = "keys",
    out: NDArray[Any],
) -> Write:
    """Prepare to sample an array piece by piece; otherwise as `sample`, which checks what is given here.

    Parameters
    ----------
    out : ndarray, shape (L, N)
        C-contiguous, of the dtype of `data`; L is the number of voxels of the leading axes.

    Returns
    -------
    callable
        ``write(points, first)`` samples at points, shape (d, n) or padded to (3, n) in front, and writes the values to
        ``out[:, first : first + n]``.
    """
    voxels, grid = _in_three_axes(data, data_start, bounds, len(out))
    value = np.asarray(fill, data.dtype)
    if order == 0 and data.dtype.itemsize > 8:
        return _by_reference(voxels, grid, value, out)
    from dacapo_like.kernels import _sample  # numba is heavy

    if order == 0:
        bits = np.dtype(f"u{data.dtype.itemsize}")
        loop = partial(_sample.nearest(bits), voxels.view(bits))
        return _writer(loop, grid, value.view(bits)[()], out.view(bits))
    if order == 1 and data.dtype in _IN_PLACE:
        loop = partial(_sample.linear(data.dtype), voxels)
        rounds = 1 if data.dtype.kind == "u" else None
        return _writer(loop, grid, value[()], rounds, out)
    if order == 1:
        loop = partial(_sample.linear(_FLOAT64), voxels.astype(np.float64))
        return _through_float64(loop, grid, value, None, out)
    if method == "spline":
        voxels = coefficients(voxels, 3)
    elif voxels.dtype != np.float32:
        voxels = voxels.astype(np.float32 if voxels.dtype.itemsize <= 2 else np.float64, copy=False)
    loop = partial(_sample.cubic(voxels.dtype), voxels)
    return _through_float64(loop, grid, value, int(method == "spline"), out)


def walks_rows(order: Order, dtype: np.dtype[Any]) -> bool:
    """Whether `sample_rows` is there for an order and a dtype: the most usual ones."""
    return order == 1 and dtype in _BY_ROWS


def sample_rows(
    data: NDArray[Any],
    matrix: NDArray[np.float64],
    start: Sequence[int],
    shape: Sequence[int],
    *,
    fill: Any,
    data_start: Sequence[int],
    bounds: Sequence[Range],
    out: NDArray[Any],
) -> Callable[[int, int], None]:
    """Prepare to sample an array linearly at the voxels of a box; faster than, and to the bit as, `sampler` at `grid_points`.

    Parameters
    ----------
    data, fill, data_start, bounds, out
        As for `sampler`; N is the number of voxels of the box, in C order.
    matrix : ndarray, shape (d, d + 1)
        From voxel indices of the box's array to those of `data`'s.
    start, shape : sequence of int
        The box.

    Returns
    -------
    callable
        ``write(first, stop)`` does some rows of the box; all axes but the last are counted in C order.
    """
    from dacapo_like.kernels import _sample_rows  # numba is heavy

    voxels, grid = _in_three_axes(data, data_start, bounds, len(out))
    box = np.ones((3, 2), np.int64)
    box[:, 0] = 0
    box[3 - len(start) :] = np.transpose([start, shape])
    loop = partial(_sample_rows.linear_rows(data.dtype), voxels, in_three(matrix), box, grid)
    rounds = 1 if data.dtype.kind == "u" else None
    value = np.asarray(fill, data.dtype)[()]
    return lambda first, stop: loop(value, rounds, out, first, stop)


def _in_three_axes(
    data: NDArray[Any], data_start: Sequence[int], bounds: Sequence[Range], lead: int
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Give an array with one leading axis and three spatial ones, and what the loops call its grid."""
    dims = len(bounds)
    shape = (lead, *(1,) * (3 - dims), *data.shape[data.ndim - dims :])
    grid = np.zeros((3, 3), np.int64)  # the axes that are missing have one voxel
    grid[3 - dims :] = [
        (low, stop - 1, at) for (low, stop), at in zip(bounds, data_start, strict=True)
    ]
    return np.ascontiguousarray(data).reshape(shape), grid


def _writer(loop: Callable[..., Any], grid: NDArray[np.int64], *then: Any) -> Write:
    """Give the writer of a loop that writes into the result itself."""

    def write(points: Points, first: int) -> None:
        loop(in_three_rows(points), grid, *then, first)

    return write


def _through_float64(
    loop: Callable[..., Any],
    grid: NDArray[np.int64],
    fill: NDArray[Any],
    option: int | None,
    out: NDArray[Any],
) -> Write:
    """Give the writer of a loop that writes float64, which becomes the dtype of the result."""
    outside = np.nan if out.dtype.kind in "iu" else float(fill)

    def write(points: Points, first: int) -> None:
        values = np.empty((len(out), points.shape[1]))
        loop(in_three_rows(points), grid, outside, option, values, 0)
        target = out[:, first : first + points.shape[1]]
        round_to(values, fill, target)

    return write


def _by_reference(
    data: NDArray[Any], grid: NDArray[np.int64], fill: NDArray[Any], out: NDArray[Any]
) -> Write:
    """Give the writer of what numba does not know."""

    def write(points: Points, first: int) -> None:
        target = out[:, first : first + points.shape[1]]
        bounds = [(low, last + 1) for low, last, _ in grid.tolist()]
        target[...] = reference(
            data,
            in_three_rows(points),
            0,
            fill=fill,
            data_start=grid[:, 2].tolist(),
            bounds=bounds,
        )

    return write


def in_three_rows(points: Points) -> Points:
    """Give points as three rows in C order: those of the axes that are missing in front are zero."""
    if len(points) == 3:
        return np.ascontiguousarray(points)
    rows = np.zeros((3, points.shape[1]))
    rows[3 - len(points) :] = points
    return rows


def support(
    points: ArrayLike, order: Order, bounds: Sequence[Range], method: Method = "keys"
) -> tuple[Range, ...] | None:
    """Say which voxels the values at points are made of.

    Parameters
    ----------
    points : array_like, shape (d, N)
        Voxel indices on the whole array.
    order, bounds, method
        As for `sample`.

    Returns
    -------
    tuple of (int, int) or None
        First and stop index along each axis, never beyond `bounds`; ``None`` where no point is inside.

    Examples
    --------
    >>> support([[1.5, 2.25, 90.0]], 1, [(0, 10)])
    ((1, 4),)
    """
    from dacapo_like.kernels import _sample  # numba is heavy

    places = np.asarray(points, np.float64)
    grid, extremes = np.zeros((3, 3), np.int64), np.zeros((3, 2))
    grid[3 - len(bounds) :, :2] = [(low, stop - 1) for low, stop in bounds]
    if not _sample.reach()(in_three_rows(places), grid, extremes):
        return None
    return taps_between(extremes[3 - len(bounds) :], order, bounds, method)


def taps_between(
    extremes: ArrayLike, order: Order, bounds: Sequence[Range], method: Method = "keys"
) -> tuple[Range, ...]:
    """Say which voxels the points between a least and a greatest one, shape (d, 2), are made of."""
    before, behind = _TAPS[order]
    ranges = []
    for (least, greatest), (low, stop) in zip(np.asarray(extremes), bounds, strict=True):
        reach = SPLINE_RADIUS + 1 if order == 3 and method == "spline" else 0  # 1: a mirrored tap
        half = 0.5 if order == 0 else 0.0
        first, last = math.floor(least + half) + before, math.floor(greatest + half) + behind
        first, last = max(first - reach, low), min(last + reach, stop - 1)
        ranges.append((min(first, stop - 1), max(last, low) + 1))
    return tuple(ranges)


def _check(
    source: NDArray[Any],
    points: Points,
    order: int,
    data_start: Sequence[int],
    bounds: Sequence[Range],
    method: str,
) -> int:
    """Refuse arguments that do not fit together; give the number of spatial axes."""
    dims = len(bounds)
    if not 1 <= dims <= 3 or points.ndim != 2 or len(points) != dims or len(data_start) != dims:
        msg = "points, data_start and bounds need a row or an entry for each of up to three axes"
        raise ValueError(f"{msg}: got {points.shape}, {len(data_start)} and {dims}")
    if source.ndim < dims:
        raise ValueError(f"data of {source.ndim} axes has no {dims} spatial ones")
    if order not in _TAPS:
        raise ValueError(f"unknown order of interpolation: got {order}, expected 0, 1 or 3")
    if method not in ("keys", "spline"):
        raise ValueError(
            f"unknown method of interpolation: got {method!r}, expected keys or spline"
        )
    if order and source.dtype.kind not in "iuf":
        msg = f"cannot interpolate this dtype: got {source.dtype}, order {order}"
        raise ValueError(f"{msg}; expected integers or floats, or order 0")
    return dims


def _require(shape: Sequence[int], data_start: Sequence[int], needed: Sequence[Range]) -> None:
    for axis, (n, at, (first, stop)) in enumerate(zip(shape, data_start, needed, strict=True)):
        if first < at or stop > at + n:
            msg = f"data lacks voxels along spatial axis {axis}: got {at} to {at + n}"
            raise ValueError(f"{msg}, expected {first} to {stop}; read what support() names")
