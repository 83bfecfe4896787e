"""The loops of `sample`, compiled on first use.

Arrays have one leading axis and three spatial ones. `grid` has a row for each spatial axis: the first and the last index of
the whole array, and the index of the first voxel of `data`. Points are three rows of voxel indices; what is found at point
``i`` is written to place ``first + i``. Every voxel that a point asks for has to be in `data`: nothing checks it here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numba import float64, from_dtype, int64, none, types, uint64
from numba.extending import register_jitable

from dacapo_like.kernels._compiling import compiled

Loop: TypeAlias = "Callable[..., Any]"

_POINTS = types.Array(float64, 2, "C", readonly=True)
_GRID = types.Array(int64, 2, "C", readonly=True)


def _voxels(dtype: np.dtype[Any]) -> Any:
    return types.Array(from_dtype(dtype), 4, "C", readonly=True)


def _result(dtype: np.dtype[Any]) -> Any:
    return types.Array(from_dtype(dtype), 2, "C")


@cache
def nearest(dtype: np.dtype[Any]) -> Loop:
    """Give the loop of order 0, for unsigned integers, which stand for any bits."""
    fill = from_dtype(dtype)
    return compiled(
        _nearest, types.void(_voxels(dtype), _POINTS, _GRID, fill, _result(dtype), int64)
    )


@cache
def linear(dtype: np.dtype[Any]) -> Loop:
    """Give the loop of order 1; `rounds` is 1 for integers, ``None`` for floats."""
    fill, rounds = from_dtype(dtype), int64 if dtype.kind == "u" else none
    return compiled(
        linear_points,
        types.void(_voxels(dtype), _POINTS, _GRID, fill, rounds, _result(dtype), int64),
    )


@cache
def cubic(dtype: np.dtype[Any]) -> Loop:
    """Give the loop of order 3, which writes float64: Keys' kernel, or the B-spline whose coefficients `data` holds."""
    out = _result(np.dtype(np.float64))
    return compiled(_cubic, types.void(_voxels(dtype), _POINTS, _GRID, float64, int64, out, int64))


@cache
def reach() -> Loop:
    """Give the loop that finds the least and the greatest of the points inside, and their number."""
    extremes = types.Array(float64, 2, "C")
    return compiled(_reach, int64(_POINTS, _GRID, extremes))


def _nearest(data: Any, points: Any, grid: Any, fill: Any, out: Any, first: int) -> None:
    rows, columns, flat = data.shape[2], data.shape[3], data.reshape(-1)
    size, lead = data.shape[1] * rows * columns, data.shape[0]
    # Numbers of their own: what is written may be the memory of an array, for all that the compiler knows.
    (z0, z1, zs), (y0, y1, ys), (x0, x1, xs) = axis_of(grid, 0), axis_of(grid, 1), axis_of(grid, 2)
    for i in range(points.shape[1]):
        z, y, x = points[0, i], points[1, i], points[2, i]
        if not (within(z, z0, z1) & within(y, y0, y1) & within(x, x0, x1)):
            for n in range(lead):
                out[n, first + i] = fill
            continue
        a = min(int(np.floor(z + 0.5)), z1) - zs
        b = min(int(np.floor(y + 0.5)), y1) - ys
        c = min(int(np.floor(x + 0.5)), x1) - xs
        at = (a * rows + b) * columns + c
        for n in range(lead):
            out[n, first + i] = flat[uint64(n * size + at)]


@register_jitable
def linear_points(
    data: Any, points: Any, grid: Any, fill: Any, rounds: Any, out: Any, first: int
) -> None:
    """Do the work of `linear`."""
    rows, columns, flat = data.shape[2], data.shape[3], data.reshape(-1)
    size, lead = data.shape[1] * rows * columns, data.shape[0]
    (z0, z1, zs), (y0, y1, ys), (x0, x1, xs) = axis_of(grid, 0), axis_of(grid, 1), axis_of(grid, 2)
    for i in range(points.shape[1]):
        z, y, x = points[0, i], points[1, i], points[2, i]
        # From the first of the eight voxels to the next along each axis; nothing where that is beyond the edge.
        to_z, to_y, to_x = rows * columns, columns, 1
        if not (between(z, z0, z1) & between(y, y0, y1) & between(x, x0, x1)):
            if not (within(z, z0, z1) & within(y, y0, y1) & within(x, x0, x1)):
                for n in range(lead):
                    out[n, first + i] = fill
                continue
            to_z = to_z if between(z, z0, z1) else 0
            to_y = to_y if between(y, y0, y1) else 0
            to_x = to_x if between(x, x0, x1) else 0
        fz, fy, fx = np.floor(z), np.floor(y), np.floor(x)
        wz, wy, wx = z - fz, y - fy, x - fx
        vz, vy, vx = 1.0 - wz, 1.0 - wy, 1.0 - wx
        a, b, c = max(int(fz), z0) - zs, max(int(fy), y0) - ys, max(int(fx), x0) - xs
        at = (a * rows + b) * columns + c
        for n in range(lead):
            p, q = n * size + at, n * size + at + to_y
            value = (flat[uint64(p)] * vx + flat[uint64(p + to_x)] * wx) * vy
            value += (flat[uint64(q)] * vx + flat[uint64(q + to_x)] * wx) * wy
            if wz != 0.0:
                r, s = p + to_z, q + to_z
                behind = (flat[uint64(r)] * vx + flat[uint64(r + to_x)] * wx) * vy
                behind += (flat[uint64(s)] * vx + flat[uint64(s + to_x)] * wx) * wy
                value = value * vz + behind * wz
            value += 0.0  # no negative zero
            if rounds is None:
                if not np.isfinite(value):
                    z2, y2, x2 = ((vz, 0), (wz, to_z)), ((vy, 0), (wy, to_y)), ((vx, 0), (wx, to_x))
                    value = _of_weight(flat, p, z2, y2, x2)
                out[n, first + i] = value
            else:
                out[n, first + i] = np.rint(value)


