"""Loops of pooling for numba to compile; `_pool_numba` lays out their memory.

Voxels are one flat array, and a call makes rows `begin` to `end` of the result. ``rows[k, r]`` is where the k-th row of
voxels begins that row `r` of the result takes, ``targets[r]`` where that row of the result begins; ``taps[i, x]`` is the
i-th voxel of a row that cell `x` takes. Rows are joined first, whole, which processors do many voxels at a time; then
neighbours within the joined row. `step` is the number of voxels that every cell takes along the last axis, 0 where cells
differ; pairs have loops of their own, which are faster.

Integers come as unsigned ones; ``v ^ flip`` brings them into the order wanted: that of signed ones, or the reverse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Voxels = NDArray[Any]
    Places = NDArray[np.intp]
    Weights = NDArray[Any]

_Function = TypeVar("_Function", bound="Callable[..., Any]")

_LOW = np.uint64(0xFFFF_FFFF)
_HALF = np.uint64(32)
_ONE = np.uint64(1)
_SPREAD = np.uint64(0x9E37_79B9_7F4A_7C15)  # 2**64 over the golden ratio: Fibonacci hashing


def inlined(function: _Function) -> _Function:
    """Let compiled loops take a function in, so that the processor's wide operations are found for it as for theirs."""
    loop: _Function = njit(function, inline="always")
    return loop


def called(function: _Function) -> _Function:
    """Let compiled loops call a function."""
    loop: _Function = njit(function)
    return loop


def mean_of_integers(
    data: Voxels,
    rows: Places,
    row_weights: Weights,
    row_totals: Weights,
    taps: Places,
    weights: Weights,
    totals: Weights,
    step: int,
    factor: Any,
    flip: Any,
    out: Voxels,
    targets: Places,
    begin: int,
    end: int,
) -> None:
    """Sum in the dtype of the weights, divide (or multiply by `factor`) in that of the totals."""
    width, count = taps.max() + 1, taps.shape[1]
    sums, quotients = np.empty(width, weights.dtype), np.empty(count, totals.dtype)
    places = rows.shape[0]
    eight = step == 2 and (places == 4 or places <= 2)
    k1, k2, k3 = min(1, places - 1), 2 if places == 4 else 0, places - 1
    for r in range(begin, end):
        target = out[targets[r] : targets[r] + count]
        if eight:
            first = data[rows[0, r] : rows[0, r] + width]
            second = data[rows[k1, r] : rows[k1, r] + width]
            third = data[rows[k2, r] : rows[k2, r] + width]
            fourth = data[rows[k3, r] : rows[k3, r] + width]
            _mean_of_eight(first, second, third, fourth, flip, sums, target)
            continue
        sums[:] = 0
        for k in range(places):
            _add(sums, data[rows[k, r] : rows[k, r] + width], row_weights[k, r], flip)
        _join(sums, taps, weights, step, quotients)
        if factor != 0:
            for x in range(count):
                quotients[x] = np.rint(quotients[x] * factor)
        else:
            for x in range(count):
                quotients[x] = np.rint(np.true_divide(quotients[x], totals[x] * row_totals[r]))
        for x in range(count):
            target[x] = np.uint32(quotients[x]) ^ flip


@inlined
def _mean_of_eight(
    a: Voxels, b: Voxels, c: Voxels, d: Voxels, flip: Any, sums: Voxels, out: Voxels
) -> None:
    """Average cells of 2 * 2 * 2; of fewer rows, they are given again: the commonest case, made of few wide steps."""
    for x in range(sums.size):
        sums[x] = (a[x] ^ flip) + (b[x] ^ flip) + (c[x] ^ flip) + (d[x] ^ flip)
    for x in range(out.size):
        total = sums[2 * x] + sums[2 * x + 1]
        out[x] = ((total + 3 + ((total >> 3) & 1)) >> 3) ^ flip  # half to even


@inlined
def _add(sums: Voxels, row: Voxels, weight: Any, flip: Any) -> None:
    if weight == 1:
        for x in range(sums.size):
            sums[x] += row[x] ^ flip
    elif weight != 0:
        for x in range(sums.size):
            sums[x] += (row[x] ^ flip) * weight


