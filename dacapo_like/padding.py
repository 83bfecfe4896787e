"""Reading boxes that leave their array: what stands outside is asked for explicitly."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import ConfigError, RegionError
from dacapo_like.geometry import Box, box_between

Pad: TypeAlias = "str | Mapping[str, Any]"
Finish: TypeAlias = "Callable[[], NDArray[Any]]"


def start_padded(
    start: Callable[[Box], Finish], box: Box, bounds: Box, dtype: np.dtype[Any], pad: Pad
) -> Finish:
    """Begin to read a box that may leave the array.

    Parameters
    ----------
    start : callable
        Begins to read a box that lies inside `bounds`; what it returns finishes that.
    box, bounds : Box
        What is asked for, and all there is.
    dtype : numpy.dtype
        Of the array.
    pad : "edge", "reflect" or {"constant": value}
        As ``numpy.pad`` means them; ``reflect`` does not repeat the border voxel.

    Returns
    -------
    callable
        Finishes the read; gives an ndarray of shape ``box.shape``.

    Raises
    ------
    ConfigError
        `pad` is none of these, or the constant does not fit the dtype.
    RegionError
        The array is empty, and has no edge to repeat.
    """
    inner = inner_box(box, bounds, pad)
    if inner is None:
        return lambda: surrounded(None, box, bounds, dtype, pad)
    finish = start(inner)
    return lambda: surrounded(finish(), box, bounds, dtype, pad)


def inner_box(box: Box, bounds: Box, pad: Pad) -> Box | None:
    """Give the box, inside the array, that a box which may leave it is filled from; ``None``: from nothing.

    Parameters
    ----------
    box, bounds : Box
        What is asked for, and all there is.
    pad : "edge", "reflect" or {"constant": value}
        What stands outside.

    Raises
    ------
    ConfigError
        `pad` is none of these.
    RegionError
        The array is empty, and has no edge to repeat.

    Examples
    --------
    >>> inner_box(Box((-3,), (5,)), Box((0,), (9,)), "reflect")
    Box(offset=(0,), shape=(4,))
    """
    if _is_constant(pad):
        inside = box.intersect(bounds)
        return inside if inside.size else None
    if pad not in tuple(_FOLDS):  # a mapping has no hash
        raise ConfigError(
            "unknown way to pad", got=repr(pad), expected='"edge", "reflect" or {"constant": value}'
        )
    if box.size == 0:
        return None
    if bounds.size == 0:
        raise RegionError(
            "an empty array has no edge to repeat", got=pad, expected='{"constant": value}'
        )
    if bounds.contains(box):
        return box
    sides = [(index.min(), index.max()) for index in _indices(box, bounds, pad)]
    return box_between((int(low) for low, _ in sides), (int(high) + 1 for _, high in sides))


def surrounded(
    data: NDArray[Any] | None,
    box: Box,
    bounds: Box,
    dtype: np.dtype[Any],
    pad: Pad,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Make a box that may leave the array from the voxels of its `inner_box`.

    Parameters
    ----------
    data : ndarray or None
        The voxels of the inner box; ``None`` where there is none.
    box, bounds, dtype, pad
        As `start_padded` takes them.
    out : ndarray, optional
        Of shape ``box.shape``; filled, unless `data` needs no change.

    Returns
    -------
    ndarray
        `out`, a new array, or a view of `data`.
    """
    if data is not None and bounds.contains(box):
        return data
    if _is_constant(pad):
        value = fitting_value(pad["constant"], dtype)
        result = np.empty(box.shape, dtype) if out is None else out
        result[...] = value
        if data is not None:
            result[box.intersect(bounds).slices_in(box)] = data
        return result
    if data is None:
        return np.empty(box.shape, dtype) if out is None else out
    for axis, index in enumerate(_indices(box, bounds, pad)):
        if index.size != data.shape[axis] or np.any(np.diff(index) != 1):
            data = np.take(data, index - index.min(), axis=axis)
    return data


