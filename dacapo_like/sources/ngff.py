"""OME-NGFF metadata (0.4 in ``.zattrs``, 0.5 under ``ome``): axes, levels, their transformations, and channel labels.

Versions before 0.4 are read as far as they go: their levels have no voxel size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from operator import add, mul
from typing import Any, TypeAlias

import attrs

from dacapo_like.anatomy import directions_of, is_code, words_of_code
from dacapo_like.errors import ConfigError, SourceError
from dacapo_like.geometry import Coordinate, Exact, exact, format_numbers
from dacapo_like.record import Record, read_record
from dacapo_like.sources.layout import axis_name
from dacapo_like.spec import Anchor, Directions, Kind, is_leading_axis

KEYS = ("ome", "multiscales", "omero", "image-label")
"""Attributes that are read here."""

_VERSIONS = ("0.1", "0.2", "0.3", "0.4", "0.5")
_OLD_AXES = ("t", "c", "z", "y", "x")
# Of a voxel. Some writers round translations to a few digits; others multiply doubles, so that 9.8 * 1.5 is 14.700000000000001.
_SAME_CORNER = Fraction(1, 100)
_NOISE = Fraction(1, 10**6)


@attrs.frozen(kw_only=True)
class Level:
    """One level of a pyramid; numbers per spatial axis in stored order, ``None`` where nothing is stored."""

    path: str
    voxel_size: Coordinate | None = None
    translation: Coordinate | None = None


@attrs.frozen(kw_only=True)
class Pyramid:
    """A multiscale image.

    Attributes
    ----------
    axes : tuple of str
        In stored order, under their short names.
    units : tuple of (str or None)
        Per spatial axis, in stored order.
    levels : tuple of Level
        The finest first.
    channels : tuple of str or None
        Labels of the channels.
    kind : str or None
        ``labels`` where the image is said to be one of labels.
    record : Record
        What this package's own writer recorded.
    omero : mapping
        How viewers are to show the channels.
    image_label : mapping
        How they are to show labels.
    orientation : tuple of (str or None)
        Anatomical direction of each spatial axis, in the words of RFC-4.
    origin_in_world : bool
        Whether the finest level's translation is a place in the world rather than on the axes, as ZarrNii means it.
    """

    axes: tuple[str, ...]
    units: tuple[str | None, ...]
    levels: tuple[Level, ...]
    channels: tuple[str, ...] | None = None
    kind: Kind | None = None
    record: Record = attrs.field(factory=Record)
    omero: Mapping[str, Any] = attrs.field(factory=dict)
    image_label: Mapping[str, Any] = attrs.field(factory=dict)
    orientation: tuple[str | None, ...] = ()
    origin_in_world: bool = False

    @property
    def spatial_axes(self) -> tuple[str, ...]:
        """Names of the spatial axes, in stored order."""
        return tuple(axis for axis in self.axes if not is_leading_axis(axis))

    @property
    def directions(self) -> Directions | None:
        """Unit vectors of the spatial axes: those recorded, else the anatomical ones; ``None`` where they are the world's."""
        if self.record.directions is not None:
            return self.record.directions
        return directions_of(self.orientation, self.spatial_axes)

    def voxel_size(self, level: int) -> Coordinate | None:
        """Give the voxel size of a level: an exact multiple of the finest one's, where it is one but for rounding."""
        size, finest = self.levels[level].voxel_size, self.levels[0].voxel_size
        return size if size is None or finest is None else _without_noise(size, finest)

    def offset(self, level: int, anchor: Anchor) -> Coordinate:
        """Give the corner of a level's first voxel, if translations name an `anchor` of it.

        It lies on the finest level's grid exactly, where it does but for rounding.
        """
        corner, finest = self._corner(level, anchor), self.voxel_size(0)
        if finest is None:
            return corner
        start = self._corner(0, anchor)
        return start + _without_noise(corner - start, finest) + self._from_world

    def _corner(self, level: int, anchor: Anchor) -> Coordinate:
        voxel_size = self.voxel_size(level)
        stored = self.levels[level].translation or Coordinate((0,) * len(self.units))
        return stored if anchor == "corner" or voxel_size is None else stored - voxel_size / 2

    @property
    def _from_world(self) -> Coordinate:
        """What leads from the finest level's translation, as a place in the world, to the one on axes that point back."""
        stored, directions = self.levels[0].translation, self.directions
        if stored is None or directions is None or not self.origin_in_world:
            return Coordinate((0,) * len(self.units))
        return Coordinate(
            -2 * value if min(vector) < 0 else 0
            for value, vector in zip(stored, directions, strict=True)
        )

    @property
    def anchor(self) -> Anchor:
        """What the translations name.

        What our own writer recorded; else the reading under which all levels begin at the same corner; else the corner where
        no translation is stored and the centre where one is.
        """
        if self.record.anchor is not None:
            return self.record.anchor
        if len(self.levels) > 1 and all(level.voxel_size for level in self.levels):
            corner, center = self._corners_agree("corner"), self._corners_agree("center")
            if corner != center:
                return "corner" if corner else "center"
        stored = any(level.translation is not None for level in self.levels)
        return "center" if stored else "corner"

    def _corners_agree(self, anchor: Anchor) -> bool:
        voxel_size = self.voxel_size(0)
        assert voxel_size is not None  # noqa: S101  # the caller looked
        near = abs(voxel_size) * _SAME_CORNER
        apart = (
            abs(self.offset(level, anchor) - self.offset(0, anchor))
            for level in range(1, len(self.levels))
        )
        return all(a <= b for distance in apart for a, b in zip(distance, near, strict=True))

    def remembered(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Give the attributes that nothing here interprets, and what a copy is to keep of the others."""
        kept = {key: value for key, value in attributes.items() if key not in KEYS}
        if self.omero:
            kept["omero"] = self.omero
        if self.image_label:
            kept["image-label"] = self.image_label
        if any(self.orientation):
            kept["axis_orientation"] = dict(zip(self.spatial_axes, self.orientation, strict=True))
        return kept

    def level_at(self, path: str) -> int | None:
        """Give the level whose array is at a path; ``None`` where none is."""
        paths = [level.path for level in self.levels]
        return paths.index(path) if path in paths else None

    def level_of(self, voxel_size: Coordinate, where: str) -> int:
        """Give the level that has a voxel size.

        Raises
        ------
        SourceError
            None has.
        """
        sizes = [self.voxel_size(level) for level in range(len(self.levels))]
        if voxel_size in sizes:
            return sizes.index(voxel_size)
        listed = ", ".join(format_numbers(size) for size in sizes if size is not None)
        raise SourceError(
            "no level has this voxel size",
            got=format_numbers(voxel_size),
            expected=f"one of {listed}" if listed else None,
            where=where,
            hint="give `level` too, to override the voxel size of that level",
            key=("voxel_size",),
        )


def _without_noise(values: Coordinate, grid: Coordinate) -> Coordinate:
    """Put values on a grid that miss it by no more than the rounding of doubles."""
    return Coordinate(
        round(Fraction(value) / size) * size
        if size and abs(Fraction(value) / size - round(Fraction(value) / size)) < _NOISE
        else value
        for value, size in zip(values, grid, strict=True)
    )


def is_image(attributes: Mapping[str, Any]) -> bool:
    """Whether the attributes of a group are those of a multiscale image."""
    return bool(_metadata(attributes).get("multiscales"))


def is_wanted_image(attributes: Mapping[str, Any]) -> bool:
    """Whether a group that is met in looking for the one image is a multiscale image.

    Raises
    ------
    SourceError
        It is a plate: one of its wells has to be named.
    """
    plate = _metadata(attributes).get("plate")
    if plate is None:
        return is_image(attributes)
    wells = [str(well.get("path")) for well in plate.get("wells", ())]
    listed = ", ".join(wells[:10]) + (f" and {len(wells) - 10} more" if len(wells) > 10 else "")
    raise SourceError(
        "a plate of many images",
        got=f"wells {listed}",
        expected=f"`dataset` to name a field of a well, such as {(wells or ['A/1'])[0]}/0",
        key=("dataset",),
    )


def _metadata(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    ome = attributes.get("ome")
    return ome if isinstance(ome, dict) else attributes


def read_pyramid(attributes: Mapping[str, Any], where: str) -> Pyramid:
    """Read the first multiscale image of a group.

    Parameters
    ----------
    attributes : mapping
        Of the group; `is_image` is true of them. Decimals may be `decimal.Decimal`.
    where : str
        For errors.

    Raises
    ------
    SourceError
        The metadata are of a version that is not known here, or corrupt.

    Examples
    --------
    >>> axes = [{"name": "y", "type": "space", "unit": "nanometer"}, {"name": "x", "type": "space"}]
    >>> scale = {"type": "scale", "scale": [9.8, 4]}
    >>> image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": [scale]}]}
    >>> pyramid = read_pyramid({"ome": {"version": "0.5", "multiscales": [image]}}, "a.zarr")
    >>> pyramid.voxel_size(0), pyramid.units, pyramid.anchor
    (Coordinate(9.8, 4), ('nanometer', None), 'corner')
    """
    metadata = _metadata(attributes)
    record = read_record(attributes, where)
    try:
        return _pyramid(metadata, attributes, record)
    except (KeyError, TypeError, AttributeError, ConfigError) as error:
        raise SourceError(
            "OME-NGFF metadata are corrupt", got=_describe(error), where=where
        ) from error
    except SourceError as error:
        error.where = where
        raise


def _describe(error: Exception) -> str:
    return f"no key {error}" if isinstance(error, KeyError) else str(error)


def _pyramid(metadata: Mapping[str, Any], attributes: Mapping[str, Any], record: Record) -> Pyramid:
    image = metadata["multiscales"][0]
    version = metadata.get("version") or image.get("version")
    if version is not None and version not in _VERSIONS:
        raise SourceError(
            "unknown version of OME-NGFF", got=version, expected=f"one of {', '.join(_VERSIONS)}"
        )
    axes, units = _axes(image.get("axes"))
    common = _transformations(image.get("coordinateTransformations"), len(axes))
    levels = tuple(_level(dataset, common, axes, record) for dataset in image["datasets"])
    if not levels:
        raise SourceError("a multiscale image without levels")
    if record.units is not None and len(record.units) == len(units):
        units = tuple(unit or ours for unit, ours in zip(units, record.units, strict=True))
    spatial = tuple(axis for axis in axes if not is_leading_axis(axis))
    orientation = _orientation(image.get("axes") or (), axes)
    by_zarrnii = None if any(orientation) else _zarrnii_orientation(attributes, spatial)
    return Pyramid(
        axes=axes,
        units=units,
        levels=levels,
        channels=_channel_labels(metadata.get("omero")),
        kind=record.kind or ("labels" if "image-label" in metadata else None),
        record=record,
        omero=metadata.get("omero") or {},
        image_label=metadata.get("image-label") or {},
        orientation=by_zarrnii or orientation,
        origin_in_world=by_zarrnii is not None and record.anchor is None,
    )


def _orientation(stored: Iterable[Any], names: Sequence[str]) -> tuple[str | None, ...]:
    """Give what RFC-4 says of the spatial axes."""
    said = [axis.get("orientation") if isinstance(axis, Mapping) else None for axis in stored]
    return tuple(
        str(value["value"]) if value and value.get("type") == "anatomical" else None
        for value, name in zip(said, names, strict=False)
        if not is_leading_axis(name)
    )


def _zarrnii_orientation(
    attributes: Mapping[str, Any], axes: Sequence[str]
) -> tuple[str | None, ...] | None:
    """Give the words for ZarrNii's code, for x, y, z; or for its older one, for z, y, x."""
    code, older = attributes.get("xyz_orientation"), attributes.get("orientation")
    if code is None and is_code(older):  # else it is somebody else's
        code = str(older)[::-1]
    return None if code is None else words_of_code(code, axes)


def _axes(stored: Any) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    """Give the names of all axes, and the units of the spatial ones."""
    if stored is None:  # versions 0.1 and 0.2
        stored = _OLD_AXES
    axes = [{"name": axis} if isinstance(axis, str) else axis for axis in stored]
    names = tuple(_short_name(axis) for axis in axes)
    return names, tuple(
        axis.get("unit") or None
        for axis, name in zip(axes, names, strict=True)
        if not is_leading_axis(name)
    )


_NAME_OF_TYPE = {"time": "t", "channel": "c"}


def _short_name(axis: Mapping[str, Any]) -> str:
    """Name an axis so that its name says whether it is spatial."""
    name, kind = axis_name(axis["name"]), axis.get("type")
    if is_leading_axis(name) or kind == "space" or (kind is None and name in _OLD_AXES):
        return name
    return _NAME_OF_TYPE.get(str(kind), f"{name}^")


Transformation: TypeAlias = tuple[str, tuple[Exact, ...]]


def _level(
    dataset: Mapping[str, Any],
    common: Sequence[Transformation],
    axes: Sequence[str],
    record: Record,
) -> Level:
    path, rank = dataset["path"].strip("/"), len(axes)
    own = [
        (kind, record.restore(path, kind, values))
        for kind, values in _transformations(dataset.get("coordinateTransformations"), rank)
    ]
    scale: tuple[Exact, ...] | None = None
    translation: tuple[Exact, ...] | None = None
    for kind, values in (*own, *common):
        if kind == "translation":
            translation = _each(add, translation or (0,) * rank, values)
        else:
            scale = _each(mul, scale or (1,) * rank, values)
            translation = translation and _each(mul, translation, values)
    return Level(
        path=path,
        voxel_size=_spatial(scale, axes),
        translation=_spatial(translation, axes),
    )


def _spatial(values: Iterable[Exact] | None, axes: Sequence[str]) -> Coordinate | None:
    if values is None:
        return None
    return Coordinate(
        value for axis, value in zip(axes, values, strict=True) if not is_leading_axis(axis)
    )


def _each(
    combine: Callable[[Exact, Exact], Exact], left: Iterable[Exact], right: Iterable[Exact]
) -> tuple[Exact, ...]:
    return tuple(map(exact, map(combine, left, right)))


def _transformations(stored: Any, rank: int) -> list[Transformation]:
    found = []
    for transformation in stored or ():
        kind = transformation["type"]
        if kind == "identity":
            continue
        if kind not in ("scale", "translation") or kind not in transformation:
            raise SourceError(
                "unknown coordinate transformation",
                got=f"{kind} with {', '.join(transformation)}",
                expected="identity, or scale or translation with their numbers",
            )
        values = tuple(exact(value) for value in transformation[kind])
        if len(values) != rank:
            raise SourceError(
                f"a {kind} does not fit the axes",
                got=f"{len(values)} numbers",
                expected=f"{rank}, one per axis",
            )
        found.append((kind, values))
    return found


def _channel_labels(omero: Any) -> tuple[str, ...] | None:
    """Give the labels of the channels; a channel without one is called by its index."""
    channels = (omero or {}).get("channels") or ()
    labels = [channel.get("label") for channel in channels]
    if not any(labels):
        return None
    return tuple(str(label or i) for i, label in enumerate(labels))
