"""Boxes put together from chunks."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dacapo_like.kernels._loading import pays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_AXES = 4
_LONGEST = 2**59  # voxels along an axis: loops count bytes in 64 bits
_CALL, _VOXEL = 10e3, 0.1  # nanoseconds that a compiled loop saves


class Chunk:
    """Voxels, and where in memory they are: to ask numpy for that takes longer than to copy some of them.

    Parameters
    ----------
    voxels : ndarray
        C-contiguous; read-only from now on.
    """

    __slots__ = ("address", "nbytes", "voxels")

    def __init__(self, voxels: NDArray[Any]) -> None:
        voxels.setflags(write=False)
        self.voxels = voxels
        self.address = _address(voxels)
        self.nbytes = voxels.nbytes


class Span(NamedTuple):
    """What a box shows of a chunk along an axis.

    Attributes
    ----------
    start, place : int
        Where it begins in the chunk, and in the box.
    length : int
        Of what is shown.
    """

    start: int
    place: int
    length: int

    @property
    def shown(self) -> slice:
        """In the chunk."""
        return slice(self.start, self.start + self.length)

    @property
    def placed(self) -> slice:
        """In the box."""
        return slice(self.place, self.place + self.length)


def spans_along(start: int, length: int, size: int) -> list[Span]:
    """Give what an interval shows of each chunk of some size along an axis.

    Examples
    --------
    >>> spans_along(3, 4, 5)
    [Span(start=3, place=0, length=2), Span(start=0, place=2, length=2)]
    """
    stop, spans = start + length, []
    for first in range(start - start % size, stop, size):
        low = max(start, first)
        spans.append(Span(low - first, low - start, min(stop, first + size) - low))
    return spans


def gather(
    chunks: Sequence[Chunk | None],
    offset: Sequence[int],
    chunk_shape: Sequence[int],
    shape: Sequence[int],
    out: NDArray[Any],
) -> None:
    """Put a box together from chunks.

    Parameters
    ----------
    chunks : sequence of (Chunk or None)
        Those that the box touches, in C order of their places, of the dtype of `out`; ``None``: left out.
    offset : sequence of int
        The first voxel of the box.
    chunk_shape, shape : sequence of int
        Of chunks, those at the end of the array being cut, and of the array.
    out : ndarray
        The box, not empty, C-contiguous.

    Examples
    --------
    >>> out = np.zeros(3, int)
    >>> gather([Chunk(np.array([0, 1, 2])), Chunk(np.array([3, 4]))], (1,), (3,), (5,), out)
    >>> out
    array([1, 2, 3])
    """
    fits = out.ndim <= _AXES and max(shape) <= _LONGEST
    if fits and pays("gather", _CALL * len(chunks) + _VOXEL * out.size):
        from dacapo_like.kernels import _gather_loops

        addresses = [0 if chunk is None else chunk.address for chunk in chunks]
        more = _AXES - out.ndim
        lengths = np.array(
            [
                (0,) * more + tuple(offset),
                (1,) * more + out.shape,
                (1,) * more + tuple(chunk_shape),
                (1,) * more + tuple(shape),
            ],
            np.int64,
        )
        lengths[:, -1] *= out.itemsize
        _gather_loops.gather()(np.array(addresses, np.int64), _address(out), lengths)
        return
    spans = product(*map(spans_along, offset, out.shape, chunk_shape))
    for chunk, parts in zip(chunks, spans, strict=True):
        if chunk is not None:
            shown = chunk.voxels[tuple(part.shown for part in parts)]
            out[tuple(part.placed for part in parts)] = shown


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])
