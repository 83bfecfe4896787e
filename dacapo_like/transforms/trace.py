"""Following a chain of transforms from a box of voxels: where it leads, and which voxels that needs on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import ReadError
from dacapo_like.geometry import Box, box_between
from dacapo_like.kernels._threads import spread
from dacapo_like.kernels.displace import displace, undisplace
from dacapo_like.kernels.sample import (
    Method,
    Order,
    Range,
    in_three_rows,
    support,
    taps_between,
)
from dacapo_like.kernels.walk import Points, grid_extremes, grid_points, move_points
from dacapo_like.transforms.chain import Chain, Warp

_POINTS_AT_ONCE = 1 << 13  # their coordinates stay in the processor's cache
_POINTS_PER_THREAD = 1 << 18
_MARGIN = 4  # voxels of a field: what an iteration asks for next is mostly near


class Part(NamedTuple):
    """Voxels of a displacement field.

    Attributes
    ----------
    data : ndarray of float64, shape (components, spatial...)
        Its voxels.
    start : tuple of int
        Index of the first of them, along the spatial axes.
    """

    data: NDArray[np.float64]
    start: tuple[int, ...]


class Trace:
    """A box of voxels that a chain is followed from.

    Parameters
    ----------
    chain : Chain
        From the voxels of the box's array.
    start, shape : sequence of int
        The box, spatial axes only.
    parts : sequence of Part or None
        What is there of each field; ``None`` moves no point.
    """

    def __init__(
        self,
        chain: Chain,
        start: Sequence[int],
        shape: Sequence[int],
        parts: Sequence[Part | None] = (),
    ) -> None:
        self.chain = chain
        self.start, self.shape = tuple(start), tuple(shape)
        self.parts = parts
        self.size = math.prod(shape)
        self._short: dict[int, tuple[Range, ...]] = {}

    def support(
        self, stage: int, order: Order, bounds: Sequence[Range], method: Method = "keys"
    ) -> tuple[Range, ...] | None:
        """Say which voxels are needed of the array where so many fields have been passed.

        Returns
        -------
        tuple of (int, int) or None
            First and stop index along each axis; ``None`` where all points are outside.
        """
        if stage == 0:
            return _between(
                grid_extremes(self.chain.maps[0], self.start, self.shape), order, bounds, method
            )
        found: list[tuple[Range, ...]] = []

        def run(first: int) -> None:
            for _, points in self._points(stage, first):
                here = support(points[3 - len(bounds) :], order, bounds, method)
                if here is not None:
                    found.append(here)

        self._spread(run)
        return reduce(_hull, found) if found else None

    def lacking(self, stage: int) -> tuple[Range, ...] | None:
        """Say which voxels of an inverted field are needed that are not there; ``None``: there are all.

        Raises
        ------
        ReadError
            The inverse does not converge at a point.
        """
        part = self.parts[stage]
        if part is None or not self.chain.warps[stage].invert:
            return None
        self._short.pop(stage, None)
        for first in range(0, self.size, _POINTS_PER_THREAD):
            for _ in self._points(stage + 1, first):
                pass
        short = self._short.pop(stage, None)
        return None if short is None else _more(part, self.chain.warps[stage], short)

    def write(self, write: Callable[[Points, int], None]) -> None:
        """Give all points where the chain ends, in C order and in pieces, each with the number of its first."""

        def run(first: int) -> None:
            for at, points in self._points(len(self.chain.warps), first):
                write(points, at)

        self._spread(run)

    def _spread(self, run: Callable[[int], None]) -> None:
        spread(run, range(0, self.size, _POINTS_PER_THREAD))

    def _points(self, stage: int, first: int) -> Iterator[tuple[int, Points]]:
        """Give the points of one thread where so many fields have been passed, in voxels of the array that comes next."""
        maps, stop = self.chain.maps, min(first + _POINTS_PER_THREAD, self.size)
        for at in range(first, stop, _POINTS_AT_ONCE):
            count = min(_POINTS_AT_ONCE, stop - at)
            points = grid_points(maps[0], self.start, self.shape, at, count)
            for number in range(stage):
                self._pass(number, points, at)
                move_points(maps[number + 1], points)
            yield at, points

    def _pass(self, number: int, points: Points, at: int) -> None:
        part, warp = self.parts[number], self.chain.warps[number]
        if part is None:
            return
        bounds = [(0, n) for n in warp.shape]
        if not warp.invert:
            displace(points, part.data, warp.turn, data_start=part.start, bounds=bounds)
            return
        shortage = undisplace(points, part.data, warp.turn, data_start=part.start, bounds=bounds)
        if shortage.lost:
            index = np.unravel_index(at + shortage.first, self.shape)
            voxel = tuple(int(i) + o for i, o in zip(index, self.start, strict=True))
            raise _no_inverse(warp, shortage.lost, f"voxel {voxel} of the output")
        if any(low < high for low, high in shortage.wanted):
            before = self._short.get(number, shortage.wanted)
            self._short[number] = _hull(before, shortage.wanted)


def spread_rows(write: Callable[[int, int], None], shape: Sequence[int]) -> None:
    """Write all rows of a box, where it is large by several threads."""
    rows = math.prod(shape[:-1])
    at_once = max(_POINTS_PER_THREAD // max(shape[-1], 1), 1)
    spread(lambda first: write(first, min(first + at_once, rows)), range(0, rows, at_once))


def _between(
    extremes: NDArray[np.float64], order: Order, bounds: Sequence[Range], method: Method
) -> tuple[Range, ...] | None:
    """Give the taps of what lies between positions, as far as it is inside; ``None`` where nothing is."""
    for (least, greatest), (low, stop) in zip(extremes, bounds, strict=True):
        if low >= stop or not (greatest >= low - 0.5 and least < stop - 0.5):
            return None
    return taps_between(extremes, order, bounds, method)


def _hull(a: Sequence[Range], b: Sequence[Range]) -> tuple[Range, ...]:
    return tuple(
        (min(low, first), max(high, last)) for (low, high), (first, last) in zip(a, b, strict=True)
    )


def _more(part: Part, warp: Warp, wanted: Sequence[Range]) -> tuple[Range, ...]:
    """Give what is there of a field and what is wanted of it, with a margin."""
    have = [(at, at + n) for at, n in zip(part.start, part.data.shape[1:], strict=True)]
    return tuple(
        (max(low - _MARGIN, 0), min(high + _MARGIN, n))
        for (low, high), n in zip(_hull(wanted, have), warp.shape, strict=True)
    )


def _no_inverse(warp: Warp, lost: int, first: str) -> ReadError:
    return ReadError(
        "the inverse of a displacement field does not converge",
        got=f"{lost} points where it does not, the first of them {first}",
        expected="displacements that differ by less than the places that they are at",
        hint="give the inverse field that the registration wrote",
        key=("transforms", warp.number),
    )


def field_box(warp: Warp, ranges: Sequence[Range]) -> Box:
    """Give the box of a field, with all components of its vectors."""
    lead = (0, 0) if warp.flat else (0,)
    stop = (len(warp.shape), 1) if warp.flat else (len(warp.shape),)
    starts, stops = zip(*ranges, strict=True)
    return box_between(lead + starts, stop + stops)


def part_of(data: NDArray[Any], box: Box, warp: Warp) -> Part:
    """Give the voxels of a box of a field as what the kernels take."""
    voxels = data[:, 0] if warp.flat else data
    return Part(np.ascontiguousarray(voxels, np.float64), box.offset[-len(warp.shape) :])


def follow(
    chain: Chain, rows: NDArray[np.float64], reads: Sequence[Callable[[Box], NDArray[Any]]]
) -> NDArray[np.float64]:
    """Give where points lead to, both in rows of shape (n, dims).

    Parameters
    ----------
    chain : Chain
        From the voxels that the points are.
    rows : ndarray
        Voxel indices.
    reads : sequence of callable
        Each reads a box of a field.

    Raises
    ------
    ReadError
        The inverse of a field does not converge at a point.
    """
    points = in_three_rows(rows.T).copy()
    dims = rows.shape[1]
    move_points(chain.maps[0], points)
    for warp, matrix, read in zip(chain.warps, chain.maps[1:], reads, strict=True):
        bounds = [(0, n) for n in warp.shape]
        ranges = support(points[3 - dims :], 1, bounds)
        while ranges is not None:
            box = field_box(warp, ranges)
            part = part_of(read(box), box, warp)
            ranges, before = None, points.copy()
            if not warp.invert:
                displace(points, part.data, warp.turn, data_start=part.start, bounds=bounds)
                continue
            found = undisplace(points, part.data, warp.turn, data_start=part.start, bounds=bounds)
            if found.lost:
                raise _no_inverse(warp, found.lost, f"point {found.first}")
            if any(low < high for low, high in found.wanted):
                ranges, points = _more(part, warp, found.wanted), before
        move_points(matrix, points)
    return points[3 - dims :].T
