"""Levels beyond a stored pyramid: joined, whenever they are read, from the voxels of its last level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import SourceError
from dacapo_like.geometry import Box, Coordinate
from dacapo_like.pyramids import MOST_JOINED, pooling_method, read_pooled
from dacapo_like.sources.layout import Stored
from dacapo_like.spec import ArraySpec, is_leading_axis

_MOST_HALVINGS = 63  # no axis is longer


def cells_of(stored: Stored, halvings: int) -> tuple[int, ...]:
    """Give how many stored voxels become one, per stored axis; an axis of a single voxel stays as it is."""
    assert stored.axes is not None  # noqa: S101  # a pyramid names them
    cell = 2 ** min(halvings, _MOST_HALVINGS)
    return tuple(
        1 if n == 1 or is_leading_axis(axis) else cell
        for n, axis in zip(stored.shape, stored.axes, strict=True)
    )


def coarsened(stored: Stored, halvings: int, level: int) -> Stored:
    """Say what a level is that is coarser than a stored one; part-voxels at its end are dropped.

    Raises
    ------
    SourceError
        Nothing of the array would be left.
    """
    cells = cells_of(stored, halvings)
    shape = tuple(n // cell for n, cell in zip(stored.shape, cells, strict=True))
    halved = [n for n, cell in zip(stored.shape, cells, strict=True) if cell > 1]
    most = (
        min((MOST_JOINED.bit_length() - 1) // len(halved), min(halved).bit_length() - 1)
        if halved
        else 0
    )
    if halvings > most:
        raise SourceError(
            "no such level",
            got=level,
            expected=f"0 to {level - halvings + most}",
            hint=f"beyond that an axis has no voxel left, or a voxel is made of more than {MOST_JOINED} stored ones",
            key=("level",),
        )
    assert stored.axes is not None  # noqa: S101  # as above
    spatial = [c for c, axis in zip(cells, stored.axes, strict=True) if not is_leading_axis(axis)]
    chunks = stored.chunk_shape or stored.shape
    return attrs.evolve(
        stored,
        shape=shape,
        chunk_shape=tuple(max(n // c, 1) for n, c in zip(chunks, cells, strict=True)),
        voxel_size=(stored.voxel_size or Coordinate((1,) * len(spatial))) * spatial,
    )


@attrs.frozen
class CoarserVoxels:
    """Reads boxes of a coarser level in stored order.

    Attributes
    ----------
    start_stored : callable
        Begins to read a box of the stored level.
    cells : tuple of int
        Stored voxels that become one, per axis.
    spec : ArraySpec
        Of the array: its kind says how voxels are joined.
    """

    start_stored: Callable[[Box], Callable[[], NDArray[Any]]]
    cells: tuple[int, ...]
    spec: ArraySpec

    def start(self, box: Box) -> Callable[[], NDArray[Any]]:
        """Give a function that reads; nothing is begun before it is called, for the pieces of a box follow each other."""
        return lambda: read_pooled(
            lambda stored: np.asarray(self.start_stored(stored)(), self.spec.dtype),
            box,
            self.cells,
            pooling_method(self.spec.kind),
            self.spec.dtype,
        )
