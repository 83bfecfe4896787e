"""Separable interpolation at any rational ratio of voxel sizes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dacapo_like.kernels._blocks import destination
from dacapo_like.kernels._interpolate_taps import Line, Order, Range, Taps

if TYPE_CHECKING:
    Blend: TypeAlias = Callable[[NDArray[Any], Mapping[int, Taps], NDArray[Any]], None]

_ORDERS = (0, 1, 3, "spline")


def interpolate(
    data: ArrayLike,
    *,
    ratio: Sequence[Fraction],
    start: Sequence[int],
    data_start: Sequence[int],
    bounds: Sequence[Range],
    shape: Sequence[int],
    order: Order | Sequence[Order],
    shift: Sequence[Fraction] | None = None,
    stretch: bool = False,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Sample a block of an array on a grid of another voxel size.

    Along each axis output voxel `o` has its centre at ``x = (o + 1/2) * ratio - 1/2 + shift``, where the centres of the input's
    voxels are the integers. What is beyond the array is its edge voxel. Any part of the output equals, bit for bit, that part of
    the whole output, however little of the input is given.

    - Order 0: the voxel that contains the centre, ``floor(x + 1/2)``; a centre on a face belongs to the voxel after it. Values are
      copied.
    - Order 1: linear between the two nearest voxels.
    - Order 3: cubic convolution with a = -1/2 over the four nearest voxels [1]_; it may overshoot.
    - Order ``"spline"``: the cubic B-spline through all voxels, as `scipy.ndimage` makes it with ``mode="mirror"``: what is beyond
      the array is its mirror image at the centre of the edge voxel. See `dacapo_like.kernels.spline`.

    With `stretch` the kernel is as wide as the voxels of the output along axes where these are larger, so that nothing in the
    input is missed: linear and cubic kernels are stretched by the ratio, their weights made to add up to 1 (those of the linear
    one also so that a ramp stays a ramp); before the spline there is a Gaussian of sigma ``(ratio - 1) / 2``.

    Unless all orders are 0 the sum over the taps is taken in float64, from the first tap to the last, axis by axis from the last to
    the first; the weights of orders 1 and 3 are exact rationals rounded once, unless the kernel is stretched. Then integers are
    rounded half to even and clipped to their dtype (those beyond 2**53 are thus not exact), and floats are cast once (what exceeds
    the dtype becomes infinite, or NaN where float64 overflows on the way). A tap of weight zero is left out, so a NaN there does no
    harm. Along an axis where all centres are those of input voxels (such as for ratio 1 without a shift, or for 3 unless stretched)
    voxels are copied.

    Large arrays are sampled by several threads, unless this is called from one.

    Parameters
    ----------
    data : array_like
        The part of the input that `support` names, or more.
    ratio : sequence of Fraction
        For each axis of `data`, in its order: output voxel size / input voxel size.
    start, shape : sequence of int
        First index and length of the block wanted, on the whole output grid.
    data_start : sequence of int
        Index of the first voxel of `data` in the whole input.
    bounds : sequence of (int, int)
        First and stop index of the whole input along each axis: (0, n).
    order : {0, 1, 3, "spline"}, or a sequence of them
        For all axes, or for each. Bool allows 0 only; order 0 takes every dtype.
    shift : sequence of Fraction, optional
        Corner of the output grid, in voxels of the input; 0 by default.
    stretch : bool
        Whether kernels are widened where voxels get coarser.
    out : ndarray, optional
        Where to write: of shape `shape`, the dtype of `data`, any strides, no memory of `data`.

    Returns
    -------
    ndarray
        `out`, or a new C-contiguous array of shape `shape` and the dtype of `data`.

    Raises
    ------
    ValueError
        If the order or a ratio is not one of those above, the sequences are not one entry per axis,
        `data` lacks voxels that are needed, bool is to be interpolated, or `out` does not fit.
    TypeError
        If another dtype than an integer or a float is to be interpolated.

    References
    ----------
    .. [1] R. Keys, "Cubic convolution interpolation for digital image processing", IEEE
       Transactions on Acoustics, Speech, and Signal Processing 29 (1981) 1153-1160.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> grid = {"start": [0], "data_start": [0], "bounds": [(0, 3)], "shape": [6]}
    >>> interpolate([0.0, 4.0, 8.0], ratio=[half], order=1, **grid)
    array([0., 1., 3., 5., 7., 8.])
    >>> interpolate([0, 4, 8], ratio=[half], order=0, **grid)
    array([0, 0, 4, 4, 8, 8])
    """
    return interpolate_with(
        _blend,
        data,
        ratio=ratio,
        start=start,
        data_start=data_start,
        bounds=bounds,
        shape=shape,
        order=order,
        shift=shift,
        stretch=stretch,
        out=out,
    )


def _blend(values: NDArray[Any], taps: Mapping[int, Taps], out: NDArray[Any]) -> None:
    from dacapo_like.kernels._interpolate_loops import blend  # numba is imported on first use

    blend(values, taps, out)


