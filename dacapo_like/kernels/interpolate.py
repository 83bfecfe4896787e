"""Separable interpolation at any rational ratio of voxel sizes."""

from __future__ import annotations

import operator
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dacapo_like.kernels._blocks import boxes, destination

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

Order = Literal[0, 1, 3]
Range = tuple[int, int]  # first, stop

_VOXELS_AT_ONCE = 1 << 17  # of a float64 temporary: it stays in the processor's cache
_TAPS = {0: (0,), 1: (0, 1), 3: (-1, 0, 1, 2)}  # relative to the voxel at or before the position


def interpolate(
    data: ArrayLike,
    *,
    ratio: Sequence[Fraction],
    start: Sequence[int],
    data_start: Sequence[int],
    bounds: Sequence[Range],
    shape: Sequence[int],
    order: Order,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Sample a block of an array on a grid of another voxel size with the same corner.

    Along each axis output voxel `o` has its centre at ``x = (o + 1/2) * ratio - 1/2``, where the
    centres of the input's voxels are the integers. What is beyond the array is its edge voxel. Any
    part of the output equals, bit for bit, that part of the whole output, however little of the
    input is given.

    - Order 0: the voxel that contains the centre, ``floor((o + 1/2) * ratio)``; a centre on a face
      belongs to the voxel after it. Values are copied.
    - Order 1: linear between the two nearest voxels.
    - Order 3: cubic convolution with a = -1/2 over the four nearest voxels [1]_; it may overshoot.

    For orders 1 and 3 the sum over the taps is taken in float64, from the first tap to the last,
    axis by axis from the last to the first; the weights are exact rationals rounded once. Then
    integers are rounded half to even and clipped to their dtype (those beyond 2**53 are thus not
    exact), and floats are cast once (what exceeds the dtype becomes infinite, or NaN where float64
    overflows on the way). A tap of weight zero is left out, so a NaN there does no harm. Along an
    axis where all centres are those of input voxels (the ratio is an odd integer, such as 1) voxels
    are copied.

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
    order : {0, 1, 3}
        Bool allows 0 only; order 0 takes every dtype.
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
    source = np.asarray(data)
    _check(source, order, (ratio, start, data_start, bounds, shape))
    result = destination(out, tuple(shape), source.dtype)
    if result.size == 0:
        return result
    values = source
    blends = []
    for axis in reversed(range(source.ndim)):
        indices, weights = _taps(start[axis], shape[axis], ratio[axis], order, bounds[axis])
        values, indices = _trim(values, axis, data_start[axis], indices)
        if weights is None:
            values = _take(values, indices[0], axis)
        else:
            blends.append((axis, indices, weights))
    for axis, indices, weights in blends[:-1]:
        stage = np.empty(values.shape[:axis] + result.shape[axis:])
        _blend(values, indices, weights, axis, out=stage)
        values = stage
    if blends:
        axis, indices, weights = blends[-1]
        _blend(values, indices, weights, axis, out=result)
    else:
        result[...] = values
    return result


def support(start: int, length: int, ratio: Fraction, order: Order, bound: Range) -> Range:
    """Say which input indices a range of the output needs along one axis.

    Parameters
    ----------
    start, length : int
        The range on the output grid.
    ratio : Fraction
        Output voxel size / input voxel size.
    order : {0, 1, 3}
        Order of the interpolation.
    bound : (int, int)
        First and stop index of the whole input: (0, n).

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
    order = _order_on_axis(ratio, order)
    first, last = operator.index(start), operator.index(start + length - 1)
    lowest = _position(first, ratio, order)[0] + _TAPS[order][0]
    highest = _position(last, ratio, order)[0] + _TAPS[order][-1]
    return _clamp(lowest, bound), _clamp(highest, bound) + 1


def _check(source: NDArray[Any], order: int, per_axis: Sequence[Sequence[Any]]) -> None:
    lengths = [len(entries) for entries in per_axis]
    if lengths != [source.ndim] * len(lengths):
        msg = "ratio, start, data_start, bounds and shape need one entry for each axis"
        raise ValueError(f"{msg}: got {lengths}, expected {source.ndim} of each")
    for ratio in per_axis[0]:
        _check_axis(ratio, order)
    if order and source.dtype.kind == "b":
        raise ValueError(f"bool cannot be interpolated: got order {order}, expected 0")
    if order and source.dtype.kind not in "iuf":
        msg = f"cannot interpolate this dtype: got {source.dtype}, expected integers or floats"
        raise TypeError(msg)


def _check_axis(ratio: Fraction, order: int) -> None:
    if order not in _TAPS:
        raise ValueError(f"unknown order of interpolation: got {order}, expected 0, 1 or 3")
    if ratio <= 0:
        raise ValueError(f"a ratio of voxel sizes is positive: got {ratio}")


def _order_on_axis(ratio: Fraction, order: Order) -> Order:
    """Say with which order an axis is sampled: 0 where every centre is that of an input voxel."""
    return 0 if ratio.denominator == 1 and ratio.numerator % 2 == 1 else order


def _position(index: int, ratio: Fraction, order: Order) -> tuple[int, int]:
    """Locate a centre: the voxel at or before it, and the phase times 2 * denominator."""
    corner = (2 * index + 1) * ratio.numerator  # (o + 1/2) * ratio, times 2 * denominator
    if order == 0:
        return corner // (2 * ratio.denominator), 0
    return divmod(corner - ratio.denominator, 2 * ratio.denominator)


def _clamp(index: int, bound: Range) -> int:
    return min(max(index, bound[0]), bound[1] - 1)


def _taps(
    start: int, length: int, ratio: Fraction, order: Order, bound: Range
) -> tuple[NDArray[np.intp], NDArray[np.float64] | None]:
    """Compute indices and weights, both (taps, length); no weights where voxels are copied."""
    order = _order_on_axis(ratio, order)
    # Python's integers: exact however long the numerators are, and an axis of a block is short.
    places = [_position(index, ratio, order) for index in range(start, start + length)]
    indices = np.array(
        [[_clamp(voxel + tap, bound) for voxel, _ in places] for tap in _TAPS[order]], np.intp
    )
    if order == 0:
        return indices, None
    weights = [_weights(phase, 2 * ratio.denominator, order) for _, phase in places]
    return indices, np.array(weights, np.float64).T


@lru_cache(maxsize=4096)
def _weights(r: int, d: int, order: Order) -> tuple[float, ...]:
    """Weights of the taps at phase r / d: quotients of integers, rounded once."""
    if order == 1:
        return (d - r) / d, r / d
    return (
        (-(r**3) + 2 * r**2 * d - r * d**2) / (2 * d**3),
        (3 * r**3 - 5 * r**2 * d + 2 * d**3) / (2 * d**3),
        (-3 * r**3 + 4 * r**2 * d + r * d**2) / (2 * d**3),
        (r**3 - r**2 * d) / (2 * d**3),
    )


def _trim(
    values: NDArray[Any], axis: int, data_start: int, indices: NDArray[np.intp]
) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """View the range that the indices name along an axis, and count them from its first voxel."""
    first, stop = int(indices.min()), int(indices.max()) + 1
    end = data_start + values.shape[axis]
    if first < data_start or stop > end:
        msg = f"data lacks voxels along axis {axis}: got {data_start} to {end}"
        raise ValueError(f"{msg}, expected {first} to {stop}; read what support() names")
    cut = slice(first - data_start, stop - data_start)
    return values[(*(slice(None),) * axis, cut)], indices - first


def _take(values: NDArray[Any], indices: NDArray[np.intp], axis: int) -> NDArray[Any]:
    """Copy voxels along an axis, unless the indices are all of it in order."""
    if np.array_equal(indices, np.arange(values.shape[axis])):
        return values
    return values.take(indices, axis)


def _blend(
    values: NDArray[Any],
    indices: NDArray[np.intp],
    weights: NDArray[np.float64],
    axis: int,
    out: NDArray[Any],
) -> None:
    """Write the sum of the weighted taps along an axis, added from the first tap to the last."""
    column = (-1,) + (1,) * (values.ndim - axis - 1)
    lead = (slice(None),) * axis
    for box in boxes(out.shape, _VOXELS_AT_ONCE):
        taps = indices[:, box[axis]]
        first = taps.min()
        block = values[(*box[:axis], slice(first, taps.max() + 1), *box[axis + 1 :])]
        total = np.zeros([cut.stop - cut.start for cut in box])
        with np.errstate(over="ignore", invalid="ignore"):
            for tap, weight in zip(taps - first, weights[:, box[axis]], strict=True):
                used = slice(None) if weight.all() else np.flatnonzero(weight)
                term = block.take(tap[used], axis).astype(np.float64, copy=False)
                term *= weight[used].reshape(column)
                total[(*lead, used)] += term
            _store(total, out[box])


def _store(values: NDArray[Any], out: NDArray[Any]) -> None:
    """Write values into an array of another dtype: rounded and clipped, or cast."""
    if values.dtype == out.dtype:
        out[...] = values
    elif out.dtype.kind == "f":
        np.copyto(out, values, casting="same_kind")
    else:
        limits = np.iinfo(out.dtype)
        np.rint(values, out=values)
        np.maximum(values, limits.min, out=values)
        above = values >= float(limits.max)  # which may be 2**63 or 2**64: one too much to cast
        np.copyto(values, 0, where=above)
        np.copyto(out, values, casting="unsafe")
        np.copyto(out, limits.max, where=above)
