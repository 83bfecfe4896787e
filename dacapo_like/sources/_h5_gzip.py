"""Chunks of HDF5 that are compressed with gzip, inflated here: never to more than their voxels take.

HDF5 inflates whatever a chunk holds, however much that is, and then gives its first voxels. Where the package imagecodecs is installed,
its libdeflate inflates, in a fraction of zlib's time.
"""

from __future__ import annotations

import contextlib
import math
import zlib
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import ReadError

_SLACK = 1 << 16  # what other filters and a checksum may add to the bytes of a chunk
_BLOCK = (
    1 << 14
)  # voxels whose bytes are put together at a time: they stay in the processor's cache


@attrs.frozen(eq=False)
class GzipChunks:
    """The chunks of a dataset that is compressed with gzip.

    Attributes
    ----------
    dataset : h5py.Dataset
        The dataset.
    filters : tuple of int
        HDF5's codes, in the order in which they pack.
    is_plain : bool
        Whether inflated bytes are numpy's, but for their order; else only HDF5 understands them.
    """

    dataset: Any
    filters: tuple[int, ...]
    is_plain: bool

    def inflated(self, offset: tuple[int, ...]) -> NDArray[Any] | None:
        """Give the voxels of the chunk that begins at a voxel; those that only HDF5 understands are no more than looked at.

        Returns
        -------
        ndarray or None
            Where the chunk is not stored, a single voxel: the one that it is full of.

        Raises
        ------
        ReadError
            The chunk does not unpack to its voxels.
        """
        dtype, shape = self.dataset.dtype, self.dataset.chunks
        plain = self._bytes(offset, math.prod(shape) * dtype.itemsize)
        if not self.is_plain:
            return None
        if plain is None:
            return np.array(self.dataset.fillvalue, dtype)
        voxels: NDArray[Any] = plain.view(dtype).reshape(shape)
        return voxels

    def _bytes(self, offset: tuple[int, ...], size: int) -> NDArray[np.uint8] | None:
        """Give the bytes of a chunk as far as they can be made sense of; ``None`` for one that is not stored."""
        import h5py  # heavy

        found = self.dataset.id.get_chunk_info_by_coord(offset)
        if found.byte_offset is None:
            return None
        if found.size > size + size // 100 + _SLACK:
            raise _wrong(offset, f"{found.size} bytes are stored", size)
        skipped, plain = self.dataset.id.read_direct_chunk(offset)
        if not skipped & 1 << self.filters.index(h5py.h5z.FILTER_DEFLATE):
            plain = _unpacked(plain, size if self.is_plain else size + _SLACK, offset)
        if self.is_plain and len(plain) != size:
            raise _wrong(offset, f"{len(plain)} bytes", size)
        data: NDArray[np.uint8] = np.frombuffer(plain, np.uint8)
        is_shuffled = self.is_plain and len(self.filters) > 1 and not skipped & 1
        return _unshuffled(data, self.dataset.dtype.itemsize) if is_shuffled else data


def gzip_chunks(dataset: Any, filters: tuple[int, ...]) -> GzipChunks | None:
    """Give the chunks of a dataset that HDF5 packs with these filters; ``None`` where gzip is not among them."""
    import h5py  # heavy

    deflate, shuffle = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE
    if deflate not in filters:
        return None
    as_numpy = h5py.h5t.py_create(dataset.dtype, logical=True) == dataset.id.get_type()
    is_plain = as_numpy and filters in {(deflate,), (shuffle, deflate)}
    return GzipChunks(dataset, filters, is_plain)


@cache
def fast_codecs() -> Any:
    """Give the module imagecodecs; ``None`` where it, or its libdeflate, is not installed."""
    if find_spec("imagecodecs") is None:
        return None
    codecs = import_module("imagecodecs")
    return codecs if codecs.DEFLATE.available else None


def _unshuffled(data: NDArray[np.uint8], itemsize: int) -> NDArray[np.uint8]:
    """Put voxels together of which all first bytes come first, then all second ones."""
    if itemsize == 1:
        return data
    planes = data.reshape(itemsize, -1)
    voxels = np.empty(planes.shape[::-1], np.uint8)
    for start in range(0, len(voxels), _BLOCK):
        part = slice(start, start + _BLOCK)
        for i, plane in enumerate(planes):
            voxels[part, i] = plane[part]
    return voxels.reshape(-1)


def _unpacked(stored: bytes, most: int, offset: tuple[int, ...]) -> bytes | NDArray[np.uint8]:
    codecs = fast_codecs()
    if codecs is not None:
        with contextlib.suppress(codecs.DeflateError):  # of which zlib says more
            inflated: NDArray[np.uint8] = codecs.deflate_decode(
                stored, out=np.empty(most, np.uint8)
            )
            return inflated
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(stored, most + 1)
    except zlib.error as error:
        raise _wrong(offset, error, most) from error
    if len(plain) > most:
        raise _wrong(offset, f"it unpacks to more than {most} bytes", most)
    if not inflater.eof:
        raise _wrong(offset, f"it ends after {len(plain)} bytes", most)
    return plain


def _wrong(offset: tuple[int, ...], got: object, size: int) -> ReadError:
    return ReadError(
        f"voxels cannot be read: the chunk at {offset} does not unpack to its voxels",
        got=got,
        expected=f"{size} bytes",
        hint="compare the file with its original",
    )
