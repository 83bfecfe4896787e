"""Voxels that lie in a file as they do in memory: those of a box are read run by run, so that a read costs what its box costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dacapo_like.geometry import Box

_PAGE = 4096  # bytes: skipping less than a page saves no input, only costs a call
_LONGEST_RUN = 2**22  # bytes


def fill(
    target: NDArray[Any],
    file: Any,
    start: int,
    shape: Sequence[int],
    dtype: np.dtype[Any],
    box: Box,
    change: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
) -> None:
    """Read a box of an array in C order.

    Parameters
    ----------
    target : ndarray
        Of the shape of the box; voxels are converted to its type.
    file
        Open, with ``seek`` and ``readinto``.
    start : int
        Where in the file the array begins, in bytes.
    shape, dtype
        Of the array, in the byte order of the file.
    box : Box
        Inside of it.
    change : callable, optional
        What is done to voxels before they go into `target`.

    Raises
    ------
    EOFError
        The file is too short.
    """
    strides = _strides(shape, dtype.itemsize)
    axis, length = _run(strides, box.shape, dtype.itemsize)
    buffer = np.empty(length, np.uint8)
    run: NDArray[Any] = np.ndarray(box.shape[axis:], dtype, buffer, strides=strides[axis:])
    first = start + sum(map(mul, box.offset, strides))
    for index in np.ndindex(box.shape[:axis]):
        file.seek(first + sum(map(mul, index, strides)))
        found = file.readinto(buffer)
        if found != length:
            raise EOFError(f"the file ends {length - found} bytes too early")
        target[index] = run if change is None else change(run)


def _strides(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Give the bytes from one index to the next along each axis, the last axis being the fastest.

    Examples
    --------
    >>> _strides((5, 4, 3), 2)
    (24, 6, 2)
    """
    return tuple(itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _run(strides: Sequence[int], box_shape: Sequence[int], itemsize: int) -> tuple[int, int]:
    """Choose what one call reads: the axes from which on, and the bytes from their first voxel to their last.

    Runs grow over gaps of less than a page, but not without bound.

    Examples
    --------
    A few columns of a small plane come with the rows around them, of a large one row by row.

    >>> _run(_strides((9, 100, 100), 2), (9, 50, 10), 2), _run(_strides((9, 9, 9000), 2), (9, 9, 10), 2)
    ((1, 9820), (2, 20))
    """
    if not box_shape:
        return 0, itemsize
    axis = len(box_shape) - 1
    length = (box_shape[axis] - 1) * strides[axis] + itemsize
    while axis:
        longer = (box_shape[axis - 1] - 1) * strides[axis - 1] + length
        if strides[axis - 1] - length > _PAGE or longer > _LONGEST_RUN:
            break
        axis, length = axis - 1, longer
    return axis, length
