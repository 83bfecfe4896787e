"""Where a patch is in an array, and which part of it data are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from dacapo_like.errors import RegionError
from dacapo_like.geometry import Box
from dacapo_like.patches.grid import Lattice, Patch
from dacapo_like.spec import ArraySpec


def box_in_array(spec: ArraySpec, box: Box, lattice: Lattice | None) -> Box:
    """Give a box of a grid as one over all axes of an array.

    Parameters
    ----------
    spec : ArraySpec
        Of the array.
    box : Box
        Over the spatial axes, in voxels of the grid.
    lattice : Lattice or None
        Where those are in the world; ``None``: they are the array's own.

    Raises
    ------
    RegionError
        The region is not on the array's grid, or of another rank.
    """
    if lattice is not None:
        return spec.roi_to_box(lattice.roi(box))
    if len(box.shape) != spec.dims:
        raise RegionError(
            "a grid of another rank than the array",
            got=f"{len(box.shape)} axes",
            expected=f"{spec.dims}, one per spatial axis {' '.join(spec.spatial_axes)}",
        )
    lead = spec.ndim - spec.dims
    return Box((0,) * lead + box.offset, spec.leading_shape + box.shape)


def spatial(box: Box, dims: int) -> Box:
    """Give the spatial part of a box over all axes."""
    lead = len(box.shape) - dims
    return Box(box.offset[lead:], box.shape[lead:])


def index_in(part: Box, outer: Box) -> tuple[Any, ...]:
    """Give the index of a box in data of another one, behind whatever leading axes they have."""
    return (..., *part.slices_in(outer))


def part_of(data: NDArray[Any], boxes: Iterable[Box], wanted: Box, where: str) -> NDArray[Any]:
    """Cut the part of a patch that is wanted out of data.

    Parameters
    ----------
    data : ndarray
        Leading axes, then the spatial ones.
    boxes : iterable of Box
        What the data may be, over the spatial axes: the first of the data's shape is what they are.
    wanted : Box
        Inside one of these.
    where : str
        For the error.

    Returns
    -------
    ndarray
        A view.

    Raises
    ------
    RegionError
        The data have another shape, or do not hold what is wanted.
    """
    dims = len(wanted.shape)
    choices = dict.fromkeys(box for box in boxes if box.contains(wanted))
    if data.ndim >= dims:
        for box in choices:
            if data.shape[data.ndim - dims :] == box.shape:
                part: NDArray[Any] = data[index_in(wanted, box)]
                return part
    raise RegionError(
        "data that do not have the shape of the patch",
        got=data.shape,
        expected=" or ".join(f"(…, {', '.join(map(str, box.shape))})" for box in choices),
        where=where,
    )


def describe_patch(patch: Patch) -> str:
    """Say how messages call a patch.

    Examples
    --------
    >>> describe_patch(Patch(3, Box((2,), (4,)), Box((1,), (6,)), Box((3,), (3,))))
    'patch 3, which writes 3:6'
    """
    if patch.lattice is not None:
        return f"patch {patch.index}, which writes {patch.write_roi}"
    sides = zip(patch.write.offset, patch.write.end, strict=True)
    return f"patch {patch.index}, which writes {', '.join(f'{a}:{b}' for a, b in sides)}"
