"""What an array is, before any voxel is read: `ArraySpec`, and the grids that several arrays share."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import RegionError, SpecError
from dacapo_like.geometry import (
    Box,
    Coordinate,
    Exact,
    Roi,
    RoiLike,
    Snap,
    as_roi,
    format_number,
    format_numbers,
)
from dacapo_like.units import length_factor

Kind = Literal["image", "labels", "mask"]
Anchor = Literal["center", "corner"]
Directions = tuple[tuple[float, ...], ...]

_SAME_DIRECTION = 1e-5  # NIfTI keeps directions in float32
_LABEL_DTYPES = frozenset({"int32", "int64", "uint32", "uint64"})


def infer_kind(dtype: np.dtype[Any]) -> Kind:
    """Guess how voxels are meant where nobody says: bool is a mask, 32- and 64-bit integers are labels."""
    if dtype.kind == "b":
        return "mask"
    return "labels" if dtype.name in _LABEL_DTYPES else "image"


def _native(dtype: Any) -> np.dtype[Any]:
    found: np.dtype[Any] = np.dtype(dtype)
    return found.newbyteorder("=")


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


def _unit_names(values: Iterable[str | None]) -> tuple[str | None, ...]:
    if isinstance(values, str):  # its letters would be taken for units
        raise SpecError("units are a list", got=values, expected="one unit per spatial axis")
    return tuple(values)


def _counts(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(operator.index(value) for value in values)


def _vectors(values: Iterable[Iterable[float]]) -> Directions:
    return tuple(tuple(float(part) for part in vector) for vector in values)


def _freeze_mapping(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(value))


@attrs.frozen(kw_only=True, cache_hash=True)
class ArraySpec:
    """Axes, shape, dtype and place in the world of an array.

    Attributes
    ----------
    axes : tuple of str
        Names in array (C) order: time, sample and channel axes first, then the spatial ones.
    shape : tuple of int
        Voxels along every axis.
    dtype : numpy.dtype
        What a read returns, in native byte order.
    voxel_size, offset : Coordinate
        Per spatial axis, in world units; `offset` is the corner of the first voxel.
    units : tuple of (str or None)
        Unit of each spatial axis as its source spells it; ``None`` where it is unknown.
    channels : tuple of str or None
        Names along axis ``c``; ``None`` where there is no such axis or nobody named them.
    kind : {"image", "labels", "mask"}
        How it is resampled, viewed and stitched.
    directions : tuple of tuples of float, or None
        Unit vector in world space of each spatial axis, its components in the order of the spatial axes (so, for axes
        ``z y x``, in the order z, y, x); ``None`` where the axes are the world's own.
    anchor : {"center", "corner"}
        Which point of a voxel a stored translation names; writers write it back the same way.
    chunk_shape : tuple of int or None
        Chunks as stored, along every axis.
    attrs : mapping
        Metadata of the source that nothing here interprets.
    """

    axes: tuple[str, ...] = attrs.field(converter=_names)
    shape: tuple[int, ...] = attrs.field(converter=_counts)
    dtype: np.dtype[Any] = attrs.field(converter=_native)
    voxel_size: Coordinate = attrs.field(converter=Coordinate)
    offset: Coordinate = attrs.field(converter=Coordinate)
    units: tuple[str | None, ...] = attrs.field(converter=_unit_names)
    channels: tuple[str, ...] | None = attrs.field(
        default=None, converter=attrs.converters.optional(_names)
    )
    kind: Kind = attrs.field(
        default=attrs.Factory(lambda self: infer_kind(self.dtype), takes_self=True)
    )
    directions: Directions | None = attrs.field(
        default=None, converter=attrs.converters.optional(_vectors)
    )
    anchor: Anchor = "center"
    chunk_shape: tuple[int, ...] | None = attrs.field(
        default=None, converter=attrs.converters.optional(_counts)
    )
    attrs: Mapping[str, Any] = attrs.field(factory=dict, converter=_freeze_mapping, eq=False)

    def __attrs_post_init__(self) -> None:
        self._check_axes()
        self._check_space()
        if self.dtype.kind not in "biuf":
            raise SpecError(
                "voxels of a type that is no number",
                got=self.dtype,
                expected="bool, integer or float",
            )
        if self.channels is not None and len(self.channels) != self.num_channels:
            raise SpecError(
                "channel names do not fit the array",
                got=f"{len(self.channels)} names for axes {' '.join(self.axes)} of shape {self.shape}",
                expected="one name per channel along axis c",
            )

    def _check_axes(self) -> None:
        if len(set(self.axes)) != self.ndim:
            raise SpecError("axes repeat", got=" ".join(self.axes), expected="every axis once")
        if len(self.shape) != self.ndim:
            raise SpecError(
                "axes do not fit the array",
                got=f"{self.ndim} axes ({' '.join(self.axes)}) for shape {self.shape}",
                expected=f"{len(self.shape)} axes",
                key=("axes",),
            )
        if any(is_leading_axis(name) for name in self.spatial_axes):
            raise SpecError(
                "axes do not fit the voxel size, in number or in order",
                got=f"{' '.join(self.axes)} for {format_numbers(self.voxel_size)}",
                expected="time, samples and channels first, then a spatial axis for each voxel size",
                key=("axes",),
            )
        if min(self.shape, default=0) < 0:
            raise SpecError("shape is negative", got=self.shape, expected="0 or more voxels")
        if self.chunk_shape is not None and len(self.chunk_shape) != self.ndim:
            raise SpecError(
                "chunks do not fit the array",
                got=self.chunk_shape,
                expected=f"one number per axis {' '.join(self.axes)}",
            )

    def _check_space(self) -> None:
        if self.dims > self.ndim or {len(self.offset), len(self.units)} != {self.dims}:
            raise SpecError(
                "voxel size, offset and units differ in rank",
                got=f"voxel size {format_numbers(self.voxel_size)}, offset {format_numbers(self.offset)}, units {self.units}",
                expected=f"one of each per spatial axis of {' '.join(self.axes)}",
            )
        if any(size <= 0 for size in self.voxel_size):
            raise SpecError(
                "voxel size is not positive",
                got=format_numbers(self.voxel_size),
                expected="numbers above 0",
                key=("voxel_size",),
            )
        if self.directions is not None and {
            self.dims,
            len(self.directions),
            *map(len, self.directions),
        } != {self.dims}:
            raise SpecError(
                "directions do not fit the spatial axes",
                got=self.directions,
                expected=f"a vector of {self.dims} numbers for each of {' '.join(self.spatial_axes)}",
            )

    def __getstate__(self) -> dict[str, Any]:
        state = {field.name: getattr(self, field.name) for field in attrs.fields(type(self))}
        return state | {"attrs": dict(self.attrs)}  # a mappingproxy does not pickle

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # a frozen instance is filled by its own __init__

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.axes)

    @property
    def dims(self) -> int:
        """Number of spatial axes."""
        return len(self.voxel_size)

    @property
    def spatial_axes(self) -> tuple[str, ...]:
        """Names of the spatial axes."""
        return self.axes[self.ndim - self.dims :]

    @property
    def leading_axes(self) -> tuple[str, ...]:
        """Names of the axes before the spatial ones."""
        return self.axes[: self.ndim - self.dims]

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Voxels along the spatial axes."""
        return self.shape[self.ndim - self.dims :]

    @property
    def leading_shape(self) -> tuple[int, ...]:
        """Length of the axes before the spatial ones."""
        return self.shape[: self.ndim - self.dims]

    @property
    def num_channels(self) -> int | None:
        """Length of axis ``c``; ``None`` where there is none."""
        return self.shape[self.axes.index("c")] if "c" in self.axes else None

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names along axis ``c``: the given ones, else their indices; empty where there is no such axis."""
        if self.channels is not None:
            return self.channels
        return tuple(str(i) for i in range(self.num_channels or 0))

    @property
    def roi(self) -> Roi:
        """Region that the array covers, in world units."""
        return Roi(self.offset, self.voxel_size * self.spatial_shape)

    @cached_property
    def box(self) -> Box:
        """All voxels."""
        return Box((0,) * self.ndim, self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array."""
        return math.prod(self.shape) * self.dtype.itemsize

    def replace(self, **changes: Any) -> ArraySpec:
        """Give a spec with some fields changed."""
        return attrs.evolve(self, **changes)

    def transposed(self, order: Sequence[int]) -> ArraySpec:
        """Give the spec with its leading axes in another order; `order` names all axes, the spatial ones last."""
        chunks = self.chunk_shape
        return self.replace(
            axes=[self.axes[i] for i in order],
            shape=[self.shape[i] for i in order],
            chunk_shape=None if chunks is None else [chunks[i] for i in order],
        )

    def cut(self, box: Box) -> ArraySpec:
        """Give the spec of one box of this array."""
        channels = self.channels
        if channels is not None:
            at = self.axes.index("c")
            channels = channels[box.slices[at]]
        return self.replace(
            shape=box.shape, offset=self.box_to_roi(box).offset, channels=channels, chunk_shape=None
        )

    def box_to_roi(self, box: Box) -> Roi:
        """Give the region of a box, in world units."""
        first, size = box.offset[-self.dims :], box.shape[-self.dims :]
        if not self.dims:
            first = size = ()
        return Roi(self.offset + self.voxel_size * first, self.voxel_size * size)

    def roi_to_box(self, roi: RoiLike, *, snap: Snap | None = None) -> Box:
        """Give the box of a region; it may leave the array.

        Parameters
        ----------
        roi : Roi
            In world units, one number per spatial axis.
        snap : {"grow", "shrink", "nearest"}, optional
            How to align a region that is not on the grid.

        Raises
        ------
        RegionError
            Wrong rank, or not on the grid and `snap` not given.
        """
        region = as_roi(roi)
        if region.dims != self.dims:
            raise RegionError(
                "region of the wrong rank",
                got=f"{region.dims} numbers in {region}",
                expected=f"{self.dims}, one per spatial axis {' '.join(self.spatial_axes)}",
            )
        offset, shape = region.offset, region.shape
        if min(shape, default=0) < 0:
            raise RegionError(
                "region of negative size", got=region, expected="a shape of 0 or more"
            )
        distance: Sequence[Exact] = tuple(map(operator.sub, offset, self.offset))
        if snap is not None:
            relative = Roi(distance, shape).snap_to_grid(self.voxel_size, mode=snap)
            distance, shape = relative.offset, relative.shape
        start, misfit = _whole(distance, self.voxel_size)
        count, excess = _whole(shape, self.voxel_size)
        if misfit or excess:
            raise RegionError(
                "region is not on the voxel grid",
                got=region,
                expected=f"multiples of {format_numbers(self.voxel_size)} from {format_numbers(self.offset)}",
                hint=self._nearest_regions(region),
            )
        if snap is not None:
            count = tuple(max(n, 0) for n in count)  # shrunk to less than a voxel it is empty
        return Box((0,) * (self.ndim - self.dims) + start, self.leading_shape + count)

    def _nearest_regions(self, region: Roi) -> str:
        grown, shrunk = (
            (region - self.offset).snap_to_grid(self.voxel_size, mode=mode) + self.offset
            for mode in ("grow", "shrink")
        )
        small = "" if shrunk.empty else f" or {shrunk} (snap: shrink)"
        return f"the nearest aligned regions are {grown} (snap: grow){small}"

    @property
    def voxel_to_world(self) -> NDArray[np.float64]:
        """Affine from voxel indices to the world position of voxel *centres*.

        Shape ``(dims + 1, dims + 1)``; indices and world components in the order of the spatial axes.
        """
        matrix = np.eye(self.dims + 1)
        matrix[:-1, :-1] = self._direction_matrix * [float(size) for size in self.voxel_size]
        centre = [
            float(o + Fraction(s) / 2) for o, s in zip(self.offset, self.voxel_size, strict=True)
        ]
        matrix[:-1, -1] = self._direction_matrix @ centre
        return matrix

    @property
    def world_to_voxel(self) -> NDArray[np.float64]:
        """Inverse of `voxel_to_world`."""
        return np.asarray(np.linalg.inv(self.voxel_to_world))

    @property
    def _direction_matrix(self) -> NDArray[np.float64]:
        if self.directions is None:
            return np.eye(self.dims)
        return np.array(self.directions, dtype=np.float64).T

    def describe_unit(self) -> str:
        """Write the unit, or units, as people read them.

        Examples
        --------
        >>> from_shape((2, 2), units=("nm", "nm")).describe_unit()
        'nm'
        """
        if len(set(self.units)) == 1:
            return self.units[0] or "unknown unit"
        return " ".join(unit or "?" for unit in self.units)