def interpolate_with(
    blend: Blend,
    data: ArrayLike,
    *,
    ratio: Sequence[Fraction],
    start: Sequence[int],
    data_start: Sequence[int],
    bounds: Sequence[Range],
    shape: Sequence[int],
    order: Order | Sequence[Order],
    shift: Sequence[Fraction] | None = None,
    stretch: bool = False,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Do what `interpolate` does, by a given function for the weighted sums."""
    source = np.asarray(data)
    orders = [order] * source.ndim if isinstance(order, (int, str)) else list(order)
    shifts = [Fraction(0)] * source.ndim if shift is None else list(shift)
    _check(source, (ratio, start, data_start, bounds, shape, orders, shifts))
    result = destination(out, tuple(shape), source.dtype)
    if result.size == 0:
        return result
    values, taps, picks = source, {}, {}
    for axis in reversed(range(source.ndim)):
        line = Line(ratio[axis], shifts[axis], orders[axis], bounds[axis], stretch)
        found = line.taps(start[axis], shape[axis])
        values, found = _trim(values, axis, data_start[axis], found)
        if found.weights is not None:
            taps[axis] = found
        elif not np.array_equal(indices := found.indices[:, 0], np.arange(values.shape[axis])):
            picks[axis] = indices
    for axis, indices in picks.items():
        last = not taps and axis == min(picks)
        values = values.take(indices, axis, out=result if last else None, mode="clip")
    if taps:
        blend(values, taps, result)
    elif values is not result:
        result[...] = values
    return result


def support(
    start: int,
    length: int,
    ratio: Fraction,
    order: Order,
    bound: Range,
    shift: Fraction = Fraction(0),
    *,
    stretch: bool = False,
) -> Range:
    """Say which input indices a range of the output needs along one axis.

    Parameters
    ----------
    start, length : int
        The range on the output grid.
    ratio : Fraction
        Output voxel size / input voxel size.
    order : {0, 1, 3, "spline"}
        Order of the interpolation.
    bound : (int, int)
        First and stop index of the whole input: (0, n).
    shift : Fraction
        Corner of the output grid, in voxels of the input.
    stretch : bool
        Whether kernels are widened where voxels get coarser.

    Returns
    -------
    first, stop : int
        Never beyond `bound`; empty where `length` is 0.

    Raises
    ------
    ValueError
        If the order or the ratio is not one that `interpolate` takes, or the input is empty while
        the output is not.

    Examples
    --------
    >>> support(2, 4, Fraction(1, 2), 1, (0, 100))
    (0, 4)
    >>> support(0, 4, Fraction(1), 3, (0, 100))
    (0, 4)
    """
    _check_axis(ratio, order)
    if length == 0:
        return bound[0], bound[0]
    if bound[0] >= bound[1]:
        raise ValueError(f"an empty input has no voxels to sample: got {bound}, wanted {length}")
    line = Line(ratio, Fraction(shift), order, bound, stretch)
    return line.support(operator.index(start), operator.index(length))


def _check(source: NDArray[Any], per_axis: Sequence[Sequence[Any]]) -> None:
    lengths = [len(entries) for entries in per_axis]
    if lengths != [source.ndim] * len(lengths):
        msg = (
            "ratio, start, data_start, bounds, shape, order and shift need one entry for each axis"
        )
        raise ValueError(f"{msg}: got {lengths}, expected {source.ndim} of each")
    ratios, *_, orders, _ = per_axis
    for ratio, order in zip(ratios, orders, strict=True):
        _check_axis(ratio, order)
        if order != 0 and source.dtype.kind == "b":
            raise ValueError(f"bool cannot be interpolated: got order {order}, expected 0")
        if order != 0 and source.dtype.kind not in "iuf":
            msg = f"cannot interpolate this dtype: got {source.dtype}, expected integers or floats"
            raise TypeError(msg)


def _check_axis(ratio: Fraction, order: Order) -> None:
    if order not in _ORDERS:
        raise ValueError(
            f"unknown order of interpolation: got {order}, expected 0, 1, 3 or 'spline'"
        )
    if ratio <= 0:
        raise ValueError(f"a ratio of voxel sizes is positive: got {ratio}")


def _trim(
    values: NDArray[Any], axis: int, data_start: int, taps: Taps
) -> tuple[NDArray[Any], Taps]:
    """View the range that the taps are in along an axis, and count them from its first voxel."""
    first, stop = int(taps.voxels.min()), int(taps.voxels.max()) + 1
    end = data_start + values.shape[axis]
    if first < data_start or stop > end:
        msg = f"data lacks voxels along axis {axis}: got {data_start} to {end}"
        raise ValueError(f"{msg}, expected {first} to {stop}; read what support() names")
    cut = slice(first - data_start, stop - data_start)
    return values[(*(slice(None),) * axis, cut)], taps._replace(voxels=taps.voxels - first)
