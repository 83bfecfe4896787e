"""What OME-TIFF and ImageJ say of a TIFF's axes, voxel size, units and channels."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree as ET

import attrs

from dacapo_like.errors import ConfigError, SourceError
from dacapo_like.geometry import Exact, exact
from dacapo_like.sources._ome_annotation import annotated_axes, annotation_in
from dacapo_like.units import length_factor

_STACKED = frozenset("iq")
"""What tifffile calls the pages of a stack that does not say what they are."""

_MICROMETER = "µm"  # OME's default
_NO_UNIT = "reference frame"  # OME's default of positions
_SAME_PLACE = Fraction(1, 100)  # of a voxel
_NO_LENGTH = frozenset({"", "pixel", "pixels", "inch", _NO_UNIT})
"""Units that ImageJ and OME write where nobody calibrated anything; ImageJ takes TIFF's own ``inch`` for none."""


@attrs.frozen(kw_only=True)
class Declared:
    """What the metadata of a series declare.

    Attributes
    ----------
    sizes : mapping of str to Exact
        Voxel size by axis; an axis that nobody measured is not there.
    units : mapping of str to (str or None)
        Its unit.
    offset : mapping of str to Exact
        Corner of the first voxel, in that unit, of axes of which it is said.
    channels : tuple of str or None
        Names.
    described : frozenset of str
        Axes that more is said of than that their length is 1, which is said of all.
    annotation : mapping
        Of this package.
    """

    sizes: Mapping[str, Exact] = attrs.field(factory=dict)
    units: Mapping[str, str | None] = attrs.field(factory=dict)
    offset: Mapping[str, Exact] = attrs.field(factory=dict)
    channels: tuple[str, ...] | None = None
    described: frozenset[str] = frozenset()
    annotation: Mapping[str, Any] = attrs.field(factory=dict)


def stored_axes(letters: str) -> tuple[str, ...] | None:
    """Name the axes of a series; ``None`` where they are not known.

    Samples of a pixel are channels, where there are no others. Pages that nothing is said of are z, where nothing else is.

    Parameters
    ----------
    letters : str
        tifffile's, one per axis.

    Examples
    --------
    >>> stored_axes("TZCYX"), stored_axes("QYXS"), stored_axes("QQYX")
    (('t', 'z', 'c', 'y', 'x'), ('z', 'y', 'x', 'c'), None)
    """
    names = letters.lower()
    stacked = [name for name in names if name in _STACKED]
    if len(set(names)) < len(names) or len(stacked) > 1 or (stacked and "z" in names):
        return None
    samples = "s^" if "c" in names else "c"
    known = {**dict.fromkeys(_STACKED, "z"), **{axis: axis for axis in "tczyx"}, "s": samples}
    return tuple(known.get(name, f"{name}^") for name in names)


def declared(file: Any, series: int, where: str) -> Declared:
    """Give what the metadata of a series declare.

    Parameters
    ----------
    file : tifffile.TiffFile
        Open.
    series : int
        Which of its series.
    where : str
        For errors.

    Raises
    ------
    SourceError
        The metadata are corrupt.
    """
    try:
        if file.is_ome:
            return _ome(file.ome_metadata, series, len(file.series))
        if file.is_imagej:
            return _imagej(file)
    except (ET.ParseError, ConfigError, ValueError, ArithmeticError) as error:
        raise SourceError("the metadata of the TIFF are corrupt", got=error, where=where) from error
    return Declared()


def _ome(text: str, series: int, count: int) -> Declared:
    root = _parsed(text)
    images = list(_elements(root, "Image"))
    if len(images) != count:
        return Declared()  # which of them the series is cannot be told
    pixels = next(_elements(images[series], "Pixels"))
    names = [channel.get("Name") for channel in _elements(pixels, "Channel")]
    sizes: dict[str, Exact] = {}
    units: dict[str, str | None] = {}
    for axis in "zyx":
        size = pixels.get(f"PhysicalSize{axis.upper()}")
        if size is not None:
            sizes[axis] = exact(Decimal(size))
            unit = pixels.get(f"PhysicalSize{axis.upper()}Unit", _MICROMETER)
            units[axis] = None if unit in _NO_LENGTH else unit
    named = bool(names) and None not in names
    annotation = annotation_in(root)
    described = {*sizes, *("c" if named else ""), *("t" if pixels.get("TimeIncrement") else "")}
    return Declared(
        sizes=sizes,
        units=units,
        offset=_corner(list(_elements(pixels, "Plane")), sizes, units),
        channels=tuple(map(str, names)) if named else None,
        described=frozenset(described) | annotated_axes(annotation),
        annotation=annotation,
    )


