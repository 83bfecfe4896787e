"""The loops of `sample_rows`, compiled on first use: positions are computed where they are used, row by row.

`box` holds the first index and the length of the box along each axis. Of each row, the part that lies between centres of voxels is found
first, so that nothing has to be asked there.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import float64, from_dtype, int32, int64, none, types, uint64
from numba.extending import register_jitable

from dacapo_like.kernels._compiling import compiled
from dacapo_like.kernels._sample import Loop, axis_of, between, linear_points

_MATRIX = types.Array(float64, 2, "C", readonly=True)
_INDICES = types.Array(int64, 2, "C", readonly=True)


@cache
def linear_rows(dtype: np.dtype[Any]) -> Loop:
    """Give the loop of order 1; `rounds` is 1 for integers, ``None`` for floats."""
    value, rounds = from_dtype(dtype), int64 if dtype.kind == "u" else none
    data, out = types.Array(value, 4, "C", readonly=True), types.Array(value, 2, "C")
    given = (data, _MATRIX, _INDICES, _INDICES, value, rounds, out, int64, int64)
    return compiled(_linear_rows, types.void(*given))


def _linear_rows(
    data: Any,
    matrix: Any,
    box: Any,
    grid: Any,
    fill: Any,
    rounds: Any,
    out: Any,
    first: int,
    stop: int,
) -> None:
    flat, length, start = data.reshape(-1), box[2, 1], float(box[2, 0])
    z_axis, y_axis, x_axis = axis_of(grid, 0), axis_of(grid, 1), axis_of(grid, 2)
    points = np.empty((3, length))
    for row in range(first, stop):
        i, j = float(box[0, 0] + row // box[1, 1]), float(box[1, 0] + row % box[1, 1])
        z_line, y_line, x_line = (
            _line(matrix, 0, i, j),
            _line(matrix, 1, i, j),
            _line(matrix, 2, i, j),
        )
        low, high = _inside(z_line, z_axis, start, 0, length)
        low, high = _inside(y_line, y_axis, start, low, high)
        low, high = _inside(x_line, x_axis, start, low, high)
        to = row * length
        for n in range(data.shape[0]):
            for k in range(low):
                out[n, to + k] = fill
            for k in range(high, length):
                out[n, to + k] = fill
        begin, end, to_z = _inner(z_line, z_axis, start, low, high)
        begin, end, to_y = _inner(y_line, y_axis, start, begin, end)
        begin, end, to_x = _inner(x_line, x_axis, start, begin, end)
        steps = (to_z * data.shape[2] * data.shape[3], to_y * data.shape[3], to_x)
        lines, axes = (z_line, y_line, x_line), (z_axis, y_axis, x_axis)
        for n in range(data.shape[0]):
            if not _blend(
                flat, data.shape, n, lines, axes, steps, start, rounds, out, to, begin, end
            ):
                end = begin
        for s, e in ((low, begin), (end, high)):  # near the edges, or where a voxel may be NaN
            for k in range(s, e):
                at = start + float(int32(k))
                for axis in range(3):
                    line, along, moved = lines[axis]
                    points[axis, k - s] = (line + along * at) + moved
            linear_points(data, points[:, : e - s], grid, fill, rounds, out, to + s)


@register_jitable
def _blend(
    flat: Any,
    shape: Any,
    n: int,
    lines: Any,
    axes: Any,
    steps: Any,
    start: float,
    rounds: Any,
    out: Any,
    to: int,
    begin: int,
    end: int,
) -> Any:
    """Do the part of a row where every voxel that is needed is there, as `linear_points` does; say whether all is finite."""
    (rz, az, tz), (ry, ay, ty), (rx, ax, tx) = lines
    (z0, _, zs), (y0, _, ys), (x0, _, xs) = axes
    to_z, to_y, to_x = steps
    finite = True
    for k in range(begin, end):
        at = start + float(int32(k))
        z, y, x = (rz + az * at) + tz, (ry + ay * at) + ty, (rx + ax * at) + tx
        fz, fy, fx = np.floor(z), np.floor(y), np.floor(x)
        wz, wy, wx = z - fz, y - fy, x - fx
        vz, vy, vx = 1.0 - wz, 1.0 - wy, 1.0 - wx
        a, b, c = max(int(fz), z0) - zs, max(int(fy), y0) - ys, max(int(fx), x0) - xs
        p = ((n * shape[1] + a) * shape[2] + b) * shape[3] + c
        q = p + to_y
        value = (flat[uint64(p)] * vx + flat[uint64(p + to_x)] * wx) * vy
        value += (flat[uint64(q)] * vx + flat[uint64(q + to_x)] * wx) * wy
        if wz != 0.0:
            p, q = p + to_z, q + to_z
            behind = (flat[uint64(p)] * vx + flat[uint64(p + to_x)] * wx) * vy
            behind += (flat[uint64(q)] * vx + flat[uint64(q + to_x)] * wx) * wy
            value = value * vz + behind * wz
        value += 0.0  # no negative zero
        if rounds is None:
            finite &= value - value == 0.0
            out[n, to + k] = value
        else:
            out[n, to + k] = np.rint(value)
    return finite


@register_jitable
def _line(matrix: Any, axis: int, i: float, j: float) -> tuple[float, float, float]:
    """Give what is the same along a row, what a step along it adds, and what is added at last."""
    return matrix[axis, 0] * i + matrix[axis, 1] * j, matrix[axis, 2], matrix[axis, 3]


@register_jitable
def _inside(line: Any, axis: Any, start: float, low: int, high: int) -> tuple[int, int]:
    """Cut a range of steps to those inside the array."""
    return _cut(line, start, low, high, axis[0] - 0.5, axis[1] + 0.5)


@register_jitable
def _inner(line: Any, axis: Any, start: float, low: int, high: int) -> tuple[int, int, int]:
    """Cut a range of steps to those with a voxel on either side; say how far the second is.

    Where no step counts, all of the row may lie beyond the last centre, and the voxel there is its own neighbour.
    """
    row, along, moved = line
    if along == 0.0:
        return low, high, 1 if between(row + moved, axis[0], axis[1]) else 0
    begin, end = _cut(line, start, low, high, float(axis[0]), float(axis[1]))
    return begin, end, 1


@register_jitable
def _cut(
    line: Any, start: float, low: int, high: int, least: float, limit: float
) -> tuple[int, int]:
    """Cut a range of steps to those whose positions are at least one, and below another."""
    row, along, moved = line
    begin, end = (
        low,
        high,
    )  # positions only grow along a row, or only fall, to the bit: two bisections
    while begin < end:
        middle = (begin + end) // 2
        x = (row + along * (start + float(middle))) + moved
        if (x >= least) if along >= 0.0 else (x < limit):
            end = middle
        else:
            begin = middle + 1
    found, end = begin, high
    while begin < end:
        middle = (begin + end) // 2
        x = (row + along * (start + float(middle))) + moved
        if (x < limit) if along >= 0.0 else (x >= least):
            begin = middle + 1
        else:
            end = middle
    return found, begin