@inlined
def _join(sums: Voxels, taps: Places, weights: Weights, step: int, out: Voxels) -> None:
    if step == 2:
        for x in range(out.size):
            out[x] = sums[2 * x] + sums[2 * x + 1]
        return
    for x in range(out.size):
        total = sums[taps[0, x]] * weights[0, x]
        for i in range(1, taps.shape[0]):
            total += sums[taps[i, x]] * weights[i, x]
        out[x] = total


def mean_of_wide_integers(
    data: Voxels,
    rows: Places,
    row_weights: Weights,
    row_totals: Weights,
    taps: Places,
    weights: Weights,
    totals: Weights,
    flip: Any,
    out: Voxels,
    targets: Places,
    begin: int,
    end: int,
) -> None:
    """Sum the halves of 64 bits apart; the weights of a cell add up to 2**30 at most."""
    width = taps.max() + 1
    high, low = np.empty(width, np.uint64), np.empty(width, np.uint64)
    for r in range(begin, end):
        high[:] = 0
        low[:] = 0
        for k in range(rows.shape[0]):
            row = data[rows[k, r] : rows[k, r] + width]
            weight = row_weights[k, r]
            for x in range(width):
                value = np.uint64(row[x] ^ flip)
                high[x] += (value >> _HALF) * weight
                low[x] += (value & _LOW) * weight
        target = out[targets[r] : targets[r] + totals.size]
        for x in range(totals.size):
            upper = lower = np.uint64(0)
            for i in range(taps.shape[0]):
                upper += high[taps[i, x]] * weights[i, x]
                lower += low[taps[i, x]] * weights[i, x]
            target[x] = _quotient(upper, lower, row_totals[r] * totals[x]) ^ flip


@called
def _quotient(upper: Any, lower: Any, total: Any) -> Any:
    """Divide ``upper * 2**32 + lower``, rounded half to even."""
    quotient = upper // total
    rest = ((upper - quotient * total) << _HALF) + lower
    carry = rest // total
    rest -= carry * total
    quotient = (quotient << _HALF) + carry
    if (rest << _ONE) + (quotient & _ONE) > total:
        quotient += _ONE
    return quotient


def mean_of_floats(
    data: Voxels,
    rows: Places,
    row_weights: Weights,
    row_totals: Weights,
    taps: Places,
    weights: Weights,
    totals: Weights,
    step: int,
    out: Voxels,
    targets: Places,
    begin: int,
    end: int,
) -> None:
    """Add in float64, in C order of the places in the cell."""
    width, count = taps.max() + 1, taps.shape[1]
    sums = np.empty(count)
    for r in range(begin, end):
        sums[:] = -0.0  # which changes no sum
        for k in range(rows.shape[0]):
            row, weight = data[rows[k, r] : rows[k, r] + width], row_weights[k, r]
            if weight == 0:
                continue
            if step == 2:
                for x in range(count):
                    sums[x] = sums[x] + row[2 * x] + row[2 * x + 1]
                continue
            for x in range(count):
                total = sums[x]
                for i in range(taps.shape[0]):
                    if weights[i, x] != 0:
                        total += row[taps[i, x]] * (weight * weights[i, x])
                sums[x] = total
        target = out[targets[r] : targets[r] + count]
        for x in range(count):
            target[x] = np.true_divide(sums[x], row_totals[r] * totals[x])


def least_integers(
    data: Voxels,
    rows: Places,
    taps: Places,
    step: int,
    flip: Any,
    out: Voxels,
    targets: Places,
    begin: int,
    end: int,
) -> None:
    """Take the least in the order that `flip` makes."""
    width, count = taps.max() + 1, taps.shape[1]
    least = np.empty(width, data.dtype)
    for r in range(begin, end):
        least[:] = data[rows[0, r] : rows[0, r] + width]
        least ^= flip
        for k in range(1, rows.shape[0]):
            row = data[rows[k, r] : rows[k, r] + width]
            for x in range(width):
                least[x] = min(least[x], row[x] ^ flip)
        target = out[targets[r] : targets[r] + count]
        if step == 2:
            for x in range(count):
                target[x] = min(least[2 * x], least[2 * x + 1]) ^ flip
            continue
        for x in range(count):
            value = least[taps[0, x]]
            for i in range(1, taps.shape[0]):
                value = min(value, least[taps[i, x]])
            target[x] = value ^ flip


