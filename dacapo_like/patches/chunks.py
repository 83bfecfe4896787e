"""Sizes of chunks for arrays that are read in patches."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from dacapo_like.errors import ConfigError
from dacapo_like.geometry import Coordinate, exact

_MEGABYTE = 2**20


def pick_chunks(
    shape: Sequence[int],
    dtype: DTypeLike,
    target_mb: Any,
    *,
    voxel_size: Sequence[Any] | None = None,
) -> tuple[int, ...]:
    """Choose chunks as large as a target allows, and as near to cubes as powers of two are.

    Parameters
    ----------
    shape : sequence of int
        Of the array along the axes that are to be cut; spatial ones, where each time point and channel has chunks of its own.
    dtype : dtype-like
        Of its voxels.
    target_mb : number
        The most that a chunk may have, before compression, in units of 2**20 bytes.
    voxel_size : sequence of numbers, optional
        To make chunks near to cubes in the world, and not in voxels.

    Returns
    -------
    tuple of int
        Along each axis a power of two, or all of the axis; no axis could be twice as long and the chunk within the target. None is
        more than twice as long as another, but for those of one voxel and those that reach the end of the array.

    Raises
    ------
    ConfigError
        The target is below one voxel, or shape or voxel size are no such sizes.

    Examples
    --------
    >>> pick_chunks((1000, 1000, 1000), "float32", 1)
    (64, 64, 64)
    >>> pick_chunks((20, 1000, 1000), "uint8", 1)
    (20, 128, 256)
    >>> pick_chunks((1000, 1000, 1000), "uint8", 1, voxel_size=(40, 4, 4))
    (16, 256, 256)
    """
    ends = tuple(max(operator.index(n), 1) for n in shape)
    sizes = Coordinate((1,) * len(ends) if voxel_size is None else voxel_size)
    if len(sizes) != len(ends) or any(size <= 0 for size in sizes) or any(n < 0 for n in shape):
        raise ConfigError(
            "shape and voxel size do not fit each other",
            got=f"shape {tuple(shape)}, voxel size {voxel_size}",
            expected="as many numbers above 0 as axes",
        )
    most = math.floor(exact(target_mb) * _MEGABYTE) // np.dtype(dtype).itemsize
    if most < 1:
        raise ConfigError(
            "a chunk of less than a voxel",
            got=f"{target_mb} MB",
            expected="more",
            key=("target_mb",),
        )
    chunk = [1] * len(ends)
    growing = [i for i, end in enumerate(ends) if end > 1]
    while growing:
        # of equal axes the last: what is next to each other in memory is read at once
        shortest = min(growing, key=lambda i: (chunk[i] * sizes[i], -i))
        grown = min(2 * chunk[shortest], ends[shortest])
        fits = math.prod(chunk) // chunk[shortest] * grown <= most
        if fits:
            chunk[shortest] = grown
        if not fits or grown == ends[shortest]:
            growing.remove(shortest)
    return tuple(chunk)
