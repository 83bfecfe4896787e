"""What ImageJ writes into a TIFF of a hyperstack, made from a spec.

As `ij.io.FileInfo`, `ij.io.TiffEncoder` and `ij.measure.Calibration` of ImageJ 1.54 mean it: voxels of all planes follow each other,
channels fastest, then z, then time; an ASCII description of lines ``key=value``; the number of pixels in one unit as TIFF's
resolution; and names of planes in private tags. The world is 0 at the corner of the pixel that the origins name.
"""

from __future__ import annotations

import itertools
import math
import warnings
from fractions import Fraction
from typing import Any

from dacapo_like.errors import ConfigError, DataWarning, SpecError
from dacapo_like.geometry import Coordinate, Exact
from dacapo_like.record import stored_number
from dacapo_like.spec import ArraySpec, infer_kind
from dacapo_like.units import length_factor
from dacapo_like.writers.ome_xml import length_symbol

LACKING = {
    "bool": "uint8",
    "int8": "int16",
    "float16": "float32",
    "int32": None,
    "uint32": None,
    "int64": None,
    "uint64": None,
    "float64": None,
}
"""Types of voxels that ImageJ lacks, each with the nearest that holds all its values."""

_MOST_PIXELS = 2**31 - 1  # of a plane, which is one array of Java's
_MOST_CHANNELS = 7  # that ImageJ shows over each other
_MOST_RATIONAL = 2**32 - 1


def hyperstack_order(spec: ArraySpec) -> tuple[int, ...]:
    """Give the array's axes in the order of the file."""
    return tuple(sorted(range(spec.ndim), key=lambda i: "tzcyx".index(spec.axes[i])))


def check_plane(spec: ArraySpec) -> None:
    """Refuse planes that ImageJ has no room for.

    Raises
    ------
    SpecError
        They have more pixels than an array of Java's.
    """
    pixels = math.prod(spec.shape[-2:])
    if pixels > _MOST_PIXELS:
        raise SpecError(
            "ImageJ has no planes of so many pixels", got=pixels, expected=f"at most {_MOST_PIXELS}"
        )


def first_page(spec: ArraySpec, where: str) -> dict[str, Any]:
    """Say how tifffile writes the first page of a big-endian file; a `DataWarning` says what is lost.

    Parameters
    ----------
    spec : ArraySpec
        Of axes t, c, z, y, x, some of which may be missing.
    where : str
        For the warning.
    """
    import tifffile  # heavy

    unit, sizes, offset = _calibration(spec)
    _warn_of_losses(spec, unit, where)
    said: dict[str, Any] = {"description": _description(spec, unit, sizes, offset)}
    if unit is not None:
        y, x = ((size.denominator, size.numerator) for size in map(_rational, sizes[-2:]))
        said |= {"resolution": (x, y), "resolutionunit": 1}
    labels = _labels(spec)
    if labels:
        said["extratags"] = tifffile.imagej_metadata_tag({"Labels": labels}, ">")
    return said


def _calibration(spec: ArraySpec) -> tuple[str | None, Coordinate, Coordinate]:
    """Give the unit, which is that of x, and voxel size and offset in it; no unit where that of an axis is not known."""
    units = spec.units
    if len(set(units)) == 1:
        return units[-1], spec.voxel_size, spec.offset
    try:
        factors = [length_factor(unit or "", units[-1] or "") for unit in units]
    except ConfigError:
        return None, spec.voxel_size, spec.offset
    return units[-1], spec.voxel_size * factors, spec.offset * factors


def _description(spec: ArraySpec, unit: str | None, sizes: Coordinate, offset: Coordinate) -> str:
    lengths = dict(zip(spec.axes, spec.shape, strict=True))
    counts = {
        key: lengths.get(axis, 1)
        for key, axis in (("channels", "c"), ("slices", "z"), ("frames", "t"))
    }
    said: dict[str, object] = {"ImageJ": "1.54f", "images": math.prod(counts.values())}
    said |= {key: n for key, n in counts.items() if n > 1 or (key == "channels" and spec.channels)}
    said["hyperstack"] = "true"
    said["mode"] = "composite" if 1 < counts["channels"] <= _MOST_CHANNELS else "grayscale"
    if unit is not None:
        said["unit"] = _escaped(unit)
        said |= {
            f"{axis}origin": stored_number(-Fraction(start) / Fraction(size))
            for axis, start, size in zip(spec.spatial_axes, offset, sizes, strict=True)
            if start
        }
        if spec.dims == 3:
            said["spacing"] = stored_number(sizes[0])
    said["loop"] = "false"
    said |= _display_range(spec)
    return "".join(f"{key}={value}\n" for key, value in said.items())


def _escaped(unit: str) -> str:
    r"""Spell a unit as ImageJ does.

    Examples
    --------
    >>> _escaped("micrometer"), _escaped("nm"), _escaped("vx")
    ('\\u00B5m', 'nm', 'vx')
    """
    try:
        symbol = length_symbol(unit)
    except ConfigError:
        symbol = unit
    return "".join(c if c.isascii() else f"\\u{ord(c):04X}" for c in symbol)


def _display_range(spec: ArraySpec) -> dict[str, object]:
    """Give the values that are shown as black and white, where a source said so of the only channel; ImageJ else looks for them."""
    shown = spec.attrs.get("omero", {}).get("channels", ())
    if len(shown) != 1 or (spec.num_channels or 1) != 1:
        return {}
    window = shown[0].get("window", {})
    low, high = window.get("start"), window.get("end")
    if not all(isinstance(value, (int, float)) for value in (low, high)):
        return {}
    return {"min": float(low), "max": float(high)}


def _labels(spec: ArraySpec) -> list[str]:
    """Name each plane by its channel, if these have names."""
    if spec.channels is None:
        return []
    planes = math.prod(spec.shape[:-2]) // len(spec.channels)
    return list(itertools.chain.from_iterable(itertools.repeat(spec.channels, planes)))


def _rational(size: Exact) -> Fraction:
    """Give the nearest ratio that TIFF can hold.

    Raises
    ------
    SpecError
        It can hold none that is near.

    Examples
    --------
    >>> _rational(Fraction(7, 10)), _rational(Fraction(1, 2**40 + 1) * 2**20)
    (Fraction(7, 10), Fraction(1, 1048576))
    """
    value = Fraction(size)
    if value < 1:
        return 1 / _rational(1 / value)
    if value > _MOST_RATIONAL:
        raise SpecError(
            "TIFF has no ratio for such a voxel size",
            got=float(size),
            expected=f"between 1 / {_MOST_RATIONAL} and {_MOST_RATIONAL}",
            hint="choose other units",
        )
    if value.numerator <= _MOST_RATIONAL:
        return value
    return value.limit_denominator(int(_MOST_RATIONAL / value))


def _warn_of_losses(spec: ArraySpec, unit: str | None, where: str) -> None:
    lost = []
    if unit is None and (set(spec.voxel_size) != {1} or any(spec.offset)):
        lost.append("voxel_size and offset, as ImageJ has none without a unit of all axes")
    if spec.directions is not None:
        lost.append(f"directions {spec.directions}")
    if spec.kind != infer_kind(spec.dtype):
        lost.append(f"kind: {spec.kind}")
    if lost:
        warnings.warn(f"{where}: ImageJ does not keep {'; '.join(lost)}", DataWarning, stacklevel=2)
