"""Labels laid over others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dacapo_like.kernels._blocks import boxes, part
from dacapo_like.kernels._loading import pays
from dacapo_like.kernels._rows import layout, memory, walkable

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VOXELS_AT_ONCE = 1 << 16
_CALL, _VOXEL = 3e3, 5.0  # nanoseconds that compiled loops save


def lay_over(labels: NDArray[Any], shift: int, out: NDArray[np.uint64]) -> bool:
    """Write labels that are not 0, shifted, over others.

    Parameters
    ----------
    labels : ndarray
        Bool, or integers of which none is negative.
    shift : int
        Added to them; no sum is beyond uint64.
    out : ndarray
        The others: uint64 of the shape of `labels`, of any strides, no memory of it.

    Returns
    -------
    bool
        Whether there was something else than 0 in the place of one.

    Examples
    --------
    >>> out = np.array([0, 7, 7], np.uint64)
    >>> lay_over(np.array([1, 2, 0]), 10, out), out
    (True, array([11, 12,  7], dtype=uint64))
    """
    if not out.size:
        return False
    ids = labels.view(np.uint8) if labels.dtype.kind == "b" else labels
    saves = _CALL + _VOXEL * out.size
    if walkable(ids) and walkable(out) and pays(("lay over", ids.dtype), saves):
        from dacapo_like.kernels import _overlay_loops

        loop = _overlay_loops.lay_over(ids.dtype)
        return loop(*memory(ids), *memory(out), layout(ids, out), np.uint64(shift))
    return lay_over_by_numpy(labels, shift, out)


def lay_over_by_numpy(labels: NDArray[Any], shift: int, out: NDArray[np.uint64]) -> bool:
    """Do the same with numpy: some voxels after the other."""
    hidden = False
    for box in boxes(labels.shape, _VOXELS_AT_ONCE):
        ids, target = part(labels, box), part(out, box)
        wanted = ids != 0
        hidden = hidden or bool((wanted & (target != 0)).any())
        np.add(
            ids,
            np.uint64(shift),
            out=target,
            where=wanted,
            dtype=np.uint64,
            casting="unsafe",  # none is negative
        )
    return hidden
