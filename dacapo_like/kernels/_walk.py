"""The loops of `walk` and `displace`, compiled on first use; points are three rows of voxel indices.

`field` holds the components of vectors along its first axis, then three spatial axes; `grid` is that of the loops of `sample`,
`turn` takes components to voxels of the field.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import float64, int32, int64, types, uint64
from numba.extending import register_jitable

from dacapo_like.kernels._compiling import compiled
from dacapo_like.kernels._sample import Loop, axis_of, between, within

_MATRIX = types.Array(float64, 2, "C", readonly=True)
_NUMBERS = types.Array(int64, 1, "C", readonly=True)
_GRID = types.Array(int64, 2, "C", readonly=True)
_FIELD = types.Array(float64, 4, "C", readonly=True)
_POINTS = types.Array(float64, 2, "C")

MOST_STEPS = 500
"""Of the iteration that inverts a field, at a point."""
CLOSE = 1e-9
"""Voxels of the field by which a point that was moved back may miss where it came from."""


@cache
def walk() -> Loop:
    """Give the loop that writes the positions of a grid's voxels, in C order from one of them on."""
    return compiled(_walk, types.void(_MATRIX, _NUMBERS, _NUMBERS, int64, _POINTS))


@cache
def move() -> Loop:
    """Give the loop that applies a matrix to points, in place."""
    return compiled(_move, types.void(_MATRIX, _POINTS))


@cache
def displace() -> Loop:
    """Give the loop that moves points by a field, in place."""
    return compiled(_displace, types.void(_POINTS, _FIELD, _GRID, _MATRIX))


@cache
def undisplace() -> Loop:
    """Give the loop that moves points back by a field, in place; it tells what it lacks."""
    wanted, status = types.Array(float64, 2, "C"), types.Array(int64, 1, "C")
    return compiled(_undisplace, types.void(_POINTS, _FIELD, _GRID, _MATRIX, wanted, status))


def _walk(matrix: Any, start: Any, shape: Any, first: int, points: Any) -> None:
    k, rest = first % shape[2], first // shape[2]
    j, i = rest % shape[1], rest // shape[1]
    at, n = 0, points.shape[1]
    while at < n:
        length = min(n - at, shape[2] - k)
        z, y = float(start[0] + i), float(start[1] + j)
        x = float(start[2] + k)
        for axis in range(3):
            row = matrix[axis, 0] * z + matrix[axis, 1] * y
            along, moved = matrix[axis, 2], matrix[axis, 3]
            for step in range(length):  # of 32 bits: processors turn several at once into floats
                points[axis, at + step] = (row + along * (x + float(int32(step)))) + moved
        at += length
        k, j = 0, j + 1
        if j == shape[1]:
            j, i = 0, i + 1


def _move(matrix: Any, points: Any) -> None:
    a0, a1, a2, a3 = matrix[0, 0], matrix[0, 1], matrix[0, 2], matrix[0, 3]
    b0, b1, b2, b3 = matrix[1, 0], matrix[1, 1], matrix[1, 2], matrix[1, 3]
    c0, c1, c2, c3 = matrix[2, 0], matrix[2, 1], matrix[2, 2], matrix[2, 3]
    for n in range(points.shape[1]):
        z, y, x = points[0, n], points[1, n], points[2, n]
        points[0, n] = ((a0 * z + a1 * y) + a2 * x) + a3
        points[1, n] = ((b0 * z + b1 * y) + b2 * x) + b3
        points[2, n] = ((c0 * z + c1 * y) + c2 * x) + c3


def _displace(points: Any, field: Any, grid: Any, turn: Any) -> None:
    rows, columns, flat = field.shape[2], field.shape[3], field.reshape(-1)
    size, components = field.shape[1] * rows * columns, field.shape[0]
    (z0, z1, zs), (y0, y1, ys), (x0, x1, xs) = axis_of(grid, 0), axis_of(grid, 1), axis_of(grid, 2)
    for n in range(points.shape[1]):
        z, y, x = points[0, n], points[1, n], points[2, n]
        if not (within(z, z0, z1) & within(y, y0, y1) & within(x, x0, x1)):
            continue
        fz, fy, fx = np.floor(z), np.floor(y), np.floor(x)
        wz, wy, wx = z - fz, y - fy, x - fx
        vz, vy, vx = 1.0 - wz, 1.0 - wy, 1.0 - wx
        to_z = rows * columns if (wz != 0.0) & between(z, z0, z1) else 0  # without weight, no NaN
        to_y = columns if (wy != 0.0) & between(y, y0, y1) else 0
        to_x = 1 if (wx != 0.0) & between(x, x0, x1) else 0
        a, b, c = max(int(fz), z0) - zs, max(int(fy), y0) - ys, max(int(fx), x0) - xs
        p = (a * rows + b) * columns + c
        by_z, by_y, by_x = 0.0, 0.0, 0.0
        for component in range(components):
            q, r, s = p + to_y, p + to_z, p + to_z + to_y
            value = (flat[uint64(p)] * vx + flat[uint64(p + to_x)] * wx) * vy
            value += (flat[uint64(q)] * vx + flat[uint64(q + to_x)] * wx) * wy
            behind = (flat[uint64(r)] * vx + flat[uint64(r + to_x)] * wx) * vy
            behind += (flat[uint64(s)] * vx + flat[uint64(s + to_x)] * wx) * wy
            value = value * vz + behind * wz
            by_z += turn[0, component] * value
            by_y += turn[1, component] * value
            by_x += turn[2, component] * value
            p += size
        points[0, n], points[1, n], points[2, n] = z + by_z, y + by_y, x + by_x


