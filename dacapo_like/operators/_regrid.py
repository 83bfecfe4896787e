"""From one grid to another with the same axes: where the voxels of the one are on the other, exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from dacapo_like.errors import SpecError
from dacapo_like.geometry import Box, Coordinate, box_between
from dacapo_like.spec import ArraySpec, same_directions
from dacapo_like.units import length_factor


class Regrid(NamedTuple):
    """How a grid lies on that of a source, along all axes of the source: those that are not spatial stay as they are.

    The corner of voxel `o` is at ``o * ratio + shift`` on the source, whose voxel `i` covers `i` to ``i + 1``.

    Attributes
    ----------
    ratio, shift : tuple of Fraction
        Size of a voxel and corner of the first, in voxels of the source.
    shape : tuple of int
        Voxels of the new grid.
    inside : Box
        Those whose centres are in the source.
    """

    ratio: tuple[Fraction, ...]
    shift: tuple[Fraction, ...]
    shape: tuple[int, ...]
    inside: Box

    @classmethod
    def on(
        cls,
        source: ArraySpec,
        ratio: Sequence[Fraction],
        shift: Sequence[Fraction],
        shape: Sequence[int],
    ) -> Regrid:
        """Put a grid, told of along the spatial axes alone, on that of a source."""
        lead = source.ndim - source.dims
        axes = list(zip(ratio, shift, shape, source.spatial_shape, strict=True))
        # The centre of `o` is in the source where 0 <= (o + 1/2) * ratio + shift < n.
        half = Fraction(1, 2)
        first = [min(max(math.ceil(-s / r - half), 0), m) for r, s, m, _ in axes]
        stop = [min(max(math.ceil((n - s) / r - half), 0), m) for r, s, m, n in axes]
        stop = [max(a, b) for a, b in zip(first, stop, strict=True)]
        return cls(
            (Fraction(1),) * lead + tuple(r for r, _, _, _ in axes),
            (Fraction(0),) * lead + tuple(s for _, s, _, _ in axes),
            source.leading_shape + tuple(shape),
            box_between((0,) * lead + tuple(first), source.leading_shape + tuple(stop)),
        )


def scaled(source: ArraySpec, ratio: Sequence[Fraction]) -> Regrid:
    """Give a grid of other voxels with the same first corner; part-voxels at the end are dropped."""
    shape = [math.floor(n / r) for n, r in zip(source.spatial_shape, ratio, strict=True)]
    return Regrid.on(source, ratio, [Fraction(0)] * source.dims, shape)


def in_voxels(source: ArraySpec, shape: Sequence[int]) -> Regrid:
    """Give a grid of so many voxels over the whole of a source.

    Raises
    ------
    SpecError
        The source is empty.
    """
    if 0 in source.spatial_shape:
        raise SpecError(
            "an empty array has no voxels to make others of",
            got=source.spatial_shape,
            expected="at least one voxel along every axis",
        )
    ratio = [Fraction(n, m) for n, m in zip(source.spatial_shape, shape, strict=True)]
    return Regrid.on(source, ratio, [Fraction(0)] * source.dims, shape)


def placed_as(source: ArraySpec, like: ArraySpec) -> Regrid:
    """Give the grid of another array; its units are converted where both are known.

    Raises
    ------
    SpecError
        The spatial axes, or their directions, are others.
    """
    if source.spatial_axes != like.spatial_axes:
        raise SpecError(
            "arrays with different spatial axes",
            got=" ".join(like.spatial_axes),
            expected=f"{' '.join(source.spatial_axes)} as the source has",
            hint="transpose one of them first",
            key=("like",),
        )
    if not same_directions(source, like):
        raise SpecError(
            "arrays whose axes point in different directions",
            got=like.directions,
            expected=f"{source.directions} as the source has",
            hint="reorient or transform one of them first",
            key=("like",),
        )
    factors = [
        length_factor(theirs, mine) if theirs and mine and theirs != mine else 1
        for theirs, mine in zip(like.units, source.units, strict=True)
    ]
    ratio = Coordinate(like.voxel_size) * factors / source.voxel_size
    shift = (Coordinate(like.offset) * factors - source.offset) / source.voxel_size
    return Regrid.on(
        source, list(map(Fraction, ratio)), list(map(Fraction, shift)), like.spatial_shape
    )
