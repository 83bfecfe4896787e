"""Where patches begin and end along one axis."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Literal

import attrs

from dacapo_like.errors import ConfigError

Edge = Literal["shift", "pad", "shrink", "overhang", "drop"]
Spacing = Literal["even", "stride"]
Count = Literal["minimal", "biapy"]
Range = tuple[int, int]  # first, stop


@attrs.frozen
class AxisGrid:
    """Patches along one axis, in voxels; everything about one of them is found from its index alone.

    Attributes
    ----------
    length : int
        Of the region that is covered.
    size, stride : int
        Of a patch, and between the first voxels of two that follow each other.
    edge : {"shift", "pad", "shrink", "overhang", "drop"}
        What becomes of the last patch where it leaves the region.
    spacing : {"even", "stride"}
        With ``shift``: whether all patches move a little, or only the last one.
    wanted : int or None
        How many patches there are to be, where that is not the fewest that cover the region.
    """

    length: int
    size: int
    stride: int
    edge: Edge = "shift"
    spacing: Spacing = "even"
    wanted: int | None = None

    def __attrs_post_init__(self) -> None:
        if self.edge == "shift" and self.size > self.length:
            raise ConfigError(
                "a patch is larger than the region",
                got=f"{self.size} of {self.length} voxels",
                expected="a patch that fits",
                hint="edge: pad fills what is outside, edge: shrink cuts the patch",
            )

    def __len__(self) -> int:
        beyond = self.length - self.size
        if self.edge == "drop":
            return beyond // self.stride + 1 if beyond >= 0 else 0
        fewest = -(-max(beyond, 0) // self.stride) + 1
        if (
            self.edge != "shift"
        ):  # with gaps between patches, one more could begin behind the region
            return min(fewest, -(-self.length // self.stride))
        return fewest if self.wanted is None else min(max(self.wanted, fewest), beyond + 1)

    def box(self, index: int) -> Range:
        """Give the first voxel of a patch, and the one behind its last."""
        if self.edge != "shift":
            start = index * self.stride
            stop = start + self.size
            return start, min(stop, self.length) if self.edge == "shrink" else stop
        last, beyond = len(self) - 1, self.length - self.size
        if self.spacing == "stride":
            start = min(index * self.stride, beyond)
        else:
            start = index * beyond // max(last, 1)
        return start, start + self.size

    def write(self, index: int) -> Range:
        """Give the part of the region that a patch is responsible for: those of all patches follow each other without a gap.

        Where two patches overlap each has its half; the middle voxel of an odd overlap belongs to the later one.
        """
        stop = self.box(index)[1]
        first = 0 if index == 0 else self._border(index)
        if index + 1 < len(self):
            return first, min(self._border(index + 1), stop)
        return first, min(stop, self.length)

    def _border(self, index: int) -> int:
        """Give where a patch takes over from the one before."""
        start = self.box(index)[0]
        return max((start + self.box(index - 1)[1]) // 2, start)

    def groups(self, chunk: int) -> tuple[int, ...]:
        """Give the first index of each run of patches whose written parts share no chunk with those of other runs."""
        return tuple(
            index for index in range(len(self)) if index == 0 or self.write(index)[0] % chunk == 0
        )


@attrs.frozen
class Order:
    """Positions of patches in an order that finishes one group of indices after another.

    Attributes
    ----------
    counts : tuple of int
        Patches along each axis.
    groups : tuple of tuple of int
        Per axis, the first index of each group. A group of the grid is one of each axis.

    Examples
    --------
    >>> order = Order((3, 4), ((0,), (0, 2)))
    >>> [order.indices(position) for position in (0, 1, 2, 6)]
    [(0, 0), (0, 1), (1, 0), (0, 2)]
    """

    counts: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]

    def indices(self, position: int) -> tuple[int, ...]:
        """Give the index along each axis of the patch at a position."""
        firsts, sizes, rest = self._group(position)
        inner = []
        for size in reversed(sizes):
            rest, index = divmod(rest, size)
            inner.append(index)
        return tuple(first + i for first, i in zip(firsts, reversed(inner), strict=True))

    def group_start(self, position: int) -> int:
        """Give the position of the first patch of the group of the one at a position."""
        return position - self._group(position)[2]

    def _group(self, position: int) -> tuple[list[int], list[int], int]:
        """Find the group of a position: its first indices, its size along each axis, and the position in it."""
        rest, inside, after = position, 1, math.prod(self.counts)
        firsts, sizes = [], []
        for count, starts in zip(self.counts, self.groups, strict=True):
            after //= count
            ends = [*starts[1:], count]
            which = bisect_right(ends, rest // (inside * after))
            first, size = starts[which], ends[which] - starts[which]
            rest -= first * inside * after
            inside *= size
            firsts.append(first)
            sizes.append(size)
        return firsts, sizes, rest
