"""The voxels of a dataset of an HDF5 file that is open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dacapo_like.chunk_cache import CACHE, FileState, fits
from dacapo_like.errors import ReadError, SourceError
from dacapo_like.geometry import Box
from dacapo_like.sources._chunk_files import cells_touched
from dacapo_like.sources._chunks import Index, chunk_box, fill_from_chunks
from dacapo_like.sources._h5_gzip import gzip_chunks
from dacapo_like.sources._missing import Absences


class DatasetVoxels:
    """Reads boxes. Chunks that are packed are decoded whole, and kept; what is not packed is read from the file each time.

    Parameters
    ----------
    dataset : h5py.Dataset
        Of an open file.
    where : str
        File and path in it.
    absences : Absences
        What is done about chunks that HDF5 has no room for in the file: nothing was ever written to them.

    Raises
    ------
    SourceError
        Such chunks are to be found in a virtual dataset, which has none of its own.
    """

    def __init__(self, dataset: Any, where: str, absences: Absences) -> None:
        import h5py  # heavy

        created = dataset.id.get_create_plist()
        filters = tuple(created.get_filter(i)[0] for i in range(created.get_nfilters()))
        self._dataset, self._where, self._absences = dataset, where, absences
        if absences.matter and dataset.is_virtual:
            raise SourceError(
                "of a virtual dataset it cannot be told which chunks are there",
                got=f"`missing: {absences.policy}`",
                expected="`missing: fill`",
                where=where,
                key=("missing",),
            )
        self._chunk_shape: tuple[int, ...] | None = dataset.chunks
        self._is_packed = self._chunk_shape is not None and bool(filters)
        self._gzip = gzip_chunks(dataset, filters) if self._is_packed else None
        self._dtype = dataset.dtype
        self._in_memory = h5py.h5t.py_create(self._dtype)  # takes as long as a small read
        self._chunk_bytes = math.prod(self._chunk_shape or ()) * self._dtype.itemsize

    def check_like(self, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        """Refuse a dataset that is not what it was when its file was opened first.

        Raises
        ------
        ReadError
            The file has been written anew since, and differently.
        """
        found = self._dataset
        if self._dtype != dtype or any(
            n < least for n, least in zip(found.shape, shape, strict=True)
        ):
            raise ReadError(
                "the file has changed since it was opened",
                got=f"{self._dtype} {found.shape}",
                expected=f"{dtype} {tuple(shape)}",
                where=self._where,
                hint="open the array again",
            )

    def fill(self, target: NDArray[Any], box: Box, state: FileState | None) -> None:
        """Read a box, straight into the target where its memory is in stored order.

        Parameters
        ----------
        target : ndarray
            Of the box's shape, in stored order.
        box : Box
            Inside the dataset.
        state : FileState or None
            Of the file; ``None`` where nothing of it is to be kept.
        """
        if self._absences.matter:
            self._look_for_chunks(box)
        kept = state if fits(self._chunk_bytes) else None
        if self._is_packed and (kept or (self._gzip is not None and self._gzip.is_plain)):
            assert self._chunk_shape is not None  # noqa: S101  # packed datasets have chunks
            get = self._decoded if kept is None else partial(self._kept, kept)
            fill_from_chunks(target, box, self._chunk_shape, get)
            return
        if self._gzip is not None and self._chunk_shape is not None:
            for index in cells_touched(box, self._chunk_shape):
                self._gzip.inflated(tuple(map(mul, index, self._chunk_shape)))
        self._read(target, box)

    def _look_for_chunks(self, box: Box) -> None:
        """Say of the first chunk of a box that is not there that it is not."""
        dataset, chunk_shape = self._dataset.id, self._chunk_shape
        where = f"{self._where}, voxels {box.offset} to {box.end}"
        if chunk_shape is None:
            if not dataset.get_storage_size():
                self._absences.found("nothing was ever written to the dataset", where)
            return
        for index in cells_touched(box, chunk_shape):
            offset = tuple(map(mul, index, chunk_shape))
            if dataset.get_chunk_info_by_coord(offset).byte_offset is None:
                self._absences.found(f"chunk {index} was never written", where)
                return

    def _kept(self, state: FileState, index: Index) -> NDArray[Any]:
        return CACHE.chunk(self._where, state, index, partial(self._decoded, index))

    def _decoded(self, index: Index) -> NDArray[Any]:
        assert self._chunk_shape is not None  # noqa: S101  # as above
        box = chunk_box(index, self._chunk_shape, self._dataset.shape)
        voxels = None if self._gzip is None else self._gzip.inflated(box.offset)
        if voxels is None:
            voxels = np.empty(box.shape, self._dtype)
            self._read(voxels, box)
        return voxels

    def _read(self, target: NDArray[Any], box: Box) -> None:
        """Have HDF5 read a box."""
        import h5py  # heavy

        direct = target.flags.c_contiguous and target.dtype == self._dtype
        data = target if direct else np.empty(box.shape, self._dtype)
        space = self._dataset.id.get_space()
        space.select_hyperslab(box.offset, box.shape)
        self._dataset.id.read(h5py.h5s.create_simple(box.shape), space, data, self._in_memory)
        if data is not target:
            target[...] = data
