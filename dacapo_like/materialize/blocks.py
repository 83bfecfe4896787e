"""One block at a time: read in pieces, written, and made into coarser levels while it is in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dacapo_like import tensorstores
from dacapo_like.core import Array
from dacapo_like.engine import ahead
from dacapo_like.errors import ReadError
from dacapo_like.geometry import Box, blocks_of
from dacapo_like.kernels.pool import pool
from dacapo_like.materialize.journal import Entry
from dacapo_like.materialize.sweeps import Sweep, part_of_level
from dacapo_like.pyramids import pooling_method
from dacapo_like.replacing import sync_tree
from dacapo_like.writers.ome_zarr import OmeZarrWriter

_PIECES = 2  # one is computed and written while the next one is read


class StoppedError(Exception):
    """A block is not finished, because the run is to stop."""


class Blocks:
    """Does blocks of sweeps over a pyramid, in any thread.

    Parameters
    ----------
    array : Array
        Whose voxels are written.
    writer : OmeZarrWriter
        Whose metadata are there.
    sweeps : sequence of Sweep
        Each reads a level of which the ones before have written all.
    stopping : callable
        Says whether to give up what is under way.
    """

    def __init__(
        self,
        array: Array,
        writer: OmeZarrWriter,
        sweeps: Sequence[Sweep],
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._array = array
        self._writer = writer
        self._sweeps = sweeps
        self._stopping = stopping
        self._method = pooling_method(array.spec.kind)

    def do(self, number: int, index: int) -> None:
        """Write a block, and the coarser levels that are made of it.

        Raises
        ------
        ReadError
            A source cannot give its voxels.
        SourceError
            Voxels cannot be written.
        StoppedError
            It was to be given up.
        """
        sweep = self._sweeps[number]
        block = sweep.block(index)
        gathered = self._finest(sweep, block)
        self._coarser(sweep, block, gathered)

    def sync(self, sweep: int, blocks: Iterable[int]) -> list[Entry]:
        """Bring the files of blocks to the disk; give what there is of each.

        Raises
        ------
        SourceError
            The disk refuses.
        """
        try:
            sync_tree(self._writer.folder)
            return [Entry(sweep, block, *self._sizes(sweep, block)) for block in blocks]
        except OSError as error:
            raise self._writer.not_synced(error) from error

    def _sizes(self, sweep: int, block: int) -> tuple[int, int]:
        """Count the files of a block, and their bytes."""
        sizes = []
        for _, files in self.files(sweep, block):
            for file in files:
                with suppress(FileNotFoundError):
                    sizes.append(file.stat().st_size)
        return len(sizes), sum(sizes)

    def is_whole(self, entry: Entry) -> bool:
        """Whether the files of a block are there, of their size, and their chunks can be read."""
        if self._sizes(entry.sweep, entry.block) != (entry.files, entry.nbytes):
            return False
        try:
            for level, box in self.boxes(entry.sweep, entry.block):
                for part in blocks_of(box.shape, self._writer.file_shape):
                    self._writer.start_read(level, part.shifted(box.offset))()
        except tensorstores.ERRORS:
            return False
        return True

    def files(self, number: int, index: int) -> Iterator[tuple[int, Iterator[Any]]]:
        """Give, for every level that a block writes, its files, whether they are there or not."""
        for level, box in self.boxes(number, index):
            yield level, self._writer.files(level, box)

    def boxes(self, number: int, index: int) -> Iterator[tuple[int, Box]]:
        """Give the part of every level that a block writes."""
        sweep = self._sweeps[number]
        box = sweep.block(index)
        for level in range(sweep.level, sweep.last + 1):
            if level > sweep.level:
                box = self._coarser_box(box, level)
            if level in sweep.writes and box.size:
                yield level, box

    def _coarser_box(self, box: Box, level: int) -> Box:
        return part_of_level(box, self._writer.cells[level - 1], self._writer.levels[level])

    def _finest(self, sweep: Sweep, block: Box) -> NDArray[Any] | None:
        """Read a block in pieces, write them where they are the finest level, and gather what the next level is made into."""
        following = sweep.level + 1 if sweep.last > sweep.level else None
        gathered, whole = None, block
        if following is not None:
            whole = self._coarser_box(block, following)
            gathered = np.zeros(whole.shape, self._array.dtype)
        written: Callable[[], object] = _nothing
        pieces = list(sweep.pieces(block))
        reads = (self._started(sweep, piece) for piece in pieces)
        for piece, data in zip(pieces, ahead(reads, _PIECES), strict=True):
            if self._stopping():
                self._wait(written, sweep.level, piece)
                raise StoppedError
            before, written = written, _nothing
            if sweep.computes:
                written = self._writing(sweep.level, piece, data)
            if following is not None and gathered is not None:
                part = self._coarser_box(piece, following)
                self._join(data, following, gathered[part.slices_in(whole)])
            self._wait(before, sweep.level, piece)
        self._wait(written, sweep.level, block)
        return gathered

    def _coarser(self, sweep: Sweep, block: Box, gathered: NDArray[Any] | None) -> None:
        """Write the coarser levels of a block, each made of the one before."""
        waits: list[tuple[Callable[[], object], int, Box]] = []
        box, data = block, gathered
        for level in range(sweep.level + 1, sweep.last + 1):
            finer, box = data, self._coarser_box(box, level)
            assert finer is not None  # noqa: S101  # there is a coarser level
            if level > sweep.level + 1:
                data = np.zeros(box.shape, self._array.dtype)
                self._join(finer, level, data)
            if box.size:
                waits.append((self._writing(level, box, data), level, box))
        for wait, level, box in waits:
            self._wait(wait, level, box)

    def _join(self, data: NDArray[Any], level: int, out: NDArray[Any]) -> None:
        """Make voxels of a level of finer ones; those at the far end that do not fill one are dropped."""
        if out.size == 0 or not (
            data.any() or data.dtype.kind == "f"
        ):  # sparse labels are mostly nothing
            return
        cells = self._writer.cells[level - 1]
        kept = tuple(slice(n * cell) for n, cell in zip(out.shape, cells, strict=True))
        pool(data[kept], cells, self._method, out=out)

    def _started(self, sweep: Sweep, piece: Box) -> Callable[[], NDArray[Any]]:
        if not sweep.computes:
            return self._reading(sweep.level, piece)
        box = Box(self._writer.array_axes(piece.offset), self._writer.array_axes(piece.shape))
        read = self._array.start_box(box)
        return lambda: self._writer.stored(read())

    def _reading(self, level: int, box: Box) -> Callable[[], NDArray[Any]]:
        """Begin to read back what was written."""

        def failure(error: Exception) -> ReadError:
            return ReadError(
                "what was written cannot be read back",
                got=tensorstores.describe(error),
                where=f"{self._writer.path}, level {level}, voxels {box.offset} to {box.end}",
                hint="check=True (--check) finds what is damaged, and does it again",
            )

        try:
            read = self._writer.start_read(level, box)
        except tensorstores.ERRORS as error:
            raise failure(error) from error

        def wait() -> NDArray[Any]:
            try:
                return read()
            except tensorstores.ERRORS as error:
                raise failure(error) from error

        return wait

    def _writing(self, level: int, box: Box, data: Any) -> Callable[[], object]:
        try:
            return self._writer.start_write(level, box, data)
        except tensorstores.ERRORS as error:
            raise self._writer.not_written(level, box, error) from error

    def _wait(self, written: Callable[[], object], level: int, box: Box) -> None:
        try:
            written()
        except tensorstores.ERRORS as error:
            raise self._writer.not_written(level, box, error) from error


def _nothing() -> None:
    """Be done already."""
