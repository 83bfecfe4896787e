"""Pooling: every cell of voxels becomes one voxel."""

from __future__ import annotations

import itertools
import math
import operator
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from dacapo_like.kernels._blocks import boxes, destination, part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    # A strided view for each place inside a cell; a cell is one element of each of them.
    Members = list[NDArray[Any]]

Method = Literal["mean", "mode", "min", "max", "median", "stride"]

_VOXELS_AT_ONCE = 1 << 18  # of a temporary: it stays in the processor's cache
_LARGEST_CELL = 1 << 30  # the sums of 32-bit halves over a cell stay below 2**63


def pool(
    data: ArrayLike, factors: Sequence[int], method: Method, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Reduce an array by an integer factor along each axis.

    The array is cut into cells of ``factors`` voxels, and each cell becomes one voxel. A voxel of
    the result depends on its cell alone: pooling any aligned part of an array gives, bit for bit,
    that part of the pooled array (a NaN is only promised to stay a NaN). Cells of one voxel are
    copied.

    ``mean``
        Integers: the exact mean, halves rounded to even; bool counts as 0 and 1. Floats: the voxels
        are added in C order of their places in the cell, in float64 (long double stays so), divided
        by their number and rounded once to the dtype. A float64 sum may overflow to infinity.
    ``mode``
        The most frequent value; of equally frequent ones the smallest. NaNs count as one value that
        is greater than all others, so a NaN wins only where it outnumbers every number. Negative
        zeros count, and are returned, as zero.
    ``min``, ``max``
        As `numpy.min` and `numpy.max`: NaN where the cell holds one.
    ``median``
        As `numpy.median`: the middle value, or the mean of the two middle ones; NaN where the cell
        holds one. Integers: the exact mean of the two, a half rounded to even. Floats: the mean of
        the two is taken in float64 and rounded once to the dtype. Negative zeros become zero.
    ``stride``
        The first voxel of the cell; takes every dtype.

    Parameters
    ----------
    data : array_like
        Bool, integers or floats; each axis a multiple of its factor.
    factors : sequence of int
        One for each axis of `data`, in its order; at least 1.
    method : {"mean", "mode", "min", "max", "median", "stride"}
        What becomes of a cell.
    out : ndarray, optional
        Where to write: the result's shape, the dtype of `data`, any strides, no memory of `data`.

    Returns
    -------
    ndarray
        `out`, or a new C-contiguous array: shape ``data.shape / factors``, the dtype of `data`.

    Raises
    ------
    ValueError
        If a factor is below 1, their number is not that of the axes, the shape is not a multiple of
        them, the method is unknown, a cell of integers to average has over 2**30 voxels, or `out`
        does not fit.
    TypeError
        If the dtype is not bool, integer or float.

    Examples
    --------
    >>> pool([[1, 2, 8, 8], [3, 4, 8, 9]], (2, 2), "mean")
    array([[2, 8]])
    >>> pool([[7, 2, 8, 8], [7, 4, 9, 9]], (2, 2), "mode")
    array([[7, 8]])
    """
    source = np.asarray(data)
    steps = tuple(operator.index(factor) for factor in factors)
    _check(source, steps, method)
    shape = tuple(n // step for n, step in zip(source.shape, steps, strict=True))
    result = destination(out, shape, source.dtype)
    size = math.prod(steps)
    reduce = _REDUCTIONS[method] if size > 1 else _first
    at_once = _VOXELS_AT_ONCE // size if reduce in {_mode, _median} else _VOXELS_AT_ONCE
    with np.errstate(over="ignore", invalid="ignore"):
        for box in boxes(shape, max(1, at_once)):
            cells = (slice(b.start * s, b.stop * s) for b, s in zip(box, steps, strict=True))
            reduce(_members(part(source, cells), steps), part(result, box))
    return result


def _check(source: NDArray[Any], steps: tuple[int, ...], method: str) -> None:
    if method not in get_args(Method):
        raise ValueError(f"unknown pooling method: got {method!r}, expected {get_args(Method)}")
    if len(steps) != source.ndim or min(steps, default=1) < 1:
        msg = f"factors do not fit the array: got {steps}, expected {source.ndim} of at least 1"
        raise ValueError(msg)
    if any(n % step for n, step in zip(source.shape, steps, strict=True)):
        msg = f"the shape is not a multiple of the factors: got {source.shape}, factors {steps}"
        raise ValueError(f"{msg}; trim the array first")
    if source.dtype.kind not in "biuf" and method != "stride":
        msg = f"cannot pool this dtype by {method}: got {source.dtype}, expected bool, int or float"
        raise TypeError(msg)
    if method == "mean" and source.dtype.kind != "f" and math.prod(steps) > _LARGEST_CELL:
        msg = f"the cells are too large to average: got {steps}, expected at most 2**30 voxels"
        raise ValueError(msg)


def _members(block: NDArray[Any], steps: tuple[int, ...]) -> Members:
    """View a block as one array for each place inside a cell, places in C order."""
    return [
        part(block, (slice(first, None, step) for first, step in zip(place, steps, strict=True)))
        for place in np.ndindex(*steps)
    ]


def _first(members: Members, out: NDArray[Any]) -> None:
    out[...] = members[0]


def _min(members: Members, out: NDArray[Any]) -> None:
    out[...] = members[0]
    for member in members[1:]:
        np.minimum(out, member, out=out)


def _max(members: Members, out: NDArray[Any]) -> None:
    out[...] = members[0]
    for member in members[1:]:
        np.maximum(out, member, out=out)


def _mean(members: Members, out: NDArray[Any]) -> None:
    if out.dtype.kind == "f":
        _float_mean(members, out)
    else:
        _integer_mean(members, out)


def _float_mean(members: Members, out: NDArray[Any]) -> None:
    # Adding whole members, not np.sum, fixes the order of the additions whatever the layout.
    total = members[0].astype(np.result_type(out.dtype, np.float64))
    for member in members[1:]:
        total += member
    total /= len(members)
    out[...] = total


def _integer_mean(members: Members, out: NDArray[Any]) -> None:
    wide = np.dtype(np.uint64 if out.dtype.kind == "u" else np.int64)
    n = len(members)
    if out.dtype.itemsize < 8:
        total = np.zeros(out.shape, wide)
        for member in members:
            total += member
        quotient, rest = _divide(total, n)
    else:  # the sum may exceed 64 bits: add the high and the low 32 bits apart
        high, low = np.zeros(out.shape, wide), np.zeros(out.shape, wide)
        for member in members:
            high += member >> 32
            low += member & 0xFFFF_FFFF
        quotient, rest = _divide(high, n)
        carry, rest = _divide((rest << 32) + low, n)
        quotient = (quotient << 32) + carry
    # Up where rest/n is over a half, or is a half and the quotient odd.
    rest *= 2
    rest += quotient & 1
    quotient += rest > n
    np.copyto(out, quotient, casting="unsafe")


def _divide(total: NDArray[Any], n: int) -> tuple[NDArray[Any], NDArray[Any]]:
    quotient = total // n
    total -= quotient * n  # numpy divides by a constant much faster than it takes a remainder
    return quotient, total


def _sorted(members: Members) -> NDArray[Any]:
    """Stack the members along a new first axis and sort every cell along it, NaNs last."""
    cells = np.stack(members)
    if cells.dtype.kind == "f":
        cells += 0  # -0.0 becomes 0.0: how the two sort is not defined
    cells.sort(axis=0)
    return cells


def _mode(members: Members, out: NDArray[Any]) -> None:
    cells = _sorted(members)
    best = cells[0].copy()
    longest = np.ones(best.shape, np.intp)
    run = longest.copy()
    for previous, value in itertools.pairwise(cells):
        same = value == previous
        if cells.dtype.kind == "f":
            same |= np.isnan(previous)  # then the value is one too: they are last
        run *= same
        run += 1
        longer = run > longest  # not equal: the smaller value was met first
        np.copyto(longest, run, where=longer)
        np.copyto(best, value, where=longer)
    out[...] = best


def _median(members: Members, out: NDArray[Any]) -> None:
    cells = _sorted(members)
    n = len(members)
    low, high = cells[(n - 1) // 2], cells[n // 2]
    if out.dtype.kind == "f":
        total = np.add(low, high, dtype=np.result_type(low, np.float64))
        middle = total / 2 if n % 2 == 0 else low  # twice the one could overflow
        out[...] = np.where(np.isnan(cells[-1]), np.nan, middle)
    elif out.dtype.kind == "b":
        out[...] = low & high  # a half rounds to 0
    else:
        floor = (low & high) + ((low ^ high) >> 1)  # of the mean, without overflow
        out[...] = floor + ((low ^ high) & floor & 1)


_REDUCTIONS: dict[Method, Callable[[Members, NDArray[Any]], None]] = {
    "mean": _mean,
    "mode": _mode,
    "min": _min,
    "max": _max,
    "median": _median,
    "stride": _first,
}
