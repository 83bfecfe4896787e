"""Look-ups of label ids."""

from __future__ import annotations

import operator
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from dacapo_like.kernels._blocks import boxes, destination, part
from dacapo_like.kernels._label_reference import mark_groups
from dacapo_like.kernels._label_table import Table, make_table
from dacapo_like.kernels._loading import pays
from dacapo_like.kernels._rows import layout, memory, walkable
from dacapo_like.kernels._threads import slabs, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

_UNSIGNED = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}
_ALL = slice(None)
_VOXELS_AT_ONCE = 1 << 18  # masks of so many stay in the processor's cache
_TO_A_THREAD = 1 << 20  # voxels
_CALL, _VOXEL = 50e3, 80.0  # nanoseconds that compiled loops save


class GroupLookup:
    """Marks, for each group of ids, the voxels whose label is in the group. What it looks up in is made once for each dtype.

    Ids are compared as integers, exact for every integer dtype; an id that the dtype cannot hold is
    no voxel's. Groups may overlap. An empty group means every label but the background, and the
    background is in no group, not even in one that lists it.

    Parameters
    ----------
    groups : sequence of sequence of int
        The ids of each group.
    background : int
        The id that is never marked.

    Raises
    ------
    TypeError
        If an id is not an integer.

    Examples
    --------
    >>> lookup = GroupLookup([[3, 4], [0, 9], []], background=0)
    >>> lookup(np.array([0, 3, 4, 9]))
    array([[0, 1, 1, 0],
           [0, 0, 0, 1],
           [0, 1, 1, 1]], dtype=uint8)
    >>> lookup(np.array([0, 3, 4, 9]), slice(1, 3), out=np.empty((2, 4), np.float32))
    array([[0., 0., 0., 1.],
           [0., 1., 1., 1.]], dtype=float32)
    """

    def __init__(self, groups: Sequence[Sequence[int]], *, background: int) -> None:
        self._groups = [tuple(map(operator.index, group)) for group in groups]
        self._background = operator.index(background)
        self._tables: dict[np.dtype[Any], Table] = {}

    def __call__(
        self, labels: NDArray[Any], channels: slice = _ALL, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Mark groups.

        Parameters
        ----------
        labels : ndarray
            Ids: bool (ids 0 and 1) or any integer dtype, any shape.
        channels : slice
            Which groups, next to each other; by default all.
        out : ndarray, optional
            Where to write: of the result's shape, uint8 or any dtype that holds it, of any strides, no memory of `labels`.

        Returns
        -------
        ndarray
            Of shape ``(groups, *labels.shape)``: 1 where the label is in the group, else 0. `out`, or new, C-contiguous and uint8.

        Raises
        ------
        TypeError
            If `labels` is not bool or integer.
        ValueError
            If `out` does not fit.
        """
        if labels.dtype.kind not in "biu":
            msg = f"labels are bool or integers: got {labels.dtype}; cast them where they are whole"
            raise TypeError(msg)
        first, stop, _ = channels.indices(len(self._groups))
        widens = out is not None and np.can_cast(np.uint8, out.dtype)
        dtype = out.dtype if out is not None and widens else np.uint8
        result = destination(out, (max(0, stop - first), *labels.shape), dtype)
        if not result.size:
            return result
        known = result.dtype.kind in "iuf" and result.itemsize in _UNSIGNED
        loop = ("mark", labels.itemsize, result.itemsize)
        saves = _CALL + _VOXEL * labels.size
        if known and walkable(labels) and walkable(result) and pays(loop, saves):
            self._mark(labels, first, stop, result)
        else:
            groups, background = self._held(labels.dtype)
            mark_groups(labels, groups[first:stop], background, result)
        return result

    def _table(self, dtype: np.dtype[Any]) -> Table:
        table = self._tables.get(dtype)
        if table is None:
            label = _UNSIGNED[dtype.itemsize]
            groups, background = self._held(dtype)
            seen = [None if ids is None else ids.view(label) for ids in groups]
            table = self._tables[dtype] = make_table(seen, background.view(label), label)
        return table

    def _mark(self, labels: NDArray[Any], first: int, stop: int, out: NDArray[Any]) -> None:
        from dacapo_like.kernels._label_loops import mark

        label, bits = _UNSIGNED[labels.itemsize], _UNSIGNED[out.itemsize]
        table, one, loop = self._table(labels.dtype), ones(out.dtype), mark(label, bits)

        def run(part: Any) -> None:
            some, masks = labels[part], out[:, part]
            walk, plane = layout(some, masks[0]), masks.strides[0] // masks.itemsize
            source, target = memory(some.view(label)), memory(masks.view(bits))
            loop(*source, *target, walk, plane, first, stop, one, *table)

        spread(run, slabs(labels, _TO_A_THREAD))

    def _held(self, dtype: np.dtype[Any]) -> tuple[list[NDArray[Any] | None], NDArray[Any]]:
        """List those ids of each group that a dtype can hold, in that dtype, and the background; ``None``: every label."""
        groups = [holdable(group, dtype) if group else None for group in self._groups]
        return groups, holdable((self._background,), dtype)


def group_masks(
    labels: ArrayLike,
    groups: Sequence[Sequence[int]],
    *,
    background: int,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Mark groups of ids once, see `GroupLookup`.

    Examples
    --------
    >>> group_masks([0, 3, 4, 9], [[3, 4], [0, 9], []], background=0)
    array([[0, 1, 1, 0],
           [0, 0, 0, 1],
           [0, 1, 1, 1]], dtype=uint8)
    """
    return GroupLookup(groups, background=background)(np.asarray(labels), out=out)


def mark_positive(labels: NDArray[Any], channels: Sequence[bool], *, out: NDArray[Any]) -> None:
    """Mark the voxels whose label is above 0.

    Parameters
    ----------
    labels : ndarray
        Of any real numbers.
    channels : sequence of bool
        Where they are marked; the other channels become 0.
    out : ndarray
        Of shape ``(len(channels), *labels.shape)``: uint8 or any dtype that holds it, of any strides.

    Examples
    --------
    >>> out = np.empty((2, 3), np.float32)
    >>> mark_positive(np.array([-1, 0, 2]), [False, True], out=out)
    >>> out
    array([[0., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    whole = labels.size <= _VOXELS_AT_ONCE
    for box in [()] if whole else boxes(labels.shape, _VOXELS_AT_ONCE):
        above = part(labels, box) > 0
        for channel, marked in enumerate(channels):
            part(out, (channel, *box))[...] = above if marked else 0


def holdable(group: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """List those ids of a group that a dtype can hold."""
    lowest, highest = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return np.array([index for index in group if lowest <= index <= highest], dtype)


@cache
def ones(dtype: np.dtype[Any]) -> Any:
    """Give the bits of 1."""
    return np.ones(1, dtype).view(_UNSIGNED[dtype.itemsize])[0]