def _corner(
    planes: Sequence[ET.Element], sizes: Mapping[str, Exact], units: Mapping[str, str | None]
) -> dict[str, Exact]:
    """Give the corner of the first voxel along each axis on which all planes agree; positions name centres of voxels."""
    found: dict[str, Exact] = {}
    for axis, size in sizes.items():
        position = f"Position{axis.upper()}"
        said = [plane.get(position) for plane in planes]
        unit = {plane.get(f"{position}Unit", _NO_UNIT) for plane in planes}
        if not said or None in said or len(unit) > 1:
            continue
        try:
            factor = length_factor(unit.pop(), units[axis] or "")
        except ConfigError:
            continue
        starts = [
            exact(Decimal(value or 0)) * factor
            - (int(plane.get("TheZ", 0)) * size if axis == "z" else 0)
            for value, plane in zip(said, planes, strict=True)
        ]
        if max(starts) - min(starts) <= size * _SAME_PLACE:
            found[axis] = exact(starts[0] - Fraction(size) / 2)
    return found


def _parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314  # expat itself stops entities that explode


def _elements(parent: ET.Element, name: str) -> Iterator[ET.Element]:
    """Give the children of a name, in whichever of OME's namespaces."""
    return (child for child in parent if child.tag.rpartition("}")[2] == name)


def other_files(file: Any, where: str) -> list[str]:
    """Give the names of the files that an OME-TIFF says its planes are in.

    Raises
    ------
    SourceError
        One is outside of the file's folder, or the metadata are corrupt.
    """
    if not file.is_ome:
        return []
    try:
        root = _parsed(file.ome_metadata)
    except ET.ParseError as error:
        raise SourceError("the metadata of the TIFF are corrupt", got=error, where=where) from error
    own = (None, root.get("UUID"))  # planes that are in this file, which may have been renamed
    planes = (element for element in root.iter() if element.tag.rpartition("}")[2] == "UUID")
    names = sorted({plane.get("FileName", "") for plane in planes if plane.text not in own} - {""})
    for name in names:
        path = posixpath.normpath(name.replace("\\", "/"))
        if path.startswith(("/", "../")) or path == ".." or ":" in path:
            raise SourceError(
                "the OME metadata name a file outside of the folder",
                got=name,
                where=where,
                hint="planes are read from files beside this one only",
            )
    return names


def _imagej(file: Any) -> Declared:
    metadata = file.imagej_metadata or {}
    tags = file.pages[0].tags
    unit = str(metadata.get("unit", "")).encode("latin-1", "ignore").decode("unicode_escape")
    if unit in _NO_LENGTH:
        return Declared()
    sizes: dict[str, Exact] = {}
    if "spacing" in metadata or metadata.get("slices", 1) > 1:
        sizes["z"] = exact(metadata.get("spacing", 1))  # ImageJ leaves out a spacing of 1
    for axis, tag in (("y", "YResolution"), ("x", "XResolution")):
        voxels, length = tags[tag].value if tag in tags else (1, 1)
        sizes[axis] = exact(Fraction(length, voxels))
    channels = _named_by_labels(metadata)
    described = frozenset(("z" if "spacing" in metadata else "") + ("c" if channels else ""))
    return Declared(
        sizes=sizes,
        units=dict.fromkeys(sizes, unit),
        offset=_origin(metadata, sizes),
        channels=channels,
        described=described,
    )


def _origin(metadata: Mapping[str, Any], sizes: Mapping[str, Exact]) -> dict[str, Exact]:
    """Give the corner of the first voxel: the world is 0 at the corner of the voxel that ImageJ's origins name."""
    found = {}
    for axis, size in sizes.items():
        origin = exact(metadata.get(f"{axis}origin", 0))  # a quotient, rounded to a double
        if origin:
            found[axis] = exact(Decimal(f"{float(-origin * Fraction(size)):.15g}"))
    return found


def _named_by_labels(metadata: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Give the names of the channels, where ImageJ's labels name planes by nothing but their channel."""
    labels, count = metadata.get("Labels", []), metadata.get("channels", 0)
    labels = [labels] if isinstance(labels, str) else labels  # as tifffile gives a single one
    names = labels[:count]
    in_order = metadata.get("order", "czt") in ("czt", "default")
    if not in_order or not all(names) or len(set(names)) != count or count == 0:
        return None
    return tuple(names) if labels == names * (len(labels) // count) else None
