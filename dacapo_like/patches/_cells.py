"""A region cut where patches begin and end: in each of its cells, the same patches overlap."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from dacapo_like.geometry import Box, box_between
from dacapo_like.patches._axis import AxisGrid


class Piece(NamedTuple):
    """A part of an axis, and the first and last of the patches that cover it; those between cover it, too."""

    start: int
    stop: int
    first: int
    last: int


class Cell(NamedTuple):
    """A box that every patch covers as a whole or not at all: a piece of each axis."""

    pieces: tuple[Piece, ...]

    @property
    def box(self) -> Box:
        """Its place in the region."""
        return box_between((p.start for p in self.pieces), (p.stop for p in self.pieces))

    @property
    def unit(self) -> tuple[int, ...]:
        """The index along each axis of the last patch that covers it."""
        return tuple(piece.last for piece in self.pieces)

    @property
    def patches(self) -> int:
        """How many patches cover it."""
        return math.prod(piece.last - piece.first + 1 for piece in self.pieces)

    def turn(self, places: tuple[int, ...]) -> int:
        """Say which of these the patch at `places` is, in the order of their numbers."""
        turn = 0
        for piece, place in zip(self.pieces, places, strict=True):
            turn = turn * (piece.last - piece.first + 1) + place - piece.first
        return turn


def cells_of_patch(axes: tuple[AxisGrid, ...], places: tuple[int, ...]) -> Iterator[Cell]:
    """Give the cells that make up a patch, inside the region."""
    touched = map(_touched, axes, places)
    return map(Cell, itertools.product(*touched))


def cells_of_unit(axes: tuple[AxisGrid, ...], unit: tuple[int, ...]) -> Iterator[Cell]:
    """Give the cells that one patch is the last to cover: together they are a box."""
    return map(Cell, itertools.product(*map(_pieces, axes, unit)))


def units_of_patch(
    axes: tuple[AxisGrid, ...], places: tuple[int, ...]
) -> Iterator[tuple[int, ...]]:
    """Give the units that a patch covers a part of."""
    return itertools.product(*map(_reach, axes, places))


def number_of_cells(axes: tuple[AxisGrid, ...], unit: tuple[int, ...]) -> int:
    """Give how many cells a unit has."""
    return math.prod(len(_pieces(axis, index)) for axis, index in zip(axes, unit, strict=True))


def _reach(axis: AxisGrid, index: int) -> range:
    """Give the patches that begin before another one ends, from that one on."""
    stop, last = axis.box(index)[1], index
    while last + 1 < len(axis) and axis.box(last + 1)[0] < stop:
        last += 1
    return range(index, last + 1)


@lru_cache(maxsize=4096)
def _touched(axis: AxisGrid, index: int) -> tuple[Piece, ...]:
    """Give the pieces of a patch."""
    pieces = itertools.chain.from_iterable(_pieces(axis, last) for last in _reach(axis, index))
    return tuple(piece for piece in pieces if piece.first <= index)


@lru_cache(maxsize=4096)
def _pieces(axis: AxisGrid, last: int) -> tuple[Piece, ...]:
    """Give the pieces of an axis that one patch is the last to cover."""
    start, stop = axis.box(last)
    stop = min(stop, axis.length)
    if last + 1 < len(axis):
        stop = min(stop, axis.box(last + 1)[0])
    first = last
    while first > 0 and axis.box(first - 1)[1] > start:
        first -= 1
    pieces = []
    for index in range(first, last + 1):
        until = min(axis.box(index)[1], stop)
        if start < until:
            pieces.append(Piece(start, until, index, last))
            start = until
    return tuple(pieces)
