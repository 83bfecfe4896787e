"""OME-NGFF 0.5 metadata of a multiscale image, made from specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import Exact
from dacapo_like.record import NAMESPACE, stored_number, write_record
from dacapo_like.spec import ArraySpec
from dacapo_like.units import length_name

VERSION = "0.5"

_TYPES = {"t": "time", "c": "channel", "s": "channel"}
_COLORS = ("FF0000", "00FF00", "0000FF", "FF00FF", "00FFFF", "FFFF00", "FFFFFF")


def level_path(level: int) -> str:
    """Give the path of a level's array in its group."""
    return str(level)


def image_attributes(
    levels: Sequence[ArraySpec],
    *,
    name: str | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Make the attributes of the group of a multiscale image.

    Parameters
    ----------
    levels : sequence of ArraySpec
        The finest first. Translations name centres of voxels, unless the anchor of the first is ``corner``.
    name : str, optional
        Of the image.
    attributes : mapping, optional
        JSON to keep in the record of this package, see `dacapo_like.record`.

    Raises
    ------
    SpecError
        OME-NGFF has no place for such axes.

    Examples
    --------
    >>> from dacapo_like.spec import from_shape
    >>> made = image_attributes([from_shape((4, 4), voxel_size=(9.8, 4), units="nm")])
    >>> made["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    [{'type': 'scale', 'scale': [9.8, 4.0]}, {'type': 'translation', 'translation': [4.9, 2.0]}]
    """
    finest = levels[0]
    check_axes(finest)
    numbers = {
        level_path(i): _transformation(level, finest.anchor) for i, level in enumerate(levels)
    }
    units = [_unit(unit) for unit in finest.units]
    image: dict[str, Any] = {
        "axes": _axes(finest, units),
        "datasets": [_dataset(path, by_name) for path, by_name in numbers.items()],
    }
    if name is not None:
        image["name"] = name
    ome: dict[str, Any] = {"version": VERSION, "multiscales": [image]}
    if finest.channels is not None:
        ome["omero"] = {"channels": _channels(finest)}
    record = write_record(
        finest,
        numbers,
        attributes,
        units=any(
            ours is not None and word is None
            for ours, word in zip(finest.units, units, strict=True)
        ),
    )
    return {"ome": ome, NAMESPACE: record}


def check_axes(spec: ArraySpec) -> None:
    """Refuse axes that OME-NGFF has no place for: it wants time, then one channel-like axis, then 2 or 3 of space.

    Raises
    ------
    SpecError
        The axes are others.
    """
    leading = spec.leading_axes
    if spec.dims in (2, 3) and len(leading) - ("t" in leading[:1]) <= 1 and "t" not in leading[1:]:
        return
    hint = None
    if len(leading) > 1:
        hint = "write one file per index of one of the leading axes"
    raise SpecError(
        "OME-NGFF has no place for these axes",
        got=" ".join(spec.axes),
        expected="t, then c or one other channel-like axis, then 2 or 3 spatial axes",
        hint=hint,
    )


def format_order(spec: ArraySpec) -> tuple[int, ...]:
    """Give the array's axes in the order of the format: time first, whatever else leads, then space."""
    return tuple(sorted(range(spec.ndim), key=lambda i: spec.axes[i] != "t"))


def dimension_names(spec: ArraySpec) -> list[str]:
    """Give the names of the axes, as Zarr's metadata of the array repeat them."""
    return [axis.removesuffix("^") for axis in spec.axes]


def _axes(spec: ArraySpec, units: Sequence[str | None]) -> list[dict[str, str]]:
    leading = [
        {"name": name, "type": _TYPES.get(name, "custom")}
        for name in dimension_names(spec)[: len(spec.leading_axes)]
    ]
    spatial = [
        {"name": name, "type": "space"} | ({} if unit is None else {"unit": unit})
        for name, unit in zip(spec.spatial_axes, units, strict=True)
    ]
    return leading + spatial


def _unit(unit: str | None) -> str | None:
    try:
        return None if unit is None else length_name(unit)
    except ConfigError:
        return None  # the format has no word for it; the record keeps it


def _transformation(spec: ArraySpec, anchor: str) -> dict[str, list[Exact]]:
    """Give scale and translation along all axes, exact."""
    shift = spec.voxel_size * (Fraction(1, 2) if anchor == "center" else 0)
    leading = len(spec.leading_axes)
    return {
        "scale": [1] * leading + list(spec.voxel_size),
        "translation": [0] * leading + list(spec.offset + shift),
    }


def _dataset(path: str, numbers: Mapping[str, Sequence[Exact]]) -> dict[str, Any]:
    return {
        "path": path,
        "coordinateTransformations": [
            {"type": name, name: [stored_number(value) for value in values]}
            for name, values in numbers.items()
        ],
    }


def _channels(spec: ArraySpec) -> list[dict[str, Any]]:
    low, high = _value_range(spec.dtype)
    single = len(spec.channel_names) == 1
    return [
        {
            "label": label,
            "color": "FFFFFF" if single else _COLORS[i % len(_COLORS)],
            "active": True,
            "window": {"min": low, "max": high, "start": low, "end": high},
        }
        for i, label in enumerate(spec.channel_names)
    ]


def _value_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Give the values that viewers map to black and full colour: those that an integer can have, else 0 and 1."""
    if dtype.kind not in "iu":
        return 0, 1
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)
