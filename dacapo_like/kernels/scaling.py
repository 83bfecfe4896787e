"""Linear scaling of voxels to float32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dacapo_like.kernels._blocks import boxes, destination, part
from dacapo_like.kernels._loading import pays
from dacapo_like.kernels._rows import layout, memory, walkable
from dacapo_like.kernels._threads import slabs, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TO_A_THREAD = 1 << 20  # voxels
_VOXELS_AT_ONCE = 1 << 15  # they stay in the processor's cache from one step to the next
_CALL, _VOXEL = 3e3, 0.3  # nanoseconds that compiled loops save
_FLOAT = np.dtype(np.float32)


def scale(
    data: NDArray[Any],
    low: np.floating[Any],
    span: np.floating[Any],
    *,
    clip: bool = False,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Compute ``(data - low) / span`` in one pass, rounded to float32.

    Parameters
    ----------
    data : ndarray
        Of any numbers, any shape.
    low, span : numpy.float32 or numpy.float64
        Both of the dtype to compute in; `span` is not 0.
    clip : bool
        Whether results below 0 become 0, and those above 1 become 1.
    out : ndarray, optional
        Where to write: of the shape of `data`, float32 or any dtype that holds it, of any strides, no memory of `data`.

    Returns
    -------
    ndarray
        `out`, or new, C-contiguous and float32. What is beyond float32 is infinite.

    Raises
    ------
    ValueError
        If `out` does not fit.

    Examples
    --------
    >>> scale(np.array([0, 51, 255], np.uint8), np.float32(0), np.float32(255))
    array([0. , 0.2, 1. ], dtype=float32)
    """
    widens = out is not None and np.can_cast(_FLOAT, out.dtype)
    dtype = out.dtype if out is not None and widens else _FLOAT
    result = destination(out, data.shape, dtype)
    if not result.size:
        return result
    source = data.view(np.uint8) if data.dtype.kind == "b" else data
    dtypes = source.dtype, low.dtype, dtype
    saves = _CALL + _VOXEL * result.size
    if _is_known(source) and _is_known(result) and pays(("scale", *dtypes), saves):
        from dacapo_like.kernels import _scale_loops

        loop = _scale_loops.scale(*dtypes)

        def run(part: Any) -> None:
            some, made = source[part], result[part]
            loop(*memory(some), *memory(made), layout(some, made), low, span, clip)

        spread(run, slabs(source, _TO_A_THREAD))
    else:
        scale_by_numpy(data, low, span, clip=clip, out=result)
    return result


def scale_by_numpy(
    data: NDArray[Any],
    low: np.floating[Any],
    span: np.floating[Any],
    *,
    clip: bool,
    out: NDArray[Any],
) -> None:
    """Do the same with numpy, for any dtype: some voxels after the other."""
    in_place = out.dtype == low.dtype == _FLOAT
    with np.errstate(over="ignore", invalid="ignore"):
        for box in boxes(data.shape, _VOXELS_AT_ONCE):
            target = part(out, box)
            values = target if in_place else np.empty(target.shape, low.dtype)
            np.subtract(part(data, box), low, out=values, dtype=low.dtype)
            np.divide(values, span, out=values)
            if clip:
                np.clip(values, 0, 1, out=values)
            if not in_place:
                target[...] = values.astype(_FLOAT, copy=False)


def _is_known(array: NDArray[Any]) -> bool:
    """Say whether there are loops for an array."""
    known = array.dtype.kind in "iu" or (array.dtype.kind == "f" and array.itemsize in {4, 8})
    return known and walkable(array)
