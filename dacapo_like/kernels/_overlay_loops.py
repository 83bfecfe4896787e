"""The loop of `overlay`, compiled on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numba import boolean, from_dtype, int64, types, uint64

from dacapo_like.kernels._compiling import compiled
from dacapo_like.kernels._row_loops import LAYOUT, count_rows, row_begin

Loop: TypeAlias = "Callable[..., bool]"


@cache
def lay_over(labels: np.dtype[Any]) -> Loop:
    """Give the loop that lays labels over others; it says whether any of these are hidden.

    Its arguments are those of `_lay_over`: the memory of both arrays and where they begin there, their layout, the shift.
    """
    ids = types.Array(from_dtype(labels), 1, "C", readonly=True)
    result = types.Array(uint64, 1, "C")
    return compiled(_lay_over, boolean(ids, int64, result, int64, LAYOUT, uint64))


def _lay_over(labels: Any, label_at: int, out: Any, out_at: int, layout: Any, shift: Any) -> Any:
    last, zero, hidden = layout.shape[1] - 1, uint64(0), uint64(0)
    length, step, out_step = layout[0, last], layout[1, last], layout[2, last]
    for row in range(count_rows(layout)):
        source = label_at + row_begin(layout, 1, row)
        target = out_at + row_begin(layout, 2, row)
        for i in range(length):
            label = uint64(labels[uint64(source + i * step)])
            place = uint64(target + i * out_step)
            before = out[place]
            hidden |= before if label != zero else zero
            out[place] = label + shift if label != zero else before
    return hidden != zero
