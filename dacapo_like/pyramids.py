"""Coarser levels of an array: which ones, what they are, and their voxels from those of a finer level."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import Box, Exact
from dacapo_like.kernels._blocks import boxes
from dacapo_like.kernels.pool import Method, pool
from dacapo_like.spec import ArraySpec, Kind
from dacapo_like.units import length_factor

Factors = tuple[int, ...]

READ_AT_ONCE = 2**23
"""Finer voxels that are in memory for one read; more only where a single coarse voxel is made of more."""

MOST_JOINED = 2**27
"""Voxels that may become one: they are in memory together."""


def pooling_method(kind: Kind) -> Method:
    """Give how the voxels of a kind are joined: labels and masks never get values that were not there."""
    return "mean" if kind == "image" else "mode"


def halvings(spec: ArraySpec, extent: int, count: int | None = None) -> list[Factors]:
    """Choose coarser levels: the finest axes are halved until voxels are isotropic within a factor of 2, then all.

    Parameters
    ----------
    spec : ArraySpec
        Of the finest level.
    extent : int
        The last level is the first that is no longer than this along any spatial axis.
    count : int, optional
        How many levels there are to be instead, besides the finest.

    Returns
    -------
    list of tuple of int
        Per level and spatial axis, how many voxels of the level before become one.

    Raises
    ------
    SpecError
        There are not so many: a level is a single voxel.

    Examples
    --------
    >>> from dacapo_like.spec import from_shape
    >>> halvings(from_shape((100, 1000, 1000), voxel_size=(40, 8, 8)), 128)
    [(1, 2, 2), (1, 2, 2), (2, 2, 2)]
    """
    shape, sizes = list(spec.spatial_shape), _comparable_sizes(spec)
    found: list[Factors] = []
    while len(found) < count if count is not None else max(shape, default=0) > extent:
        factors = _next(shape, sizes)
        if max(factors, default=1) == 1:
            if count is None:
                break
            raise SpecError(
                "the array has not so many levels",
                got=count + 1,
                expected=f"at most {len(found) + 1}",
                key=("levels",),
            )
        found.append(factors)
        shape = [n // f for n, f in zip(shape, factors, strict=True)]
        sizes = [size * f for size, f in zip(sizes, factors, strict=True)]
    return found


def _next(shape: Sequence[int], sizes: Sequence[Exact]) -> Factors:
    """Halve the axes whose voxels are less than twice the finest, none of which is a single voxel."""
    finest = min((size for n, size in zip(shape, sizes, strict=True) if n > 1), default=0)
    return tuple(
        2 if n > 1 and size < 2 * finest else 1 for n, size in zip(shape, sizes, strict=True)
    )


def _comparable_sizes(spec: ArraySpec) -> list[Exact]:
    """Give the voxel size in one unit; as it is, where a unit is unknown or no length."""
    try:
        factors = [length_factor(unit, spec.units[0] or "") for unit in spec.units if unit]
    except ConfigError:
        factors = []
    if len(factors) != spec.dims:
        return list(spec.voxel_size)
    return list(spec.voxel_size * factors)


def coarser(spec: ArraySpec, factors: Sequence[int]) -> ArraySpec:
    """Give the spec of a coarser level; the first corner stays, trailing part-voxels are dropped.

    Raises
    ------
    SpecError
        Nothing is left.
    """
    shape = tuple(n // f for n, f in zip(spec.spatial_shape, factors, strict=True))
    if 0 in shape:
        raise SpecError(
            "nothing is left at a level",
            got=f"{spec.spatial_shape} voxels in cells of {tuple(factors)}",
            expected="at least one whole cell along every axis",
            key=("factors",),
        )
    return spec.replace(
        shape=spec.leading_shape + shape, voxel_size=spec.voxel_size * factors, chunk_shape=None
    )


def read_pooled(
    read: Callable[[Box], NDArray[Any]],
    box: Box,
    factors: Sequence[int],
    method: Method,
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """Make a box of a coarser level, in pieces that bound the memory.

    Parameters
    ----------
    read : callable
        Gives a box of the finer level.
    box : Box
        Of the coarser one, over all axes.
    factors : sequence of int
        Per axis, 1 for those that are not spatial.
    method : str
        See `dacapo_like.kernels.pool.pool`.
    dtype : dtype
        Of the voxels.
    """
    out = np.zeros(box.shape, dtype)
    for piece in boxes(box.shape, max(1, READ_AT_ONCE // math.prod(factors))):
        start = [(o + p.start) * f for o, p, f in zip(box.offset, piece, factors, strict=True)]
        shape = [(p.stop - p.start) * f for p, f in zip(piece, factors, strict=True)]
        data = read(Box(tuple(start), tuple(shape)))
        if data.any() or data.dtype.kind == "f":  # sparse labels are mostly nothing
            pool(data, factors, method, out=out[piece])
    return out
