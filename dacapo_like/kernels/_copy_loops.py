"""The loop of `copying`, compiled on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import from_dtype, types

from dacapo_like.kernels._compiling import compiled


@cache
def put(dtype: np.dtype[Any]) -> Callable[[Any, Any], None]:
    """Give the loop for voxels of one dtype; it takes the source and the target, of rank 3."""
    kind = from_dtype(dtype)
    source = types.Array(kind, 3, "A", readonly=True)
    return compiled(_put, types.void(source, types.Array(kind, 3, "A")))


def _put(source: Any, target: Any) -> None:
    for z in range(source.shape[0]):
        for y in range(source.shape[1]):
            there, here = target[z, y], source[z, y]
            for x in range(here.shape[0]):
                there[x] = here[x]
