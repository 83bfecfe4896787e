"""The loops of `interpolate`, compiled on first use: a tile is sampled along all axes at once, so that memory is walked once.

Arrays have four axes here: one that is left as it is, then three that may be sampled. Of a tile, the planes that are sampled
along the last two axes are kept for as long as samples along the first of the three ask for them. Every sum begins with zero and
goes from the first tap to the last, so that it is the reference's bit for bit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numba import boolean, float64, from_dtype, intp, none, types, uint64
from numba.extending import register_jitable
from numpy.typing import NDArray

from dacapo_like.kernels._compiling import compiled
from dacapo_like.kernels._interpolate_reference import store
from dacapo_like.kernels._interpolate_taps import Taps
from dacapo_like.kernels._threads import spread

Loop: TypeAlias = "Callable[..., None]"
Tile: TypeAlias = tuple[int, int, int, int, int, int, int]

_COMPILED_FOR = tuple(map(np.dtype, ("uint8", "uint16", "int16", "float32", "float64")))
_LONGEST_ROW = 1 << 12

# Of a tile, times the planes kept: in float64 they stay in the processor's cache.
_PLANES_AT_ONCE = 1 << 15

# Of the result, by all tiles, before they go on with its next planes: new memory comes in large pages, which stay in the cache, too.
_VOXELS_AT_ONCE = 3 << 20

_PAYS_FOR_THREADS = 1 << 21  # voxels of the result
_TILES = 16  # at least about so many, that threads may share

_INDICES = types.Array(intp, 1, "C", readonly=True)
_ROWS_OF_INDICES = types.Array(intp, 2, "C", readonly=True)
_WEIGHTS = types.Array(float64, 2, "C", readonly=True)


class _Axis(NamedTuple):
    """How a tile is sampled along one of the four axes; where it is not, each sample has one tap of weight 1."""

    length: int  # of the input
    first: NDArray[np.intp]
    weights: NDArray[np.float64]
    voxels: NDArray[np.intp]

    @property
    def samples(self) -> int:
        return len(self.first)

    def used(self) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.intp]]:
        """Give voxel and weight of every tap, those of weight zero last, and the number of the others."""
        samples, taps = self.weights.shape
        indices = self.voxels[self.first[:, None] + np.arange(taps)]
        if self.weights.all():
            return indices, self.weights, np.full(samples, taps)
        order = np.argsort(self.weights == 0, axis=1, kind="stable")
        indices, weights = (np.take_along_axis(a, order, 1) for a in (indices, self.weights))
        count = np.count_nonzero(weights, axis=1)
        return np.where(np.arange(taps) < count[:, None], indices, indices[:, :1]), weights, count

    def by_halves(self) -> bool:
        """Whether every second sample has the same weights, of the voxels after those of the one before it."""
        if self.weights.shape[1] not in {2, 4} or not self.weights.all():
            return False
        return bool(
            (self.first[2:] == self.first[:-2] + 1).all()
            and (self.weights[2:] == self.weights[:-2]).all()
        )


def blend(values: NDArray[Any], taps: Mapping[int, Taps], out: NDArray[Any]) -> None:
    """Write the weighted sums along some axes, see `dacapo_like.kernels._interpolate_reference.blend`."""
    if out.dtype not in _COMPILED_FOR or values.dtype != out.dtype:
        wide = np.empty(out.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            blend(values.astype(np.float64, copy=False), taps, wide)
            store(wide, out)
    elif not out.flags.c_contiguous:
        dense = np.empty(out.shape, out.dtype)
        blend(values, taps, dense)
        out[...] = dense
    else:
        _blend_dense(values, taps, out)


def _blend_dense(values: NDArray[Any], taps: Mapping[int, Taps], out: NDArray[Any]) -> None:
    axes = list(_axes(values.shape, taps))
    if axes[0].weights.shape[1] > 1 or len(axes) == 1:
        axes.insert(0, _untouched(1))
    if len(axes) > 4:
        last = max(taps)
        stage = np.empty(values.shape[:last] + out.shape[last:])
        blend(values.astype(np.float64, copy=False), {last: taps[last]}, stage)
        blend(stage, {axis: found for axis, found in taps.items() if axis != last}, out)
        return
    axes[1:1] = [_untouched(1)] * (4 - len(axes))
    _run(np.ascontiguousarray(values).reshape([axis.length for axis in axes]), axes, out)


def _axes(shape: Sequence[int], taps: Mapping[int, Taps]) -> Iterator[_Axis]:
    """Give the axes that are sampled, and those between them as one."""
    for sampled, group in itertools.groupby(range(len(shape)), key=lambda axis: axis in taps):
        if not sampled:
            yield _untouched(math.prod(shape[axis] for axis in group))
            continue
        for axis in group:
            first, weights, voxels = taps[axis]
            assert weights is not None  # noqa: S101  # chosen by the caller
            yield _Axis(shape[axis], first, weights, voxels)


def _untouched(length: int) -> _Axis:
    places = np.arange(length)
    return _Axis(length, places, np.ones((length, 1)), places)


def _run(values: NDArray[Any], axes: Sequence[_Axis], out: NDArray[Any]) -> None:
    """Sample tile after tile; `values` has the four axes."""
    batch, z, y, x = axes
    (zi, zw, zn), (yi, yw, yn) = z.used(), y.used()
    depth = int((zi.max(axis=1) - zi.min(axis=1)).max()) + 1
    loop = _loop(out.dtype)
    target = out.reshape(batch.samples, z.samples, y.samples * x.samples)
    by_halves = x.by_halves()
    limits = None if out.dtype.kind == "f" else _limits(out.dtype)
    rows, line = (zi, zw, zn, depth, yi, yw, yn), (x.first, x.weights, x.voxels, by_halves)

    def run(tile: Tile) -> None:
        loop(values, np.array(tile, np.intp), *rows, *line, limits, target)

    tiles = list(_tiles(axes, depth))
    if out.size < _PAYS_FOR_THREADS:
        for tile in tiles:
            run(tile)
    else:
        spread(run, tiles)


def _limits(dtype: np.dtype[Any]) -> NDArray[np.float64]:
    limits = np.iinfo(dtype)
    return np.array([limits.min, limits.max], np.float64)


def _tiles(axes: Sequence[_Axis], depth: int) -> Iterator[Tile]:
    """Cut the result into tiles: place along the first axis, then first and stop index along the others."""
    batch, z, y, x = axes
    width = min(x.samples, _LONGEST_ROW)
    overlap = y.weights.shape[1] * y.samples // max(y.length, 1)  # of neighbours' rows of the input
    height = max(_PLANES_AT_ONCE // (width * (depth + 1)), 2 * overlap, 1)
    tall = batch.samples * math.ceil(y.samples / height) * math.ceil(x.samples / width)
    deep = min(_VOXELS_AT_ONCE // (y.samples * x.samples), z.samples * tall // _TILES)
    deep = max(deep, 8 * depth)
    for place in range(batch.samples):
        cuts = itertools.product(
            _ranges(z.samples, deep), _ranges(y.samples, height), _ranges(x.samples, width)
        )
        for (z0, z1), (y0, y1), (x0, x1) in cuts:
            yield place, z0, z1, y0, y1, x0, x1


def _ranges(stop: int, step: int) -> list[tuple[int, int]]:
    return [(first, min(first + step, stop)) for first in range(0, stop, step)]


@cache
def _loop(dtype: np.dtype[Any]) -> Loop:
    """Compile the loop for a dtype."""
    voxel = from_dtype(dtype)
    rows = (_ROWS_OF_INDICES, _WEIGHTS, _INDICES)
    limits = none if dtype.kind == "f" else types.Array(float64, 1, "C")
    return compiled(
        _sample_tile,
        types.void(
            types.Array(voxel, 4, "C", readonly=True),
            _INDICES,
            *rows,
            intp,
            *rows,
            _INDICES,
            _WEIGHTS,
            _INDICES,
            boolean,
            limits,
            types.Array(voxel, 3, "C"),
        ),
    )


def _sample_tile(
    data: Any,
    tile: Any,
    zi: Any,
    zw: Any,
    zn: Any,
    depth: Any,
    yi: Any,
    yw: Any,
    yn: Any,
    first: Any,
    weights: Any,
    voxels: Any,
    by_halves: Any,
    limits: Any,
    out: Any,
) -> None:
    """Sample one tile of the result.

    `zi`, `zw` and `zn` are voxel and weight of every tap along the first of the three axes, and how many of them count; `depth` is
    how many planes a sample may reach. `yi` and so on are those of the second axis, `first`, `weights` and `voxels` the taps of the
    third. `out` has the last two axes in one.
    """
    place, z0, z1 = tile[0], tile[1], tile[2]
    y0, y1, x0, x1 = tile[3], tile[4], tile[5], tile[6]
    height, width = y1 - y0, x1 - x0
    low = yi[y0:y1].min()
    lines = np.empty((yi[y0:y1].max() + 1 - low, width))
    planes = np.empty((depth * height, width))
    slabs = planes.reshape(depth, height * width)
    total = np.empty((1, height * width))
    start = first[x0]
    size = first[x1 - 1] + weights.shape[1] - start
    row_voxels, row_first, row_weights = voxels[start : start + size], first[x0:x1], weights[x0:x1]
    left, right = _run_of_voxels(row_voxels)
    line = np.empty(size)
    pairs = by_halves and width > 1
    held = np.full(depth, -1)
    slots = np.empty(zi.shape, np.intp)
    for z in range(z0, z1):
        for t in range(zn[z]):
            plane = zi[z, t]
            slot = plane % depth
            slots[z, t] = slot
            if held[slot] == plane:
                continue
            held[slot] = plane
            for row in range(len(lines)):
                _read_line(data, place, plane, low + row, row_voxels, left, right, line)
                if pairs:
                    _sample_by_halves(line, row_first, row_weights, lines, row)
                else:
                    _sample_line(line, row_first, row_weights, lines, row)
            _add_rows(lines, low, yi, yw, yn, y0, y1, planes, slot * height)
        where = (y0 * len(first) + x0, len(first), width)
        _write_plane(slabs, slots, zw, zn, z, total, where, limits, out, place)


@register_jitable
def _write_plane(
    slabs: Any,
    at: Any,
    weights: Any,
    count: Any,
    z: Any,
    total: Any,
    where: Any,
    limits: Any,
    out: Any,
    place: Any,
) -> None:
    """Write the weighted sum of planes of a tile; `where` is its first voxel in a plane of `out`, and how far and how long rows are."""
    begin, step, width = where
    length = (
        slabs.shape[1] if width == step else width
    )  # whole rows follow each other in `out`, too
    size = uint64(length)
    if count[z] != 2:
        _add_rows(slabs, 0, at, weights, count, z, z + 1, total, 0)
    last = min(1, weights.shape[1] - 1)
    a, b, u, v = at[z, 0], at[z, last], weights[z, 0], weights[z, last]
    for i in range(slabs.shape[1] // length):
        target, source = uint64(begin + i * step), uint64(i * length)
        if count[z] == 2:
            for k in range(size):
                value = (0.0 + u * slabs[a, source + k]) + v * slabs[b, source + k]
                out[place, z, target + k] = _rounded(value, limits)
        else:
            for k in range(size):
                out[place, z, target + k] = _rounded(total[0, source + k], limits)


@register_jitable
def _rounded(value: Any, limits: Any) -> Any:
    return value if limits is None else min(max(np.rint(value), limits[0]), limits[1])


@register_jitable
def _run_of_voxels(voxels: Any) -> Any:
    """Find the places between which voxels follow each other; beyond them they are folded at an edge."""
    left = 0
    while left < len(voxels) - 1 and voxels[left + 1] != voxels[left] + 1:
        left += 1
    right = left + 1
    while right < len(voxels) and voxels[right] == voxels[right - 1] + 1:
        right += 1
    return left, right


@register_jitable
def _read_line(
    data: Any, place: Any, plane: Any, row: Any, voxels: Any, left: Any, right: Any, line: Any
) -> None:
    """Copy the voxels of a row; those from `left` to `right` follow each other."""
    for k in range(left):
        line[k] = data[place, plane, row, voxels[k]]
    source, target = uint64(voxels[left]), uint64(left)
    for k in range(uint64(right - left)):
        line[target + k] = data[place, plane, row, source + k]
    for k in range(right, len(line)):
        line[k] = data[place, plane, row, voxels[k]]


@register_jitable
def _sample_line(line: Any, first: Any, weights: Any, out: Any, row: Any) -> None:
    """Write the samples along a line, which begins at the first tap of the first of them."""
    samples, taps = weights.shape
    if taps == 1:  # the axis is not sampled
        for k in range(samples):
            out[row, k] = line[k]
        return
    for k in range(samples):
        value = 0.0
        at = uint64(first[k] - first[0])
        for t in range(uint64(taps)):
            weight = weights[k, t]
            if weight != 0.0:
                value += weight * line[at + t]
        out[row, k] = value


@register_jitable
def _sample_by_halves(line: Any, first: Any, weights: Any, out: Any, row: Any) -> None:
    """Do what `_sample_line` does where every second sample has the same weights: the processor takes several at once."""
    samples, taps = weights.shape
    one, pairs = uint64(1), uint64(samples // 2)
    at = uint64(first[1] - first[0])
    a, b, e, f = weights[0, 0], weights[0, 1], weights[1, 0], weights[1, 1]
    if taps == 2:
        for k in range(pairs):
            out[row, k + k] = (0.0 + a * line[k]) + b * line[k + one]
            out[row, k + k + one] = (0.0 + e * line[at + k]) + f * line[at + k + one]
        if samples % 2:
            out[row, samples - 1] = (0.0 + a * line[pairs]) + b * line[pairs + one]
        return
    two, three = uint64(2), uint64(3)
    c, d, g, h = weights[0, 2], weights[0, 3], weights[1, 2], weights[1, 3]
    for k in range(pairs):
        even = (0.0 + a * line[k]) + b * line[k + one]
        out[row, k + k] = (even + c * line[k + two]) + d * line[k + three]
        odd = (0.0 + e * line[at + k]) + f * line[at + k + one]
        out[row, k + k + one] = (odd + g * line[at + k + two]) + h * line[at + k + three]
    if samples % 2:
        even = (0.0 + a * line[pairs]) + b * line[pairs + one]
        out[row, samples - 1] = (even + c * line[pairs + two]) + d * line[pairs + three]


@register_jitable
def _add_rows(
    rows: Any,
    origin: Any,
    at: Any,
    weights: Any,
    count: Any,
    start: Any,
    stop: Any,
    out: Any,
    place: Any,
) -> None:
    """Write the weighted sums of rows for a range of samples; `at` counts rows from the origin."""
    width = rows.shape[1]
    for i in range(start, stop):
        o, n = place + i - start, count[i]
        a, u = at[i, 0] - origin, weights[i, 0]
        if n == 1:
            for k in range(width):
                out[o, k] = 0.0 + u * rows[a, k]
            continue
        b, v = at[i, 1] - origin, weights[i, 1]
        if n == 4:
            c, w, d, x = at[i, 2] - origin, weights[i, 2], at[i, 3] - origin, weights[i, 3]
            for k in range(width):
                value = (0.0 + u * rows[a, k]) + v * rows[b, k]
                out[o, k] = (value + w * rows[c, k]) + x * rows[d, k]
            continue
        for k in range(width):
            out[o, k] = (0.0 + u * rows[a, k]) + v * rows[b, k]
        for t in range(2, n - 1, 2):
            a, u = at[i, t] - origin, weights[i, t]
            b, v = at[i, t + 1] - origin, weights[i, t + 1]
            for k in range(width):
                out[o, k] = (out[o, k] + u * rows[a, k]) + v * rows[b, k]
        if n % 2:
            a, u = at[i, n - 1] - origin, weights[i, n - 1]
            for k in range(width):
                out[o, k] += u * rows[a, k]
