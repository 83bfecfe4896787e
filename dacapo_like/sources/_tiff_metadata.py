"""What OME-TIFF and ImageJ say of a TIFF's axes, voxel size, units and channels."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree as ET

from dacapo_like.errors import ConfigError, SourceError
from dacapo_like.geometry import Coordinate, Exact, exact

_SPACE = "zyx"
_STACKED = frozenset("iq")
"""What tifffile calls the pages of a stack that does not say what they are."""

_MICROMETER = "µm"  # OME's default
_NO_LENGTH = frozenset({"", "pixel", "pixels", "inch", "reference frame"})
"""Units that ImageJ and OME write where nobody calibrated anything; ImageJ takes TIFF's own ``inch`` for none."""


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


def stored_grid(file: Any, series: int, where: str) -> dict[str, Any]:
    """Give voxel size, units and channel names, by the names that `Stored` has for them.

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
    axes = [axis for axis in stored_axes(file.series[series].axes) or () if axis in _SPACE]
    try:
        if file.is_ome:
            return _ome_grid(file.ome_metadata, series, len(file.series), axes)
        if file.is_imagej:
            return _imagej_grid(file, axes)
    except (ET.ParseError, ConfigError, ValueError, ZeroDivisionError) as error:
        raise SourceError("the metadata of the TIFF are corrupt", got=error, where=where) from error
    return {}


def _ome_grid(text: str, series: int, count: int, axes: list[str]) -> dict[str, Any]:
    images = list(_elements(ET.fromstring(text), "Image"))  # noqa: S314  # expat itself stops entities that explode
    if len(images) != count:
        return {}  # which of them the series is cannot be told
    pixels = next(_elements(images[series], "Pixels"))
    names = [channel.get("Name") for channel in _elements(pixels, "Channel")]
    sizes: list[Exact] = []
    units: list[str | None] = []
    for axis in axes:
        size = pixels.get(f"PhysicalSize{axis.upper()}")
        sizes.append(1 if size is None else exact(Fraction(size)))
        unit = pixels.get(f"PhysicalSize{axis.upper()}Unit", _MICROMETER)
        units.append(None if size is None or unit in _NO_LENGTH else unit)
    return {
        "voxel_size": Coordinate(sizes),
        "units": tuple(units),
        "channels": tuple(map(str, names)) if None not in names else None,
    }


def _elements(parent: ET.Element, name: str) -> Iterator[ET.Element]:
    """Give the children of a name, in whichever of OME's namespaces."""
    return (child for child in parent if child.tag.rpartition("}")[2] == name)


def _imagej_grid(file: Any, axes: list[str]) -> dict[str, Any]:
    metadata = file.imagej_metadata or {}
    tags = file.pages[0].tags
    unit = str(metadata.get("unit", "")).encode("latin-1", "ignore").decode("unicode_escape")
    if unit in _NO_LENGTH:
        return {}
    sizes: dict[str, Exact] = {"z": exact(metadata.get("spacing", 1))}
    for axis, tag in (("y", "YResolution"), ("x", "XResolution")):
        voxels, length = tags[tag].value if tag in tags else (1, 1)
        sizes[axis] = exact(Fraction(length, voxels))
    return {"voxel_size": Coordinate([sizes[a] for a in axes]), "units": (unit,) * len(axes)}
