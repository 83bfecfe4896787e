"""Sums of integers that do not wrap around."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dacapo_like.kernels._blocks import boxes, part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_VOXELS_AT_ONCE = 1 << 16
_HALF = 32  # bits


def first_overflow(terms: Sequence[NDArray[Any]], dtype: np.dtype[Any]) -> tuple[int, ...] | None:
    """Find a place where integers add up to more, or less, than a dtype holds.

    Only the total counts: sums on the way that leave the dtype and come back do no harm. Terms of up to 32 bits are not
    looked at unless there are very many of them, 64-bit ones first for their extremes alone.

    Parameters
    ----------
    terms : sequence of ndarray
        Of bool or integers, at least one, all of one shape.
    dtype : numpy.dtype
        A 64-bit integer that holds every single term.

    Returns
    -------
    tuple of int or None
        The index of such a place; ``None`` where there is none.

    Examples
    --------
    >>> near = np.array([1, 2**63 - 1])
    >>> first_overflow([near, np.array([1, 1])], np.dtype("int64"))
    (1,)
    >>> first_overflow([near, np.array([1, 1]), np.array([0, -1])], np.dtype("int64")) is None
    True
    """
    if terms[0].size == 0:
        return None
    limits = np.iinfo(dtype)
    lows, highs = zip(*map(_extremes, terms), strict=True)
    if sum(lows) >= limits.min and sum(highs) <= limits.max:
        return None
    for box in boxes(terms[0].shape, _VOXELS_AT_ONCE):
        upper = _upper_half([part(term, box) for term in terms], dtype)
        wrong = (upper < limits.min >> _HALF) | (upper > limits.max >> _HALF)
        if wrong.any():
            at = np.unravel_index(wrong.argmax(), wrong.shape)
            return tuple(cut.start + int(i) for cut, i in zip(box, at, strict=True))
    return None


def _extremes(term: NDArray[Any]) -> tuple[int, int]:
    """Give bounds of the values: those of a small dtype, else the least and the greatest."""
    if term.dtype.kind == "b":
        return 0, 1
    if term.dtype.itemsize < 8:
        limits = np.iinfo(term.dtype)
        return int(limits.min), int(limits.max)
    return int(term.min()), int(term.max())


def _upper_half(terms: Sequence[NDArray[Any]], dtype: np.dtype[Any]) -> NDArray[np.int64]:
    """Give the exact sum divided by 2^32, rounded down: both halves are added apart, in 64 bits each."""
    upper = np.zeros(terms[0].shape, np.int64)
    lower = np.zeros(terms[0].shape, np.int64)
    for term in terms:
        values = term.astype(dtype)
        upper += (values >> _HALF).astype(np.int64)
        lower += (values & (2**_HALF - 1)).astype(np.int64)
    return upper + (lower >> _HALF)
