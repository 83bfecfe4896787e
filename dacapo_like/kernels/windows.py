"""Weights of the voxels of a patch: how much each counts where patches overlap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import check_choice

Weighting = Literal["flat", "hann", "gaussian", "spline"]

_SIGMAS = 8  # in the length of a Gaussian window, as nnU-Net has it


@lru_cache(maxsize=256)
def window(kind: Weighting, length: int) -> NDArray[np.float64]:
    r"""Give the weights along one axis of a patch: above 0 everywhere, and the same from either end, bit for bit.

    With :math:`x = (i + 1/2) / n`, the place of the centre of voxel :math:`i` of :math:`n`, they are

    - ``flat``: 1.
    - ``hann``: :math:`\sin^2(\pi x)`.
    - ``gaussian``: :math:`\exp(-\frac{1}{2} (8 (x - 1/2))^2)`: a standard deviation is an eighth of the patch, as in nnU-Net.
    - ``spline``: with :math:`t = 1 - |2x - 1|`, the triangle, :math:`2t^2` where :math:`t \le 1/2` and
      :math:`1 - 2(1 - t)^2` elsewhere: the spline of second order.

    Where every patch overlaps the next by half, ``hann`` and ``spline`` add up to 1.

    Parameters
    ----------
    kind : {"flat", "hann", "gaussian", "spline"}
        See above.
    length : int
        Voxels along the axis, at least 1.

    Returns
    -------
    ndarray of float64
        One number per voxel; read-only.

    Raises
    ------
    ConfigError
        There is no such window.

    References
    ----------
    F. Isensee et al., nnU-Net, Nature Methods 18 (2021): ``compute_gaussian`` in ``sliding_window_prediction.py``. It is centred on
    voxel ``n // 2`` and cut at four standard deviations.

    G. Chevalier, Smoothly-Blend-Image-Patches, Vooban Inc., 2017: ``_spline_window``. For even lengths
    from 4 on it is this window divided by its mean; for odd ones its triangle is a little wider.

    Examples
    --------
    >>> window("spline", 4)
    array([0.125, 0.875, 0.875, 0.125])
    >>> window("hann", 4) + window("hann", 4)[[2, 3, 0, 1]]
    array([1., 1., 1., 1.])
    """
    check_choice("window", kind, get_args(Weighting))
    near = (np.arange((length + 1) // 2) + 0.5) / length
    half = _WINDOWS[kind](near)
    weights = np.concatenate([half, half[: length // 2][::-1]])
    weights.flags.writeable = False  # all who ask get the same
    return weights


def window_weights(
    kind: Weighting, shape: Sequence[int], part: Sequence[slice] | None = None
) -> NDArray[np.float64]:
    """Give the weights of a patch, or of a part of it: the products of those along its axes, in their order.

    Parameters
    ----------
    kind : {"flat", "hann", "gaussian", "spline"}
        See `window`.
    shape : sequence of int
        Of the patch.
    part : sequence of slice, optional
        Of the patch, one per axis; the weights are those that the whole patch has there, bit for bit.

    Returns
    -------
    ndarray of float64
        Above 0 everywhere.

    Examples
    --------
    >>> window_weights("spline", (4, 4), (slice(0, 2), slice(1, 2)))
    array([[0.109375],
           [0.765625]])
    """
    cuts = (slice(None),) * len(shape) if part is None else part
    weights = np.ones(())
    for length, cut in zip(shape, cuts, strict=True):
        weights = weights[..., None] * window(kind, length)[cut]
    return weights


def _flat(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.ones_like(x)


def _hann(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sin(math.pi * x) ** 2)


def _gaussian(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(-0.5 * (_SIGMAS * (x - 0.5)) ** 2))


def _spline(x: NDArray[np.float64]) -> NDArray[np.float64]:
    triangle = 2 * x  # x is at most 1/2: it counts from the nearer end
    return np.where(triangle <= 0.5, 2 * triangle**2, 1 - 2 * (1 - triangle) ** 2)


_WINDOWS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "flat": _flat,
    "hann": _hann,
    "gaussian": _gaussian,
    "spline": _spline,
}