def _undisplace(points: Any, field: Any, grid: Any, turn: Any, wanted: Any, status: Any) -> None:
    """Write to `status` how many points lack voxels, how many do not converge, and the first of these."""
    vector, taps, weights = np.empty(3), np.empty((3, 2), np.int64), np.empty(3)
    point, place, flat = np.empty(3), np.empty(3), field.reshape(-1)
    for n in range(points.shape[1]):
        for axis in range(3):
            point[axis] = place[axis] = points[axis, n]
        if not _is_inside(point, grid):
            continue
        outcome = _iterate(point, place, flat, field.shape, grid, turn, taps, weights, vector)
        if outcome == _FOUND:
            for axis in range(3):
                points[axis, n] = place[axis]
        elif outcome == _SHORT:
            _want(taps, wanted, status[0] == 0)
            status[0] += 1
        else:
            if status[1] == 0:
                status[2] = n
            status[1] += 1


_FOUND, _SHORT, _LOST = 0, 1, 2


@register_jitable
def _iterate(
    point: Any,
    place: Any,
    flat: Any,
    shape: Any,
    grid: Any,
    turn: Any,
    taps: Any,
    weights: Any,
    vector: Any,
) -> int:
    """Move a place to where the field leads from there to a point; halve the steps where they lead further away."""
    share, before = 1.0, np.inf
    missing = np.empty(3)
    for _ in range(MOST_STEPS):
        _find(place, grid, taps, weights)
        if not _has(taps, grid, shape):
            return _SHORT
        _vector(flat, shape, grid, taps, weights, vector)
        error = 0.0
        for axis in range(3):
            missing[axis] = point[axis] - place[axis] - _turned(turn, axis, vector, shape[0])
            error = max(error, abs(missing[axis]))
        if not np.isfinite(missing[0] + missing[1] + missing[2]):
            return _LOST
        if error <= CLOSE:
            return _FOUND
        share = share * 0.5 if error > before else share
        before = error
        for axis in range(3):
            place[axis] += share * missing[axis]
    return _LOST


@register_jitable
def _is_inside(point: Any, grid: Any) -> Any:
    inside = True
    for axis in range(3):
        inside &= (point[axis] >= grid[axis, 0] - 0.5) & (point[axis] < grid[axis, 1] + 0.5)
    return inside


@register_jitable
def _find(point: Any, grid: Any, taps: Any, weights: Any) -> None:
    """Find the voxels around a point, and the weight of the second; beyond the edge both are the edge voxel."""
    for axis in range(3):
        low, high = grid[axis, 0], grid[axis, 1]
        x = min(max(point[axis], float(low)), float(high))
        floor = np.floor(x)
        taps[axis, 0] = int(floor)
        taps[axis, 1] = int(np.ceil(x))  # the first again where the second has no weight
        weights[axis] = x - floor


@register_jitable
def _has(taps: Any, grid: Any, shape: Any) -> Any:
    has = True
    for axis in range(3):
        has &= taps[axis, 0] >= grid[axis, 2]
        has &= taps[axis, 1] < grid[axis, 2] + shape[axis + 1]
    return has


@register_jitable
def _want(taps: Any, wanted: Any, first: Any) -> None:
    for axis in range(3):
        if first or taps[axis, 0] < wanted[axis, 0]:
            wanted[axis, 0] = taps[axis, 0]
        if first or taps[axis, 1] > wanted[axis, 1]:
            wanted[axis, 1] = taps[axis, 1]


@register_jitable
def _vector(flat: Any, shape: Any, grid: Any, taps: Any, weights: Any, vector: Any) -> None:
    """Interpolate the components of a field, linearly."""
    for n in range(shape[0]):
        value = 0.0
        for a in range(2):
            wz = weights[0] if a else 1.0 - weights[0]
            plane = 0.0
            for b in range(2):
                wy = weights[1] if b else 1.0 - weights[1]
                row = (n * shape[1] + taps[0, a] - grid[0, 2]) * shape[2] + taps[1, b] - grid[1, 2]
                at = row * shape[3] - grid[2, 2]
                left, right = flat[uint64(at + taps[2, 0])], flat[uint64(at + taps[2, 1])]
                plane += wy * ((1.0 - weights[2]) * left + weights[2] * right)
            value += wz * plane
        vector[n] = value


@register_jitable
def _turned(turn: Any, axis: int, vector: Any, components: int) -> float:
    value = 0.0
    for n in range(components):
        value += turn[axis, n] * vector[n]
    return value
