"""What a config selects of an array: channels, a point of time, and the region that lies on a grid."""

from __future__ import annotations

import math
from fractions import Fraction

from dacapo_like.errors import SpecError, did_you_mean
from dacapo_like.geometry import Box, Coordinate, Exact, box_between
from dacapo_like.spec import ArraySpec


def snapped_box(spec: ArraySpec, grid: Coordinate) -> Box:
    """Give the largest box that starts and ends at multiples of a grid, which has a step per spatial axis.

    Raises
    ------
    SpecError
        The grid does not fit the axes, or nothing is left.
    """
    if len(grid) != spec.dims or min(grid, default=1) <= 0:
        raise SpecError(
            "snap_to_grid does not fit the axes",
            got=grid,
            expected=f"{spec.dims} positive numbers, one per spatial axis {' '.join(spec.spatial_axes)}",
            key=("snap_to_grid",),
        )
    kept = [
        _multiples(*axis)
        for axis in zip(spec.offset, spec.voxel_size, spec.spatial_shape, grid, strict=True)
    ]
    if any(start >= stop for start, stop in kept):
        raise SpecError(
            "nothing of the array lies between multiples of snap_to_grid",
            got=f"{grid} for {spec.roi} of voxel size {spec.voxel_size}",
            expected="at least one whole step of the grid that starts and ends between voxels",
            key=("snap_to_grid",),
        )
    leading = spec.shape[: -spec.dims]
    first = tuple(start for start, _ in kept)
    return box_between((*[0] * len(leading), *first), (*leading, *(stop for _, stop in kept)))


def _multiples(offset: Exact, voxel_size: Exact, n: int, step: Exact) -> tuple[int, int]:
    """Give the first and last of the edges between `n` voxels that are multiples of a step; (0, 0) where none is.

    Edge k lies at ``offset + k * voxel_size``: a linear congruence, all numbers as multiples of their common part.
    """
    common = math.lcm(*(Fraction(value).denominator for value in (offset, voxel_size, step)))
    at, size, period = (int(value * common) for value in (offset, voxel_size, step))
    shared = math.gcd(size, period)
    if at % shared:
        return 0, 0
    every = period // shared
    first = -at // shared * pow(size // shared, -1, every) % every
    return (first, first + (n - first) // every * every) if first <= n else (0, 0)


def channel_index(spec: ArraySpec, channel: int | str) -> int:
    """Give the index of a channel that is named by index or label.

    Raises
    ------
    SpecError
        There is no such channel.
    """
    if "c" not in spec.axes:
        raise SpecError(
            "no channels to select",
            got=f"axes {' '.join(spec.axes)}",
            expected="an axis c",
            key=("channels",),
        )
    names = spec.channel_names
    if isinstance(channel, str) and channel in names:
        return names.index(channel)
    if isinstance(channel, int) and 0 <= channel < len(names):
        return channel
    raise SpecError(
        "no such channel",
        got=repr(channel),
        expected=f"one of {', '.join(names)}" if spec.channels else f"0 to {len(names) - 1}",
        hint=did_you_mean(str(channel), names),
        key=("channels",),
    )


def timepoint_axis(spec: ArraySpec, timepoint: int) -> int:
    """Give the axis of time, along which there is such a point.

    Raises
    ------
    SpecError
        There is none.
    """
    if "t" not in spec.axes:
        raise SpecError(
            "no time points to choose from",
            got=f"axes {' '.join(spec.axes)}",
            expected="an axis t",
            key=("timepoint",),
        )
    axis = spec.axes.index("t")
    if not 0 <= timepoint < spec.shape[axis]:
        raise SpecError(
            "no such time point",
            got=timepoint,
            expected=f"0 to {spec.shape[axis] - 1}",
            key=("timepoint",),
        )
    return axis
