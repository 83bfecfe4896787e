"""Numpy-like indices of arrays, as boxes."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import RegionError
from dacapo_like.geometry import Box


def index_box(key: Any, shape: tuple[int, ...]) -> tuple[Box, tuple[Any, ...]]:
    """Turn a numpy-like index into the box to read and the index into what was read.

    Parameters
    ----------
    key : int, slice, Ellipsis, or a tuple of them
        As numpy's basic indexing takes them; but bounds outside of the array are errors.
    shape : tuple of int
        Of the array.

    Raises
    ------
    RegionError
        Too many parts, a step below 1, or a bound outside of the array.

    Examples
    --------
    >>> index_box((slice(2, 6, 2), -1), (10, 5))
    (Box(offset=(2, 4), shape=(4, 1)), (slice(None, None, 2), 0))
    """
    parts = list(key) if isinstance(key, tuple) else [key]
    dots = [i for i, part in enumerate(parts) if part is Ellipsis]
    missing = len(shape) - len(parts) + len(dots[:1])
    if len(dots) > 1 or missing < 0:
        raise RegionError(
            "index of the wrong rank",
            got=repr(key),
            expected=f"at most {len(shape)} parts for {shape}",
        )
    at = dots[0] if dots else len(parts)
    parts[at : at + 1] = [slice(None)] * missing
    starts, counts, steps = (
        zip(*map(_index_axis, parts, shape), strict=True) if shape else ((), (), ())
    )
    return Box(tuple(starts), tuple(counts)), tuple(steps)


def written_box(key: Any, shape: tuple[int, ...]) -> tuple[Box, tuple[int, ...]]:
    """Turn an index into the box to write and the shape that numpy gives to it.

    Raises
    ------
    RegionError
        As `index_box`; or a step other than 1.

    Examples
    --------
    >>> written_box((slice(2, 6), -1), (10, 5))
    (Box(offset=(2, 4), shape=(4, 1)), (4,))
    """
    box, steps = index_box(key, shape)
    slices = [step for step in steps if isinstance(step, slice)]
    if any(step.step != 1 for step in slices):
        raise RegionError("strides cannot be assigned to", got=repr(key), expected="steps of 1")
    kept = zip(box.shape, steps, strict=True)
    return box, tuple(n for n, step in kept if isinstance(step, slice))


def broadcast(values: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Broadcast values that are assigned to a region.

    Raises
    ------
    RegionError
        They do not fit.
    """
    try:
        return np.broadcast_to(values, shape)
    except ValueError as error:
        raise RegionError(
            "values do not fit the region",
            got=getattr(values, "shape", type(values).__name__),
            expected=shape,
        ) from error


def _index_axis(part: Any, n: int) -> tuple[int, int, Any]:
    """Give first voxel, count, and the index into what was read, for one axis."""
    if isinstance(part, slice):
        step = 1 if part.step is None else _integer(part.step)
        if step < 1:
            raise RegionError("index with a step below 1", got=part, expected="a positive step")
        start = _bound(part.start, n, 0)
        stop = max(_bound(part.stop, n, n), start)
        return start, stop - start, slice(None, None, step)
    index = _integer(part)
    if not -n <= index < n:
        raise RegionError("index leaves the array", got=index, expected=f"0 to {n - 1}")
    return index % n, 1, 0


def _bound(value: Any, n: int, default: int) -> int:
    if value is None:
        return default
    bound = _integer(value)
    if not -n <= bound <= n:
        raise RegionError("slice leaves the array", got=bound, expected=f"0 to {n}")
    return bound + n if bound < 0 else bound


def _integer(part: Any) -> int:
    refusal = RegionError(
        "not an index",
        got=repr(part),
        expected="a Roi in world units, or integers, slices and an ellipsis",
    )
    if isinstance(part, (bool, np.bool_)):  # numpy takes it for a mask
        raise refusal
    try:
        return operator.index(part)
    except TypeError as error:
        raise refusal from error