def _whole(values: Sequence[Exact], sizes: Sequence[Exact]) -> tuple[tuple[int, ...], bool]:
    """Divide into whole voxels; also say whether anything was left over."""
    counts, excess = [], False
    for value, size in zip(values, sizes, strict=True):
        count, rest = divmod(value, size)
        counts.append(int(count))
        excess |= rest != 0
    return tuple(counts), excess


_AXES = ("t", "c", "z", "y", "x")


def from_shape(
    shape: Sequence[int],
    dtype: Any = np.uint8,
    *,
    axes: Sequence[str] | None = None,
    voxel_size: Sequence[Any] | None = None,
    offset: Sequence[Any] | None = None,
    units: str | Sequence[str | None] | None = None,
    **fields: Any,
) -> ArraySpec:
    """Make a spec, with the usual defaults for what nobody said.

    Parameters
    ----------
    shape : sequence of int
        Voxels along every axis.
    dtype : dtype-like
        Of the voxels.
    axes : sequence of str, optional
        By default the last of ``t c z y x``.
    voxel_size, offset : sequence of numbers, optional
        Per spatial axis; by default 1 and 0.
    units : str or sequence, optional
        One for all spatial axes, or one for each; unknown by default.
    **fields
        Further fields of `ArraySpec`.

    Examples
    --------
    >>> from_shape((10, 20), voxel_size=(9.8, 4)).roi
    Roi(offset=(0, 0), shape=(98, 80))
    """
    names = tuple(axes) if axes is not None else _AXES[len(_AXES) - len(shape) :]
    dims = sum(not is_leading_axis(name) for name in names)
    if units is None or isinstance(units, str):
        units = (units,) * dims
    return ArraySpec(
        axes=names,
        shape=tuple(shape),
        dtype=dtype,
        voxel_size=voxel_size if voxel_size is not None else (1,) * dims,
        offset=offset if offset is not None else (0,) * dims,
        units=units,
        **fields,
    )


