"""Writers of files whose voxels stand in one order: slab after slab."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import RegionError, SourceError
from dacapo_like.geometry import Box, blocks_of
from dacapo_like.writers.base import Writer
from dacapo_like.writers.chunking import slab_shape

T = TypeVar("T")


class StreamWriter(Writer):
    """Writes slabs one after the other, in the order in which the format stores them.

    Subclasses call `_plan` before anything is written, and append what `_append` gives them.
    """

    in_order = True
    _order: tuple[int, ...]
    _awaited: Iterator[Box]

    def _plan(
        self, order: Sequence[int], *, whole: int = 0, block: Sequence[int] | None = None
    ) -> None:
        """Choose the slabs.

        Parameters
        ----------
        order : sequence of int
            Axis i of the file, the slowest first, is axis ``order[i]`` of the array.
        whole : int
            How many of the file's last axes are never cut.
        block : sequence of int, optional
            The slabs, in the file's order; by default of some tens of megabytes.
        """
        self._order = tuple(order)
        if block is None:
            block = slab_shape(self.spec, whole, self._order)
        self.block_shape = self._from_file(block)
        self._awaited = self.boxes()

    def boxes(self) -> Iterator[Box]:
        """Walk over the slabs, in the file's order."""
        shape = [self.spec.shape[i] for i in self._order]
        block = [self.block_shape[i] for i in self._order]
        for box in blocks_of(shape, block):
            yield Box(self._from_file(box.offset), self._from_file(box.shape))

    def _write(self, box: Box, data: NDArray[Any]) -> None:
        awaited = next(self._awaited, None)
        if box != awaited:
            raise RegionError("not the next block", got=box, expected=awaited, where=str(self.path))
        try:
            self._append(data.transpose(self._order))
        except OSError as error:
            raise self._failure("cannot write here", error) from error

    @abstractmethod
    def _append(self, data: NDArray[Any]) -> None:
        """Write the next slab, its axes in the file's order."""

    def commit(self) -> None:
        """Move what was written into its place, if that is all of it."""
        missing = next(self._awaited, None)
        if missing is not None:
            raise SourceError("not all voxels were written", expected=missing, where=str(self.path))
        super().commit()

    def _from_file(self, values: Sequence[T]) -> tuple[T, ...]:
        """Put one value per axis of the file into the array's order."""
        return tuple(values[self._order.index(i)] for i in range(len(self._order)))


def little_endian(data: NDArray[Any]) -> NDArray[Any]:
    """Give voxels as files hold them, whatever machine writes them."""
    return np.ascontiguousarray(data, data.dtype.newbyteorder("<"))


def flush(file: Any) -> None:
    """Bring a file to disk."""
    file.flush()
    os.fsync(file.fileno())