def least_floats(
    data: Voxels,
    rows: Places,
    taps: Places,
    step: int,
    sign: Any,
    out: Voxels,
    targets: Places,
    begin: int,
    end: int,
) -> None:
    """Take the least of voxels times a sign: NaN where there is one, of zeros the last."""
    width, count = taps.max() + 1, taps.shape[1]
    for r in range(begin, end):
        target = out[targets[r] : targets[r] + count]
        target[:] = np.inf
        for k in range(rows.shape[0]):
            row = data[rows[k, r] : rows[k, r] + width]
            if step == 2:
                for x in range(count):
                    target[x] = _lesser(target[x], row[2 * x] * sign)
                    target[x] = _lesser(target[x], row[2 * x + 1] * sign)
                continue
            for x in range(count):
                for i in range(taps.shape[0]):
                    target[x] = _lesser(target[x], row[taps[i, x]] * sign)
        for x in range(count):
            target[x] *= sign


@inlined
def _lesser(least: Any, value: Any) -> Any:
    return value if (value <= least) | (value != value) else least  # noqa: PLR0124  # NaN


def mode(
    data: Voxels,
    rows: Places,
    row_weights: Weights,
    taps: Places,
    weights: Weights,
    step: int,
    flip: Any,
    out: Voxels,
    targets: Places,
    begin: int,
    end: int,
) -> None:
    """Take the first voxel of uniform cells, which are the most by far, and count in the others."""
    places, width, count = rows.shape[0], taps.max() + 1, taps.shape[1]
    differs, mixed = np.empty(width, data.dtype), np.empty(count, data.dtype)
    eight = step == 2 and (places == 4 or places <= 2)
    k1, k2, k3 = min(1, places - 1), 2 if places == 4 else 0, places - 1
    values, shares, users = _empty_table(places * taps.shape[0], data)
    for r in range(begin, end):
        first = data[rows[0, r] : rows[0, r] + width]
        target = out[targets[r] : targets[r] + count]
        second = data[rows[k1, r] : rows[k1, r] + width]
        third = data[rows[k2, r] : rows[k2, r] + width]
        fourth = data[rows[k3, r] : rows[k3, r] + width]
        if eight:
            for x in range(width):
                differs[x] = (first[x] ^ second[x]) | (first[x] ^ third[x]) | (first[x] ^ fourth[x])
        else:
            _compare(data, rows[:, r], differs)
        _mark(first, differs, taps, step, target, mixed)
        for x in range(count):
            if mixed[x] == 0:
                continue
            if eight:
                target[x] = _most_of_eight(first, second, third, fourth, x, flip)
            else:
                cell = (rows[:, r], row_weights[:, r], taps[:, x], weights[:, x])
                target[x] = _most_of_any(data, *cell, flip, values, shares, users)


@called
def _empty_table(voxels: int, like: Voxels) -> Any:
    """Make a hash table that is never full: values, their weights, and which cell has used the slot last."""
    size = 16
    while size < 2 * voxels:
        size *= 2
    return np.empty(size, like.dtype), np.empty(size), np.zeros(size + 1, np.int64)


@called
def _most_of_any(
    data: Voxels,
    rows: Places,
    row_weights: Weights,
    taps: Places,
    weights: Weights,
    flip: Any,
    values: Voxels,
    shares: Weights,
    users: Places,
) -> Any:
    """Find the value with the most weight; the last of `users` is the number of cells so far."""
    users[-1] += 1  # so that the table is empty again
    cell, most, best = users[-1], 0.0, data[rows[0] + taps[0]]
    for k in range(rows.size):
        for i in range(taps.size):
            value = data[rows[k] + taps[i]]
            slot = _slot(values, users, cell, value)
            if users[slot] != cell:
                users[slot], values[slot], shares[slot] = cell, value, 0.0
            shares[slot] += row_weights[k] * weights[i]
            share = shares[slot]
            if share > most or (share == most and value ^ flip < best ^ flip):
                most, best = share, value
    return best


@inlined
def _compare(data: Voxels, rows: Places, differs: Voxels) -> None:
    """Mark, with bits that are not 0, where the rows of a cell differ."""
    first = data[rows[0] : rows[0] + differs.size]
    differs[:] = 0
    for k in range(1, rows.size):
        row = data[rows[k] : rows[k] + differs.size]
        for x in range(differs.size):
            differs[x] |= row[x] ^ first[x]


