"""Look-ups of label ids."""

from __future__ import annotations

import operator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dacapo_like.kernels._blocks import boxes, destination, part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    Encode = Callable[[NDArray[Any]], NDArray[np.intp]]

_VOXELS_AT_ONCE = 1 << 16  # of the 64-bit codes: they stay in the processor's cache


def group_masks(
    labels: ArrayLike,
    groups: Sequence[Sequence[int]],
    *,
    background: int,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Mark, for each group of ids, the voxels whose label is in the group.

    Ids are compared as integers, exact for every integer dtype; an id that the dtype cannot hold is
    no voxel's. Groups may overlap. An empty group means every label but the background, and the
    background is in no group, not even in one that lists it.

    Parameters
    ----------
    labels : array_like
        Ids: bool (ids 0 and 1) or any integer dtype, any shape.
    groups : sequence of sequence of int
        The ids of each group.
    background : int
        The id that is never marked.
    out : ndarray, optional
        Where to write: uint8 of the result's shape, any strides, no memory of `labels`.

    Returns
    -------
    ndarray
        uint8 of shape ``(len(groups), *labels.shape)``: 1 where the label is in the group, else 0.
        `out`, or new and C-contiguous.

    Raises
    ------
    TypeError
        If `labels` is not bool or integer.
    ValueError
        If `out` does not fit.

    Examples
    --------
    >>> group_masks([0, 3, 4, 9], [[3, 4], [0, 9], []], background=0)
    array([[0, 1, 1, 0],
           [0, 0, 0, 1],
           [0, 1, 1, 1]], dtype=uint8)
    """
    source = np.asarray(labels)
    if source.dtype.kind not in "biu":
        msg = f"labels are bool or integers: got {source.dtype}; cast them where they are whole"
        raise TypeError(msg)
    result = destination(out, (len(groups), *source.shape), np.uint8)
    encode, size = _encoding(source.dtype, [*groups, [background]])
    table = np.zeros((len(groups), size), np.uint8)
    for row, group in zip(table, groups, strict=True):
        row[encode(_held(group, source.dtype)) if len(group) else slice(None)] = 1
    table[:, encode(_held([background], source.dtype))] = 0
    for box in boxes(source.shape, _VOXELS_AT_ONCE):
        codes = encode(part(source, box))
        for channel, row in enumerate(table):
            part(result, (channel, *box))[...] = row[codes]
    return result


def _encoding(dtype: np.dtype[Any], groups: Sequence[Sequence[int]]) -> tuple[Encode, int]:
    """Choose codes from 0 for labels: one for each id of the groups, and their number."""
    if dtype.itemsize <= 2:
        return _bits, 1 << 8 * dtype.itemsize
    ids = np.unique(_held([index for group in groups for index in group], dtype))
    return partial(_rank, ids), len(ids) + 1


def _held(group: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """List those ids of a group that a dtype can hold, in that dtype."""
    lowest, highest = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    ids = map(operator.index, group)
    return np.array([index for index in ids if lowest <= index <= highest], dtype)


def _bits(labels: NDArray[Any]) -> NDArray[np.intp]:
    """Take the bits of each label as its code."""
    return labels.view(f"{labels.dtype.byteorder}u{labels.itemsize}").astype(np.intp)


def _rank(ids: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.intp]:
    """Take as code the place of each label in the sorted ids, their number if it is not there."""
    if not ids.size:
        return np.zeros(labels.shape, np.intp)
    codes = np.searchsorted(ids, labels)
    found = ids.take(codes, mode="clip") == labels
    return np.where(found, codes, len(ids))
