"""Grids of patches: where each of them is, found from its number."""

from __future__ import annotations

import math
import operator
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal, NamedTuple, get_args, overload

import attrs
import numpy as np

from dacapo_like import settings
from dacapo_like.core import Array
from dacapo_like.errors import ConfigError, RegionError, check_choice
from dacapo_like.geometry import (
    Box,
    Coordinate,
    Exact,
    Roi,
    as_roi,
    box_between,
    exact,
    format_numbers,
    is_roi,
)
from dacapo_like.patches._axis import AxisGrid, Count, Edge, Order, Spacing
from dacapo_like.spec import ArraySpec

Units = Literal["voxel", "world"]
Shards = Literal["linear", "slab", "chunks"]


class Lattice(NamedTuple):
    """The voxels that boxes count, in the world.

    Attributes
    ----------
    offset, voxel_size : Coordinate
        Corner of the first voxel, and its size, per spatial axis.
    """

    offset: Coordinate
    voxel_size: Coordinate

    def roi(self, box: Box) -> Roi:
        """Give the region of a box."""
        return Roi(self.offset + self.voxel_size * box.offset, self.voxel_size * box.shape)


@attrs.frozen
class Patch:
    """One patch of a grid.

    Attributes
    ----------
    index : int
        Its number in the whole grid.
    box : Box
        The patch, over the spatial axes, in voxels of the region that the grid covers; it may leave that.
    read : Box
        The patch with its context.
    write : Box
        The part of the region that this patch alone is responsible for.
    lattice : Lattice or None
        Where the voxels are in the world; ``None`` where the grid covers a shape.
    bounds : Box or None
        With ``edge="pad"`` the whole region: what is outside of it is filled even where an array goes on; else ``None``.
    """

    index: int
    box: Box
    read: Box
    write: Box
    lattice: Lattice | None = None
    bounds: Box | None = None

    @property
    def roi(self) -> Roi:
        """Region of the patch with its context, in world units."""
        return self._region(self.read)

    @property
    def write_roi(self) -> Roi:
        """Region that this patch alone is responsible for, in world units."""
        return self._region(self.write)

    def _region(self, box: Box) -> Roi:
        if self.lattice is None:
            raise RegionError(
                "a patch of a grid over a shape has no place in the world",
                got=self,
                hint="make the grid of a Roi and a voxel size, or of an array",
            )
        return self.lattice.roi(box)


