"""What compiled loops over rows share, see `_rows`."""

from __future__ import annotations

from typing import Any

from numba import int64, types
from numba.extending import register_jitable

LAYOUT = types.Array(int64, 2, "C", readonly=True)


@register_jitable
def count_rows(layout: Any) -> Any:
    """Give how many rows there are."""
    rows = 1
    for axis in range(layout.shape[1] - 1):
        rows *= layout[0, axis]
    return rows


@register_jitable
def row_begin(layout: Any, array: int, row: int) -> Any:
    """Give how far from index 0 of an array, counted from 1, a row begins."""
    place = 0
    for axis in range(layout.shape[1] - 2, -1, -1):
        before = row // layout[0, axis]
        place += (row - before * layout[0, axis]) * layout[array, axis]
        row = before
    return place
