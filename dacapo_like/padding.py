"""Reading boxes that leave their array: what stands outside is asked for explicitly."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import ConfigError, RegionError
from dacapo_like.geometry import Box, box_between

Pad: TypeAlias = "str | Mapping[str, Any]"
ReadBox: TypeAlias = "Callable[[Box], NDArray[Any]]"


def read_padded(
    read: ReadBox, box: Box, bounds: Box, dtype: np.dtype[Any], pad: Pad
) -> NDArray[Any]:
    """Read a box that may leave the array.

    Parameters
    ----------
    read : callable
        Reads a box that lies inside `bounds`.
    box, bounds : Box
        What is asked for, and all there is.
    dtype : numpy.dtype
        Of the array.
    pad : "edge", "reflect" or {"constant": value}
        As ``numpy.pad`` means them; ``reflect`` does not repeat the border voxel.

    Returns
    -------
    ndarray
        Of shape ``box.shape``.

    Raises
    ------
    ConfigError
        `pad` is none of these, or the constant does not fit the dtype.
    RegionError
        The array is empty, and has no edge to repeat.
    """
    if isinstance(pad, Mapping) and set(pad) == {"constant"}:
        data = np.full(box.shape, fitting_value(pad["constant"], dtype), dtype)
        inside = box.intersect(bounds)
        if inside.size:
            data[inside.slices_in(box)] = read(inside)
        return data
    if pad not in ("edge", "reflect"):
        raise ConfigError(
            "unknown way to pad", got=repr(pad), expected='"edge", "reflect" or {"constant": value}'
        )
    if box.size == 0:
        return np.empty(box.shape, dtype)
    if bounds.size == 0:
        raise RegionError(
            "an empty array has no edge to repeat", got=pad, expected='{"constant": value}'
        )
    fold = _reflect if pad == "reflect" else _clamp
    indices = [
        fold(np.arange(o, o + s), n)
        for o, s, n in zip(box.offset, box.shape, bounds.shape, strict=True)
    ]
    data = read(box_between((int(i.min()) for i in indices), (int(i.max()) + 1 for i in indices)))
    for axis, index in enumerate(indices):
        if index.size != data.shape[axis] or np.any(np.diff(index) != 1):
            data = np.take(data, index - index.min(), axis=axis)
    return data


def _clamp(index: NDArray[Any], n: int) -> NDArray[Any]:
    return np.asarray(np.clip(index, 0, n - 1))


def _reflect(index: NDArray[Any], n: int) -> NDArray[Any]:
    if n == 1:
        return np.zeros_like(index)
    folded = np.mod(index, 2 * (n - 1))
    return np.asarray(np.minimum(folded, 2 * (n - 1) - folded))


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
