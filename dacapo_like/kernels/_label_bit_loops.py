"""The loops of `label_bits`, compiled on first use, for labels and for channels of each width."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numba import from_dtype, int64, types, uint8, uint32, uint64

from dacapo_like.kernels._compiling import compiled
from dacapo_like.kernels._label_loops import expand, find
from dacapo_like.kernels._row_loops import LAYOUT, count_rows, row_begin

Loop: TypeAlias = "Callable[..., None]"

_AT_ONCE = 4096  # voxels: they stay in the processor's fastest cache
_BYTES = types.Array(uint8, 1, "C", readonly=True)


@cache
def test(labels: np.dtype[Any]) -> Loop:
    """Give the loop that tests labels, next to each other in memory; their dtype is unsigned.

    Its arguments are those of `_test`: labels, where their bytes go, then a `Table` whose members are these bytes.
    """
    label = from_dtype(labels)
    ids, codes = (
        types.Array(label, 1, "C", readonly=True),
        types.Array(uint32, 1, "C", readonly=True),
    )
    members = types.Array(uint8, 2, "C", readonly=True)
    signature = types.void(ids, types.Array(uint8, 1, "C"), uint64, uint64, ids, codes, members)
    return compiled(_test, signature)


def _test(
    labels: Any, result: Any, start: Any, shift: Any, keys: Any, codes: Any, members: Any
) -> None:
    for begin in range(0, labels.size, _AT_ONCE):
        count = min(_AT_ONCE, labels.size - begin)
        found = result[begin : begin + count]
        find(labels, begin, 1, count, start, shift, keys, codes, members[0], found)


@cache
def spread(channels: np.dtype[Any]) -> Loop:
    """Give the loop that makes channels of bits; their dtype is unsigned.

    Its arguments are those of `_spread`: the memory of bytes and of channels and where they begin there, the layout of bytes and of one
    channel, how far it is from channel to channel, the bits of each, and those of 1 in a channel.
    """
    width = from_dtype(channels)
    target = types.Array(width, 1, "C")
    return compiled(_spread, types.void(_BYTES, int64, target, int64, LAYOUT, int64, _BYTES, width))


def _spread(
    found: Any, found_at: int, out: Any, out_at: int, layout: Any, plane: int, bits: Any, one: Any
) -> None:
    last = layout.shape[1] - 1
    length, step, out_step = layout[0, last], layout[1, last], layout[2, last]
    row_of_bytes = np.empty(_AT_ONCE, np.uint8)
    for row in range(count_rows(layout)):
        source = found_at + row_begin(layout, 1, row)
        target = out_at + row_begin(layout, 2, row)
        for begin in range(0, length, _AT_ONCE):
            count = min(_AT_ONCE, length - begin)
            for i in range(count):
                row_of_bytes[i] = found[uint64(source + (begin + i) * step)]
            for channel in range(bits.size):
                to = target + channel * plane + begin * out_step
                expand(row_of_bytes, count, bits[channel], one, out, to, out_step)
