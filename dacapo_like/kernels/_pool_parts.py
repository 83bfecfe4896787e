"""Pooling of cells that take parts of voxels, in plain numpy."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dacapo_like.kernels._blocks import boxes, part
from dacapo_like.kernels._pool_numpy import middle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from dacapo_like.kernels._pool_cells import Cells

_VOXELS_AT_ONCE = 1 << 18  # of a temporary: it stays in the processor's cache


class Members(NamedTuple):
    """The voxels of cells."""

    pairs: list[tuple[NDArray[Any], NDArray[np.float64]]]
    """For each place inside a cell the voxels that all cells have there, and how much they take of them."""

    totals: NDArray[np.float64]
    """How much each cell takes of all."""


def pool_parts(
    source: NDArray[Any], axes: Sequence[Cells], method: str, out: NDArray[Any], *, exact: bool
) -> None:
    """Reduce weighted cells, see `dacapo_like.kernels.pool.pool_cells`.

    Parameters
    ----------
    source : ndarray
        With at least one axis.
    axes : sequence of Cells
        One for each axis.
    method : str
        What becomes of a cell.
    out : ndarray
        Where to write.
    exact : bool
        Whether means of integers are exact, else they are taken in float64.
    """
    places = math.prod(len(cells.voxels) for cells in axes)
    at_once = _VOXELS_AT_ONCE // places if method in {"mode", "median"} else _VOXELS_AT_ONCE
    reduce = _REDUCTIONS[method]
    if method == "mean" and out.dtype.kind != "f":
        reduce = _exact_mean if exact else _rounded_mean
    with np.errstate(over="ignore", invalid="ignore"):
        for box in boxes(out.shape, max(1, at_once)):
            reduce(_members(source, axes, box), part(out, box))


def rounded(values: NDArray[np.float64], out: NDArray[Any]) -> None:
    """Write means of integers: rounded half to even, and clipped where float64 left the dtype."""
    limits = np.iinfo(out.dtype) if out.dtype.kind != "b" else None
    values = np.rint(values)
    above = values >= (float(limits.max) if limits else 2.0)  # 2**63 and 2**64 cannot be cast
    np.copyto(out, np.where(above, 0, values), casting="unsafe")
    np.copyto(out, limits.max if limits else True, where=above)


def _members(source: NDArray[Any], axes: Sequence[Cells], box: tuple[slice, ...]) -> Members:
    """Gather the members of some cells, places in C order."""
    pairs = []
    for place in np.ndindex(*(len(cells.voxels) for cells in axes)):
        here = list(zip(axes, place, box, strict=True))
        weight = _product([cells.weights[k, cut] for cells, k, cut in here])
        if weight.any():
            voxels = source[np.ix_(*(cells.voxels[k, cut] for cells, k, cut in here))]
            pairs.append((voxels, weight))
    return Members(pairs, _product([c.totals[cut] for c, cut in zip(axes, box, strict=True)]))


def _product(factors: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Multiply what axes have, from the first axis to the last."""
    product = np.ones(())
    for factor in factors:
        product = product[..., None] * factor
    return product


def _first(members: Members, out: NDArray[Any]) -> None:
    out[...] = members.pairs[0][0]


def _min(members: Members, out: NDArray[Any]) -> None:
    out[...] = members.pairs[0][0]
    for member, weight in members.pairs[1:]:
        np.minimum(out, member, out=out, where=weight > 0)


def _max(members: Members, out: NDArray[Any]) -> None:
    out[...] = members.pairs[0][0]
    for member, weight in members.pairs[1:]:
        np.maximum(out, member, out=out, where=weight > 0)


def _mean(members: Members, out: NDArray[Any]) -> None:
    out[...] = _quotient(members, out.dtype)


def _rounded_mean(members: Members, out: NDArray[Any]) -> None:
    rounded(_quotient(members, out.dtype), out)


def _quotient(members: Members, dtype: np.dtype[Any]) -> NDArray[Any]:
    wide = np.result_type(dtype, np.float64)
    total = np.full(members.totals.shape, -0.0, wide)  # which changes no sum
    for member, weight in members.pairs:
        np.add(total, member.astype(wide) * weight, out=total, where=weight > 0)
    return total / members.totals


def _exact_mean(members: Members, out: NDArray[Any]) -> None:
    total, whole = np.zeros(out.shape, object), members.totals.astype(np.int64).astype(object)
    for member, weight in members.pairs:
        total += member.astype(object) * weight.astype(np.int64).astype(object)
    quotient, rest = total // whole, total % whole
    out[...] = quotient + (2 * rest + quotient % 2 > whole)


def _sorted(members: Members) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Stack values and weights along a new first axis and sort each cell by value, NaNs last."""
    values = np.stack([member for member, _ in members.pairs])
    weights = np.stack([weight for _, weight in members.pairs])
    if values.dtype.kind == "f":
        values += 0  # -0.0 becomes 0.0
    absent = weights == 0
    order = np.lexsort((values, absent), axis=0)  # what is not in the cell goes last
    return np.take_along_axis(values, order, 0), np.take_along_axis(weights, order, 0)


def _mode(members: Members, out: NDArray[Any]) -> None:
    values, weights = _sorted(members)
    best, run = values[0].copy(), weights[0].copy()
    most = run.copy()
    for (previous, value), weight in zip(itertools.pairwise(values), weights[1:], strict=True):
        same = value == previous
        if values.dtype.kind == "f":
            same |= np.isnan(previous) & np.isnan(value)
        run = np.where(same, run, 0) + weight
        more = run > most  # not equal: the smaller value was met first
        np.copyto(most, run, where=more)
        np.copyto(best, value, where=more & (weight > 0))
    out[...] = best


def _median(members: Members, out: NDArray[Any]) -> None:
    values, weights = _sorted(members)
    reached = np.cumsum(weights, axis=0)
    whole = reached[-1]
    last = np.count_nonzero(weights, axis=0) - 1
    low, high, greatest = (
        np.take_along_axis(values, place[None], 0)[0]
        for place in (
            np.minimum((2 * reached < whole).sum(0), last),
            np.minimum((2 * reached <= whole).sum(0), last),
            last,
        )
    )
    middle(low, high, greatest, out, between=whole % 2 == 0)


_REDUCTIONS: dict[str, Callable[[Members, NDArray[Any]], None]] = {
    "mean": _mean,
    "mode": _mode,
    "min": _min,
    "max": _max,
    "median": _median,
    "stride": _first,
}
