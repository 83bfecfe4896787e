"""Sampling in plain numpy: what the compiled loops have to give bit for bit, and what stands in where numba has no dtype."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Range: TypeAlias = tuple[int, int]  # first, stop
Points: TypeAlias = NDArray[np.float64]
SPLINE_RADIUS = 15
"""Voxels on either side of one that its B-spline coefficient is made of."""

_RESPONSE = (math.sqrt(3) - 2) ** np.abs(np.arange(-SPLINE_RADIUS, SPLINE_RADIUS + 1.0))
_RESPONSE /= _RESPONSE.sum()

Taps: TypeAlias = (
    "Sequence[tuple[NDArray[np.intp], NDArray[np.float64]]]"  # index and weight of each
)


def reference(
    data: NDArray[Any],
    points: Points,
    order: int,
    *,
    fill: Any = 0,
    data_start: Sequence[int],
    bounds: Sequence[Range],
    method: str = "keys",
) -> NDArray[Any]:
    """Do what `sample` does, to the same bits."""
    lead = data.shape[: data.ndim - len(bounds)]
    inside = np.logical_and.reduce(
        [(x >= low - 0.5) & (x < stop - 0.5) for x, (low, stop) in zip(points, bounds, strict=True)]
    )
    spline = order == 3 and method == "spline"
    values = coefficients(data, len(bounds)) if spline else data
    axes = [
        [(index - at, weight) for index, weight in _taps(x[inside], order, bound, spline=spline)]
        for x, bound, at in zip(points, bounds, data_start, strict=True)
    ]
    result = np.full((*lead, points.shape[1]), np.asarray(fill, data.dtype))
    if order == 0:
        result[..., inside] = values[
            (slice(None),) * len(lead) + tuple(taps[0][0] for taps in axes)
        ]
        return result
    total = _sum(values, axes, ())
    found = np.empty(total.shape, data.dtype)
    round_to(total, np.asarray(fill, data.dtype), found)
    result[..., inside] = found
    return result


def _taps(x: NDArray[np.float64], order: int, bound: Range, *, spline: bool) -> Taps:
    """Give index and weight of every tap along one axis, from the first to the last."""
    low, high = bound[0], bound[1] - 1
    if order == 0:
        return [(np.minimum(np.floor(x + 0.5).astype(np.intp), high), np.ones_like(x))]
    floor = np.floor(x)
    mirrors = spline and low < high
    f = x - floor if mirrors or not spline else np.zeros_like(x)
    weights = (1.0 - f, f) if order == 1 else _b_spline(f) if mirrors else _keys(f)
    taps = []
    for place, weight in enumerate(weights, start=-1 if order == 3 else 0):
        index = floor.astype(np.intp) + place
        if mirrors:
            folded = np.abs(index - low) % (2 * (high - low))
            index = low + np.minimum(folded, 2 * (high - low) - folded)
        taps.append((np.clip(index, low, high), weight))
    return taps


def _keys(f: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    return (
        ((-0.5 * f + 1.0) * f - 0.5) * f,
        (1.5 * f - 2.5) * f * f + 1.0,
        ((-1.5 * f + 2.0) * f + 0.5) * f,
        (0.5 * f - 0.5) * f * f,
    )


def _b_spline(f: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    g = 1.0 - f
    return (
        g * g * g / 6.0,
        ((3.0 * f - 6.0) * f * f + 4.0) / 6.0,
        ((3.0 * g - 6.0) * g * g + 4.0) / 6.0,
        f * f * f / 6.0,
    )


def _sum(
    values: NDArray[Any], axes: Sequence[Taps], index: tuple[NDArray[np.intp], ...]
) -> NDArray[np.float64]:
    """Add up the taps of the axes that `index` does not name yet, the last axis innermost."""
    if len(index) == len(axes):
        lead = (slice(None),) * (values.ndim - len(axes))
        return np.asarray(values[lead + index], np.float64)
    parts = [(_sum(values, axes, (*index, at)), weight) for at, weight in axes[len(index)]]
    total = np.zeros_like(parts[0][0])
    with np.errstate(over="ignore", invalid="ignore"):
        for part, weight in parts:
            total = np.where(weight == 0, total, total + weight * part)
    return total


def round_to(values: NDArray[np.float64], fill: NDArray[Any], out: NDArray[Any]) -> None:
    """Write float64 into another dtype: integers rounded to even and clipped, and where they are NaN the fill value."""
    if out.dtype.kind == "f":
        with np.errstate(over="ignore"):
            out[...] = values
        return
    limits = np.iinfo(out.dtype)
    outside = np.isnan(values)
    np.rint(values, out=values)
    above = values >= float(limits.max)  # which may be 2**63 or 2**64: one too much to cast
    np.copyto(values, 0, where=above | outside)
    np.maximum(values, limits.min, out=values)
    np.copyto(out, values, casting="unsafe")
    np.copyto(out, limits.max, where=above)
    np.copyto(out, fill, where=outside)


def coefficients(values: NDArray[Any], dims: int) -> NDArray[np.float64]:
    """Give the B-spline coefficients of an array over its last axes, mirrored at its ends.

    The filter that makes them has no end; it is cut off where what is left is below 1e-8 of the range. So a coefficient is, bit
    for bit, the same whatever else of the array is given.
    """
    from scipy.ndimage import correlate1d  # heavy

    filtered = values.astype(np.float64)
    for axis in range(values.ndim - dims, values.ndim):
        if values.shape[axis] > 1:
            filtered = correlate1d(filtered, _RESPONSE, axis, mode="mirror")
    return filtered
