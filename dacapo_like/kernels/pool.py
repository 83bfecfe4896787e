"""Pooling: every cell of voxels becomes one voxel."""

from __future__ import annotations

import math
import operator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from dacapo_like.kernels import _pool_numpy as reference
from dacapo_like.kernels._blocks import destination, part
from dacapo_like.kernels._pool_cells import (
    WholeCells,
    cell_support,
    check_ratio,
    largest_weight,
    rational_cells,
)
from dacapo_like.kernels._pool_parts import pool_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from dacapo_like.kernels._pool_cells import Cells, Range

__all__ = ["Method", "cell_support", "pool", "pool_cells"]

Method = Literal["mean", "mode", "min", "max", "median", "stride"]

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
    if size == 1 or method == "stride":  # a copy, of whatever dtype: numpy does that well
        result[...] = part(source, (slice(None, None, step) for step in steps))
    elif result.size == 0:
        pass
    elif _is_compiled(source.dtype, method, size):
        _reduce(source, [WholeCells(step) for step in steps], method, result, exact=True)
    else:
        reference.pool(source, steps, method, result)
    return result


def pool_cells(
    data: ArrayLike,
    *,
    ratio: Sequence[Fraction],
    shift: Sequence[Fraction],
    start: Sequence[int],
    data_start: Sequence[int],
    bounds: Sequence[Range],
    shape: Sequence[int],
    method: Method,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Reduce a block of an array to cells of any rational size, which may take parts of voxels.

    Along each axis cell `o` is what lies between ``o * ratio + shift`` and
    ``(o + 1) * ratio + shift``, where input voxel `i` covers `i` to ``i + 1``, clipped to the
    input. A voxel of the result depends on its cell alone: any part of the output equals, bit for
    bit, that part of the whole output (a NaN is only promised to stay a NaN). Where ratios are
    whole numbers and shifts are, too, it is what `pool` gives.

    The methods are those of `pool`, but each voxel weighs as much as the exact part of it that lies
    in the cell:

    ``mean``
        Integers: the exact mean, halves rounded to even; where voxels are cut so finely that the
        parts of a cell are over 2**30 it is taken in float64, as for floats, which is still exact
        as long as the sum of the parts times the voxels is below 2**52. Floats: the sum over voxels
        times parts, in C order in float64, divided by the number of parts and rounded once.
    ``mode``
        The value with the most weight; of those with equally much the smallest.
    ``min``, ``max``
        Of all voxels that any part of lies in the cell.
    ``median``
        Half of the weight lies at smaller values, half at greater ones; the mean of two values
        where it is divided between them.
    ``stride``
        The voxel that holds the cell's first corner.

    Parameters
    ----------
    data : array_like
        The part of the input that `cell_support` names, or more.
    ratio : sequence of Fraction
        For each axis of `data`, in its order: output voxel size / input voxel size.
    shift : sequence of Fraction
        Where the first corner of output voxel 0 is on the input, in input voxels.
    start, shape : sequence of int
        First index and length of the block wanted, on the whole output grid.
    data_start : sequence of int
        Index of the first voxel of `data` in the whole input.
    bounds : sequence of (int, int)
        First and stop index of the whole input along each axis: (0, n).
    method : {"mean", "mode", "min", "max", "median", "stride"}
        What becomes of a cell.
    out : ndarray, optional
        Where to write: of shape `shape`, the dtype of `data`, any strides, no memory of `data`.

    Returns
    -------
    ndarray
        `out`, or a new C-contiguous array of shape `shape` and the dtype of `data`.

    Raises
    ------
    ValueError
        If a ratio is not positive, the sequences are not one entry per axis, the method is unknown,
        a cell does not reach the input, `data` lacks voxels that are needed, or `out` does not fit.
    TypeError
        If the dtype is not bool, integer or float.

    Examples
    --------
    >>> grid = {"start": [0], "data_start": [0], "bounds": [(0, 5)], "shape": [2]}
    >>> half_of_five = {"ratio": [Fraction(5, 2)], "shift": [Fraction(0)]}
    >>> pool_cells([0.0, 5.0, 10.0, 20.0, 30.0], method="mean", **half_of_five, **grid)
    array([ 4., 22.])
    >>> pool_cells([7, 4, 9, 9, 9], method="max", **half_of_five, **grid)
    array([9, 9])
    """
    source = np.asarray(data)
    _check_method(source, method)
    _check_grid(source, (ratio, shift, start, data_start, bounds, shape))
    result = destination(out, tuple(shape), source.dtype)
    if result.size == 0:
        return result
    per_axis = zip(start, shape, ratio, shift, bounds, data_start, strict=True)
    axes = [rational_cells(*axis) for axis in per_axis]
    _check_voxels(source, axes, data_start)
    size = math.prod(cells.most for cells in axes)
    same = all(r == 1 and s.denominator == 1 for r, s in zip(ratio, shift, strict=True))
    if method == "stride" or same:
        result[...] = source[np.ix_(*(cells.voxels[0] for cells in axes))]
        return result
    exact = largest_weight(ratio, shift) <= _LARGEST_CELL
    whole = all(cells.step for cells in axes)
    if _is_compiled(source.dtype, method, size) and (whole or method != "median"):
        _reduce(source, axes, method, result, exact=exact)
    else:
        pool_parts(source, axes, method, result, exact=exact)
    return result


def _is_compiled(dtype: np.dtype[Any], method: Method, size: int) -> bool:
    from dacapo_like.kernels import _pool_numba

    return _pool_numba.takes(dtype, method, size)


def _reduce(
    source: NDArray[Any],
    axes: Sequence[Cells | WholeCells],
    method: Method,
    out: NDArray[Any],
    *,
    exact: bool,
) -> None:
    from dacapo_like.kernels import _pool_numba

    _pool_numba.pool(source, axes, method, out, exact=exact)


def _check(source: NDArray[Any], steps: tuple[int, ...], method: str) -> None:
    _check_method(source, method)
    if len(steps) != source.ndim or min(steps, default=1) < 1:
        msg = f"factors do not fit the array: got {steps}, expected {source.ndim} of at least 1"
        raise ValueError(msg)
    if any(n % step for n, step in zip(source.shape, steps, strict=True)):
        msg = f"the shape is not a multiple of the factors: got {source.shape}, factors {steps}"
        raise ValueError(f"{msg}; trim the array first")
    if method == "mean" and source.dtype.kind != "f" and math.prod(steps) > _LARGEST_CELL:
        msg = f"the cells are too large to average: got {steps}, expected at most 2**30 voxels"
        raise ValueError(msg)


def _check_method(source: NDArray[Any], method: str) -> None:
    if method not in get_args(Method):
        raise ValueError(f"unknown pooling method: got {method!r}, expected {get_args(Method)}")
    if source.dtype.kind not in "biuf" and method != "stride":
        msg = f"cannot pool this dtype by {method}: got {source.dtype}, expected bool, int or float"
        raise TypeError(msg)


def _check_grid(source: NDArray[Any], per_axis: Sequence[Sequence[Any]]) -> None:
    lengths = [len(entries) for entries in per_axis]
    if lengths != [source.ndim] * len(lengths):
        msg = "ratio, shift, start, data_start, bounds and shape need one entry for each axis"
        raise ValueError(f"{msg}: got {lengths}, expected {source.ndim} of each")
    for ratio in per_axis[0]:
        check_ratio(ratio)


def _check_voxels(source: NDArray[Any], axes: Sequence[Cells], data_start: Sequence[int]) -> None:
    for axis, (n, cells, begin) in enumerate(zip(source.shape, axes, data_start, strict=True)):
        first, stop = int(cells.voxels.min()), int(cells.voxels.max()) + 1
        if first < 0 or stop > n:
            msg = f"data lacks voxels along axis {axis}: got {begin} to {begin + n}"
            expected = f"expected {begin + first} to {begin + stop}; read what cell_support() names"
            raise ValueError(f"{msg}, {expected}")