def is_leading_axis(name: str) -> bool:
    """Whether an axis of this name is time, sample or channel-like rather than spatial.

    funlib marks channel-like axes with a trailing ``^``.
    """
    return name in {"t", "s", "c", "time", "sample", "channel", "channels"} or name.endswith("^")


def same_directions(a: ArraySpec, b: ArraySpec) -> bool:
    """Whether the axes of two arrays point the same way in the world."""
    if a.directions is b.directions:
        return True
    return bool(
        np.allclose(a._direction_matrix, b._direction_matrix, rtol=0, atol=_SAME_DIRECTION)  # noqa: SLF001  # one module
    )


@attrs.frozen
class CommonGrid:
    """The grid that several arrays share.

    Attributes
    ----------
    first : ArraySpec
        The first array.
    box : Box
        What all of them cover, in the first array.
    shifts : tuple of tuple of int
        Per array and spatial axis: voxel ``i`` of the grid is voxel ``i + shift`` of the array.
    """

    first: ArraySpec
    box: Box
    shifts: tuple[tuple[int, ...], ...]

    @property
    def spec(self) -> ArraySpec:
        """The first array's, cut to what all of them cover."""
        return self.first.cut(self.box)

    def box_in(self, index: int, box: Box) -> Box:
        """Give the spatial part of a box of the grid in one of the arrays, leading axes left as they are."""
        lead = len(box.offset) - len(self.shifts[index])
        return box.shifted((0,) * lead + self.shifts[index])


