"""Patches out of arrays, and into them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array
from dacapo_like.errors import ConfigError, RegionError, WriteError, did_you_mean
from dacapo_like.geometry import Box, RoiLike, as_roi, is_roi
from dacapo_like.padding import Finish, fitting_value, fitting_values, start_padded
from dacapo_like.patches.grid import Lattice, Patch

Filling = Literal["error", "edge", "reflect", "median"]
PatchPad: TypeAlias = "Filling | Mapping[str, Any]"
Mode = Literal["replace", "sum"]
Region: TypeAlias = "Patch | RoiLike | Box"


def extract(array: Array | NDArray[Any], patch: Region, pad: PatchPad = "error") -> NDArray[Any]:
    """Read a patch with its context; one read of the array, whatever the patch leaves.

    Parameters
    ----------
    array : Array or ndarray
        Time, sample and channel axes come first, and are whole.
    patch : Patch, Roi or Box
        - A `Patch`. One that knows its place in the world is looked for there, in an `Array` of any grid that it fits; an ndarray
          holds the region that the grid covers, and a patch of a grid over a shape counts the voxels of either as they are.
        - A `Roi`, in world units, of an `Array`.
        - A `Box`, in voxels, over the spatial axes or over all of them.
    pad : "error", "edge", "reflect", "median" or {"constant": value}
        What stands outside of the array, and outside of the region of a grid with ``edge="pad"``, even where the array goes on.
        ``edge``, ``reflect`` and constants are as in `Array.read`. ``median`` is that of what is inside of the patch, for every
        channel, time point and sample its own; of integers it is exact, a half rounded to even.

    Returns
    -------
    ndarray
        Over all axes, in the array's order and dtype; it belongs to the caller.

    Raises
    ------
    RegionError
        The patch leaves the array and `pad` is ``error``; there is nothing to fill it from; or it is off the array's grid, of
        another rank, or a region of an ndarray.
    ConfigError
        `pad` is none of these, the dtype cannot hold the constant, or there should be a median of labels.

    Examples
    --------
    >>> from dacapo_like.patches.grid import PatchGrid
    >>> grid = PatchGrid((5,), (2,), context=1)
    >>> extract(np.arange(10, 15), grid[0], pad="reflect")
    array([11, 10, 11, 12])
    >>> extract(np.arange(10, 15), Box((-2,), (5,)), pad="median")
    array([11, 11, 10, 11, 12])
    """
    return start_extract(array, patch, pad)()


def start_extract(array: Array | NDArray[Any], patch: Region, pad: PatchPad = "error") -> Finish:
    """Begin to read a patch; the function that is returned finishes that, and gives what `extract` gives."""
    box, bounds, dims = _located(array, patch)
    check_pad(pad, array)
    return start_filled(array, box, bounds, dims, pad)


def insert(
    array: Array | NDArray[Any], patch: Region, data: NDArray[Any], mode: Mode = "replace"
) -> None:
    """Write what a patch is responsible for; every voxel of a region that a grid covers is then written once.

    Parameters
    ----------
    array : Array or ndarray
        Writable. Voxels outside of the patch's ``write`` are left as they are.
    patch : Patch, Roi or Box
        As `extract` takes them; of a region or a box all is written.
    data : ndarray
        Over all axes of the array. Its shape says what it is: the patch with its context (``read``), without it (``box``), or
        only what is to be written (``write``). Each of these lies within the one before, so that equal shapes are equal boxes.
    mode : {"replace", "sum"}
        To put values in the place of those that are there, or to add them. Adding reads first: two that add to the same voxels
        at the same time have to take turns.

    Raises
    ------
    RegionError
        `data` has another shape, or what is to be written leaves the array or its grid.
    ConfigError
        The dtype cannot hold a value, or a sum; or `mode` is neither.
    WriteError
        The array is not writable, or the disk refuses.

    Examples
    --------
    >>> from dacapo_like.patches.grid import PatchGrid
    >>> out = np.zeros(6, "uint8")
    >>> for patch in PatchGrid((6,), (4,), context=1):
    ...     insert(out, patch, np.full(6, patch.index + 1))
    >>> out
    array([1, 1, 1, 2, 2, 2], dtype=uint8)
    """
    if mode not in get_args(Mode):
        raise ConfigError(
            "not a way to insert",
            got=repr(mode),
            expected="replace or sum",
            hint=did_you_mean(str(mode), get_args(Mode)),
            key=("mode",),
        )
    box, values = _written(array, patch, np.asarray(data))
    bounds = _all_of(array)
    if not bounds.contains(box):
        raise RegionError(
            "what is to be written leaves the array",
            got=box,
            expected=f"inside {bounds}",
            where=_called(array),
        )
    if mode == "sum":
        values = _added(_starter(array)(box)(), values)
    if isinstance(array, Array):
        array.write_box(box, values)
    elif array.flags.writeable:
        array[box.slices] = fitting_values(values, array.dtype)
    else:
        raise WriteError("the ndarray is read-only")


def check_pad(pad: PatchPad, array: Array | NDArray[Any]) -> None:
    """Refuse what is no way to fill patches of an array, before any is read.

    Raises
    ------
    ConfigError
        It is none, the dtype cannot hold the constant, or there should be a median of labels.
    """
    if isinstance(pad, Mapping) and set(pad) == {"constant"}:
        fitting_value(pad["constant"], array.dtype)
    elif not isinstance(pad, str) or pad not in get_args(Filling):
        raise ConfigError(
            "unknown way to pad",
            got=repr(pad),
            expected='"error", "edge", "reflect", "median" or {"constant": value}',
            key=("pad",),
        )
    elif pad == "median" and isinstance(array, Array) and array.spec.kind == "labels":
        raise ConfigError(
            "a median of labels is no label",
            got=f"pad median for {array.describe()}",
            expected="edge, reflect or a constant",
            hint="an array of measured values says `kind: image`",
            key=("pad",),
        )


def start_filled(
    array: Array | NDArray[Any], box: Box, bounds: Box, dims: int, pad: PatchPad
) -> Finish:
    """Begin to read a box, with one read, of which only what lies in `bounds` is taken from the array.

    Parameters
    ----------
    array : Array or ndarray
        To read.
    box, bounds : Box
        What is asked for, and all that is to be seen, over all axes; `bounds` lies inside of the array.
    dims : int
        How many axes are spatial.
    pad : "error", "edge", "reflect", "median" or {"constant": value}
        As `check_pad` lets it pass.
    """
    start = _starter(array)
    if bounds.contains(box):
        return start(box)
    if isinstance(pad, str) and pad == "error":
        raise RegionError(
            "patch leaves the array",
            got=box,
            expected=f"inside {bounds}",
            where=_called(array),
            hint='pass pad="edge", "reflect", "median" or {"constant": 0} to say what stands outside',
        )
    if isinstance(pad, str) and pad == "median":
        return _around_median(start, box, bounds, dims, array)
    first = bounds.offset
    back = tuple(-n for n in first)
    return start_padded(
        lambda inner: start(inner.shifted(first)),
        box.shifted(back),
        bounds.shifted(back),
        array.dtype,
        pad,
    )


def _around_median(
    start: Callable[[Box], Finish],
    box: Box,
    bounds: Box,
    dims: int,
    array: Array | NDArray[Any],
) -> Finish:
    inside = box.intersect(bounds)
    if inside.size == 0:
        raise RegionError(
            "nothing of the patch is in the array: there is no median",
            got=box,
            expected=f"a patch that meets {bounds}",
            where=_called(array),
            hint='{"constant": value} fills it',
        )
    finish = start(inside)

    def fill() -> NDArray[Any]:
        data = finish()
        result = np.empty(box.shape, data.dtype)
        result[...] = _median(data, dims)
        result[inside.slices_in(box)] = data
        return result

    return fill


def _median(data: NDArray[Any], dims: int) -> NDArray[Any]:
    """Give the median over the last axes, which are kept with length 1; the same as `kernels.pool`, for which one cell is slow work."""
    lead = data.shape[: data.ndim - dims]
    values = data.reshape(*lead, -1)
    middle = (values.shape[-1] - 1) // 2, values.shape[-1] // 2
    parted = np.partition(values, sorted(set(middle)), axis=-1)
    low, high = (parted[..., i] for i in middle)
    if data.dtype.kind == "f":
        wide = np.promote_types(data.dtype, np.float64)
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # of the largest floats, and of infinities
            mean = (low.astype(wide) + high.astype(wide)) / 2 + 0.0  # a negative zero becomes zero
        mean = np.where(np.isnan(values).any(axis=-1), np.nan, mean)
    else:
        apart = (
            low ^ high
        )  # half of a sum that could overflow: the bits of both, and half of those of one
        mean = (low & high) + (apart >> 1)
        mean = mean + (apart & mean & 1)  # of a half, to the even one
    return np.asarray(mean.astype(data.dtype).reshape(*lead, *(1,) * dims))


class _Located(NamedTuple):
    """A region in an array: its box and what may be seen, over all axes, and how many of them are spatial."""

    box: Box
    bounds: Box
    dims: int


def _located(array: Array | NDArray[Any], region: Region) -> _Located:
    everything = _all_of(array)
    if isinstance(region, Patch):
        box = _box_in(array, region.read, region.lattice)
        if region.bounds is not None:
            seen = _box_in(array, region.bounds, region.lattice)
            everything = everything.intersect(seen)
        return _Located(box, everything, len(region.box.shape))
    if isinstance(region, Box):
        whole = len(region.offset) == array.ndim
        dims = array.spec.dims if isinstance(array, Array) else len(region.offset)
        return _Located(region if whole else _box_in(array, region, None), everything, dims)
    if not isinstance(array, Array):
        raise RegionError(
            "an ndarray has no world units",
            got=region,
            expected="a Patch or a Box of voxels",
            hint="dacapo_like.from_numpy gives it a voxel size and an offset",
        )
    roi = as_roi(region) if not is_roi(region) else region
    return _Located(array.spec.roi_to_box(roi), everything, array.spec.dims)


def _box_in(array: Array | NDArray[Any], box: Box, lattice: Lattice | None) -> Box:
    """Give a box over the spatial axes as one over all axes of an array."""
    dims = len(box.offset)
    if isinstance(array, Array) and lattice is not None:
        return array.spec.roi_to_box(lattice.roi(box))
    lead = array.ndim - dims
    if lead < 0 or (isinstance(array, Array) and dims != array.spec.dims):
        expected = f"at most {array.ndim}"
        if isinstance(array, Array):
            expected = f"one per spatial axis {' '.join(array.spec.spatial_axes)}"
        raise RegionError(
            "a patch of the wrong rank",
            got=f"{dims} axes",
            expected=expected,
            where=_called(array),
        )
    return Box((0,) * lead + box.offset, array.shape[:lead] + box.shape)


def _written(
    array: Array | NDArray[Any], region: Region, data: NDArray[Any]
) -> tuple[Box, NDArray[Any]]:
    """Give the box to write, over all axes, and the voxels of it."""
    if not isinstance(region, Patch):
        box = _located(array, region).box
        if data.shape == box.shape:
            return box, data
        raise _misfit(array, data, [box.shape])
    kinds = {region.read, region.box, region.write}
    lead = array.ndim - len(region.box.shape)
    outer = {kind for kind in kinds if kind.shape == data.shape[max(lead, 0) :]}
    box = _box_in(array, region.write, region.lattice)
    if len(outer) != 1 or data.shape[:lead] != array.shape[:lead]:
        sizes = [
            array.shape[:lead] + kind.shape for kind in (region.read, region.box, region.write)
        ]
        raise _misfit(array, data, list(dict.fromkeys(sizes)))
    return box, data[(slice(None),) * lead + region.write.slices_in(outer.pop())]


def _misfit(
    array: Array | NDArray[Any], data: NDArray[Any], shapes: list[tuple[int, ...]]
) -> RegionError:
    return RegionError(
        "data do not fit the patch",
        got=f"shape {data.shape}",
        expected=" or ".join(map(str, shapes)),
        where=_called(array),
    )


def _added(old: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Add without wrapping around."""
    new = fitting_values(values, old.dtype)
    if old.dtype.kind == "b":
        return np.asarray(np.add(old, new, dtype=np.uint8))
    if old.dtype.kind == "f":
        return np.asarray(old + new)
    total = old + new
    wrapped = total < old if old.dtype.kind == "u" else ((old ^ total) & (new ^ total)) < 0
    if wrapped.any():
        first = tuple(int(i) for i in np.argwhere(wrapped)[0])
        raise ConfigError(
            "a sum that the dtype cannot hold",
            got=f"{old[first]} + {new[first]} at {first}",
            expected=f"a value of {old.dtype.name}",
        )
    return np.asarray(total)


def _starter(array: Array | NDArray[Any]) -> Callable[[Box], Finish]:
    if isinstance(array, Array):
        return array.start_box
    return lambda box: array[box.slices].copy


def _all_of(array: Array | NDArray[Any]) -> Box:
    return Box((0,) * array.ndim, tuple(array.shape))


def _called(array: Array | NDArray[Any]) -> str | None:
    return array.describe() if isinstance(array, Array) else None
