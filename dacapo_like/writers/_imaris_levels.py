"""What Imaris stores beside the finest voxels: coarser levels, histograms and a thumbnail, made block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dacapo_like.geometry import blocks_of
from dacapo_like.kernels.pool import Method
from dacapo_like.pyramids import read_pooled
from dacapo_like.writers.h5_chunks import write_chunks

Size = tuple[int, ...]

BINS = 256
_CHUNK = 2**20  # bytes; also of the largest level that has no coarser one
_THUMBNAIL = 256


def level_sizes(size: Size, itemsize: int) -> list[Size]:
    """Give the voxels along z, y, x of all levels, as Imaris' own writer chooses them.

    While a level has over a megabyte, every axis is halved and rounded down, except those that are far shorter than the others.
    Source: ``GetOptimalImagePyramid`` of https://github.com/imaris/ImarisWriter.

    Examples
    --------
    >>> level_sizes((30, 1000, 1001), 2)
    [(30, 1000, 1001), (30, 500, 500), (30, 250, 250), (15, 125, 125)]
    """
    sizes = [size]
    while math.prod(size) > _CHUNK // itemsize:
        voxels = math.prod(size)
        halved = tuple(n // 2 if n > 1 and (10 * n) ** 2 > voxels // n else n for n in size)
        if halved == size:
            break
        size = halved
        sizes.append(size)
    return sizes


def chunk_shape(size: Size, itemsize: int) -> Size:
    """Give chunks of a megabyte, near to cubes, whose sides are powers of two; no larger than what they hold.

    Examples
    --------
    >>> chunk_shape((500, 500, 500), 1), chunk_shape((1, 5000, 5000), 2), chunk_shape((5, 9, 300), 4)
    ((64, 128, 128), (1, 512, 1024), (8, 16, 512))
    """
    chunk = [1] * len(size)
    while 2 * math.prod(chunk) * itemsize <= _CHUNK:
        short = [i for i, n in enumerate(size) if chunk[i] < n]
        if not short:
            break
        chunk[min(short, key=lambda i: (chunk[i], -i))] *= 2
    return tuple(chunk)


def write_coarser(
    finer: Any, coarser: Any, sizes: tuple[Size, Size], method: Method, compression_level: int
) -> None:
    """Fill the dataset of a level from that of the next finer one.

    Parameters
    ----------
    finer, coarser : h5py.Dataset
        Of the two levels.
    sizes : tuple of tuple of int
        Their voxels along z, y, x; the datasets have more.
    method : {"mean", "mode"}
        How the voxels of a cell are joined.
    compression_level : int
        From 0 to 9.
    """
    factors = tuple(2 if n > m else 1 for n, m in zip(*sizes, strict=True))
    for box in blocks_of(sizes[1], coarser.chunks):
        data = read_pooled(
            lambda inner: np.asarray(finer[inner.slices]), box, factors, method, finer.dtype
        )
        write_chunks(coarser, box.offset, data, compression_level)


def histogram(dataset: Any, size: Size, low: float, high: float) -> NDArray[np.uint64]:
    """Count the voxels of a level by value, in equal bins; values out of range, and NaN, are not counted."""
    counts = np.zeros(BINS, np.uint64)
    for data in _blocks(dataset, size):
        wide = data.astype(np.float64) if data.dtype.kind == "f" else data  # for the edges of bins
        counts += np.histogram(wide, BINS, (low, high))[0].astype(np.uint64)
    return counts


def _blocks(dataset: Any, size: Size) -> Iterator[NDArray[Any]]:
    for box in blocks_of(size, dataset.chunks):
        yield dataset[box.slices]


def projection(dataset: Any, size: Size) -> NDArray[Any]:
    """Give the greatest value along z of a level."""
    found = np.zeros(size[1:], dataset.dtype)
    for box in blocks_of(size, (dataset.chunks[0], *size[1:])):
        plane = np.fmax.reduce(dataset[box.slices], axis=0)
        found = plane if box.offset[0] == 0 else np.fmax(found, plane)
    return found


def thumbnail(
    planes: Sequence[NDArray[Any]],
    ranges: Sequence[tuple[float, float]],
    colors: Sequence[tuple[float, float, float]],
    extent: tuple[float, float],
) -> NDArray[np.uint8]:
    """Draw the channels on one another, in their colours.

    Parameters
    ----------
    planes : sequence of ndarray
        Of each channel, along y, x.
    ranges : sequence of tuple of float
        Of each channel: the values that are black and full colour.
    colors : sequence of tuple of float
        Of each channel: red, green and blue, from 0 to 1.
    extent : tuple of float
        Of the planes in the world, along y, x.

    Returns
    -------
    ndarray
        Shape (y, 4 x): red, green, blue and alpha of a pixel are next to each other.
    """
    longest = max(extent)
    shape = [max(1, round(_THUMBNAIL * length / longest)) for length in extent]
    image = np.zeros((*shape, 4))
    for plane, (low, high), color in zip(planes, ranges, colors, strict=True):
        rows, columns = (np.arange(n) * m // n for n, m in zip(shape, plane.shape, strict=True))
        values = np.nan_to_num(plane[np.ix_(rows, columns)].astype(np.float64), nan=low)
        shades = (np.clip(values, low, high) - low) / (high - low)
        image[..., :3] += shades[..., None] * color
    image[..., 3] = 1
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8).reshape(shape[0], -1)