def common_grid(specs: Sequence[ArraySpec], names: Sequence[str]) -> CommonGrid:
    """Find the grid that arrays share; their ROI is the intersection.

    Parameters
    ----------
    specs : sequence of ArraySpec
        At least one. Units of the others are converted into those of the first.
    names : sequence of str
        How an error calls each of them.

    Raises
    ------
    SpecError
        Axes, directions, voxel sizes or alignment differ, or nothing is covered by all.
    """
    return CommonGrid(specs[0], *_common_box(tuple(specs), tuple(names)))


@lru_cache(
    maxsize=1024
)  # asked for at every read; equal specs may differ in `attrs`, which play no part here
def _common_box(
    specs: tuple[ArraySpec, ...], names: tuple[str, ...]
) -> tuple[Box, tuple[tuple[int, ...], ...]]:
    """Give what the arrays cover in common, in the first of them, and the shift into each."""
    first = specs[0]
    starts: list[tuple[int, ...]] = []
    stops: list[tuple[int, ...]] = []
    for spec, name in zip(specs, names, strict=True):
        start = _start_on_grid(first, names[0], spec, name)
        starts.append(start)
        stops.append(tuple(a + n for a, n in zip(start, spec.spatial_shape, strict=True)))
    low = tuple(map(max, zip(*starts, strict=True)))
    high = tuple(map(min, zip(*stops, strict=True)))
    if any(a >= b for a, b in zip(low, high, strict=True)):
        regions = "; ".join(
            f"{name} covers {spec.roi}" for spec, name in zip(specs, names, strict=True)
        )
        raise SpecError(
            "the arrays have no region in common", got=regions, expected="overlapping ROIs"
        )
    lead = first.ndim - first.dims
    box = Box(
        (0,) * lead + low,
        first.leading_shape + tuple(b - a for a, b in zip(low, high, strict=True)),
    )
    shifts = tuple(tuple(a - s for a, s in zip(low, start, strict=True)) for start in starts)
    return box, shifts


