"""What a DVID instance is: its ``info``, turned from x, y, z into array order, and its coarser scales."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeVar

import attrs
import numpy as np

from dacapo_like.errors import ConfigError, SourceError
from dacapo_like.geometry import Box, Coordinate, Exact, box_between, exact, format_numbers

T = TypeVar("T")

_IMAGES: dict[str, np.dtype[Any]] = {
    "uint8blk": np.dtype("u1"),
    "uint16blk": np.dtype("<u2"),
    "uint32blk": np.dtype("<u4"),
    "uint64blk": np.dtype("<u8"),
    "float32blk": np.dtype("<f4"),
}
_LABELS: dict[str, np.dtype[Any]] = dict.fromkeys(
    ("labelblk", "labelarray", "labelmap"), np.dtype("<u8")
)
_TYPES = _IMAGES | _LABELS
_WITH_SCALES = frozenset({"labelarray", "labelmap"})
_FARTHEST = 2**31  # DVID counts voxels in 32 bits


@attrs.frozen(kw_only=True)
class Instance:
    """A data instance at one scale; every geometry in the order z, y, x.

    Attributes
    ----------
    type_name : str
        DVID's name of the data type.
    dtype : numpy.dtype
        Of a voxel on the wire, little-endian.
    voxel_size : Coordinate
        In `units`.
    units : tuple of (str or None)
        As the server spells them.
    block_shape : tuple of int
        Of a block as stored; blocks begin at multiples of it.
    extents : Box or None
        Voxels that were written, in the instance's own indices, which may be negative; ``None`` where none were.
    coarsest : int
        The last scale that the instance itself holds.
    attributes : mapping
        Further facts, as JSON.
    """

    type_name: str
    dtype: np.dtype[Any]
    voxel_size: Coordinate
    units: tuple[str | None, ...]
    block_shape: tuple[int, ...]
    extents: Box | None
    coarsest: int
    attributes: Mapping[str, Any]

    @property
    def is_labels(self) -> bool:
        """Whether voxels are labels."""
        return self.type_name in _LABELS

    def downsampled(self, scale: int, where: str) -> Instance:
        """Give a coarser scale of labels, whose voxels are 2^scale of the finest along every axis.

        The grids of all scales share the corner of voxel 0. A voxel that the extents cover only in part is left out: what the
        server says of it is made up in part of zeros that nobody wrote.

        Raises
        ------
        SourceError
            The server has no such scale; it would send zeros.
        """
        if scale > self.coarsest:
            raise SourceError(
                "the instance has no such scale",
                got=f"scale {scale} of a {self.type_name}",
                expected=f"0 to {self.coarsest}" if self.coarsest else "0, the only one it holds",
                where=where,
                key=("scale",),
            )
        factor = 2**scale
        extents = self.extents
        if extents is not None:
            first = [-(-low // factor) for low in extents.offset]
            end = [high // factor for high in extents.end]
            extents = box_between(first, [max(pair) for pair in zip(first, end, strict=True)])
        return attrs.evolve(self, voxel_size=self.voxel_size * factor, extents=extents)


def scaled_image(finest: Instance, coarse: Instance, scale: int, where: str) -> Instance:
    """Give the instance that holds a coarser scale of an image, with a voxel size that can be believed.

    That is its own one where it is that of the finest scale times 1, 2, 4, … 2^scale along each axis. Where it is the very
    one of the finest scale, whoever made the pyramid left it as it was, and it is 2^scale times as much.

    Raises
    ------
    SourceError
        Its voxel size is neither.
    """
    known = [2**i for i in range(scale + 1)]
    factors = [Fraction(c) / f for c, f in zip(coarse.voxel_size, finest.voxel_size, strict=True)]
    if coarse.units != finest.units or any(factor not in known for factor in factors):
        raise SourceError(
            "the voxel size of a scale does not follow from that of the finest",
            got=f"{_described(coarse)} at scale {scale}",
            expected=f"{_described(finest)} times powers of 2 up to {known[-1]}",
            where=where,
            hint="name that instance in `source`, with scale 0, to read it as the server describes it",
            key=("scale",),
        )
    if set(factors) != {1}:
        return coarse
    return attrs.evolve(coarse, voxel_size=finest.voxel_size * known[-1])


def _described(instance: Instance) -> str:
    return (
        f"{format_numbers(instance.voxel_size)} {' '.join(unit or '?' for unit in instance.units)}"
    )


def parse_info(text: bytes | bytearray, where: str) -> Instance:
    """Read the answer to ``info``.

    Raises
    ------
    SourceError
        It is no such answer, or of a type that is not read here.
    """
    try:
        document = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise SourceError(
            "the server's `info` is not JSON",
            got=repr(bytes(text[:60])),
            where=where,
            hint="check the first part of `source`: the address may be that of another server",
            key=("source",),
        ) from error
    info = _Info(document, where)
    type_name = info.value(str, "Base", "TypeName")
    lowest, highest = info.extents()
    return Instance(
        type_name=type_name,
        dtype=_dtype(info, type_name),
        voxel_size=info.voxel_size(),
        units=info.units(),
        block_shape=info.triple(_positive, "Extended", "BlockSize"),
        extents=None if lowest is None else _extents(lowest, highest, info),
        coarsest=_coarsest(info) if type_name in _WITH_SCALES else 0,
        attributes={
            "type": type_name,
            "instance": info.value(str, "Base", "Name"),
            "data_uuid": info.value(str, "Base", "DataUUID"),
            "repo_uuid": info.value(str, "Base", "RepoUUID"),
        },
    )


def _dtype(info: _Info, type_name: str) -> np.dtype[Any]:
    values = info.value(list, "Extended", "Values") if type_name.endswith("blk") else None
    if values is not None and len(values) != 1:
        raise info.error(
            "an instance with several values per voxel",
            got=f"{type_name} with {len(values)} values",
            expected="one value per voxel",
        )
    if type_name not in _TYPES:
        raise info.error(
            "an instance of a type that holds no voxels, or none that can be read",
            got=type_name,
            expected=", ".join(_TYPES),
        )
    stored = info.value(list, "Extended", "Values")
    names = [value.get("DataType") if isinstance(value, dict) else value for value in stored]
    if names != [_TYPES[type_name].name]:
        raise info.error(
            "the voxels are not of the instance's type",
            got=f"{names} in a {type_name}",
            expected=_TYPES[type_name].name,
        )
    return _TYPES[type_name]


def _extents(lowest: Any, highest: Any, info: _Info) -> Box:
    first, last = (info.as_triple(_index, point, "Extents") for point in (lowest, highest))
    if any(low > high for low, high in zip(first, last, strict=True)):
        raise info.error("extents that end before they begin", got=f"{first} to {last} (z, y, x)")
    return box_between(first, [high + 1 for high in last])  # DVID names the last voxel


def _coarsest(info: _Info) -> int:
    level = info.value(int, "Extended", "MaxDownresLevel")
    if not 0 <= level < 32:
        raise info.error("a scale that cannot be", got=level, expected="MaxDownresLevel 0 to 31")
    return level


@attrs.frozen
class _Info:
    """A JSON document whose parts are checked when they are taken."""

    document: Any
    where: str

    def error(self, what: str, **parts: Any) -> SourceError:
        return SourceError(what, where=self.where, key=("source",), **parts)

    def find(self, *path: str) -> Any:
        """Give a part; ``None`` where there is none."""
        part = self.document
        for key in path:
            part = part.get(key) if isinstance(part, dict) else None
        return part

    def value(self, kind: type[T], *path: str) -> T:
        part = self.find(*path)
        if not isinstance(part, kind) or isinstance(part, bool):
            raise self.error(
                f"the server's `info` has no usable {'.'.join(path)}",
                got=str(part)[:60],
                expected=kind.__name__,
            )
        return part

    def triple(self, convert: Callable[[Any], T], *path: str) -> tuple[T, ...]:
        """Give three parts, which the server has in the order x, y, z, in the order z, y, x."""
        return self.as_triple(convert, self.find(*path), ".".join(path))

    def as_triple(self, convert: Callable[[Any], T], value: Any, name: str) -> tuple[T, ...]:
        try:
            x, y, z = map(convert, value)
        except (TypeError, ValueError, ConfigError) as error:
            raise self.error(
                f"the server's `info` has no usable {name}",
                got=str(value)[:60],
                expected="three numbers",
            ) from error
        return z, y, x

    def voxel_size(self) -> Coordinate:
        return Coordinate(self.triple(_size, "Extended", "VoxelSize"))

    def units(self) -> tuple[str | None, ...]:
        if self.find("Extended", "VoxelUnits") is None:
            return (None,) * 3
        return self.triple(_unit, "Extended", "VoxelUnits")

    def extents(self) -> tuple[Any, Any]:
        """Give the first and the last point, of this version where the server says so."""
        place = "Extents" if self.find("Extents") is not None else "Extended"
        points = self.find(place, "MinPoint"), self.find(place, "MaxPoint")
        if (points[0] is None) != (points[1] is None):
            raise self.error("extents with one end", got=str(points)[:60])
        return points


def _index(value: Any) -> int:
    if type(value) is not int or abs(value) > _FARTHEST:
        raise ValueError(value)
    return value


def _positive(value: Any) -> int:
    if _index(value) < 1:
        raise ValueError(value)
    return _index(value)


def _size(value: Any) -> Exact:
    size = exact(value) if type(value) in (int, Decimal) else 0
    if size <= 0:
        raise ValueError(value)
    return size


def _unit(value: Any) -> str | None:
    if not isinstance(value, str):
        raise TypeError(value)
    return value or None
