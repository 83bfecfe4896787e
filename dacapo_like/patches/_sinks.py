"""What stitched voxels are written to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array
from dacapo_like.errors import ConfigError, RegionError, WriteError
from dacapo_like.geometry import Box, format_numbers
from dacapo_like.patches._placing import box_in_array, spatial
from dacapo_like.patches.grid import PatchGrid
from dacapo_like.spec import Kind, infer_kind

Take = Callable[[Box, NDArray[Any]], object]


class Sink(ABC):
    """Takes boxes of the region that a grid covers.

    Attributes
    ----------
    dtype : numpy.dtype or None
        Of the voxels; ``None``: any.
    leading_shape : tuple of int or None
        Before the spatial axes; ``None``: any.
    kind : {"image", "labels", "mask"} or None
        What the voxels are; ``None`` where nobody knows.
    """

    dtype: np.dtype[Any] | None = None
    leading_shape: tuple[int, ...] | None = None
    kind: Kind | None = None

    @abstractmethod
    def write(self, box: Box, data: NDArray[Any]) -> None:
        """Take a box over the spatial axes, in voxels of the region."""


class _Called(Sink):
    def __init__(self, take: Take) -> None:
        self._take = take

    def write(self, box: Box, data: NDArray[Any]) -> None:
        self._take(box, data)


class _Memory(Sink):
    def __init__(self, out: NDArray[Any], grid: PatchGrid) -> None:
        lead = out.ndim - len(grid.shape)
        if lead < 0 or out.shape[lead:] != grid.shape:
            raise RegionError(
                "`out` does not have the shape of what the grid covers",
                got=out.shape,
                expected=f"(…, {', '.join(map(str, grid.shape))})",
            )
        if not out.flags.writeable:
            raise WriteError("`out` is an ndarray that is not writeable")
        self._out, self.dtype, self.leading_shape = out, out.dtype, out.shape[:lead]
        self.kind = infer_kind(out.dtype)

    def write(self, box: Box, data: NDArray[Any]) -> None:
        index: tuple[Any, ...] = (..., *box.slices)
        self._out[index] = data


class _Stored(Sink):
    def __init__(self, out: Array, grid: PatchGrid) -> None:
        written_region(out, grid)
        self._out, self._lattice = out, grid.lattice
        self.dtype, self.kind = out.spec.dtype, out.spec.kind
        self.leading_shape = out.spec.leading_shape

    def write(self, box: Box, data: NDArray[Any]) -> None:
        self._out.write_box(box_in_array(self._out.spec, box, self._lattice), data)


def sink_of(out: Any, grid: PatchGrid) -> Sink:
    """Give what writes to `out`.

    Raises
    ------
    ConfigError
        Nothing can be written to such an object.
    RegionError, WriteError
        It does not hold what the grid covers, or cannot be written.
    """
    if isinstance(out, Array):
        return _Stored(out, grid)
    if isinstance(out, np.ndarray):
        return _Memory(out, grid)
    if callable(out):
        return _Called(out)
    raise ConfigError(
        "nothing can be written to `out`",
        got=type(out).__name__,
        expected="a writable Array, an ndarray, or a function of a Box and an ndarray",
        key=("out",),
    )


def written_region(out: Array, grid: PatchGrid) -> Box:
    """Give the box of an array that a grid covers.

    Raises
    ------
    WriteError
        The array is not writable.
    RegionError
        It does not hold all of the region, or has other voxels.
    """
    if not out.writable:
        raise WriteError(
            "nothing can be written to the array",
            where=out.describe(),
            hint="open it with `mode: r+`; voxels that are computed cannot be written",
        )
    box = box_in_array(out.spec, Box((0,) * len(grid.shape), grid.shape), grid.lattice)
    if spatial(box, len(grid.shape)).shape != grid.shape:
        raise RegionError(
            "the array has other voxels than the grid",
            got=f"a voxel size of {format_numbers(out.spec.voxel_size)}",
            expected=format_numbers(grid.lattice.voxel_size) if grid.lattice else None,
            where=out.describe(),
            hint="make the grid in the voxels of what is written",
        )
    if not out.spec.box.contains(box):
        raise RegionError(
            "the grid covers more than the array",
            got=out.spec.box_to_roi(box),
            expected=f"inside {out.spec.roi}",
            where=out.describe(),
        )
    return box
