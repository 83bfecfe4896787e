"""Whole chunks of HDF5, compressed outside of the library, which lets one thread work at a time.

What HDF5 keeps in its own cache of chunks and cannot write when a file is closed, because the disk is full, may end the process.
Chunks that are given to it as they are to be stored are written at once, or refused at once.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dacapo_like.geometry import blocks_of


def write_chunks(
    dataset: Any, offset: Sequence[int], data: NDArray[Any], compression_level: int | None
) -> None:
    """Write whole chunks, filled up with zeros at the end of the dataset.

    Parameters
    ----------
    dataset : h5py.Dataset
        Compressed with gzip, shuffled or not, or stored as it is.
    offset : sequence of int
        Of the first chunk.
    data : ndarray
        Of the dataset's type and rank.
    compression_level : int or None
        From 0 to 9; ``None`` where the dataset is not compressed.
    """
    for box in blocks_of(data.shape, dataset.chunks):
        chunk = np.zeros(dataset.chunks, dataset.dtype)
        chunk[tuple(slice(n) for n in box.shape)] = data[box.slices]
        place = tuple(a + b for a, b in zip(offset, box.offset, strict=True))
        dataset.id.write_direct_chunk(place, _stored(dataset, chunk, compression_level))


def _stored(dataset: Any, chunk: NDArray[Any], level: int | None) -> bytes:
    plain: NDArray[np.uint8] = chunk.reshape(-1).view(np.uint8)
    if dataset.shuffle:  # all first bytes of the voxels, then all second ones
        plain = plain.reshape(-1, chunk.dtype.itemsize).T
    stored = np.ascontiguousarray(plain)
    return stored.tobytes() if level is None else zlib.compress(stored.data, level)
