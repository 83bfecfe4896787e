"""From what a container stores to the order of axes that every array has: time and channels first, then space.

Shared by the sources: which attributes name axes, voxel size, offset and units, what the config overrides, which channels
are selected, and where a box of the array lies in the stored array.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array, SourceConfig, about
from dacapo_like.endless import refuse_endless
from dacapo_like.errors import ConfigError, KeyPath, SourceError
from dacapo_like.fields import plain
from dacapo_like.geometry import Box, Coordinate, box_between
from dacapo_like.record import Record, read_record
from dacapo_like.sources._selection import channel_index, snapped_box, timepoint_axis
from dacapo_like.sources._urls import refuse_user
from dacapo_like.spec import Anchor, ArraySpec, Directions, Kind, infer_kind, is_leading_axis

T = TypeVar("T")

GEOMETRY_KEYS = frozenset(
    [
        "voxel_size",
        "resolution",
        "offset",
        "axes",
        "axis_names",
        "types",
        "units",
        "unit",
        "dimension_names",
        "multiscales",
        "omero",
        "image-label",
        "ome",
        "dacapo_like",
    ]
)
"""Attributes that say what a stored array is."""

_AXIS_NAMES = {"time": "t", "sample": "s", "channel": "c", "channels": "c"}


Units = str | tuple[str, ...]


def _as_units(units: str | Iterable[str | None] | None) -> Units | None:
    """Documents have no null in a list (TOML has none at all): an empty text is an unknown unit."""
    return units if units is None or isinstance(units, str) else tuple(unit or "" for unit in units)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class StoredArrayConfig(SourceConfig):
    """An array in a file, and what its author says where the file does not, or says it wrong."""

    file_name: str = attrs.field(converter=os.fspath, metadata=about("The file.", path=True))
    axes: tuple[str, ...] | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(tuple),
        metadata=about(
            "Names of all axes as stored, where the file does not say.",
            also=("axis_names", "_axes"),
        ),
    )
    voxel_size: Coordinate | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(Coordinate),
        metadata=about("Per spatial axis; overrides what the file says."),
    )
    offset: Coordinate | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(Coordinate),
        metadata=about(
            "Corner of the first voxel, per spatial axis; overrides what the file says."
        ),
    )
    units: Units | None = attrs.field(
        default=None,
        converter=_as_units,
        metadata=about(
            "Of all spatial axes, or one each, empty where unknown; overrides what the file says."
        ),
    )
    channels: tuple[int | str, ...] | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(tuple),
        metadata=about("Channels to keep, by index or label, in this order; by default all."),
    )
    kind: Kind | None = attrs.field(
        default=None,
        metadata=about(
            "How voxels are resampled, viewed and stitched; by default what the file or their type suggests."
        ),
    )
    snap_to_grid: Coordinate | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(Coordinate),
        metadata=about(
            "Shrinks the region so that it starts and ends at multiples of this, in world units per spatial axis."
        ),
    )

    def opened(self, *inputs: Array) -> Array:
        """Open the source, unless it is no file that ends."""
        refuse_user(self.file_name)
        if self.file_name and "://" not in self.file_name:
            refuse_endless(self.file_name)
        return super().opened(*inputs)


@attrs.frozen(kw_only=True)
class Stored:
    """What a container says of a stored array; ``None`` where it says nothing.

    `axes` are in stored order; `voxel_size`, `offset` (of the first voxel's corner), `units` and `directions` have one entry
    per spatial axis, in stored order.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_shape: tuple[int, ...] | None = None
    axes: tuple[str, ...] | None = None
    voxel_size: Coordinate | None = None
    offset: Coordinate | None = None
    units: tuple[str | None, ...] | None = None
    channels: tuple[str, ...] | None = None
    kind: Kind | None = None
    directions: Directions | None = None
    anchor: Anchor = "center"
    attrs: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Layout:
    """Where the voxels of an array lie in the stored array.

    Attributes
    ----------
    spec : ArraySpec
        Of the array.
    order : tuple of int
        Axis i of the array is axis ``order[i]`` of the stored one.
    selected : tuple of int or None
        Stored channels, in the array's order; ``None`` for all.
    first : tuple of int or None
        First spatial voxel of the array, in the array's order; ``None`` for that of the stored array.
    timepoint : (int, int) or None
        Stored axis of time, which the array does not have, and the index along it; ``None`` where nothing is left out.
    """

    spec: ArraySpec
    order: tuple[int, ...]
    selected: tuple[int, ...] | None = None
    first: tuple[int, ...] | None = None
    timepoint: tuple[int, int] | None = None

    def shape_as_stored(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Give the shape, in the stored array, of boxes of a shape."""
        return self._stored(Box((0,) * len(shape), tuple(shape))).shape

    @cached_property
    def _is_plain(self) -> bool:
        """Whether a box is the same in the array and as stored."""
        chosen = (self.selected, self.first, self.timepoint)
        return self.order == tuple(range(len(self.order))) and chosen == (None, None, None)

    def parts(self, box: Box) -> list[tuple[Box, tuple[slice, ...]]]:
        """Give the boxes of the stored array that make up a box, each with where it goes in the box."""
        if self._is_plain:
            return [(box, ())]
        whole = (slice(None),) * len(box.shape)
        if self.first is not None:
            box = box.shifted((0,) * (len(box.shape) - len(self.first)) + self.first)
        if self.selected is None:
            return [(self._stored(box), whole)]
        c = self.spec.axes.index("c")
        wanted = self.selected[box.offset[c] : box.offset[c] + box.shape[c]]
        found = []
        for start, stop in _runs(wanted):
            part = box_between(
                (*box.offset[:c], wanted[start], *box.offset[c + 1 :]),
                (*box.end[:c], wanted[start] + stop - start, *box.end[c + 1 :]),
            )
            found.append((self._stored(part), (*whole[:c], slice(start, stop), *whole[c + 1 :])))
        return found

    def _stored(self, box: Box) -> Box:
        if self.timepoint is not None:
            box = Box((self.timepoint[1], *box.offset), (1, *box.shape))
        offset, shape = [0] * len(box.shape), [0] * len(box.shape)
        for i, at in enumerate(self._stored_axes):
            offset[at], shape[at] = box.offset[i], box.shape[i]
        return Box(tuple(offset), tuple(shape))

    @property
    def _stored_axes(self) -> tuple[int, ...]:
        """All stored axes: that which is left out, then those of the array in its order."""
        return self.order if self.timepoint is None else (self.timepoint[0], *self.order)

    def _from_stored(self, data: NDArray[Any]) -> NDArray[Any]:
        turned = data.transpose(self._stored_axes)
        return turned if self.timepoint is None else turned[0]

    def start(
        self,
        box: Box,
        start: Callable[[Box], Callable[[], NDArray[Any]]],
        out: NDArray[Any] | None = None,
        dtype: np.dtype[Any] | None = None,
    ) -> Callable[[], NDArray[Any]]:
        """Begin to read a box, its parts together; `start` begins to read a box of the stored array.

        The result has the dtype of the array, or another one that is asked for.
        """
        dtype = self.spec.dtype if dtype is None else dtype
        if self._is_plain and out is None:
            get = start(box)
            return lambda: np.asarray(get(), dtype)
        parts = self.parts(box)
        waits = [start(stored) for stored, _ in parts]

        def wait() -> NDArray[Any]:
            if len(waits) == 1 and out is None:
                return self._from_stored(np.asarray(waits[0](), dtype=dtype))
            target = np.empty(box.shape, dtype) if out is None else out
            for (_, place), get in zip(parts, waits, strict=True):
                target[place] = self._from_stored(get())
            return target

        return wait

    @property
    def read_only(self) -> str | None:
        """Why nothing can be written through it; ``None`` where it can."""
        if self.selected is not None and len(set(self.selected)) < len(self.selected):
            return "`channels` selects a channel twice"
        return None

    def write(
        self, box: Box, data: NDArray[Any], write: Callable[[Box, NDArray[Any]], None]
    ) -> None:
        """Write a box; `write` writes a box of the stored array."""
        as_stored = tuple(int(i) for i in np.argsort(self._stored_axes))
        for stored, place in self.parts(box):
            part = data[place] if self.timepoint is None else data[place][None]
            write(stored, part.transpose(as_stored))


def _runs(values: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Give (start, stop) of each run of consecutive increasing values."""
    start = 0
    for i in range(1, len(values) + 1):
        if i == len(values) or values[i] != values[i - 1] + 1:
            yield start, i
            start = i


def stored_from_attributes(
    attributes: Mapping[str, Any],
    shape: Sequence[int],
    dtype: np.dtype[Any],
    chunk_shape: Sequence[int] | None,
    where: str,
) -> Stored:
    """Read the attributes that DaCapo, funlib.persistence, CREMI and BiaPy write beside plain arrays.

    Parameters
    ----------
    attributes : mapping
        ``voxel_size`` or ``resolution``, ``offset``, ``axes`` or ``axis_names``, ``types``, ``units``, and what this package
        records; all optional. Numbers are per spatial axis, per axis of space and time, or per axis.
    shape, dtype, chunk_shape
        Of the stored array.
    where : str
        For errors.

    Raises
    ------
    SourceError
        An attribute is not what its name says.
    """
    record = read_record(attributes, where)
    types = _listed(attributes, "types", where=where)
    axes = _stored_axes(_listed(attributes, "axes", "axis_names", where=where), types)
    if axes is not None and len(axes) != len(shape):
        raise SourceError(
            "the file's axes do not fit its array",
            got=f"{' '.join(axes)} for shape {tuple(shape)}",
            expected=f"{len(shape)} names",
            where=where,
            hint="give `axes` in the config",
        )
    numbers = [
        _spatial(_listed(attributes, *keys, where=where), axes, types)
        for keys in (("voxel_size", "resolution"), ("offset",))
    ]
    units = _first(attributes, "units", "unit")
    if isinstance(units, str):
        units = (units,) * len(next((known for known in numbers if known is not None), shape))
    else:
        units = _listed(attributes, "units", "unit", where=where)
    units = _spatial(units, axes, types)
    try:
        voxel_size, offset = (None if n is None else Coordinate(n) for n in numbers)
    except ConfigError as error:
        raise SourceError(
            "voxel size or offset of the file are no numbers", got=error.got, where=where
        ) from error
    return Stored(
        shape=tuple(shape),
        dtype=dtype,
        chunk_shape=None if chunk_shape is None else tuple(chunk_shape),
        axes=axes,
        voxel_size=_restored(record, "voxel_size", voxel_size),
        offset=_restored(record, "offset", offset),
        channels=record.channels,
        kind=record.kind,
        directions=record.directions,
        units=None
        if units is None
        else tuple(None if u is None else str(u) or None for u in units),
        attrs=attributes,
    )


def _restored(record: Record, name: str, stored: Coordinate | None) -> Coordinate | None:
    return None if stored is None else Coordinate(record.restore("", name, tuple(stored)))


def _listed(attributes: Mapping[str, Any], *keys: str, where: str) -> tuple[Any, ...] | None:
    value = _first(attributes, *keys)
    if value is None:
        return None
    try:
        return tuple(value)
    except TypeError as error:
        raise SourceError(
            f"attribute {' or '.join(keys)} is not a list", got=repr(value), where=where
        ) from error


_UNNAMED_BY_FUNLIB = re.compile(r"d\d+|c\d+\^")


def _stored_axes(
    names: Sequence[Any] | None, types: Sequence[Any] | None
) -> tuple[str, ...] | None:
    """Name the stored axes; funlib's types say which are spatial, and its numbered names say nothing."""
    if names is None or all(_UNNAMED_BY_FUNLIB.fullmatch(str(name)) for name in names):
        return None
    axes = [axis_name(str(name)) for name in names]
    if types is None or len(types) != len(axes):
        return tuple(axes)
    return tuple(
        axis if kind == "space" or is_leading_axis(axis) else f"{axis}^"
        for axis, kind in zip(axes, types, strict=True)
    )


def axis_name(name: str) -> str:
    """Give the short name of an axis: ``channel`` and funlib's ``c^`` are ``c``; other marks of funlib's stay."""
    lower = name.lower()
    plain = lower.removesuffix("^")
    short = _AXIS_NAMES.get(plain, plain)
    return short if is_leading_axis(short) else lower


def _first(attributes: Mapping[str, Any], *keys: str) -> Any:
    return next((attributes[key] for key in keys if attributes.get(key) is not None), None)


def _spatial(
    values: Sequence[Any] | None, axes: Sequence[str] | None, types: Sequence[Any] | None
) -> tuple[Any, ...] | None:
    """Drop the entries of leading axes, where there is one entry per axis, or per axis of space and time."""
    if values is None or axes is None:
        return None if values is None else tuple(values)
    physical = [a for a, kind in zip(axes, types or (), strict=False) if kind in ("space", "time")]
    named = next((names for names in (axes, physical) if len(names) == len(values)), None)
    if named is None:
        return tuple(values)
    return tuple(
        value for value, axis in zip(values, named, strict=True) if not is_leading_axis(axis)
    )


def timepoint_field() -> Any:
    """Give the field of a config that chooses one point of time."""
    return attrs.field(
        default=None,
        converter=plain,
        metadata=about("One time point, counted from 0; by default all, along axis t."),
    )


def lay_out(
    stored: Stored, options: StoredArrayConfig, where: str, *, timepoint: int | None = None
) -> Layout:
    """Put what is stored and what the config says together.

    Parameters
    ----------
    stored : Stored
        What the container says.
    options : StoredArrayConfig
        What the config says.
    where : str
        For errors.
    timepoint : int, optional
        The only one to keep, of those along axis t.

    Raises
    ------
    SourceError
        Nobody says what the axes are, or the numbers do not fit them.
    SpecError
        A channel or time point is not there.
    """
    if stored.dtype.kind not in "biuf":
        raise SourceError(
            "voxels of a type that is no number",
            got=stored.dtype,
            expected="bool, integer or float",
            where=where,
        )
    axes = _axes(stored, options, where)
    spatial = [i for i, axis in enumerate(axes) if not is_leading_axis(axis)]
    order = [i for i in range(len(axes)) if i not in spatial] + spatial
    dims = len(spatial)
    per_axis = partial(_per_axis, dims, where, _says_the_rank(options))
    voxel_size = per_axis("voxel_size", options.voxel_size, stored.voxel_size, 1)
    offset = per_axis("offset", options.offset, stored.offset, 0)
    units = (options.units,) * dims if isinstance(options.units, str) else options.units
    known = None if units is None else tuple(unit or None for unit in units)
    spec = ArraySpec(
        axes=[axes[i] for i in order],
        shape=[stored.shape[i] for i in order],
        dtype=stored.dtype,
        voxel_size=voxel_size,
        offset=offset,
        units=per_axis("units", known, stored.units, None),
        channels=stored.channels if "c" in axes else None,
        kind=options.kind or stored.kind or infer_kind(stored.dtype),
        directions=stored.directions,
        anchor=stored.anchor,
        chunk_shape=None if stored.chunk_shape is None else [stored.chunk_shape[i] for i in order],
        attrs=stored.attrs,
    )
    layout = Layout(spec, tuple(order))
    if timepoint is not None:
        layout = _select_timepoint(layout, timepoint)
    if options.channels is not None:
        layout = _select_channels(layout, options.channels)
    if options.snap_to_grid is not None:
        layout = _snap(layout, options.snap_to_grid)
    return layout


def _axes(stored: Stored, options: StoredArrayConfig, where: str) -> tuple[str, ...]:
    rank = len(stored.shape)
    if options.axes is not None:
        if len(options.axes) != rank:
            raise SourceError(
                "axes do not fit the stored array",
                got=f"{' '.join(options.axes)} for shape {stored.shape}",
                expected=f"{rank} names",
                where=where,
                key=("axes",),
            )
        return tuple(axis_name(axis) for axis in options.axes)
    if stored.axes is not None:
        return stored.axes
    known = next(
        (
            value
            for value in (options.voxel_size, stored.voxel_size, stored.offset)
            if value is not None
        ),
        None,
    )
    dims = rank if known is None else len(known)
    if dims <= 3 and rank - dims in (0, 1):
        return ("c",) * (rank - dims) + ("z", "y", "x")[3 - dims :]
    raise SourceError(
        "the file does not say what its axes are",
        got=f"an array of shape {stored.shape}",
        expected="names for all axes",
        where=where,
        hint="give `axes` in the config, for example [t, c, z, y, x]",
        key=("axes",),
    )


def _says_the_rank(options: Any) -> KeyPath:
    """Give the key of the config, if there is one, by which it was told how many spatial axes there are."""
    keys = ("axes", "voxel_size", "offset")
    return next(((key,) for key in keys if getattr(options, key) is not None), ())


def _per_axis(
    dims: int, where: str, blamed: KeyPath, key: str, given: Any, stored: Any, default: Any
) -> tuple[Any, ...]:
    values = given if given is not None else stored
    if values is None:
        return (default,) * dims
    if len(values) != dims:
        raise SourceError(
            f"{key} does not fit the axes"
            if given is not None
            else f"the file's {key} does not fit the axes",
            got=f"{len(values)} entries",
            expected=f"{dims}, one per spatial axis",
            where=where,
            key=(key,) if given is not None else blamed,
        )
    return tuple(values)


def _select_channels(layout: Layout, wanted: Sequence[int | str]) -> Layout:
    spec = layout.spec
    selected = tuple(channel_index(spec, channel) for channel in wanted)
    c = spec.axes.index("c")
    names = spec.channel_names
    chunks = spec.chunk_shape
    kept = spec.replace(
        shape=(*spec.shape[:c], len(selected), *spec.shape[c + 1 :]),
        channels=tuple(names[i] for i in selected) if spec.channels is not None else None,
        chunk_shape=None
        if chunks is None
        else (*chunks[:c], min(chunks[c], len(selected)), *chunks[c + 1 :]),
    )
    return attrs.evolve(layout, spec=kept, selected=selected)


def _select_timepoint(layout: Layout, wanted: int) -> Layout:
    spec = layout.spec
    at = timepoint_axis(spec, wanted)

    def without(values: tuple[T, ...]) -> tuple[T, ...]:
        return values[:at] + values[at + 1 :]

    kept = spec.replace(
        axes=without(spec.axes),
        shape=without(spec.shape),
        chunk_shape=None if spec.chunk_shape is None else without(spec.chunk_shape),
    )
    return attrs.evolve(
        layout, spec=kept, order=without(layout.order), timepoint=(layout.order[at], wanted)
    )


def _snap(layout: Layout, grid: Coordinate) -> Layout:
    """Keep the largest region that starts and ends at multiples of a grid."""
    spec = layout.spec
    box = snapped_box(spec, grid)
    if box == spec.box:
        return layout
    kept_spec = spec.cut(box)
    chunks = spec.chunk_shape
    if chunks is not None and not any(i % n for i, n in zip(box.offset, chunks, strict=True)):
        kept_spec = kept_spec.replace(chunk_shape=chunks)
    return attrs.evolve(layout, spec=kept_spec, first=box.offset[-spec.dims :])
