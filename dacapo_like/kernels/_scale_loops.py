"""The loop of `scaling`, compiled on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numba import boolean, from_dtype, int64, types, uint64

from dacapo_like.kernels._compiling import compiled
from dacapo_like.kernels._row_loops import LAYOUT, count_rows, row_begin

Loop: TypeAlias = "Callable[..., None]"


@cache
def scale(source: np.dtype[Any], work: np.dtype[Any], target: np.dtype[Any]) -> Loop:
    """Give the loop that scales voxels of one dtype, in another, to a third.

    Its arguments are those of `_scale`: the memory of both arrays and where they begin there, their layout, then three numbers.
    """
    term = from_dtype(work)
    return compiled(
        _scale,
        types.void(
            types.Array(from_dtype(source), 1, "C", readonly=True),
            int64,
            types.Array(from_dtype(target), 1, "C"),
            int64,
            LAYOUT,
            term,
            term,
            boolean,
        ),
    )


def _scale(
    voxels: Any,
    voxel_at: int,
    out: Any,
    out_at: int,
    layout: Any,
    low: Any,
    span: Any,
    clip: bool,  # noqa: FBT001  # loops take no keywords
) -> None:
    last, work = layout.shape[1] - 1, type(low)
    length, step, out_step = layout[0, last], layout[1, last], layout[2, last]
    for row in range(count_rows(layout)):
        source = voxel_at + row_begin(layout, 1, row)
        target = out_at + row_begin(layout, 2, row)
        if clip:
            for i in range(length):
                value = (work(voxels[uint64(source + i * step)]) - low) / span
                value = max(value, work(0))  # NaN stays, and -0
                value = min(value, work(1))
                out[uint64(target + i * out_step)] = np.float32(value)
        else:
            for i in range(length):
                value = (work(voxels[uint64(source + i * step)]) - low) / span
                out[uint64(target + i * out_step)] = np.float32(value)
