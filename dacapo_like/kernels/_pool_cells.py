"""Where the cells of pooling lie on the voxels that they join, axis by axis."""

from __future__ import annotations

import itertools
import math
import operator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from numpy.typing import NDArray

    Range = tuple[int, int]  # first, stop


class Cells(NamedTuple):
    """Neighbouring cells along one axis: the voxels of each, and how much of each voxel it takes."""

    voxels: NDArray[np.intp]
    """(most voxels of a cell, cells): indices; beyond the last voxel of a cell that one again."""

    weights: NDArray[np.float64]
    """Alike: whole numbers without a common divisor; 0 beyond the last voxel of a cell."""

    totals: NDArray[np.float64]
    """(cells): what the weights of each add up to."""

    step: int
    """How many whole voxels each cell takes, those after the cell before; 0 if it is not so."""

    @property
    def most(self) -> int:
        """The most voxels that one of them takes."""
        return len(self.voxels)

    @property
    def most_weight(self) -> float:
        """The most that the weights of one of them add up to."""
        return float(self.totals.max())

    def reach(self, cut: slice) -> slice:
        """Say which voxels some of the cells take."""
        return slice(int(self.voxels[0, cut.start]), int(self.voxels[-1, cut.stop - 1]) + 1)

    def part(self, cut: slice) -> Cells:
        """Take some of the cells, with voxels counted from the first that one of them takes."""
        voxels = self.voxels[:, cut] - self.voxels[0, cut.start]
        return Cells(
            voxels, np.ascontiguousarray(self.weights[:, cut]), self.totals[cut], self.step
        )


class WholeCells(NamedTuple):
    """Cells of so many voxels each, without gaps, from voxel 0 on: as many as are asked for."""

    step: int

    @property
    def most(self) -> int:
        """The most voxels that one of them takes."""
        return self.step

    @property
    def most_weight(self) -> float:
        """The most that the weights of one of them add up to."""
        return float(self.step)

    def reach(self, cut: slice) -> slice:
        """Say which voxels some of the cells take."""
        return slice(cut.start * self.step, cut.stop * self.step)

    def part(self, cut: slice) -> Cells:
        """Take some of the cells, with voxels counted from the first that one of them takes.

        Examples
        --------
        >>> WholeCells(2).part(slice(5, 8)).voxels.T.tolist()
        [[0, 1], [2, 3], [4, 5]]
        """
        return _whole_cells(cut.stop - cut.start, self.step)


@lru_cache(maxsize=8)
def _whole_cells(count: int, step: int) -> Cells:
    voxels = np.arange(step)[:, None] + step * np.arange(count)
    return Cells(
        voxels.astype(np.intp, copy=False), np.ones(voxels.shape), np.full(count, float(step)), step
    )


def rational_cells(
    start: int, length: int, ratio: Fraction, shift: Fraction, bound: Range, data_start: int
) -> Cells:
    """Lay cells of `ratio` voxels each, cell 0 from `shift` on, clipped to what there is.

    Parameters
    ----------
    start, length : int
        Which cells.
    ratio, shift : Fraction
        In voxels; cell `o` is from ``o * ratio + shift`` to ``(o + 1) * ratio + shift``.
    bound : (int, int)
        First and stop index of the whole input.
    data_start : int
        The index on the whole input from which voxels are counted.

    Raises
    ------
    ValueError
        If nothing of a cell is left.

    Examples
    --------
    >>> from fractions import Fraction
    >>> cells = rational_cells(0, 2, Fraction(3, 2), Fraction(0), (0, 3), 0)
    >>> cells.voxels.T.tolist(), cells.weights.T.tolist()
    ([[0, 1], [1, 2]], [[2.0, 1.0], [1.0, 2.0]])
    """
    parts = math.lcm(ratio.denominator, shift.denominator)  # of a voxel
    edges = [_edge(o, ratio, shift, parts) for o in range(start, start + length + 1)]
    found = [
        _overlaps(start + i, pair, parts, bound) for i, pair in enumerate(itertools.pairwise(edges))
    ]
    most = max((len(overlaps) for _, overlaps in found), default=1)
    voxels = np.empty((most, length), np.intp)
    weights = np.zeros((most, length))
    for i, (first, overlaps) in enumerate(found):
        n = len(overlaps)
        voxels[:, i] = np.minimum(np.arange(most), n - 1) + (first - data_start)
        weights[:n, i] = overlaps
    totals = np.array([float(sum(overlaps)) for _, overlaps in found])
    return Cells(voxels, weights, totals, _common_step(ratio, shift, weights))


def cell_support(
    start: int, length: int, ratio: Fraction, shift: Fraction, bound: Range
) -> tuple[int, int]:
    """Say which input voxels a range of cells takes along one axis.

    Parameters
    ----------
    start, length : int
        The range on the output grid.
    ratio : Fraction
        Output voxel size / input voxel size.
    shift : Fraction
        Where the first corner of output voxel 0 is on the input, in input voxels.
    bound : (int, int)
        First and stop index of the whole input: (0, n).

    Returns
    -------
    first, stop : int
        Never beyond `bound`; empty where `length` is 0 or no cell reaches the input.

    Raises
    ------
    ValueError
        If the ratio is not positive.

    Examples
    --------
    >>> from fractions import Fraction
    >>> cell_support(1, 2, Fraction(5, 2), Fraction(1, 4), (0, 7))
    (2, 7)
    """
    check_ratio(ratio)
    begin = math.floor(start * ratio + shift)
    end = math.ceil((start + operator.index(length)) * ratio + shift)
    first, stop = (min(max(index, bound[0]), bound[1]) for index in (begin, end))
    return (first, stop) if length else (first, first)


def check_ratio(ratio: Fraction) -> None:
    """Refuse a ratio of voxel sizes that is none."""
    if ratio <= 0:
        raise ValueError(f"a ratio of voxel sizes is positive: got {ratio}")


def largest_weight(ratios: Sequence[Fraction], shifts: Sequence[Fraction]) -> int:
    """Give what the weights of a cell add up to at most, whichever cell it is."""
    return math.prod(
        ratio.numerator * math.lcm(ratio.denominator, shift.denominator) // ratio.denominator
        for ratio, shift in zip(ratios, shifts, strict=True)
    )


def _edge(index: int, ratio: Fraction, shift: Fraction, parts: int) -> int:
    """Give where a cell begins, in parts of a voxel: exact however long the numbers are."""
    return index * ratio.numerator * (parts // ratio.denominator) + shift.numerator * (
        parts // shift.denominator
    )


def _overlaps(index: int, edges: Range, parts: int, bound: Range) -> tuple[int, list[int]]:
    """Give the first voxel of a cell, and how much of it and of those after it lie in the cell."""
    begin, end = max(edges[0], bound[0] * parts), min(edges[1], bound[1] * parts)
    if begin >= end:
        msg = f"a cell lies outside of the input: got cell {index}, expected one that reaches"
        raise ValueError(f"{msg} a voxel from {bound[0]} to {bound[1]}")
    first, stop = begin // parts, -(-end // parts)
    overlaps = [
        min(end, (voxel + 1) * parts) - max(begin, voxel * parts) for voxel in range(first, stop)
    ]
    common = math.gcd(*overlaps)
    return first, [overlap // common for overlap in overlaps]


def _common_step(ratio: Fraction, shift: Fraction, weights: NDArray[Any]) -> int:
    """Give the number of voxels of each cell, where all have it and none is cut."""
    whole = ratio.denominator == shift.denominator == 1
    return int(ratio) if whole and len(weights) == ratio and bool(weights.all()) else 0
