"""Interpolation in plain numpy, one axis after the other: what the compiled loops are held to, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dacapo_like.kernels._blocks import boxes
from dacapo_like.kernels._interpolate_taps import Taps
from dacapo_like.kernels.interpolate import interpolate_with

_VOXELS_AT_ONCE = 1 << 17  # of a float64 temporary: it stays in the processor's cache


def reference(data: ArrayLike, **grid: Any) -> NDArray[Any]:
    """Do what `interpolate` does, to the same bits."""
    return interpolate_with(blend, data, **grid)


def blend(values: NDArray[Any], taps: Mapping[int, Taps], out: NDArray[Any]) -> None:
    """Write the weighted sums along some axes, the last of them first; others are as they are.

    Parameters
    ----------
    values : ndarray
        Integers or floats.
    taps : mapping
        By axis; at least one, each with weights.
    out : ndarray
        Where to write: the shape of `values` but for those axes; any dtype of integers or floats.
    """
    first, *rest = sorted(taps)
    for axis in reversed(rest):
        stage = np.empty(values.shape[:axis] + out.shape[axis:])
        _blend_axis(values, taps[axis], axis, stage)
        values = stage
    _blend_axis(values, taps[first], first, out)


def _blend_axis(values: NDArray[Any], taps: Taps, axis: int, out: NDArray[Any]) -> None:
    """Write the sum of the weighted taps along an axis, added from the first tap to the last."""
    assert taps.weights is not None  # noqa: S101  # chosen by the caller
    indices, weights = taps.indices.T, taps.weights.T
    column = (-1,) + (1,) * (values.ndim - axis - 1)
    lead = (slice(None),) * axis
    for box in boxes(out.shape, _VOXELS_AT_ONCE):
        voxels = indices[:, box[axis]]
        first = voxels.min()
        block = values[(*box[:axis], slice(first, voxels.max() + 1), *box[axis + 1 :])]
        total = np.zeros([cut.stop - cut.start for cut in box])
        with np.errstate(over="ignore", invalid="ignore"):
            for tap, weight in zip(voxels - first, weights[:, box[axis]], strict=True):
                used = slice(None) if weight.all() else np.flatnonzero(weight)
                term = block.take(tap[used], axis).astype(np.float64, copy=False)
                term *= weight[used].reshape(column)
                total[(*lead, used)] += term
            store(total, out[box])


def store(values: NDArray[Any], out: NDArray[Any]) -> None:
    """Write float64 values, which this may spoil, into another dtype: rounded half to even and clipped, or cast."""
    if out.dtype.kind == "f":
        np.copyto(out, values, casting="same_kind")
    else:
        limits = np.iinfo(out.dtype)
        np.rint(values, out=values)
        np.maximum(values, limits.min, out=values)
        above = values >= float(limits.max)  # which may be 2**63 or 2**64: one too much to cast
        np.copyto(values, 0, where=above)
        np.copyto(out, values, casting="unsafe")
        np.copyto(out, limits.max, where=above)
