"""Readers of one array: this package's, and those of the libraries that can do the same."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from typing import Any

import h5py
import numpy as np
import tensorstore as ts
import zarr
from here import CACHE
from numpy.typing import NDArray
from serving import Box, Maker, Reader, Voxels, in_flight, in_threads, one_by_one

import dacapo_like
from dacapo_like import Array, Roi


def region(array: Array, box: Box) -> Roi:
    """Give a box of a volume that starts at 0 as a region of the world."""
    size = array.voxel_size
    return Roi(
        [o * n for o, n in zip(box.offset, size, strict=True)],
        [s * n for s, n in zip(box.shape, size, strict=True)],
    )


def ours(document: dict[str, Any], *, many: bool = False) -> Reader:
    array = dacapo_like.open_array(document)
    if many:
        return lambda boxes: array.read_each(region(array, box) for box in boxes)
    return one_by_one(lambda box: array[region(array, box)])


def opened(path: str) -> Any:
    """Open a Zarr with TensorStore, chunks of which are kept apart from those of all others."""
    driver = "zarr3" if zarr.open_array(path, mode="r").metadata.zarr_format == 3 else "zarr"
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{path}/"}}
    return ts.open(spec, context=ts.Context({"cache_pool": {"total_bytes_limit": CACHE}})).result()


def tensorstore(path: str, *, flying: int = 1) -> Reader:
    store = opened(path)
    if flying > 1:
        return in_flight(lambda box: store[box.slices].read(), flying)
    return one_by_one(lambda box: store[box.slices].read().result())


def with_zarr(path: str) -> Reader:
    array = zarr.open_array(path, mode="r")
    return one_by_one(lambda box: np.asarray(array[box.slices]))


def with_h5py(path: str) -> Reader:
    data = h5py.File(path, rdcc_nbytes=CACHE)["raw"]
    return one_by_one(lambda box: data[box.slices])


class KeptChunks:
    """Decoded chunks of a Zarr that were used last: what many a training loop has around zarr-python."""

    def __init__(self, path: str, limit: int) -> None:
        self._array = zarr.open_array(path, mode="r")
        self._most = max(limit // (np.prod(self._array.chunks) * self._array.dtype.itemsize), 1)
        self._kept: OrderedDict[tuple[int, ...], Voxels] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, box: Box) -> Voxels:
        """Put a box together."""
        result = np.empty(box.shape, self._array.dtype)
        edges = self._array.chunks
        spans = zip(box.offset, box.shape, edges, strict=True)
        for index in itertools.product(*(range(o // e, -(-(o + n) // e)) for o, n, e in spans)):
            corner = [i * e for i, e in zip(index, edges, strict=True)]
            low = [max(o, c) for o, c in zip(box.offset, corner, strict=True)]
            ends = zip(box.offset, box.shape, corner, edges, strict=True)
            high = [min(o + n, c + e) for o, n, c, e in ends]
            target = tuple(
                slice(a - o, b - o) for a, b, o in zip(low, high, box.offset, strict=True)
            )
            source = tuple(slice(a - c, b - c) for a, b, c in zip(low, high, corner, strict=True))
            result[target] = self._chunk(index)[source]
        return result

    def _chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        with self._lock:
            if index in self._kept:
                self._kept.move_to_end(index)
                return self._kept[index]
        voxels = np.asarray(self._array.blocks[index])
        with self._lock:
            self._kept[index] = voxels
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return voxels


def kept_chunks(path: str) -> Reader:
    return in_threads(KeptChunks(path, CACHE).read, 2)


STORES: dict[str, Maker] = {
    "ours": ours,
    "TensorStore": tensorstore,
    "zarr-python": with_zarr,
    "h5py": with_h5py,
    "LRU over zarr-python, 2 threads": kept_chunks,
}
