"""Patches put together again."""

from __future__ import annotations

import math
import threading
from collections.abc import Container, Iterator
from types import TracebackType
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import ConfigError, RegionError, check_choice
from dacapo_like.geometry import Box, box_between
from dacapo_like.kernels.windows import Weighting, window_weights
from dacapo_like.padding import fitting_value, fitting_values
from dacapo_like.patches._cells import (
    Cell,
    cells_of_patch,
    cells_of_unit,
    number_of_cells,
    units_of_patch,
)
from dacapo_like.patches._combining import COMBINING, Combine, Waiting, rounded
from dacapo_like.patches._placing import describe_patch, index_in, part_of
from dacapo_like.patches._sinks import sink_of
from dacapo_like.patches.grid import Patch, PatchGrid
from dacapo_like.spec import Kind, infer_kind

Window = Literal["crop"] | Weighting
Missing = Literal["error", "fill"]

_NAMED = 5  # missing patches that an error lists


class Stitcher:
    """Puts patches together, whatever order they come in: the result is the same, bit for bit.

    Every voxel is written once, in boxes about as large as patches are apart, as soon as all patches that cover such a box are there; then it
    leaves memory.

    Parameters
    ----------
    grid : PatchGrid
        Of the patches. A part of a grid, such as a shard, only with the window ``crop``.
    out : Array, ndarray or callable
        Where voxels go: a writable `Array` that holds the region of the grid; an ndarray of its shape, behind leading axes; or a function,
        which is called with a `Box` over the spatial axes, in voxels of the region, and an ndarray that it may not keep or change.
    window : {"crop", "flat", "hann", "gaussian", "spline"}
        ``crop``: each patch gives the part that it alone is responsible for, and nothing is combined. Else how much each
        voxel of a patch counts where patches overlap: see `dacapo_like.kernels.windows.window`.
    combine : {"mean", "max", "sum", "replace", "vote"}
        What becomes of voxels of several patches: their weighted mean, the greatest, the sum, that of the patch with the highest
        number; or, of labels, the one with the largest total weight, the smallest id where several have that. Weights count in ``mean`` and ``vote``;
        the others need ``window="flat"``.
    argmax : bool
        Write, instead of what is combined, the index of the greatest along the last leading axis: a map of classes, made of
        probabilities. The first of equals; NaN is the greatest.
    kind : {"image", "labels", "mask"}, optional
        What the voxels are; by default what `out` says, or what its dtype and that of the data suggest. Labels and
        masks are never averaged or added.
    dtype : dtype, optional
        What a function is to be called with; by default that of the data, or one that holds the classes.

    Raises
    ------
    ConfigError
        Options do not go together, or labels would be averaged.
    RegionError, WriteError
        `out` does not hold what the grid covers, or cannot be written.

    Notes
    -----
    Means and sums are computed in double precision, in the order of the patches' numbers. In single precision a mean of 27 patches was off by up to 6 units
    in the last place of a float32 output, and 6 in 10 voxels were not the nearest one, at 0.6 of the time; in double precision all were. Where all
    patches that cover a voxel say the same, the mean is that, bit for bit. Integer outputs are rounded half to even and clipped; labels have to fit.

    `held_voxels` are in memory, each of them once per channel, in double precision for means and sums. Of a region of shape ``N``, with
    patches of size ``S`` that overlap by at most ``O``, these are, where patches come in the order of their numbers, never more than
    ``O0·N1·N2 + S0·O1·N2 + S0·S1·O2`` (for two axes ``O0·N1 + S0·O1``, and so on), and times the number of patches that overlap in a voxel
    for ``vote``; weights come on top, once for all channels. In other orders what comes early waits, at worst all patches but one as they are. The window ``crop`` holds nothing.

    A voxel that no patch covers (a `stride` beyond the size, ``edge="drop"``) is not written. `add` may be called from several threads.

    Examples
    --------
    >>> grid = PatchGrid((6,), (4,))
    >>> out = np.zeros(6)
    >>> with Stitcher(grid, out, window="flat") as stitcher:
    ...     for patch in grid:
    ...         stitcher.add(patch, np.full(4, float(patch.index)))
    >>> out
    array([0. , 0. , 0.5, 0.5, 1. , 1. ])
    """

    def __init__(
        self,
        grid: PatchGrid,
        out: Any,
        window: Window = "crop",
        combine: Combine = "mean",
        *,
        argmax: bool = False,
        kind: Kind | None = None,
        dtype: Any = None,
    ) -> None:
        _check_options(window, combine, argmax=argmax)
        self.grid = grid
        self._sink = sink_of(out, grid)
        self._window, self._combine, self._argmax, self._said_kind = window, combine, argmax, kind
        self._dtype = self._sink.dtype if dtype is None else np.dtype(dtype)
        if self._sink.dtype is not None and self._sink.dtype != self._dtype:
            raise ConfigError(
                "`out` is of another dtype", got=self._dtype, expected=self._sink.dtype
            )
        self._whole, self._members = _members(grid, window)
        self._arrived = np.zeros(len(self._whole), bool)
        self._leading_shape: tuple[int, ...] | None = None
        self._data_dtype: np.dtype[Any] | None = None
        self._cells: dict[Cell, Waiting] = {}
        self._units: dict[tuple[int, ...], list[tuple[Box, NDArray[Any]]]] = {}
        self._lock = threading.Lock()
        self._closed = False
        if not argmax:
            self._refuse_mixing(kind or self._sink.kind)

    @property
    def held_voxels(self) -> int:
        """Voxels, of the spatial axes alone, whose data are in memory: each as often as it is."""
        waiting = sum(cell.box.size * state.held for cell, state in self._cells.items())
        finished = sum(box.size for boxes in self._units.values() for box, _ in boxes)
        return waiting + finished

    def add(self, patch: Patch, data: Any) -> None:
        """Take the data of a patch.

        Parameters
        ----------
        patch : Patch
            Of the grid.
        data : array_like
            Leading axes, then the spatial ones: the patch with its context (``read``), without it (``box``), or only what it writes
            (``write``), which is enough for the window ``crop``. Not kept.

        Raises
        ------
        RegionError
            The patch is of another grid, or came already, or the data do not have its shape.
        ConfigError
            The data are of another dtype than those before, cannot be put into `out`, or would be averaged although they are labels.
        """
        with self._lock:
            self._check_open()
            where = describe_patch(patch)
            self._check_patch(patch, where)
            wanted = patch.write if self._window == "crop" else patch.box
            block = part_of(np.asarray(data), (patch.read, patch.box, patch.write), wanted, where)
            block = self._checked(block, where)
            if self._window == "crop":
                self._sink.write(patch.write, self._finished(block))
                self._arrived[patch.index] = True
            else:
                self._arrived[patch.index] = True
                self._blend(patch, block, self._window)

    def close(self, missing: Missing = "error", fill: float = 0) -> None:
        """Say that there are no more patches.

        Parameters
        ----------
        missing : {"error", "fill"}
            What to do if some did not come: refuse, and take more; or write `fill` where no patch came that covers a voxel, and make
            the others of those that did come.
        fill : number
            See above.

        Raises
        ------
        RegionError
            Patches are missing.
        """
        check_choice("missing", missing, get_args(Missing))
        with self._lock:
            if self._closed:
                return
            for unit in list(self._units):
                self._flush_finished(unit)
            lost = len(self.grid) - int(self._arrived.sum())
            if lost and missing == "error":
                raise self._missing(lost)
            if lost:
                self._fill(fill)
            self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()

    # What comes in

    def _check_open(self) -> None:
        if self._closed:
            raise RegionError("the stitcher is closed", expected="patches before close()")

    def _check_patch(self, patch: Patch, where: str) -> None:
        known = 0 <= patch.index < len(self._whole) and self._whole[patch.index] == patch
        if not known or patch.index not in self._members:
            raise RegionError(
                "a patch of another grid" if not known else "a patch of another part of the grid",
                got=where,
                expected="one of `grid`",
            )
        if self._arrived[patch.index]:
            raise RegionError(
                "the patch came already", got=where, expected="every patch of the grid once"
            )

    def _checked(self, data: NDArray[Any], where: str) -> NDArray[Any]:
        """Give data that can be combined, or say why they cannot."""
        try:
            leading = self._checked_leading(data)
            self._check_dtype(data)
            self._refuse_mixing(self._kind_of(data))
            fitted = self._fitted(data)
        except (ConfigError, RegionError) as error:
            error.where = error.where or where
            raise
        self._leading_shape, self._data_dtype = leading, data.dtype
        return fitted

    def _checked_leading(self, data: NDArray[Any]) -> tuple[int, ...]:
        leading = data.shape[: data.ndim - len(self.grid.shape)]
        if self._leading_shape not in (None, leading):
            raise RegionError(
                "leading axes differ between patches", got=leading, expected=self._leading_shape
            )
        if self._argmax and not (leading and leading[-1]):
            raise RegionError("no axis of classes", got=data.shape, expected="classes first")
        given, wanted = leading[:-1] if self._argmax else leading, self._sink.leading_shape
        if wanted not in (None, given):
            raise RegionError(
                "leading axes that `out` does not have",
                got=f"{given}{' without the classes' if self._argmax else ''}",
                expected=wanted,
            )
        if self._argmax and self._dtype is not None:
            fitting_value(leading[-1] - 1, self._dtype)
        return leading

    def _check_dtype(self, data: NDArray[Any]) -> None:
        if data.dtype.kind not in "biuf":
            raise ConfigError("data that are no numbers", got=data.dtype)
        if self._data_dtype is not None and data.dtype != self._data_dtype:
            raise ConfigError(
                "the dtype differs between patches", got=data.dtype, expected=self._data_dtype
            )
        if self._combine == "vote" and data.dtype.kind == "f":
            raise ConfigError(
                "there is no vote on numbers that are no ids",
                got=data.dtype,
                expected="integers or bool",
                hint="combine='mean' for values, argmax=True for probabilities of classes",
            )

    def _kind_of(self, data: NDArray[Any]) -> Kind | None:
        if self._said_kind is not None:
            return self._said_kind
        known = self._sink.dtype  # None is compared apart: it equals float64
        return (
            self._sink.kind if known is not None and known == data.dtype else infer_kind(data.dtype)
        )

    def _refuse_mixing(self, kind: Kind | None) -> None:
        if kind in {"labels", "mask"} and self._window != "crop":
            mixed = {"mean": "averaged", "sum": "added"}.get(self._combine)
            if mixed:
                raise ConfigError(
                    f"{kind} are not {mixed}",
                    got=f"combine={self._combine!r}, window={self._window!r}",
                    hint="window='crop' or combine='vote' keep ids, argmax=True makes them of probabilities; "
                    "say kind='image' if these are measured values",
                    key=("combine",),
                )

    def _fitted(self, data: NDArray[Any]) -> NDArray[Any]:
        """Cast what is not computed with, and refuse what the output cannot hold."""
        if self._argmax or self._dtype is None:
            return data
        if self._dtype.kind != "f" and data.dtype.kind == "f" and not np.isfinite(data).all():
            raise ConfigError("a value that the dtype cannot hold", got="NaN or infinity")
        if self._window != "crop" and self._combine in {"mean", "sum"}:
            return data
        kinds = {self._said_kind or self._sink.kind, self._kind_of(data)}
        if kinds & {"labels", "mask"}:
            return fitting_values(data, self._dtype)
        return rounded(data, self._dtype)

    # What is combined

    def _blend(self, patch: Patch, data: NDArray[Any], window: Weighting) -> None:
        places = _places(patch.index, self.grid.counts)
        for cell in cells_of_patch(self.grid.axes, places):
            state = self._cells.setdefault(cell, Waiting(COMBINING[self._combine]))
            part = cell.box.slices_in(patch.box)
            weights = window_weights(window, patch.box.shape, part)
            state.add(cell.turn(places), data[index_in(cell.box, patch.box)], weights)
            if state.turn == cell.patches:
                self._finish(cell)
        for unit in units_of_patch(self.grid.axes, places):
            self._flush_finished(unit)

    def _finish(self, cell: Cell) -> None:
        """Give up all that a cell was made of."""
        result = self._finished(self._cells.pop(cell).result())
        self._units.setdefault(cell.unit, []).append((cell.box, result))

    def _finished(self, data: NDArray[Any]) -> NDArray[Any]:
        if self._argmax:
            axis = data.ndim - len(self.grid.shape) - 1
            data = data.argmax(axis).astype(np.min_scalar_type(data.shape[axis] - 1))
            return data if self._dtype is None else fitting_values(data, self._dtype)
        dtype = self._dtype or self._data_dtype
        assert dtype is not None  # noqa: S101  # there are data
        return rounded(data, dtype)

    def _flush_finished(self, unit: tuple[int, ...]) -> None:
        """Write the cells of a unit, if all of them are finished."""
        cells = self._units.get(unit, [])
        if cells and len(cells) == number_of_cells(self.grid.axes, unit):
            self._flush(cells)
            del self._units[unit]  # it is still there where writing failed

    def _flush(self, cells: list[tuple[Box, NDArray[Any]]]) -> None:
        """Write cells that together are a box."""
        first, data = cells[0]
        if len(cells) == 1:
            self._sink.write(first, data)
            return
        start = tuple(map(min, *(box.offset for box, _ in cells)))
        box = box_between(start, map(max, *(box.end for box, _ in cells)))
        block = np.empty(data.shape[: data.ndim - len(start)] + box.shape, data.dtype)
        for part, data in cells:
            block[index_in(part, box)] = data
        self._sink.write(box, block)

    # What did not come

    def _lost(self) -> Iterator[Patch]:
        return (patch for patch in self.grid if not self._arrived[patch.index])

    def _missing(self, count: int) -> RegionError:
        named = [
            describe_patch(patch) for patch, _ in zip(self._lost(), range(_NAMED), strict=False)
        ]
        return RegionError(
            "patches are missing",
            got=f"{len(self.grid) - count} of {len(self.grid)}; not {'; '.join(named)}{'; …' * (count > _NAMED)}",
            hint="add them, or close(missing='fill') to write what is there",
        )

    def _fill(self, fill: float) -> None:
        """Finish every box that lacks patches."""
        leading, dtype = self._written()
        value = fitting_value(fill, dtype)
        if self._window == "crop":
            for patch in self._lost():
                block = np.full(leading + patch.write.shape, value, dtype)
                self._sink.write(patch.write, block)
            return
        axes, counts = self.grid.axes, self.grid.counts
        seen: set[tuple[int, ...]] = set()
        for patch in self._lost():
            for unit in units_of_patch(axes, _places(patch.index, counts)):
                if unit in seen:
                    continue
                seen.add(unit)
                done = {box for box, _ in self._units.get(unit, [])}
                for cell in cells_of_unit(axes, unit):
                    if cell in self._cells:
                        self._finish(cell)
                    elif cell.box not in done:
                        block = np.full(leading + cell.box.shape, value, dtype)
                        self._units.setdefault(unit, []).append((cell.box, block))
                self._flush_finished(unit)

    def _written(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Give leading shape and dtype of what is written."""
        leading, dtype = self._sink.leading_shape, self._dtype
        if self._leading_shape is not None:
            voxel = np.zeros(self._leading_shape + (1,) * len(self.grid.shape), self._data_dtype)
            voxel = self._finished(voxel)
            leading, dtype = voxel.shape[: voxel.ndim - len(self.grid.shape)], voxel.dtype
        if leading is None or dtype is None:
            raise RegionError("no patch came at all", expected="one, to know what to fill")
        return leading, dtype


def _places(index: int, counts: tuple[int, ...]) -> tuple[int, ...]:
    """Give the index of a patch along each axis."""
    return tuple(map(int, np.unravel_index(index, counts)))


def _members(grid: PatchGrid, window: Window) -> tuple[PatchGrid, Container[int]]:
    """Give the whole grid in the order of its numbers, and the numbers of the patches that are to come."""
    total = math.prod(grid.counts)
    whole = PatchGrid.from_dict({**grid.to_dict(), "order": None, "positions": [0, total, 1]})
    if len(grid) == total:
        return whole, range(total)
    if window != "crop":
        raise ConfigError(
            "patches of a part of a grid do not know those that they overlap with",
            got=f"{len(grid)} of {total} patches",
            hint="stitch the whole grid, or use window='crop'",
            key=("grid",),
        )
    if grid.order is None:
        return whole, grid.positions
    return whole, frozenset(patch.index for patch in grid)


def _check_options(window: Window, combine: Combine, *, argmax: bool) -> None:
    check_choice("window", window, ("crop", *get_args(Weighting)))
    check_choice("combine", combine, tuple(COMBINING))
    if window == "crop" and combine != "mean":
        raise ConfigError(
            "nothing is combined where patches are cropped",
            got=f"window='crop', combine={combine!r}",
            hint="another window, such as window='flat', has patches overlap",
            key=("window",),
        )
    if combine not in {"mean", "vote"} and window not in {"crop", "flat"}:
        raise ConfigError(
            "weights count in means and votes alone",
            got=f"window={window!r}, combine={combine!r}",
            expected="window='flat'",
            key=("window",),
        )
    if argmax and combine == "vote":
        raise ConfigError(
            "a vote is on labels, argmax makes them of probabilities",
            got="combine='vote', argmax=True",
            hint="combine='mean', argmax=True averages the probabilities first",
            key=("argmax",),
        )
