"""The values of an array at world points, read block by block."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dacapo_like import engine
from dacapo_like.bridges import block_shape
from dacapo_like.core import Array
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import Box, box_between
from dacapo_like.kernels.sample import Order, sample, taps_between
from dacapo_like.operators._places import (
    Units,
    containing,
    indices_at,
    invention,
    invents,
    is_inside,
    points_of,
)
from dacapo_like.padding import fitting_value
from dacapo_like.registry import array_method
from dacapo_like.spec import ArraySpec

READ_AT_ONCE = 2**25
"""Bytes that a read for some of the points may hold; more only where a single point needs more."""

READS_IN_FLIGHT = 8
"""Such reads at a time."""


@array_method
def sample_at_points(
    array: Array,
    points: ArrayLike,
    order: Order | None = None,
    *,
    fill: float = 0,
    units: Units | None = None,
) -> NDArray[Any]:
    """Give the values of an array at world points.

    Points are grouped by the blocks in which the array is stored: only blocks that a point needs are read, each for all of its
    points, and memory holds one group at a time. Everything that was done to the array counts, as in any other read.

    Parameters
    ----------
    array : Array
        Of any axes.
    points : array_like
        World points of shape (dims,), (N, dims) or (dims, N), components in the order of the spatial axes; where N is dims, rows
        are points. They are true world positions, as of `voxel_to_world`.
    order : {0, 1, 3}, optional
        0: the voxel that contains the point, a face belonging to the voxel after it; 1: linear; 3: cubic convolution (Keys,
        a = -0.5). Beyond the centres of the outermost voxels these count on. By default 1 for images, 0 for labels and masks,
        which allow nothing else.
    fill : number
        The value where no voxel contains the point.
    units : str or sequence of str, optional
        Of the points; by default the array's own.

    Returns
    -------
    ndarray
        Of shape (…, N), time and channels first, and the array's dtype: integers are rounded half to even and clipped. Make it
        float first where fractions matter. A single point gives N = 1.

    Raises
    ------
    RegionError
        They are not such points, or not finite.
    SpecError
        The order would invent values in labels or a mask; the units cannot be converted into the array's; or it has more than
        three spatial axes.
    ConfigError
        The order is none of these, or the dtype cannot hold `fill`.

    Examples
    --------
    >>> from dacapo_like import from_numpy
    >>> array = from_numpy(np.array([0.0, 10.0, 40.0]), axes="x", voxel_size=(4,))
    >>> array.sample_at_points([[2], [4], [7], [-1]], fill=-1)
    array([ 0. ,  5. , 17.5, -1. ])
    """
    spec = array.spec
    order = _checked(order, spec)
    outside = fitting_value(fill, spec.dtype)
    given = points_of(points, array, units)
    index = indices_at(spec, given.rows)
    values = np.full((*spec.leading_shape, len(index)), outside, spec.dtype)
    inside = np.flatnonzero(is_inside(index, spec.spatial_shape))
    bounds = _bounds(spec)

    def look_up(piece: tuple[NDArray[np.intp], Box]) -> None:
        chosen, box = piece
        start = box.offset[spec.ndim - spec.dims :]
        data = array.read_box(box)
        values[..., chosen] = sample(data, index[chosen].T, order, data_start=start, bounds=bounds)

    pieces = _pieces(array, index, inside, order)
    with ThreadPoolExecutor(READS_IN_FLIGHT) as threads:  # most of the time is waiting
        for _ in threads.map(look_up, pieces):
            pass
    return values


def _bounds(spec: ArraySpec) -> list[tuple[int, int]]:
    return [(0, n) for n in spec.spatial_shape]


def _checked(order: Order | None, spec: ArraySpec) -> Order:
    if not 1 <= spec.dims <= 3:
        raise SpecError(
            "an array of too many axes, or too few, to be sampled",
            got=f"{spec.dims} spatial axes",
            expected="one to three",
        )
    if order is None:
        return 0 if invents(spec) else 1
    if order not in get_args(Order):
        raise ConfigError("unknown order of interpolation", got=order, expected="0, 1 or 3")
    if order and invents(spec):
        raise invention(spec, order, "order")
    return order


def _pieces(
    array: Array, index: NDArray[np.float64], inside: NDArray[np.intp], order: Order
) -> Iterator[tuple[NDArray[np.intp], Box]]:
    """Give groups of the points inside, and for each the box of the voxels that they need.

    A group lies in one block, and is taken apart as long as a read of its box would hold too much.
    """
    spec = array.spec
    zeros, bounds = (0,) * len(spec.leading_shape), _bounds(spec)
    readout = engine.Readout(array)
    first = containing(index) if order == 0 else np.floor(index)
    for group in _by_block(array, first, inside):
        stack = [group]
        while stack:
            chosen = stack.pop()
            low, high = first[chosen].min(axis=0), first[chosen].max(axis=0)
            taps = taps_between(np.stack([low, high], axis=1), order, bounds)
            box = box_between(
                (*zeros, *(start for start, _ in taps)),
                (*spec.leading_shape, *(stop for _, stop in taps)),
            )
            axis = int(np.argmax(high - low))
            if low[axis] == high[axis] or _bytes(readout, box) <= READ_AT_ONCE:
                yield chosen, box
            else:
                lower = first[chosen, axis] <= (low[axis] + high[axis]) // 2
                stack += [chosen[~lower], chosen[lower]]


def _by_block(
    array: Array, first: NDArray[np.float64], inside: NDArray[np.intp]
) -> list[NDArray[np.intp]]:
    """Group points by the block that holds their first voxel, blocks in C order."""
    if not inside.size:
        return []
    origin, shape = _blocks(array)
    held = np.maximum(first[inside], 0)  # the outer half of the first voxels comes before them
    blocks = (held - origin) // shape
    order = np.lexsort(blocks.T[::-1])
    ends = np.flatnonzero(np.any(np.diff(blocks[order], axis=0) != 0, axis=1)) + 1
    return np.split(inside[order], ends)


def _blocks(array: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Give the origin and the shape of blocks: the chunks of a source whose voxels are the array's, shifted; else of some size."""
    spec = array.spec
    lead = spec.ndim - spec.dims
    for step in engine.Readout(array).plan(spec.box).steps:
        source = step.stage.spec
        start, shape = step.box.offset[-spec.dims :], step.box.shape[-spec.dims :]
        if source.chunk_shape is not None and shape == spec.spatial_shape:
            chunk = source.chunk_shape[-spec.dims :]
            return tuple(-(s % c) for s, c in zip(start, chunk, strict=True)), chunk
    return (0,) * spec.dims, block_shape(spec)[lead:]


def _bytes(readout: engine.Readout, box: Box) -> int:
    """Give how much memory a read takes: all blocks of all stages."""
    return sum(step.nbytes for step in readout.plan(box).steps)
