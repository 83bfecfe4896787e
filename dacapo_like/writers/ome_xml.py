"""OME-XML of one image, made from a spec."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree as ET

from dacapo_like.errors import ConfigError
from dacapo_like.record import NAMESPACE, stored_number
from dacapo_like.spec import ArraySpec
from dacapo_like.units import length_name
from dacapo_like.writers.attributes import array_attributes

_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_TYPES = {"float32": "float", "float64": "double"}
_NO_LENGTH = "reference frame"  # OME's word for a unit that is no length
_SYMBOLS = {
    "yottameter": "Ym",
    "zettameter": "Zm",
    "exameter": "Em",
    "petameter": "Pm",
    "terameter": "Tm",
    "gigameter": "Gm",
    "megameter": "Mm",
    "kilometer": "km",
    "hectometer": "hm",
    "meter": "m",
    "decimeter": "dm",
    "centimeter": "cm",
    "millimeter": "mm",
    "micrometer": "µm",
    "nanometer": "nm",
    "angstrom": "Å",
    "picometer": "pm",
    "femtometer": "fm",
    "attometer": "am",
    "zeptometer": "zm",
    "yoctometer": "ym",
    "inch": "in",
    "foot": "ft",
    "yard": "yd",
    "mile": "mi",
    "parsec": "pc",
}

LACKING = {"bool": "uint8", "float16": "float32", "int64": None, "uint64": None}
"""Types of voxels that OME lacks, each with the nearest that holds all its values."""


def ome_xml(spec: ArraySpec, name: str, kept: Mapping[str, Any] | None = None) -> str:
    """Make the description of a file whose pages are the planes of an array, in its order.

    Parameters
    ----------
    spec : ArraySpec
        Of axes t, c, z, y, x, some of which may be missing; t and c in any order.
    name : str
        Of the image.
    kept : mapping, optional
        JSON to keep in the annotation.

    Examples
    --------
    >>> from dacapo_like.spec import from_shape
    >>> text = ome_xml(from_shape((2, 8, 8), axes="cyx", units="nm", voxel_size=(4, 4)), "a")
    >>> 'SizeC="2"' in text, 'PhysicalSizeX="4.0" PhysicalSizeXUnit="nm"' in text
    (True, True)
    """
    root = ET.Element("OME", {"xmlns": _SCHEMA, "Creator": "dacapo_like"})
    image = ET.SubElement(root, "Image", ID="Image:0", Name=name)
    _add_pixels(image, spec)
    ET.SubElement(image, "AnnotationRef", ID="Annotation:0")
    annotations = ET.SubElement(root, "StructuredAnnotations")
    ours = ET.SubElement(annotations, "CommentAnnotation", ID="Annotation:0", Namespace=NAMESPACE)
    try:
        ET.SubElement(ours, "Value").text = json.dumps(
            array_attributes(spec, kept), allow_nan=False
        )
    except (TypeError, ValueError) as error:
        raise ConfigError("attributes to keep are not JSON", got=error) from error
    text: bytes = ET.tostring(root, encoding="us-ascii", xml_declaration=True)
    return text.decode("ascii")


def _add_pixels(image: ET.Element, spec: ArraySpec) -> None:
    sizes = dict.fromkeys("XYZCT", 1) | {
        axis.upper(): n for axis, n in zip(spec.axes, spec.shape, strict=True)
    }
    attributes = {
        "ID": "Pixels:0",
        "DimensionOrder": _order(spec.axes),
        "Type": _TYPES.get(spec.dtype.name, spec.dtype.name),
        **{f"Size{axis}": str(n) for axis, n in sizes.items()},
    }
    for axis, size, unit in zip(spec.spatial_axes, spec.voxel_size, spec.units, strict=True):
        attributes[f"PhysicalSize{axis.upper()}"] = _decimal(size)
        attributes[f"PhysicalSize{axis.upper()}Unit"] = _symbol(unit)
    pixels = ET.SubElement(image, "Pixels", attributes)
    for i in range(sizes["C"]):
        channel = ET.SubElement(pixels, "Channel", ID=f"Channel:0:{i}", SamplesPerPixel="1")
        if spec.channels is not None:
            channel.set("Name", spec.channels[i])
    planes = str(math.prod(sizes[axis] for axis in "ZCT"))
    ET.SubElement(pixels, "TiffData", IFD="0", PlaneCount=planes)
    if any(spec.offset):
        first = {"TheZ": "0", "TheC": "0", "TheT": "0"}
        ET.SubElement(pixels, "Plane", first | _position(spec))


def _order(axes: tuple[str, ...]) -> str:
    """Give OME's order of all five axes, the fastest first, of which the array's is a part.

    Examples
    --------
    >>> _order(("t", "c", "z", "y", "x")), _order(("c", "y", "x")), _order(("t", "z", "y", "x"))
    ('XYZCT', 'XYCZT', 'XYZTC')
    """
    present = "".join(reversed(axes)).upper()
    return present + "".join(axis for axis in "XYZCT" if axis not in present)


def _position(spec: ArraySpec) -> dict[str, str]:
    """Say where the centre of the first voxel is."""
    centre = spec.offset + spec.voxel_size * Fraction(1, 2)
    said: dict[str, str] = {}
    for axis, value, unit in zip(spec.spatial_axes, centre, spec.units, strict=True):
        said[f"Position{axis.upper()}"] = _decimal(value)
        said[f"Position{axis.upper()}Unit"] = _symbol(unit)
    return said


def _decimal(value: Any) -> str:
    return repr(stored_number(value))


def length_symbol(unit: str) -> str:
    """Give the symbol of a unit of length, under any of its names.

    Raises
    ------
    ConfigError
        Not a unit of length.
    """
    return _SYMBOLS[length_name(unit)]


def _symbol(unit: str | None) -> str:
    try:
        return _NO_LENGTH if unit is None else length_symbol(unit)
    except ConfigError:
        return _NO_LENGTH