@register_jitable
def axis_of(grid: Any, axis: int) -> tuple[int, int, int]:
    return grid[axis, 0], grid[axis, 1], grid[axis, 2]


@register_jitable
def between(x: float, low: int, high: int) -> Any:
    return (x >= low) & (x < high)


@register_jitable
def within(x: float, low: int, high: int) -> Any:
    return (x >= low - 0.5) & (x < high + 0.5)


@register_jitable
def _of_weight(flat: Any, at: int, z2: Any, y2: Any, x2: Any) -> float:
    """Add up linear taps, leaving out those of weight zero, which may be NaN or infinite."""
    value = 0.0
    for wz, to_z in z2:
        plane = 0.0
        for wy, to_y in y2:
            row = 0.0
            for wx, to_x in x2:
                if wx != 0.0:
                    row += wx * flat[uint64(at + to_z + to_y + to_x)]
            if wy != 0.0:
                plane += wy * row
        if wz != 0.0:
            value += wz * plane
    return value


def _cubic(
    data: Any, points: Any, grid: Any, fill: float, spline: int, out: Any, first: int
) -> None:
    rows, columns = data.shape[2], data.shape[3]
    flat = data.reshape(-1)
    size = data.shape[1] * rows * columns
    taps, weights = np.empty((3, 4), np.int64), np.empty((3, 4))
    for i in range(points.shape[1]):
        if not _inside(points, i, grid):
            for n in range(out.shape[0]):
                out[n, first + i] = fill
            continue
        for axis in range(3):
            low, high = grid[axis, 0], grid[axis, 1]
            mirrors = spline != 0 and low < high
            floor = np.floor(points[axis, i])
            f = 0.0 if spline != 0 and low == high else points[axis, i] - floor
            _cubic_weights(f, mirrors, weights[axis])
            for k in range(4):
                at = int(floor) - 1 + k
                at = _reflected(at, low, high) if mirrors else min(max(at, low), high)
                taps[axis, k] = at - grid[axis, 2]
        for n in range(out.shape[0]):
            value = _sum(flat, n * size, taps, weights, rows, columns, 0)
            if not np.isfinite(value):
                value = _sum(flat, n * size, taps, weights, rows, columns, 1)
            out[n, first + i] = value


@register_jitable
def _inside(points: Any, i: int, grid: Any) -> Any:
    inside = True
    for axis in range(3):
        inside &= within(points[axis, i], grid[axis, 0], grid[axis, 1])
    return inside


@register_jitable
def _sum(
    flat: Any, start: int, taps: Any, weights: Any, rows: int, columns: int, careful: int
) -> float:
    """Add up cubic taps; with `careful` also leave out, along the last axis, those of weight zero."""
    value = 0.0
    for a in range(4):
        if weights[0, a] == 0.0:
            continue
        plane = 0.0
        for b in range(4):
            if weights[1, b] == 0.0:
                continue
            at = start + (taps[0, a] * rows + taps[1, b]) * columns
            row = 0.0
            for c in range(4):
                if not careful or weights[2, c] != 0.0:
                    row += weights[2, c] * flat[uint64(at + taps[2, c])]
            plane += weights[1, b] * row
        value += weights[0, a] * plane
    return value


@register_jitable
def _cubic_weights(f: float, spline: int, out: Any) -> None:
    if spline:
        g = 1.0 - f
        out[0] = g * g * g / 6.0
        out[1] = ((3.0 * f - 6.0) * f * f + 4.0) / 6.0
        out[2] = ((3.0 * g - 6.0) * g * g + 4.0) / 6.0
        out[3] = f * f * f / 6.0
    else:
        out[0] = ((-0.5 * f + 1.0) * f - 0.5) * f
        out[1] = (1.5 * f - 2.5) * f * f + 1.0
        out[2] = ((-1.5 * f + 2.0) * f + 0.5) * f
        out[3] = (0.5 * f - 0.5) * f * f


@register_jitable
def _reflected(at: int, low: int, high: int) -> int:
    """Mirror an index at the centres of the first and the last voxel."""
    period = 2 * (high - low)
    folded = abs(at - low) % period
    return low + min(folded, period - folded)


def _reach(points: Any, grid: Any, extremes: Any) -> int:
    count = 0
    for i in range(points.shape[1]):
        if _inside(points, i, grid):
            for axis in range(3):
                x = points[axis, i]
                if count == 0 or x < extremes[axis, 0]:
                    extremes[axis, 0] = x
                if count == 0 or x > extremes[axis, 1]:
                    extremes[axis, 1] = x
            count += 1
    return count
