"""The cubic B-spline that interpolates voxels, as weights of the voxels themselves.

`scipy.ndimage` makes it in two steps: a recursive filter turns voxels into coefficients, and each value is a sum over four of
them. The filter has no end, so what a block holds would depend on where the block begins. Its response falls by a factor of 3.7
with every voxel, though; cut off where it is below any rounding, the two steps are one kernel of finite support.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

HALO = 14
"""Voxels beyond the four taps of a B-spline that have weight: what is cut off is below 1e-8 of the range."""

_POLE = math.sqrt(3) - 2
_MOST_SIGMAS = 4  # where scipy.ndimage.gaussian_filter cuts off, too


def first_tap(ratio: float) -> int:
    """Give the first voxel of weight, counted from the one at or before a position.

    Parameters
    ----------
    ratio : float
        Output voxel size / input voxel size; above 1 there is a Gaussian before the spline.
    """
    return -1 - HALO - _radius(ratio)


def spline_weights(phases: Sequence[float], ratio: float) -> NDArray[np.float64]:
    """Weigh the voxels around positions.

    Where voxels get coarser they are smoothed first by a Gaussian of sigma ``(ratio - 1) / 2``, as `skimage.transform.resize`
    does. Weights add up to 1, and depend on phase and ratio alone, bit for bit.

    Parameters
    ----------
    phases : sequence of float
        Of each position: how far it is behind the voxel at or before it; 0 or more, below 1.
    ratio : float
        Output voxel size / input voxel size.

    Returns
    -------
    ndarray
        float64 of shape ``(len(phases), taps)``, from `first_tap` on.

    References
    ----------
    .. [1] M. Unser, "Splines: a perfect fit for signal and image processing", IEEE Signal Processing Magazine 16 (1999) 22-38.

    Examples
    --------
    >>> around = spline_weights([0.0, 0.5], 1)
    >>> np.round(around[:, -first_tap(1) - 1 : -first_tap(1) + 3], 3) + 0.0
    array([[ 0.   ,  1.   ,  0.   ,  0.   ],
           [-0.127,  0.6  ,  0.6  , -0.127]])
    """
    response = [math.sqrt(3) * _POLE ** abs(k) for k in range(-HALO, HALO + 1)]
    smoothing = _gaussian(ratio)
    p = np.array(phases, np.float64)
    basis = (
        (1 - p) * (1 - p) * (1 - p) / 6,
        (4 - 6 * p * p + 3 * p * p * p) / 6,
        (1 + 3 * p + 3 * p * p - 3 * p * p * p) / 6,
        p * p * p / 6,
    )
    # Powers of an array and sums along an axis may round differently with its length; these loops do not.
    weights = np.zeros((3 + len(response) + len(smoothing) - 1, len(p)))
    for i, spline in enumerate(basis):
        for j, value in enumerate(np.convolve(response, smoothing)):
            weights[i + j] += value * spline
    total = np.zeros(len(p))
    for weight in weights:
        total += weight
    return (weights / total).T


def _radius(ratio: float) -> int:
    return int(_MOST_SIGMAS * max(ratio - 1, 0) / 2 + 0.5)


def _gaussian(ratio: float) -> list[float]:
    """Give the samples of the Gaussian, of any sum."""
    radius = _radius(ratio)
    if radius == 0:
        return [1.0]
    sigma = (ratio - 1) / 2
    return [math.exp(-k * k / (2 * sigma * sigma)) for k in range(-radius, radius + 1)]
