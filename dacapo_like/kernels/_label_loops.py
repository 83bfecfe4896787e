"""The loops of `labels`, compiled on first use: for labels of each width, and masks of each width, by their bits."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numba import from_dtype, int64, types, uint8, uint32, uint64
from numba.extending import register_jitable

from dacapo_like.kernels._compiling import compiled
from dacapo_like.kernels._label_table import FACTOR
from dacapo_like.kernels._row_loops import LAYOUT, count_rows, row_begin

Loop: TypeAlias = "Callable[..., None]"

_FACTOR = np.uint64(FACTOR)
_AT_ONCE = 4096  # voxels: their labels and bits stay in the processor's fastest cache
_TOGETHER = 16  # voxels that are compared at once


@cache
def mark(labels: np.dtype[Any], masks: np.dtype[Any]) -> Loop:
    """Give the loop that marks groups; both dtypes are unsigned.

    Its arguments are those of `_mark`: the memory of labels and of masks and where they begin there, the layout of labels and of
    one mask, how far it is from mask to mask, which groups, the bits of 1 in a mask, then a `Table`.
    """
    label, bits = from_dtype(labels), from_dtype(masks)
    return compiled(
        _mark,
        types.void(
            types.Array(label, 1, "C", readonly=True),
            int64,
            types.Array(bits, 1, "C"),
            int64,
            LAYOUT,
            int64,
            int64,
            int64,
            bits,
            uint64,
            uint64,
            types.Array(label, 1, "C", readonly=True),
            types.Array(uint32, 1, "C", readonly=True),
            types.Array(uint8, 2, "C", readonly=True),
        ),
    )


def _mark(
    labels: Any,
    label_at: int,
    masks: Any,
    mask_at: int,
    layout: Any,
    plane: int,
    first: int,
    stop: int,
    one: Any,
    start: Any,
    shift: Any,
    keys: Any,
    codes: Any,
    members: Any,
) -> None:
    last = layout.shape[1] - 1
    length, step, mask_step = layout[0, last], layout[1, last], layout[2, last]
    found = np.empty(_AT_ONCE, np.uint8)
    for row in range(count_rows(layout)):
        source = label_at + row_begin(layout, 1, row)
        target = mask_at + row_begin(layout, 2, row)
        for begin in range(0, length, _AT_ONCE):
            count = min(_AT_ONCE, length - begin)
            at = source + begin * step
            for eight in range(first >> 3, (stop + 7) >> 3):
                bits = members[eight]
                find(labels, at, step, count, start, shift, keys, codes, bits, found)
                for group in range(max(first, 8 * eight), min(stop, 8 * eight + 8)):
                    to = target + (group - first) * plane + begin * mask_step
                    expand(found, count, uint8(1 << (group & 7)), one, masks, to, mask_step)


@register_jitable
def find(
    labels: Any,
    at: int,
    step: int,
    count: int,
    start: Any,
    shift: Any,
    keys: Any,
    codes: Any,
    members: Any,
    found: Any,
) -> None:
    """Look labels up; once for some next to each other that are equal, as most are."""
    whole = count - count % _TOGETHER if step == 1 else 0
    for begin in range(0, whole, _TOGETHER):
        first = labels[uint64(at + begin)]
        other = first ^ first
        for i in range(_TOGETHER):
            other |= labels[uint64(at + begin + i)] ^ first
        if other == 0:
            member = _member(first, start, shift, keys, codes, members)
            for i in range(_TOGETHER):
                found[uint64(begin + i)] = member
        else:
            for i in range(_TOGETHER):
                label = labels[uint64(at + begin + i)]
                found[uint64(begin + i)] = _member(label, start, shift, keys, codes, members)
    for i in range(whole, count):
        label = labels[uint64(at + i * step)]
        found[uint64(i)] = _member(label, start, shift, keys, codes, members)


@register_jitable
def _member(label: Any, start: Any, shift: Any, keys: Any, codes: Any, members: Any) -> Any:
    """Give the groups of a label; in a dense table the last code is that of all labels that are not there."""
    if keys.size == 0:
        return members[codes[min(uint64(label) - start, uint64(codes.size - 1))]]
    last, place = uint64(keys.size - 1), (uint64(label) * _FACTOR) >> shift
    while (codes[place] != 0) & (keys[place] != label):
        place = (place + uint64(1)) & last
    return members[codes[place]]


@register_jitable
def expand(found: Any, count: int, bit: Any, one: Any, masks: Any, at: int, step: int) -> None:
    zero = one ^ one
    if step == 1:
        for i in range(count):
            masks[uint64(at + i)] = one if found[i] & bit else zero
    else:
        for i in range(count):
            masks[uint64(at + i * step)] = one if found[i] & bit else zero
