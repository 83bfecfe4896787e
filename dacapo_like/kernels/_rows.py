"""Walking arrays of one shape together, as rows of their memory that are as long as can be.

A layout is what loops walk: its first line holds the lengths of the axes that are left, the others the steps along them,
in elements, of one array each. Loops see an array as the flat memory that it lies in, and an index there to begin at.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from dacapo_like.kernels._blocks import part

if TYPE_CHECKING:
    from numpy.typing import NDArray


def walkable(array: NDArray[Any]) -> bool:
    """Say whether loops can walk an array: native, aligned, a whole number of elements from one voxel to the next."""
    if not array.dtype.isnative or not array.flags.aligned:
        return False
    return array.flags.c_contiguous or not any(s % array.itemsize for s in array.strides)


def memory(array: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """View the memory that an array lies in, from its first voxel there to its last, and say where index 0 is.

    Examples
    --------
    >>> memory(np.arange(6)[4::-2])
    (array([0, 1, 2, 3, 4]), 4)
    """
    if array.flags.c_contiguous:
        return array.reshape(-1), 0
    back = sum(-s * (n - 1) for s, n in zip(array.strides, array.shape, strict=True) if s < 0)
    span = sum(abs(s) * (n - 1) for s, n in zip(array.strides, array.shape, strict=True))
    corner = part(array, (slice(-1, None) if s < 0 else slice(1) for s in array.strides))
    flat = np.lib.stride_tricks.as_strided(corner, (span // array.itemsize + 1,), (array.itemsize,))
    return flat, back // array.itemsize


def layout(*arrays: NDArray[Any]) -> NDArray[np.int64]:
    """Bring arrays of one shape, not empty, into the fewest axes; the last has the shortest steps in the last array.

    Returns
    -------
    ndarray
        Lengths, then the steps of each array; at least one axis.

    Examples
    --------
    >>> a = np.zeros((4, 5, 6))
    >>> layout(a, a).tolist()
    [[120], [1], [1]]
    >>> layout(a.transpose(2, 0, 1), a[:, :, ::-1].transpose(2, 0, 1)).tolist()
    [[20, 6], [6, 1], [6, -1]]
    """
    shape = arrays[-1].shape
    if all(array.flags.c_contiguous for array in arrays):
        return _one_row(arrays[-1].size, len(arrays))
    steps = [[stride // array.itemsize for stride in array.strides] for array in arrays]
    axes = [(n, *along) for n, *along in zip(shape, *steps, strict=True) if n > 1] or [
        (1, *(1 for _ in arrays))
    ]
    axes.sort(key=lambda axis: -abs(axis[-1]))
    merged = axes[:1]
    for length, *inner in axes[1:]:
        before, *outer = merged[-1]
        if outer == [length * step for step in inner]:
            merged[-1] = (before * length, *inner)
        else:
            merged.append((length, *inner))
    return np.array(list(zip(*merged, strict=True)), np.int64)


@lru_cache(maxsize=1024)
def _one_row(length: int, arrays: int) -> NDArray[np.int64]:
    row = np.array([[length], *([1] for _ in range(arrays))], np.int64)
    row.setflags(write=False)
    return row
