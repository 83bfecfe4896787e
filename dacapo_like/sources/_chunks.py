"""Boxes that are put together of chunks, each of which is decoded whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from operator import mul, sub
from typing import Any

from numpy.typing import NDArray

from dacapo_like.chunk_cache import CACHE, Key
from dacapo_like.geometry import Box
from dacapo_like.kernels.gathering import spans_along
from dacapo_like.sources._chunk_files import cells_along

Index = tuple[int, ...]
_Part = tuple[int, slice, slice]

_GROUP = 2**22  # bytes that are decoded at a time, unless a chunk alone has more


def fill_from_chunks(
    target: NDArray[Any],
    box: Box,
    chunk_shape: Sequence[int],
    chunk: Callable[[Index], NDArray[Any]],
) -> None:
    """Fill an array with the voxels of a box.

    Parameters
    ----------
    target : ndarray
        Of the box's shape.
    box : Box
        Of an array that chunks lie in from its first voxel on.
    chunk_shape : sequence of int
        Of a chunk.
    chunk : callable
        Gives the chunk of an index: all its voxels, as far as the array goes, or a single one that it is full of.

    Examples
    --------
    >>> import numpy as np
    >>> target = np.empty((1, 3), int)
    >>> fill_from_chunks(target, Box((1, 1), (1, 3)), (2, 2), lambda index: np.array(10 * index[0] + index[1]))
    >>> target
    array([[0, 1, 1]])
    """
    for index, inside, place in _touched(box, chunk_shape):
        voxels = chunk(index)
        target[place] = voxels[inside] if voxels.ndim else voxels


def fill_keeping(
    target: NDArray[Any],
    box: Box,
    chunk_shape: Sequence[int],
    shape: Sequence[int],
    key: Callable[[Index], Key],
    read: Callable[[Box], NDArray[Any]],
) -> None:
    """Fill an array with the voxels of a box, of a source that reads several chunks faster together than one by one.

    Parameters
    ----------
    target : ndarray
        Of the box's shape.
    box : Box
        Of an array.
    chunk_shape, shape : sequence of int
        Of a chunk, and of the array.
    key : callable
        Gives what the chunk of an index is kept by.
    read : callable
        Decodes a box, of whole chunks.
    """
    parts = {index: (inside, place) for index, inside, place in _touched(box, chunk_shape)}
    keys = {index: key(index) for index in parts}
    missing = []
    for (index, (inside, place)), chunk in zip(
        parts.items(), CACHE.find(keys.values()), strict=True
    ):
        if chunk is None:
            missing.append((index, chunk_box(index, chunk_shape, shape)))
        else:
            target[place] = chunk[inside]
    for hull, members in _groups(missing, target.itemsize):
        voxels = read(hull)
        for index, extent in members:
            inside, place = parts[index]
            chunk = voxels[extent.slices_in(hull)]
            target[place] = chunk[inside]
            CACHE.keep(keys[index], chunk)


def _groups(
    chunks: Iterable[tuple[Index, Box]], itemsize: int
) -> Iterator[tuple[Box, list[tuple[Index, Box]]]]:
    """Put chunks that lie together into groups, each with the box around it: of some megabytes, mostly of its chunks."""
    hull, members, size = None, [], 0
    for index, extent in chunks:
        larger = extent if hull is None else hull.union(extent)
        size += extent.size
        if hull is not None and (larger.size * itemsize > _GROUP or larger.size > 2 * size):
            yield hull, members
            larger, members, size = extent, [], extent.size
        hull = larger
        members.append((index, extent))
    if hull is not None:
        yield hull, members


def chunk_box(index: Index, chunk_shape: Sequence[int], shape: Sequence[int]) -> Box:
    """Give the voxels of a chunk of an array, which may end before the chunk does.

    Examples
    --------
    >>> chunk_box((1, 0), (4, 4), (6, 9))
    Box(offset=(4, 0), shape=(2, 4))
    """
    offset = tuple(map(mul, index, chunk_shape))
    return Box(offset, tuple(map(min, chunk_shape, map(sub, shape, offset))))


def _touched(
    box: Box, chunk_shape: Sequence[int]
) -> Iterator[tuple[Index, tuple[slice, ...], tuple[slice, ...]]]:
    """Give the chunks that a box touches, each with which part of it, and of the box, they have in common."""
    axes = [list(_parts(*axis)) for axis in zip(box.offset, box.shape, chunk_shape, strict=True)]
    for parts in product(*axes):
        index, inside, place = zip(*parts, strict=True)
        yield index, inside, place


def _parts(start: int, length: int, cell: int) -> Iterator[_Part]:
    """Give the cells that an interval touches, each with which part of it, and of the interval, they have in common."""
    spans = spans_along(start, length, cell)
    for i, span in zip(cells_along(start, length, cell), spans, strict=True):
        yield i, span.shown, span.placed
