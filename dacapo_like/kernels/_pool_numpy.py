"""Pooling in plain numpy: what the compiled loops have to equal, and the way of dtypes that they do not know."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from dacapo_like.kernels._blocks import boxes, part

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    # A strided view for each place inside a cell; a cell is one element of each of them.
    Members = list[NDArray[Any]]

_VOXELS_AT_ONCE = 1 << 18  # of a temporary: it stays in the processor's cache


def pool(source: NDArray[Any], steps: tuple[int, ...], method: str, out: NDArray[Any]) -> None:
    """Reduce cells of whole voxels, see `dacapo_like.kernels.pool.pool`."""
    size = math.prod(steps)
    reduce = _REDUCTIONS[method] if size > 1 else _first
    at_once = _VOXELS_AT_ONCE // size if reduce in {_mode, _median} else _VOXELS_AT_ONCE
    with np.errstate(over="ignore", invalid="ignore"):
        for box in boxes(out.shape, max(1, at_once)):
            cells = (slice(b.start * s, b.stop * s) for b, s in zip(box, steps, strict=True))
            reduce(_members(part(source, cells), steps), part(out, box))


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
    middle(cells[(n - 1) // 2], cells[n // 2], cells[-1], out, between=n % 2 == 0)


def middle(
    low: NDArray[Any],
    high: NDArray[Any],
    greatest: NDArray[Any],
    out: NDArray[Any],
    *,
    between: NDArray[np.bool_] | bool,
) -> None:
    """Write medians: the mean of the middle values of a cell where the median is between two."""
    if out.dtype.kind == "f":
        total = np.add(low, high, dtype=np.result_type(low, np.float64))
        median = np.where(between, total / 2, low)  # twice the one could overflow
        out[...] = np.where(np.isnan(greatest), np.nan, median)
    elif out.dtype.kind == "b":
        out[...] = low & high  # a half rounds to 0
    else:
        floor = (low & high) + ((low ^ high) >> 1)  # of the mean, without overflow
        out[...] = floor + ((low ^ high) & floor & 1)


_REDUCTIONS: dict[str, Callable[[Members, NDArray[Any]], None]] = {
    "mean": _mean,
    "mode": _mode,
    "min": _min,
    "max": _max,
    "median": _median,
    "stride": _first,
}