def _start_on_grid(
    first: ArraySpec, first_name: str, spec: ArraySpec, name: str
) -> tuple[int, ...]:
    """Give the index, on the first array's grid, of another array's first voxel."""
    if spec.spatial_axes != first.spatial_axes:
        raise SpecError(
            "arrays with different spatial axes",
            got=f"{name} has {' '.join(spec.spatial_axes)}",
            expected=f"{' '.join(first.spatial_axes)} as {first_name} has",
        )
    if not same_directions(first, spec):
        raise SpecError(
            "arrays whose axes point in different directions",
            got=f"{name} has {spec.directions}",
            expected=f"{first.directions} as {first_name} has",
            hint="reorient or transform one of them first",
        )
    factors = [
        length_factor(mine, into) if mine and into and mine != into else 1
        for mine, into in zip(spec.units, first.units, strict=True)
    ]
    voxel_size, offset = spec.voxel_size * factors, spec.offset * factors
    if voxel_size != first.voxel_size:
        raise SpecError(
            "arrays with different voxel sizes",
            got=f"{name} has {format_numbers(spec.voxel_size)} {spec.describe_unit()}",
            expected=f"{format_numbers(first.voxel_size)} {first.describe_unit()} as {first_name} has",
            hint="resample one of them first",
        )
    distance = (offset - first.offset) / first.voxel_size
    if any(not isinstance(value, int) for value in distance):
        half = all(value % 1 in (0, Fraction(1, 2)) for value in distance)
        raise SpecError(
            "arrays whose grids do not align",
            got=f"{name} starts {format_numbers(distance)} voxels from {first_name}",
            expected="a whole number of voxels along every axis",
            hint="the grids miss each other by exactly half a voxel: one of the sources may store voxel corners where the "
            "other stores centres; set `anchor: corner` or `anchor: center` on it"
            if half
            else "resample one of them, or correct its offset",
        )
    return tuple(int(value) for value in distance)


def describe_spec(spec: ArraySpec) -> str:
    """Write a spec on one line: axes and shape, dtype, kind, voxel size with unit, ROI.

    Examples
    --------
    >>> describe_spec(from_shape((2, 3), voxel_size=(4, 9.8), units="nm"))
    'y 2, x 3; uint8 image; voxel (4, 9.8) nm; offset (0, 0), shape (8, 29.4)'
    """
    sizes = ", ".join(f"{axis} {n}" for axis, n in zip(spec.axes, spec.shape, strict=True))
    voxel = f"({', '.join(format_number(size) for size in spec.voxel_size)}) {spec.describe_unit()}"
    return (
        f"{sizes}; {spec.dtype.name} {spec.kind}; voxel {voxel}; "
        f"offset {format_numbers(spec.roi.offset)}, shape {format_numbers(spec.roi.shape)}"
    )
