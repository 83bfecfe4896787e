"""Several arrays patched together: a patch is a region of the world, and each array gives its own voxels of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal, TypeGuard, get_args

import attrs
from numpy.typing import NDArray

from dacapo_like.core import Array
from dacapo_like.errors import (
    ConfigError,
    RegionError,
    SpecError,
    check_choice,
    did_you_mean,
)
from dacapo_like.geometry import Box, Coordinate, Roi, RoiLike, as_roi, exact, format_numbers
from dacapo_like.padding import Finish
from dacapo_like.patches._positions import Positions, Room, View, positions, view_of
from dacapo_like.patches.extract import PatchPad, check_pad, start_filled
from dacapo_like.patches.grid import Lattice, Patch, PatchGrid, Sizes

Units = Literal["voxel", "world"]


@attrs.frozen
class Member:
    """One of several arrays.

    Attributes
    ----------
    name : str
        Of it among the others.
    array : Array
        Of any voxel size and any unit of length.
    context : tuple of int
        Its voxels that are read around a patch, per spatial axis.
    pad : "error", "edge", "reflect", "median" or {"constant": value}
        What stands outside of it.
    view : View
        Of its voxels on those of the array that sizes are given in.
    """

    name: str
    array: Array
    context: tuple[int, ...]
    pad: PatchPad
    view: View

    @property
    def room(self) -> Room:
        """Where patches may lie: with their context inside, unless that is filled."""
        spec = self.array.spec
        border = self.context if self.pad == "error" else (0,) * spec.dims
        inner = tuple(n - 2 * b for n, b in zip(spec.spatial_shape, border, strict=True))
        return Room(self.name, self.view, Box(border, inner))

    def box(self, box: Box) -> Box:
        """Give the voxels of a box of the reference, over the spatial axes.

        Raises
        ------
        RegionError
            They are not whole.
        """
        found = self.view.box(box)
        if found is None:
            start, shape = self.view.place(box.offset), self.view.lengths(box.shape)
            raise RegionError(
                "patch is not on the voxel grid",
                got=f"{format_numbers(shape)} voxels from {format_numbers(start)}",
                expected=f"whole voxels of {self.name}",
                hint="`grid` gives patches that lie on the grids of all arrays",
            )
        return found

    def start(self, box: Box, bounds: Box | None) -> Finish:
        """Begin to read a box of the reference with the context around it."""
        spec = self.array.spec
        seen = Box((0,) * spec.dims, spec.spatial_shape)
        if bounds is not None:
            seen = seen.intersect(self.box(bounds))
        start, size = self.box(box)
        grown = Box(
            tuple(n - c for n, c in zip(start, self.context, strict=True)),
            tuple(n + 2 * c for n, c in zip(size, self.context, strict=True)),
        )
        return start_filled(
            self.array, self._over_all(grown), self._over_all(seen), spec.dims, self.pad
        )

    def _over_all(self, box: Box) -> Box:
        spec = self.array.spec
        lead = spec.leading_shape
        return Box((0,) * len(lead) + box.offset, lead + box.shape)


@attrs.frozen(init=False)
class Together:
    """Arrays that are patched together; they may differ in voxel size, in unit, in extent, and in the context that they give.

    A patch is a region of the world without any context: each array gives its own voxels of that, and of its own context around
    it. Patches begin wherever the grids of all arrays have a corner.

    Parameters
    ----------
    arrays : mapping of str to Array
        By name.
    patch : number or sequence
        Size of a patch, per spatial axis; a multiple of the voxel size of every array.
    of : str, optional
        The array in whose voxels, or world units, the patch is given; by default the first.
    context : number, sequence, or mapping of str to these
        What is read around a patch, on each side. By name: of each array, in its own voxels, and 0 of those that are not named.
        Otherwise of the array `of`, and no context of the others.
    units : {"voxel", "world"}
        What sizes and contexts are given in; world units are those of `of`, and are converted.
    pad : "error", "edge", "reflect", "median", {"constant": value}, or mapping of str to these
        What stands outside of each array, as `extract` takes it. With ``error`` patches lie where their context is inside,
        otherwise it may leave the array; the patch itself never does.

    Attributes
    ----------
    members : tuple of Member
        The arrays, with what is read of each.
    reference : Member
        The array `of`.
    shape : tuple of int
        Of a patch, in voxels of the reference.
    positions : Positions
        Where it may begin, in voxels of the reference.

    Raises
    ------
    SpecError
        The arrays have different axes, directions, or grids without common corners; the patch is not of whole voxels of each; or
        no patch fits into all of them.
    ConfigError
        There are no arrays, a size or context is no such number, a name is not that of an array, or a value to fill with does
        not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from dacapo_like import from_numpy
    >>> raw = from_numpy(np.arange(16), axes="x", voxel_size=[4], units="nm")
    >>> gt = from_numpy(np.arange(8), axes="x", voxel_size=[0.008], units="um")
    >>> both = Together({"raw": raw, "gt": gt}, 4, context=1, pad={"raw": "edge"})
    >>> both.read(both.grid()[0])
    {'raw': array([0, 0, 1, 2, 3, 4]), 'gt': array([0, 1])}
    >>> both.read(Roi([8], [8]))
    {'raw': array([1, 2, 3, 4]), 'gt': array([1])}
    """

    members: tuple[Member, ...]
    reference: Member
    shape: tuple[int, ...]
    positions: Positions
    units: Units

    def __init__(
        self,
        arrays: Mapping[str, Array],
        patch: Any,
        *,
        of: str | None = None,
        context: Any = 0,
        units: Units = "voxel",
        pad: PatchPad | Mapping[str, PatchPad] = "error",
    ) -> None:
        _check_arrays(arrays)
        check_choice("units", units, get_args(Units))
        of = of if of is not None else next(iter(arrays))
        contexts = context if isinstance(context, Mapping) else {of: context}
        pads: Mapping[str, Any] = pad if _is_by_name(pad) else dict.fromkeys(arrays, pad)
        for key, names in (("of", [of]), ("context", contexts), ("pad", pads)):
            _check_names(key, names, arrays)
        spec = arrays[of].spec
        members = tuple(
            _member(name, array, contexts.get(name, 0), pads.get(name, "error"), (of, spec), units)
            for name, array in arrays.items()
        )
        sizes = Sizes(spec.dims, spec.voxel_size if units == "world" else None)
        shape = sizes.voxels("patch", patch, least=1)
        rooms = [member.room for member in members]
        self.__attrs_init__(
            members=members,
            reference=next(member for member in members if member.name == of),
            shape=shape,
            positions=positions(rooms, shape),
            units=units,
        )
        if not math.prod(self.positions.counts):
            raise _no_room(members, shape, of)

    @property
    def arrays(self) -> dict[str, Array]:
        """The arrays by name."""
        return {member.name: member.array for member in self.members}

    @property
    def lattice(self) -> Lattice:
        """The voxels of the reference, which the boxes of patches count."""
        spec = self.reference.array.spec
        return Lattice(spec.offset, spec.voxel_size)

    @property
    def roi(self) -> Roi:
        """The region that patches, without context, can cover, in world units of the reference."""
        places = self.positions
        span = tuple(
            (count - 1) * step + n
            for count, step, n in zip(places.counts, places.step, self.shape, strict=True)
        )
        return self.lattice.roi(Box(places.first, span))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of what each array gives, over all its axes."""
        return {
            member.name: member.array.spec.leading_shape
            + tuple(
                int(n) + 2 * c
                for n, c in zip(member.view.lengths(self.shape), member.context, strict=True)
            )
            for member in self.members
        }

    def patch(self, place: Sequence[int], index: int = 0) -> Patch:
        """Give the patch at a place, counted along each axis from the first one that there is.

        Its boxes count voxels of the reference; ``read`` has the context of that array, so that `extract` reads from it what
        `read` gives for it.
        """
        box = Box(self.positions.start(place), self.shape)
        context = self.reference.context
        grown = Box(
            tuple(n - c for n, c in zip(box.offset, context, strict=True)),
            tuple(n + 2 * c for n, c in zip(box.shape, context, strict=True)),
        )
        return Patch(index=index, box=box, read=grown, write=box, lattice=self.lattice)

    def grid(self, *, overlap: Any = 0, stride: Any = None, **options: Any) -> PatchGrid:
        """Give patches that cover `roi`, each of them on the grids of all arrays.

        Parameters
        ----------
        overlap, stride : number or sequence
            As `PatchGrid` takes them, in the units that sizes were given in here; multiples of the distance between places.
        **options
            ``edge``, ``spacing``, ``count``.
        """
        voxel_size = self.lattice.voxel_size
        if self.units == "voxel":
            overlap = _in_world(overlap, voxel_size)
            stride = None if stride is None else _in_world(stride, voxel_size)
        return PatchGrid(
            self.roi,
            voxel_size * self.shape,
            overlap=overlap,
            stride=stride,
            voxel_size=voxel_size * self.positions.step,
            **options,
        )

    def read(
        self, patch: Patch | RoiLike, names: Iterable[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Read a patch, with one read of each array.

        Parameters
        ----------
        patch : Patch or Roi
            In world units of the reference. Of a `Patch`, its ``box``: each array has its own context.
        names : iterable of str, optional
            Of the arrays to read; by default all.

        Returns
        -------
        dict of str to ndarray
            Over all axes of each array, context included.

        Raises
        ------
        RegionError
            The patch is not on the grid of an array, or leaves one that is not filled.
        """
        return self.start(patch, names)()

    def start(
        self, patch: Patch | RoiLike, names: Iterable[str] | None = None
    ) -> Callable[[], dict[str, NDArray[Any]]]:
        """Begin to read a patch of all arrays; the function that is returned finishes that, and gives what `read` gives."""
        box, bounds = self._on_reference(patch)
        wanted = None if names is None else set(names)
        begun = {
            member.name: member.start(box, bounds)
            for member in self.members
            if wanted is None or member.name in wanted
        }
        return lambda: {name: finish() for name, finish in begun.items()}

    def _on_reference(self, patch: Patch | RoiLike) -> tuple[Box, Box | None]:
        """Give a patch, and the region outside of which it is filled, in voxels of the reference."""
        lattice = self.lattice
        if not isinstance(patch, Patch):
            return _box_on(lattice, as_roi(patch)), None
        if patch.lattice is None:
            raise RegionError(
                "a patch of a grid over a shape has no place in the world",
                got=patch.box,
                hint="make the grid of an array, or take `grid` of the arrays together",
            )
        if patch.lattice == lattice:
            return patch.box, patch.bounds
        bounds = patch.bounds
        return (
            _box_on(lattice, patch.lattice.roi(patch.box)),
            None if bounds is None else _box_on(lattice, patch.lattice.roi(bounds)),
        )


def _member(
    name: str,
    array: Array,
    context: Any,
    pad: PatchPad,
    reference: tuple[str, Any],
    units: Units,
) -> Member:
    of, spec = reference
    check_pad(pad, array)
    view = view_of(array.spec, name, spec, of)
    size = Coordinate(n / r for n, r in zip(spec.voxel_size, view.ratio, strict=True))
    sizes = Sizes(spec.dims, size if units == "world" else None)
    return Member(name, array, sizes.voxels(f"context of {name}", context, least=0), pad, view)


def _box_on(lattice: Lattice, roi: Roi) -> Box:
    start = (roi.offset - lattice.offset) / lattice.voxel_size
    shape = roi.shape / lattice.voxel_size
    if any(not isinstance(n, int) for n in (*start, *shape)):
        raise RegionError(
            "patch is not on the voxel grid",
            got=roi,
            expected=f"multiples of {format_numbers(lattice.voxel_size)} from {format_numbers(lattice.offset)}",
        )
    return Box(tuple(map(int, start)), tuple(map(int, shape)))


def _in_world(values: Any, voxel_size: Coordinate) -> tuple[Any, ...]:
    """Give numbers of voxels in world units; what is below 1 is a part of the patch, and stays."""
    numbers = Sizes(len(voxel_size), None).each("overlap or stride", values)
    return tuple(
        n if 0 < n < 1 else exact(Fraction(n) * size)
        for n, size in zip(numbers, voxel_size, strict=True)
    )


def _check_arrays(arrays: Any) -> None:
    if not isinstance(arrays, Mapping) or not arrays:
        raise ConfigError("no arrays", got=arrays, expected="at least one, by name")
    for name, array in arrays.items():
        if not isinstance(array, Array):
            raise ConfigError(
                f"{name} is no array",
                got=type(array).__name__,
                expected="an Array",
                hint="dacapo_like.from_numpy makes one of an ndarray, open_array one of a document",
            )


def _check_names(key: str, names: Iterable[str], arrays: Mapping[str, Array]) -> None:
    for name in names:
        if name not in arrays:
            raise ConfigError(
                "no array of this name",
                got=repr(name),
                expected=f"one of {', '.join(arrays)}",
                hint=did_you_mean(str(name), arrays),
                key=(key,),
            )


def _is_by_name(pad: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(pad, Mapping) and set(pad) != {"constant"}


def _no_room(members: Sequence[Member], shape: tuple[int, ...], of: str) -> SpecError:
    offered = "; ".join(
        f"{member.name} covers {member.array.spec.roi} {member.array.spec.describe_unit()}, "
        f"context {format_numbers(member.context)} voxels"
        for member in members
    )
    return SpecError(
        "no patch fits into what all arrays cover",
        got=offered,
        expected=f"room for a patch of {format_numbers(shape)} voxels of {of}",
        hint="a smaller patch or context fits, or `pad` fills what a context leaves",
    )
