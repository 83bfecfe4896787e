"""The table that compiled loops look labels up in: a label has a code, a code the groups that it is in, eight to a byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FACTOR = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio: multiplied with it, labels next to each other are spread evenly (Knuth, TAOCP 6.4)."""

_DENSE = 1 << 16  # labels from the lowest id to the highest: their codes stay in the second cache
_ROOM = 16  # places for each id: few are looked for where another one is


class Table(NamedTuple):
    """Labels are their bits, as unsigned integers; code 0 is that of all that no group lists.

    Attributes
    ----------
    start : numpy.uint64
        The label of the first code of a dense table.
    shift : numpy.uint64
        How far products with `FACTOR`, of 64 bits, are shifted to be places of a hashed table. Where a place is taken, it is the next free one.
    keys : ndarray
        The label at each place of a hashed table; none of a dense one.
    codes : ndarray
        uint32: of each place, or of each label from `start` on and, last, of all others.
    members : ndarray
        uint8: for every eight groups a row with the byte of each code, the first group in the lowest bit.
    """

    start: np.uint64
    shift: np.uint64
    keys: NDArray[Any]
    codes: NDArray[np.uint32]
    members: NDArray[np.uint8]


def make_table(
    groups: Sequence[NDArray[Any] | None], background: NDArray[Any], dtype: np.dtype[Any]
) -> Table:
    """Make the table of groups.

    Parameters
    ----------
    groups : sequence of ndarray or None
        The bits of the ids of each group, of `dtype`; ``None``: every label.
    background : ndarray
        The bits of the label that is in no group, or nothing.
    dtype : numpy.dtype
        Unsigned.
    """
    listed = [ids for ids in groups if ids is not None]
    ids = np.unique(np.concatenate([background, *listed]).astype(dtype, copy=False))
    members = np.zeros((-(-len(groups) // 8), len(ids) + 1), np.uint8)
    for i, group in enumerate(groups):
        known = slice(None) if group is None else np.searchsorted(ids, group) + 1
        members[i // 8, known] |= 1 << i % 8
    members[:, np.searchsorted(ids, background) + 1] = 0
    nothing = np.empty(0, dtype)
    if not ids.size:
        return Table(np.uint64(0), np.uint64(0), nothing, np.zeros(1, np.uint32), members)
    start, span = np.uint64(ids[0]), int(ids[-1]) - int(ids[0]) + 1
    if span <= _DENSE:
        codes = np.zeros(span + 1, np.uint32)
        codes[ids - ids[0]] = np.arange(1, len(ids) + 1)
        return Table(start, np.uint64(0), nothing, codes, members)
    return _hashed(ids, members)


def _hashed(ids: NDArray[Any], members: NDArray[np.uint8]) -> Table:
    bits = (_ROOM * len(ids) - 1).bit_length()
    shift, last = np.uint64(64 - bits), (1 << bits) - 1
    keys, codes = np.zeros(last + 1, ids.dtype), np.zeros(last + 1, np.uint32)
    places = (ids.astype(np.uint64) * np.uint64(FACTOR) >> shift).astype(np.intp)
    waiting = np.arange(len(ids))
    while waiting.size:  # one id takes each free place, the others go on to the next
        at = places[waiting]
        _, chosen = np.unique(at, return_index=True)
        chosen = chosen[codes[at[chosen]] == 0]
        keys[at[chosen]] = ids[waiting[chosen]]
        codes[at[chosen]] = waiting[chosen] + 1
        waiting = np.delete(waiting, chosen)
        places[waiting] = places[waiting] + 1 & last
    return Table(np.uint64(0), shift, keys, codes, members)
