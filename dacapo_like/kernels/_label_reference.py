"""Look-ups of label ids in plain numpy: what compiled loops have to agree with, and what takes dtypes that they do not know."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dacapo_like.kernels._blocks import boxes, part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Encode = Callable[[NDArray[Any]], NDArray[np.intp]]

_VOXELS_AT_ONCE = 1 << 16  # of the 64-bit codes: they stay in the processor's cache


def mark_groups(
    labels: NDArray[Any],
    groups: Sequence[NDArray[Any] | None],
    background: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Mark groups of ids, see `dacapo_like.kernels.labels.GroupLookup`.

    Parameters
    ----------
    labels : ndarray
        Of any integers.
    groups : sequence of ndarray or None
        The ids of each group, of the dtype of the labels; ``None``: every label.
    background : ndarray
        The id that is never marked, or nothing.
    out : ndarray
        Of shape ``(len(groups), *labels.shape)``.
    """
    listed = [ids for ids in groups if ids is not None]
    encode, size = _encoding(labels.dtype, np.concatenate([background, *listed]))
    table = np.zeros((len(groups), size), np.uint8)
    for row, group in zip(table, groups, strict=True):
        row[slice(None) if group is None else encode(group)] = 1
    table[:, encode(background)] = 0
    for box in boxes(labels.shape, _VOXELS_AT_ONCE):
        codes = encode(part(labels, box))
        for channel, row in enumerate(table):
            part(out, (channel, *box))[...] = row[codes]


def _encoding(dtype: np.dtype[Any], ids: NDArray[Any]) -> tuple[Encode, int]:
    """Choose codes from 0 for labels: one for each id, and their number."""
    if dtype.itemsize <= 2:
        return _bits, 1 << 8 * dtype.itemsize
    ids = np.unique(ids)
    return partial(_rank, ids), len(ids) + 1


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
