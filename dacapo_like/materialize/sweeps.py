"""How a pyramid is cut into blocks: each is read once, and gives whole files of every level that is made with it.

A block of the finest level holds whole files of the first coarser levels, too, so that these are made of what is in memory
anyway, and no two blocks ever write to one file. What a block is cut into, to be read, are pieces: they bound the memory, and the
coarser voxels of a block are gathered until all of them are there. Levels for which blocks would be too large are left to
the next sweep, which reads the last level of this one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs

from dacapo_like.errors import ConfigError
from dacapo_like.geometry import Box
from dacapo_like.settings import format_bytes
from dacapo_like.spec import ArraySpec

PIECE_BYTES = 2**22
"""Of the voxels that are read at once; more only where a single file has more."""

LARGEST_BLOCK = 2**28
"""Bytes of a block that is made of several files; what is under way when a process dies is lost."""

LARGEST_PAIR = 2**33
"""Of one that makes a single coarser level: to read all of the level back would cost more. It is read in pieces of a file."""

WORTH_A_TASK = 2**24
"""Bytes of a block below which what a task costs besides would be seen."""

BLOCKS_PER_WORKER = 8
"""So that all of them are busy nearly to the end."""

SMALL = 2**24
"""Bytes of a coarser level that a single worker makes the rest of."""

Shape = tuple[int, ...]


@attrs.frozen
class Sweep:
    """One walk over the blocks of a level.

    Attributes
    ----------
    level : int
        That is cut into blocks.
    last : int
        The coarsest level that is written.
    shape : tuple of int
        Of `level`, along the axes as stored.
    block_shape, piece_shape : tuple of int
        In voxels of `level`.
    computes : bool
        Whether the level is computed, and written; else it was, and is read back.

    Examples
    --------
    >>> sweep = Sweep(0, 1, (5, 8), (4, 4), (2, 4), True)
    >>> sweep.counts, sweep.total
    ((2, 2), 4)
    >>> sweep.block(2)
    Box(offset=(4, 0), shape=(1, 4))
    >>> [piece.offset for piece in sweep.pieces(sweep.block(0))]
    [(0, 0), (2, 0)]
    """

    level: int
    last: int
    shape: Shape
    block_shape: Shape
    piece_shape: Shape
    computes: bool

    @property
    def counts(self) -> Shape:
        """Blocks along every axis."""
        return tuple(-(-n // b) for n, b in zip(self.shape, self.block_shape, strict=True))

    @property
    def total(self) -> int:
        """Blocks in all."""
        return math.prod(self.counts)

    @property
    def writes(self) -> range:
        """The levels that are written."""
        return range(self.level + (not self.computes), self.last + 1)

    def block(self, index: int) -> Box:
        """Give a block by its number, in C order."""
        offset = []
        for count, size in zip(reversed(self.counts), reversed(self.block_shape), strict=True):
            index, place = divmod(index, count)
            offset.append(place * size)
        return _clipped(tuple(reversed(offset)), self.block_shape, self.shape)

    def pieces(self, block: Box) -> Iterator[Box]:
        """Cut a block into what is read at once."""
        starts = (
            range(first, stop, size)
            for first, stop, size in zip(block.offset, block.end, self.piece_shape, strict=True)
        )
        for offset in itertools.product(*starts):
            yield _clipped(offset, self.piece_shape, block.end)

    def dumped(self) -> dict[str, Any]:
        """Give it as JSON."""
        return attrs.asdict(self)

    @classmethod
    def loaded(cls, data: dict[str, Any]) -> Sweep:
        """Take what `dumped` gave, read back."""
        shape, block, piece = (
            tuple(data[name]) for name in ("shape", "block_shape", "piece_shape")
        )
        return cls(data["level"], data["last"], shape, block, piece, data["computes"])


def _clipped(offset: Shape, shape: Shape, stop: Shape) -> Box:
    return Box(offset, tuple(min(n, b - a) for n, a, b in zip(shape, offset, stop, strict=True)))


def part_of_level(box: Box, cells: Sequence[int], spec: ArraySpec) -> Box:
    """Give the coarser voxels that a box of the level before is made into; trailing part-voxels are dropped."""
    offset = tuple(a // cell for a, cell in zip(box.offset, cells, strict=True))
    stop = (min(b // cell, n) for b, cell, n in zip(box.end, cells, spec.shape, strict=True))
    return Box(offset, tuple(max(b - a, 0) for a, b in zip(offset, stop, strict=True)))


@attrs.frozen
class Pyramid:
    """What is to be cut: the levels as they are stored, and what a read costs.

    Attributes
    ----------
    levels : sequence of ArraySpec
        The finest first, in the order of axes as stored.
    cells : sequence of tuple of int
        Per coarser level and axis, how many voxels of the level before become one.
    file_shape : tuple of int
        Voxels of a file of any level.
    held : callable
        Gives the bytes that a read of a box of the finest level holds besides its result.
    """

    levels: Sequence[ArraySpec]
    cells: Sequence[Shape]
    file_shape: Shape
    held: Callable[[Box], int] = lambda _: 0

    def memory(self, sweep: Sweep) -> int:
        """Give the bytes that one block under way takes at most.

        Two pieces are in memory, one that is read and one that is written, with what their reads hold; chunks of a piece are copied
        once to be encoded, and again encoded; and there are the coarser levels of the block.
        """
        spec = self.levels[sweep.level]
        piece = _clipped((0,) * len(sweep.shape), sweep.piece_shape, sweep.shape)
        held = self.held(piece) if sweep.computes else 0
        reading = 2 * (_bytes(piece.shape, spec) + held)
        return reading + 2 * _bytes(piece.shape, spec) + sum(self._coarser_bytes(sweep))

    def _coarser_bytes(self, sweep: Sweep) -> Iterator[int]:
        box = _clipped((0,) * len(sweep.shape), sweep.block_shape, sweep.shape)
        for level in range(sweep.level + 1, sweep.last + 1):
            box = part_of_level(box, self.cells[level - 1], self.levels[level])
            yield _bytes(box.shape, self.levels[level])

    def sweeps(self, workers: int, most: int | None = None) -> list[Sweep]:
        """Choose blocks.

        Parameters
        ----------
        workers : int
            Blocks under way at the same time.
        most : int, optional
            Bytes that each of them may take.

        Raises
        ------
        ConfigError
            Not even the smallest blocks are so small.
        """
        found = [self._sweep(0, workers, most, computes=True)]
        while found[-1].last < len(self.levels) - 1:
            found.append(self._sweep(found[-1].last, workers, most, computes=False))
        return found

    def _sweep(self, level: int, workers: int, most: int | None, *, computes: bool) -> Sweep:
        """Choose the blocks of a sweep: they hold as many levels as they can."""
        first = level if computes else level + 1
        chosen: Sweep | None = None
        for last in range(first, len(self.levels)):
            sweep = self._cut(level, last, workers, most, computes=computes)
            spec = self.levels[level]
            fits = most is None or self.memory(sweep) <= most
            busy = sweep.total >= workers * BLOCKS_PER_WORKER
            largest = LARGEST_BLOCK if last > level + 1 else LARGEST_PAIR
            small = (not computes and _bytes(spec.shape, spec) <= SMALL) or (
                busy and _bytes(self._block(sweep), spec) <= largest
            )
            if chosen is not None and not (fits and small):
                break
            if not fits:
                assert most is not None  # noqa: S101  # else anything fits
                raise ConfigError(
                    "the smallest blocks take more memory than there is to be",
                    got=f"{format_bytes(most)} for each block under way",
                    expected=f"at least {format_bytes(self.memory(sweep))}",
                    hint="write smaller files (chunks or shards), with fewer threads, or allow for more memory",
                    key=("memory",),
                )
            chosen = sweep
        assert chosen is not None  # noqa: S101  # there is a level to write
        return chosen

    def _cut(
        self, level: int, last: int, workers: int, most: int | None, *, computes: bool
    ) -> Sweep:
        """Cut a level so that blocks hold whole files of all levels that are written, and are worth a task."""
        spec = self.levels[level]
        cells = [(1,) * spec.ndim, *itertools.accumulate(self.cells[level:last], _product)]
        written = cells if computes else cells[1:]
        unit = _whole([_product(self.file_shape, cell) for cell in written])
        next_cell = self.cells[level] if last > level else (1,) * spec.ndim
        smallest = _whole([self.file_shape, next_cell] if computes else [next_cell])

        def sweep(block: Shape, piece: Shape) -> Sweep:
            return Sweep(level, last, spec.shape, block, tuple(map(min, piece, block)), computes)

        def may_be(block: Shape, piece: Shape) -> bool:
            return most is None or self.memory(sweep(block, piece)) <= most

        piece = _grown(
            smallest,
            unit,
            lambda shape: _bytes(shape, spec) <= PIECE_BYTES and may_be(unit, shape),
        )
        block = _grown(
            unit,
            spec.shape,
            lambda shape: (
                _bytes(shape, spec) <= WORTH_A_TASK
                and sweep(shape, piece).total >= workers * BLOCKS_PER_WORKER
                and may_be(shape, piece)
            ),
        )
        if block != unit:
            piece = _grown(
                piece,
                block,
                lambda shape: _bytes(shape, spec) <= PIECE_BYTES and may_be(block, shape),
            )
        return sweep(block, piece)

    @staticmethod
    def _block(sweep: Sweep) -> Shape:
        return tuple(map(min, sweep.block_shape, sweep.shape))


def _grown(shape: Shape, within: Shape, fits: Callable[[Shape], bool]) -> Shape:
    """Double the shortest axis, the last of equals, as long as the result fits."""
    open_axes = [i for i in range(len(shape)) if shape[i] < within[i]]
    while open_axes:
        axis = min(reversed(open_axes), key=lambda i: shape[i])
        longer = tuple(n * 2 if i == axis else n for i, n in enumerate(shape))
        fitting = fits(longer)
        if fitting:
            shape = longer
        if not fitting or shape[axis] >= within[axis]:
            open_axes.remove(axis)
    return shape


def _product(a: Sequence[int], b: Sequence[int]) -> Shape:
    return tuple(x * y for x, y in zip(a, b, strict=True))


def _whole(shapes: Sequence[Sequence[int]]) -> Shape:
    """Give the smallest shape that holds whole ones of all shapes."""
    return tuple(math.lcm(*sizes) for sizes in zip(*shapes, strict=True))


def _bytes(shape: Sequence[int], spec: ArraySpec) -> int:
    return math.prod(map(min, shape, spec.shape)) * spec.dtype.itemsize