@inlined
def _mark(
    first: Voxels, differs: Voxels, taps: Places, step: int, out: Voxels, mixed: Voxels
) -> None:
    """Write the first voxel of each cell, and mark the cells whose voxels differ."""
    if step == 2:
        for x in range(out.size):
            out[x] = first[2 * x]
            change = first[2 * x] ^ first[2 * x + 1]
            mixed[x] = differs[2 * x] | differs[2 * x + 1] | change
        return
    for x in range(out.size):
        out[x] = first[taps[0, x]]
        mixed[x] = differs[taps[0, x]]
        for i in range(1, taps.shape[0]):
            mixed[x] |= differs[taps[i, x]] | (out[x] ^ first[taps[i, x]])


@inlined
def _most_of_eight(a: Voxels, b: Voxels, c: Voxels, d: Voxels, x: int, flip: Any) -> Any:
    """Find the most frequent value in a cell of 2 * 2 * 2; of fewer rows, they are given again."""
    v0, v1, v2, v3 = a[2 * x], a[2 * x + 1], b[2 * x], b[2 * x + 1]
    v4, v5, v6, v7 = c[2 * x], c[2 * x + 1], d[2 * x], d[2 * x + 1]
    ones = 1 + (v1 == v0) + (v2 == v0) + (v3 == v0)
    ones += (v4 == v0) + (v5 == v0) + (v6 == v0) + (v7 == v0)
    other = v6 if v7 == v0 else v7
    other = v5 if other == v0 else other
    other = v4 if other == v0 else other
    other = v3 if other == v0 else other
    other = v2 if other == v0 else other
    other = v1 if other == v0 else other
    others = (v1 == other) + (v2 == other) + (v3 == other) + (v4 == other)
    others += (v5 == other) + (v6 == other) + (v7 == other)
    best, most = v0, ones
    if others > ones or (others == ones and other ^ flip < v0 ^ flip):
        best, most = other, others
    if most > 4 or ones + others == 8:  # hardly ever are there more than two values
        return best
    for v in (v1, v2, v3, v4, v5, v6):
        n = (v1 == v) + (v2 == v) + (v3 == v) + (v4 == v) + (v5 == v) + (v6 == v) + (v7 == v)
        if n > most or (n == most and v ^ flip < best ^ flip):
            best, most = v, n
    return best


@inlined
def _slot(values: Voxels, users: Places, cell: int, value: Any) -> Any:
    """Find where a hash table counts a value, or will."""
    mask = np.uint64(values.size - 1)
    slot = ((np.uint64(value) * _SPREAD) >> _HALF) & mask
    while users[slot] == cell and values[slot] != value:
        slot = (slot + _ONE) & mask
    return slot


def order(
    data: Voxels,
    rows: Places,
    taps: Places,
    flip: Any,
    low: Voxels,
    high: Voxels,
    greatest: Voxels,
    targets: Places,
    begin: int,
    end: int,
) -> None:
    """Sort cells, many side by side, and take the two middle values (which may be one) and the last."""
    places, width, count = rows.shape[0], taps.max() + 1, taps.shape[1]
    size = places * taps.shape[0]
    side = min(count, max(16, (1 << 15) // (size * data.itemsize)))
    cells = np.empty((size, side), data.dtype)
    for r in range(begin, end):
        for left in range(0, count, side):
            n = min(side, count - left)
            for k in range(places):
                row = data[rows[k, r] : rows[k, r] + width]
                for i in range(taps.shape[0]):
                    member = cells[k * taps.shape[0] + i]
                    for x in range(n):
                        member[x] = row[taps[i, left + x]] ^ flip
            _sort(cells)
            at = targets[r] + left
            for x in range(n):
                low[at + x] = cells[(size - 1) // 2, x] ^ flip
                high[at + x] = cells[size // 2, x] ^ flip
                greatest[at + x] = cells[size - 1, x] ^ flip


@called
def _sort(cells: Voxels) -> None:
    """Sort every column with Batcher's merge exchange (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M)."""
    size = cells.shape[0]
    top = 1
    while 2 * top < size:
        top *= 2
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while True:
            for i in range(size - d):
                if i & p == r:
                    _exchange(cells[i], cells[i + d])
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2


@called
def _exchange(first: Voxels, second: Voxels) -> None:
    for x in range(first.size):
        a, b = first[x], second[x]
        first[x], second[x] = min(a, b), max(a, b)