@attrs.frozen(init=False)
class PatchGrid(Sequence[Patch]):
    """Patches that cover a region; it holds none of them, and finds each from its number.

    Parameters
    ----------
    region : Roi, Array, ArraySpec or sequence of int
        What to cover: a region in world units, all of an array, or the spatial shape of one.
    patch : sequence of numbers
        Size of a patch without its context, per spatial axis.
    overlap : number or sequence, optional
        How much of a patch the next one covers too: below 1 that part of its size, else voxels. At least so much, that is: where
        patches do not end where the region does, some overlap more.
    stride : number or sequence, optional
        Instead: how far patches that follow each other are apart.
    context : number or sequence, optional
        What is read around a patch, on each side.
    voxel_size : sequence of numbers, optional
        Of a Roi; an array knows its own.
    edge : {"shift", "pad", "shrink", "overhang", "drop"}
        What becomes of patches that do not fit: they are shifted inside; kept whole, what is outside of the region being
        filled when they are extracted; cut; kept whole and read from whatever there is around the region; or left out.
    spacing : {"even", "stride"}
        With ``shift``: whether all patches are shifted a little, or the last one as far as it has to be.
    count : {"minimal", "biapy"}
        The fewest patches that cover the region; or as many as BiaPy takes, evenly spaced, but never two that are the same.
    units : {"voxel", "world"}, optional
        What sizes are given in; by default world units of a Roi, else voxels. An `overlap` below 1 is a part in either.

    Raises
    ------
    ConfigError
        A patch is empty or larger than the region, sizes are no whole voxels, or a choice is none of those above.

    Notes
    -----
    Patches are numbered in C order. The parts that they write follow each other without gap or overlap: where patches overlap,
    the border is in the middle.

    Examples
    --------
    >>> grid = PatchGrid((165, 768, 1024), (80, 80, 80))
    >>> len(grid), len(PatchGrid((165, 768, 1024), (80, 80, 80), overlap=0.5))
    (390, 1900)
    >>> len(PatchGrid((165, 768, 1024), (80, 80, 80), overlap=0.5, count="biapy"))
    2600
    >>> grid[389].box
    Box(offset=(85, 688, 944), shape=(80, 80, 80))
    """

    lattice: Lattice | None
    axes: tuple[AxisGrid, ...]
    context: tuple[int, ...]
    order: Order | None
    positions: range

    def __init__(
        self,
        region: Any,
        patch: Sequence[Any],
        *,
        overlap: Any = 0,
        stride: Any = None,
        context: Any = 0,
        voxel_size: Sequence[Any] | None = None,
        edge: Edge = "shift",
        spacing: Spacing = "even",
        count: Count = "minimal",
        units: str | None = None,
    ) -> None:
        check_choice("edge", edge, get_args(Edge))
        check_choice("spacing", spacing, get_args(Spacing))
        check_choice("count", count, get_args(Count))
        if count == "biapy" and (edge, spacing) != ("shift", "even"):
            raise ConfigError(
                "BiaPy's count goes with its way to place patches",
                got=f"edge {edge}, spacing {spacing}",
                expected="edge shift, spacing even",
                key=("count",),
            )
        shape, lattice = _covered(region, voxel_size)
        units = units or ("world" if is_roi(region) else "voxel")
        check_choice("units", units, get_args(Units))
        if units == "world" and lattice is None:
            raise ConfigError("a shape has no world units", expected="voxel", key=("units",))
        sizes = Sizes(len(shape), lattice.voxel_size if units == "world" and lattice else None)
        size = sizes.voxels("patch", patch, least=1)
        steps = _steps(sizes, size, overlap, stride)
        axes = tuple(
            AxisGrid(
                length=length,
                size=n,
                stride=max(math.floor(step), 1),
                edge=edge,
                spacing=spacing,
                wanted=-(-length // max(math.floor(step), 1)) if count == "biapy" else None,
            )
            for length, n, step in zip(shape, size, steps, strict=True)
        )
        self.__attrs_init__(
            lattice=lattice,
            axes=axes,
            context=sizes.voxels("context", context, least=0),
            order=None,
            positions=range(math.prod(map(len, axes))),
        )

    def __len__(self) -> int:
        return len(self.positions)

    @overload
    def __getitem__(self, key: int) -> Patch: ...
    @overload
    def __getitem__(self, key: slice) -> PatchGrid: ...
    def __getitem__(self, key: int | slice) -> Patch | PatchGrid:
        """Give a patch, or the patches of a slice as a grid."""
        if isinstance(key, slice):
            return self._with(positions=self.positions[key])
        try:
            position = self.positions[operator.index(key)]
        except IndexError:
            raise IndexError(f"patch {key} of {len(self)}") from None
        return self._patch(position)

    def __iter__(self) -> Iterator[Patch]:
        return map(self._patch, self.positions)

    @property
    def counts(self) -> tuple[int, ...]:
        """Patches along each spatial axis, of the whole grid."""
        return tuple(map(len, self.axes))

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels of the region that is covered."""
        return tuple(axis.length for axis in self.axes)

    @property
    def _fills(self) -> bool:
        return any(axis.edge == "pad" for axis in self.axes)

    def ordered_by(self, chunks: Sequence[int]) -> PatchGrid:
        """Give the same patches in an order that finishes chunks early.

        Those whose written parts share a chunk follow each other, as far as the grid allows it: where no patch begins to write at a
        border of chunks, all along that axis are one group.

        Parameters
        ----------
        chunks : sequence of int
            Voxels of a chunk, per spatial axis; chunks begin where the region does.

        Raises
        ------
        ConfigError
            These are no such sizes, or patches were taken from the grid already.
        """
        sizes = Sizes(len(self.axes), None).voxels("chunks", chunks, least=1)
        groups = tuple(axis.groups(n) for axis, n in zip(self.axes, sizes, strict=True))
        return self._ordered(groups)

    def in_columns(self, array: Array, cache_bytes: int | None = None) -> PatchGrid:
        """Give the same patches in an order in which the chunks of an array are decoded about once.

        In the order of their numbers patches go through all of a layer before the next one; where several layers of chunks do not
        fit into the cache, overlapping patches have every chunk decoded anew. In columns along the first axis they fit.

        Parameters
        ----------
        array : Array
            That is read. Its chunks as stored count, where they are known.
        cache_bytes : int, optional
            Of decoded chunks that are kept; by default the setting of that name.

        Raises
        ------
        ConfigError
            Patches were taken from the grid already.

        Examples
        --------
        >>> from dacapo_like import from_numpy
        >>> grid = PatchGrid((4, 4), (1, 1))
        >>> columns = grid.in_columns(from_numpy(np.zeros((4, 4), "uint8")), cache_bytes=6)
        >>> [patch.index for patch in columns]
        [0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15]
        """
        limit = settings.current().cache_bytes if cache_bytes is None else cache_bytes
        spec = array.spec
        stored = spec.chunk_shape or (1,) * spec.ndim
        lead = spec.ndim - spec.dims
        spans = list(zip(self.axes, self.context, stored[lead:], strict=True))
        deep = [axis.size + 2 * context + chunk for axis, context, chunk in spans]
        voxel = spec.dtype.itemsize * math.prod(spec.leading_shape)

        def held(across: int) -> int:
            widths = (
                min((across - 1) * axis.stride + n, axis.length + 2 * context)
                for (axis, context, _), n in zip(spans[1:], deep[1:], strict=True)
            )
            return min(deep[0], self.axes[0].length) * math.prod(widths) * voxel

        most = max(self.counts[1:], default=1)
        across = max(bisect_right(range(1, most + 1), limit, key=held), 1)
        groups = ((0,), *(tuple(range(0, n, across)) for n in self.counts[1:]))
        return self._ordered(groups[: len(self.counts)])

    def _ordered(self, groups: tuple[tuple[int, ...], ...]) -> PatchGrid:
        if self.positions != range(math.prod(self.counts)):
            raise ConfigError(
                "only a whole grid can be put into another order",
                got=f"{len(self)} of {math.prod(self.counts)} patches",
                hint="order the grid first, then take a slice or a shard of it",
            )
        return self._with(order=Order(self.counts, groups))

    def shard(
        self, rank: int, n: int, *, by: Shards = "linear", chunks: Sequence[int] | None = None
    ) -> PatchGrid:
        """Give the part of the patches that one of several processes takes; together they take each once.

        Parameters
        ----------
        rank, n : int
            Which of how many processes.
        by : {"linear", "slab", "chunks"}
            ``linear``: runs of the same length. ``slab``: whole runs along the first axis. ``chunks``: no two processes write to one
            chunk of the output, whose `chunks` are given; then some may get nothing.
        chunks : sequence of int, optional
            See `ordered_by`.

        Examples
        --------
        >>> grid = PatchGrid((64, 64), (16, 16))
        >>> [len(grid.shard(rank, 3)) for rank in range(3)]
        [5, 5, 6]
        >>> [len(grid.shard(rank, 3, by="chunks", chunks=(32, 32))) for rank in range(3)]
        [4, 4, 8]
        """
        check_choice("by", by, get_args(Shards))
        if not 0 <= rank < n:
            raise ConfigError("no such rank", got=rank, expected=f"0 to {n - 1}")
        if (chunks is None) == (by == "chunks"):
            raise ConfigError(
                "chunks go with shards by chunks",
                got=chunks,
                expected="`chunks` together with by='chunks', and only then",
            )
        grid = self if chunks is None else self.ordered_by(chunks)
        total = len(grid)
        cuts = [total * rank // n, total * (rank + 1) // n]
        if by == "slab":
            row = max(math.prod(self.counts[1:]), 1)
            cuts = [cut // row * row for cut in cuts]
        elif grid.order is not None and chunks is not None:
            cuts = [cut if cut >= total else grid.order.group_start(cut) for cut in cuts]
        return grid[cuts[0] : cuts[1]]

    def to_dict(self) -> dict[str, Any]:
        """Give what it takes to make the grid again, as JSON has it; exact numbers that are no integers as text."""
        lattice, run = self.lattice, self.positions
        return {
            "lattice": None
            if lattice is None
            else [[_plain(value) for value in part] for part in lattice],
            "axes": [attrs.asdict(axis) for axis in self.axes],
            "context": list(self.context),
            "order": None if self.order is None else list(map(list, self.order.groups)),
            "positions": [run.start, run.stop, run.step],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> PatchGrid:
        """Make the grid again that `to_dict` told of."""
        axes = tuple(AxisGrid(**axis) for axis in document["axes"])
        lattice, groups = document["lattice"], document["order"]
        counts = tuple(map(len, axes))
        return cls._of(
            lattice=None if lattice is None else Lattice(*map(Coordinate, lattice)),
            axes=axes,
            context=tuple(document["context"]),
            order=None if groups is None else Order(counts, tuple(map(tuple, groups))),
            positions=range(*document["positions"]),
        )

    @classmethod
    def _of(cls, **fields: Any) -> PatchGrid:
        grid = cls.__new__(cls)
        grid.__attrs_init__(**fields)
        return grid

    def _with(self, **changes: Any) -> PatchGrid:
        fields = {field.name: getattr(self, field.name) for field in attrs.fields(PatchGrid)}
        return self._of(**(fields | changes))

    def _patch(self, position: int) -> Patch:
        counts = self.counts
        order = self.order
        places = _unraveled(position, counts) if order is None else order.indices(position)
        box = _box(axis.box(i) for axis, i in zip(self.axes, places, strict=True))
        start = tuple(map(operator.sub, box.offset, self.context))
        stop = tuple(map(operator.add, box.end, self.context))
        return Patch(
            index=_raveled(places, counts),
            box=box,
            read=box_between(start, stop),
            write=_box(axis.write(i) for axis, i in zip(self.axes, places, strict=True)),
            lattice=self.lattice,
            bounds=Box((0,) * len(self.axes), self.shape) if self._fills else None,
        )


class Sizes:
    """Reads numbers that are given per spatial axis, or once for all."""

    def __init__(self, dims: int, voxel_size: Coordinate | None) -> None:
        self._dims, self._voxel_size = dims, voxel_size

    def each(self, key: str, values: Any) -> tuple[Exact, ...]:
        """Give exact numbers, one per axis."""
        listed = isinstance(values, (Sequence, np.ndarray)) and not isinstance(values, str)
        found = tuple(map(exact, values if listed else (values,) * self._dims))
        if len(found) != self._dims:
            raise ConfigError(
                f"{key} does not fit the axes",
                got=f"{len(found)} numbers",
                expected=f"{self._dims}, one per spatial axis",
                key=(key,),
            )
        return found

    def voxels(self, key: str, values: Any, *, least: int) -> tuple[int, ...]:
        """Give whole voxels, one number per axis."""
        found = self.each(key, values)
        if self._voxel_size is not None:
            found = tuple(Coordinate(found) / self._voxel_size)
        if any(not isinstance(n, int) or n < least for n in found):
            unit = "" if self._voxel_size is None else f" of {format_numbers(self._voxel_size)}"
            raise ConfigError(
                f"{key} is not in whole voxels",
                got=values,
                expected=f"multiples{unit}, at least {least}"
                if unit
                else f"integers of at least {least}",
                key=(key,),
            )
        return tuple(map(int, found))


def _steps(
    sizes: Sizes, size: tuple[int, ...], overlap: Any, stride: Any
) -> tuple[int | Fraction, ...]:
    """Give how far patches are apart, with the parts of voxels that an overlap asks for."""
    overlaps = sizes.each("overlap", overlap)
    if stride is not None:
        if any(overlaps):
            raise ConfigError("overlap and stride are both given", expected="one of them")
        return sizes.voxels("stride", stride, least=1)
    parts = [over if 0 < over < 1 else 0 for over in overlaps]
    whole = sizes.voxels(
        "overlap",
        [0 if part else over for part, over in zip(parts, overlaps, strict=True)],
        least=0,
    )
    steps = tuple(n - over - n * part for n, over, part in zip(size, whole, parts, strict=True))
    if min(steps, default=1) <= 0:
        raise ConfigError(
            "patches overlap as much as they are long",
            got=overlap,
            expected=f"parts below 1, or less than {format_numbers(size)} voxels",
            key=("overlap",),
        )
    return steps


def _covered(region: Any, voxel_size: Any) -> tuple[tuple[int, ...], Lattice | None]:
    """Give the spatial shape of what is to be covered, and where it is in the world."""
    spec = getattr(region, "spec", region)
    if isinstance(spec, ArraySpec):
        if voxel_size is not None:
            raise ConfigError("an array knows its voxel size", got=voxel_size, key=("voxel_size",))
        return spec.spatial_shape, Lattice(spec.offset, spec.voxel_size)
    if is_roi(region):
        roi = as_roi(region)
        if voxel_size is None:
            raise ConfigError(
                "a region in world units without voxels",
                got=region,
                expected="its voxel size",
                key=("voxel_size",),
            )
        lattice = Lattice(roi.offset, Coordinate(voxel_size))
        counts = roi.shape / lattice.voxel_size
        if any(not isinstance(n, int) or n < 0 for n in counts):
            raise RegionError(
                "region is not on the voxel grid",
                got=region,
                expected=f"a shape of multiples of {format_numbers(lattice.voxel_size)}",
            )
        return tuple(map(int, counts)), lattice
    if voxel_size is not None:
        raise ConfigError(
            "a shape in voxels has no voxel size", got=voxel_size, key=("voxel_size",)
        )
    shape = tuple(map(operator.index, region))
    if min(shape, default=0) < 0:
        raise ConfigError("not a shape", got=shape, expected="integers of at least 0")
    return shape, None


def _box(ranges: Iterable[tuple[int, int]]) -> Box:
    pairs = tuple(ranges)
    return box_between((first for first, _ in pairs), (stop for _, stop in pairs))


def _raveled(places: tuple[int, ...], counts: tuple[int, ...]) -> int:
    number = 0
    for place, n in zip(places, counts, strict=True):
        number = number * n + place
    return number


def _unraveled(number: int, counts: tuple[int, ...]) -> tuple[int, ...]:
    places = []
    for n in reversed(counts):
        number, place = divmod(number, n)
        places.append(place)
    return tuple(reversed(places))


def _plain(value: Exact) -> int | str:
    return value if isinstance(value, int) else str(value)
