"""The loop of `classes`, compiled on first use, for labels of each width."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numba import from_dtype, types, uint8, uint32, uint64

from dacapo_like.kernels._compiling import compiled
from dacapo_like.kernels._label_loops import _find

Loop: TypeAlias = "Callable[..., None]"

_AT_ONCE = 4096  # voxels: their labels and classes stay in the processor's fastest cache


@cache
def classify(labels: np.dtype[Any]) -> Loop:
    """Give the loop that finds the classes of labels, next to each other in memory; their dtype is unsigned.

    Its arguments are those of `_classify`: labels, where their classes go, then a `Table` whose members are classes.
    """
    label = from_dtype(labels)
    return compiled(
        _classify,
        types.void(
            types.Array(label, 1, "C", readonly=True),
            types.Array(uint8, 1, "C"),
            uint64,
            uint64,
            types.Array(label, 1, "C", readonly=True),
            types.Array(uint32, 1, "C", readonly=True),
            types.Array(uint8, 2, "C", readonly=True),
        ),
    )


def _classify(
    labels: Any, classes: Any, start: Any, shift: Any, keys: Any, codes: Any, members: Any
) -> None:
    for begin in range(0, labels.size, _AT_ONCE):
        count = min(_AT_ONCE, labels.size - begin)
        found = classes[begin : begin + count]
        _find(labels, begin, 1, count, start, shift, keys, codes, members[0], found)