def _is_constant(pad: Pad) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(pad, Mapping) and set(pad) == {"constant"}


def _indices(box: Box, bounds: Box, pad: Pad) -> list[NDArray[Any]]:
    """Give, along every axis, the index in the array of each voxel of the box."""
    fold = _FOLDS[str(pad)]
    sides = zip(box.offset, box.end, bounds.shape, strict=True)
    return [fold(np.arange(start, stop), n) for start, stop, n in sides]


def _clamp(index: NDArray[Any], n: int) -> NDArray[Any]:
    return np.asarray(np.clip(index, 0, n - 1))


def _reflect(index: NDArray[Any], n: int) -> NDArray[Any]:
    if n == 1:
        return np.zeros_like(index)
    folded = np.mod(index, 2 * (n - 1))
    return np.asarray(np.minimum(folded, 2 * (n - 1) - folded))


_FOLDS = {"edge": _clamp, "reflect": _reflect}


def fitting_value(value: Any, dtype: np.dtype[Any]) -> Any:
    """Give a value as a scalar of a dtype, or refuse it.

    Raises
    ------
    ConfigError
        The dtype cannot hold the value: a fraction in integers, a number out of range.

    Examples
    --------
    >>> fitting_value(4, np.dtype("uint8"))
    np.uint8(4)
    """
    if isinstance(value, np.generic):
        value = value.item()  # Python compares integers with floats exactly, numpy does not
    fits = isinstance(value, (bool, int, float))
    if fits and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        fits = limits.min <= value <= limits.max and value == int(value)
    elif fits and dtype.kind == "b":
        fits = value in (0, 1)
    elif fits and dtype.kind == "f":
        unbounded = isinstance(value, float) and not math.isfinite(value)
        fits = unbounded or abs(value) <= float(np.finfo(dtype).max)
    if not fits:
        raise ConfigError(
            "a value that the dtype cannot hold", got=value, expected=f"a value of {dtype.name}"
        )
    return dtype.type(int(value) if dtype.kind in "iu" else value)


def fitting_values(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Give values as those of a dtype, or refuse them; only floats are rounded, to the nearest that a narrower float has.

    Raises
    ------
    ConfigError
        The dtype cannot hold one of the values.

    Examples
    --------
    >>> fitting_values(np.array([1.0, 255.0]), np.dtype("uint8"))
    array([  1, 255], dtype=uint8)
    """
    if values.dtype.kind not in "biuf":
        raise ConfigError("values that are no numbers", got=values.dtype, expected=dtype.name)
    with np.errstate(all="ignore"):  # what does not fit is found below
        cast = values.astype(dtype, copy=False)
        if values.dtype.kind == dtype.kind == "f":
            wrong = np.isinf(cast) & np.isfinite(values)
        elif cast is values or (np.can_cast(values.dtype, dtype, "safe") and dtype.kind != "f"):
            return cast
        else:
            wrong = ~_same(cast, values)
    if not wrong.any():
        return cast
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    place = f" at {first}" if first else ""
    raise ConfigError(
        "a value that the dtype cannot hold",
        got=f"{values[first].item()!r}{place}",
        expected=f"values of {dtype.name}",
        hint="round, clip or cast the values first",
    )


def _same(cast: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Compare exactly where numpy would compare doubles, or bits that stand for numbers of either sign."""
    same = np.asarray(cast.astype(values.dtype) == values)
    if cast.dtype.kind in "iu" and values.dtype.kind in "iu":
        same &= (cast < 0) == (values < 0)
    for floats, integers in ((values, cast), (cast, values)):
        if floats.dtype.kind == "f" and integers.dtype.kind in "iu":
            limits = np.iinfo(integers.dtype)  # beyond them a cast gives anything
            low, high = np.float64(limits.min), np.float64(limits.max) + 1
            same &= (floats >= low) & (floats < high)
    return same
