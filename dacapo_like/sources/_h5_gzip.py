"""Chunks of HDF5 that are compressed with gzip, inflated here: never to more than their voxels take.

HDF5 inflates whatever a chunk holds, however much that is, and then gives its first voxels.
"""

from __future__ import annotations

import math
import operator
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import ReadError
from dacapo_like.geometry import Box
from dacapo_like.sources._chunk_files import cells_touched

_SLACK = 1 << 16  # what other filters and a checksum may add to the bytes of a chunk


def fill_inflated(target: NDArray[Any], dataset: Any, box: Box) -> bool:
    """Read a box of the stored array, chunk by chunk.

    Parameters
    ----------
    target : ndarray
        Of the box's shape, in stored order.
    dataset : h5py.Dataset
        Of any storage.
    box : Box
        Inside the dataset.

    Returns
    -------
    bool
        Whether it was done. Else the dataset is not compressed with gzip; or its chunks unpack to what they may, but to voxels that
        only HDF5 understands.

    Raises
    ------
    ReadError
        A chunk does not unpack to its voxels.
    """
    import h5py  # heavy

    filters = () if dataset.chunks is None else _filters(dataset)
    if h5py.h5z.FILTER_DEFLATE not in filters:
        return False
    plain = _is_plain(dataset, filters)
    for index in cells_touched(box, dataset.chunks):
        chunk = Box(tuple(map(operator.mul, index, dataset.chunks)), dataset.chunks)
        data = _inflated(dataset, chunk, filters, exact=plain)
        if plain:
            common = chunk.intersect(box)
            voxels = dataset.fillvalue if data is None else data[common.slices_in(chunk)]
            target[common.slices_in(box)] = voxels
    return plain


def _filters(dataset: Any) -> tuple[int, ...]:
    created = dataset.id.get_create_plist()
    return tuple(created.get_filter(i)[0] for i in range(created.get_nfilters()))


def _is_plain(dataset: Any, filters: tuple[int, ...]) -> bool:
    """Whether inflated bytes are numpy's, but for their order."""
    import h5py  # heavy

    deflate, shuffle = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE
    as_numpy = h5py.h5t.py_create(dataset.dtype, logical=True) == dataset.id.get_type()
    return as_numpy and filters in {(deflate,), (shuffle, deflate)}


def _inflated(
    dataset: Any, chunk: Box, filters: tuple[int, ...], *, exact: bool
) -> NDArray[Any] | None:
    """Give the voxels of a chunk, or of its bytes as far as they can be made sense of; ``None`` for one that is not stored."""
    import h5py  # heavy

    size = chunk.size * dataset.dtype.itemsize
    most = size if exact else size + _SLACK
    stored_chunk = dataset.id.get_chunk_info_by_coord(chunk.offset)
    if stored_chunk.byte_offset is None:
        return None
    if stored_chunk.size > size + size // 100 + _SLACK:
        raise _wrong(chunk, f"{stored_chunk.size} bytes are stored", size)
    skipped, stored = dataset.id.read_direct_chunk(chunk.offset)
    plain = stored
    if not skipped & 1 << filters.index(h5py.h5z.FILTER_DEFLATE):
        plain = _unpacked(stored, most, chunk)
    if not exact:
        return None
    if len(plain) != size:
        raise _wrong(chunk, f"{len(plain)} bytes", size)
    data: NDArray[Any] = np.frombuffer(plain, np.uint8)
    if (
        len(filters) > 1 and not skipped & 1
    ):  # shuffled: all first bytes of the voxels, then all second ones
        data = np.ascontiguousarray(data.reshape(dataset.dtype.itemsize, -1).T)
    voxels: NDArray[Any] = data.reshape(-1).view(dataset.dtype)
    return voxels.reshape(chunk.shape)


def _unpacked(stored: bytes, most: int, chunk: Box) -> bytes:
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(stored, most + 1)
    except zlib.error as error:
        raise _wrong(chunk, error, most) from error
    if len(plain) > most:
        raise _wrong(chunk, f"it unpacks to more than {most} bytes", most)
    if not inflater.eof:
        raise _wrong(chunk, f"it ends after {len(plain)} bytes", most)
    return plain


def _wrong(chunk: Box, got: object, size: int) -> ReadError:
    return ReadError(
        f"voxels cannot be read: the chunk at {chunk.offset} does not unpack to its voxels",
        got=got,
        expected=f"{size} bytes, {math.prod(chunk.shape)} voxels",
        hint="compare the file with its original",
    )
