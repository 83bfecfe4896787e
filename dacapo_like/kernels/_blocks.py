"""What the kernels share: where they write, and cutting work so that temporaries stay small."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import DTypeLike, NDArray

    Box = tuple[slice, ...]


def destination(out: NDArray[Any] | None, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Give the array to write into: ``out`` where it fits, else a new C-contiguous one.

    Parameters
    ----------
    out : ndarray or None
        The caller's array, of any strides.
    shape : tuple of int
        Shape of the result.
    dtype : dtype
        Dtype of the result.

    Returns
    -------
    ndarray
        Uninitialised where it is new.

    Raises
    ------
    ValueError
        If ``out`` has another shape or dtype.

    Examples
    --------
    >>> destination(None, (2, 3), "uint8").shape
    (2, 3)
    """
    dtype = np.dtype(dtype)
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype:
        msg = f"out does not fit the result: got {out.shape} {out.dtype}, expected {shape} {dtype}"
        raise ValueError(msg)
    return out


def boxes(shape: tuple[int, ...], voxels: int) -> Iterator[Box]:
    """Cut an array, in C order, into boxes of at most so many voxels.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array.
    voxels : int
        The most voxels of one box; at least 1.

    Yields
    ------
    tuple of slice
        One per axis, with start and stop; the last axes are whole as far as they fit.

    Examples
    --------
    >>> list(boxes((3, 4), 8))
    [(slice(0, 2, None), slice(0, 4, None)), (slice(2, 3, None), slice(0, 4, None))]
    """
    lengths = list(shape)
    for axis in range(len(shape)):
        inner = math.prod(lengths[axis + 1 :])
        lengths[axis] = min(lengths[axis], max(1, voxels // max(1, inner)))
        if inner <= voxels:
            break
    cuts = (
        [slice(first, min(first + length, n)) for first in range(0, n, max(1, length))]
        for n, length in zip(shape, lengths, strict=True)
    )
    yield from itertools.product(*cuts)


def part(array: NDArray[Any], index: Iterable[slice | int]) -> NDArray[Any]:
    """View a part of an array; also where ``array[index]`` is a scalar.

    Examples
    --------
    >>> part(np.arange(3), [1]).shape
    ()
    """
    return array[(*index, ...)]
