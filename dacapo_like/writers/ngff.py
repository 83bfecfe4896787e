"""OME-NGFF metadata of a multiscale image, 0.5 and 0.4, made from specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from dacapo_like.anatomy import is_anatomical, words_of
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import Exact
from dacapo_like.pyramids import pooling_method
from dacapo_like.record import NAMESPACE, stored_number, write_record
from dacapo_like.spec import ArraySpec
from dacapo_like.units import length_name

Version = Literal["0.5", "0.4"]

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
    version: Version = "0.5",
    source: str | None = None,
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
    version : {"0.5", "0.4"}
        Of OME-NGFF.
    source : str, optional
        Path from labels to the image that they belong to.

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
    if len(levels) > 1:
        image["type"] = pooling_method(finest.kind)
    ome: dict[str, Any] = {"multiscales": [image]}
    channels = _channels(finest)
    if channels is not None:
        ome["omero"] = {"channels": channels}
    if source is not None or (finest.kind == "labels" and finest.dtype.kind in "iu"):
        ome["image-label"] = _image_label(finest, version, source)
    record = write_record(
        finest,
        numbers,
        attributes,
        units=any(
            ours is not None and word is None
            for ours, word in zip(finest.units, units, strict=True)
        ),
    )
    if version == "0.4":
        image["version"] = version
        return {**ome, NAMESPACE: record}
    return {"ome": {"version": version, **ome}, NAMESPACE: record}


def _image_label(spec: ArraySpec, version: Version, source: str | None) -> dict[str, Any]:
    """Say that an image is one of labels, and what a source said of colours and properties of each."""
    said = spec.attrs.get("image-label", {})
    known = {key: said[key] for key in ("colors", "properties") if said.get(key)}
    where = {} if source is None else {"source": {"image": source}}
    return ({"version": version} if version == "0.4" else {}) | known | where


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


def _axes(spec: ArraySpec, units: Sequence[str | None]) -> list[dict[str, Any]]:
    leading: list[dict[str, Any]] = [
        {"name": name, "type": _TYPES.get(name, "custom")}
        for name in dimension_names(spec)[: len(spec.leading_axes)]
    ]
    spatial: list[dict[str, Any]] = [
        {"name": name, "type": "space"} | ({} if unit is None else {"unit": unit})
        for name, unit in zip(spec.spatial_axes, units, strict=True)
    ]
    for axis, word in zip(spatial, _orientation(spec) or (), strict=False):
        axis["orientation"] = {"type": "anatomical", "value": word}
    return leading + spatial


def _orientation(spec: ArraySpec) -> tuple[str, ...] | None:
    """Give the words of RFC-4 for the axes, where the world is an anatomical one and they lie along its own.

    Words that name no direction of that world go out as they came in.
    """
    said = spec.attrs.get("axis_orientation", {})
    words = tuple(said[axis] for axis in spec.spatial_axes if said.get(axis))
    if len(words) == spec.dims and not is_anatomical(words):
        return words
    if spec.directions is not None or is_anatomical(words) or "nifti" in spec.attrs:
        return words_of(spec.directions, spec.spatial_axes)
    return None


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


def _channels(spec: ArraySpec) -> list[dict[str, Any]] | None:
    """Say how viewers are to show the channels: as a source said of channels of these names, else as usual.

    ``None`` where nobody said anything of them.
    """
    shown = spec.attrs.get("omero", {}).get("channels", ())
    names = [str(channel.get("label") or i) for i, channel in enumerate(shown)]
    known = dict(zip(names, shown, strict=True))
    fitting = spec.num_channels is not None and set(spec.channel_names) <= set(known)
    if spec.num_channels is None or (spec.channels is None and not fitting):
        return None
    return [
        _channel(i, label, spec, known.get(label, {})) for i, label in enumerate(spec.channel_names)
    ]


def _channel(i: int, label: str, spec: ArraySpec, shown: Mapping[str, Any]) -> dict[str, Any]:
    low, high = _value_range(spec.dtype)
    made = {
        "label": label,
        "color": "FFFFFF" if spec.num_channels == 1 else _COLORS[i % len(_COLORS)],
        "active": True,
        "window": {"min": low, "max": high, "start": low, "end": high},
    }
    kept = {key: value for key, value in shown.items() if key not in ("label", "window")}
    window = shown.get("window")
    if isinstance(window, Mapping) and _fits(window, spec.dtype):
        kept["window"] = dict(window)
    return made | kept


def _fits(window: Mapping[str, Any], dtype: np.dtype[Any]) -> bool:
    """Whether values of a window are those that voxels can have."""
    values = [window.get(key) for key in ("min", "max", "start", "end")]
    if not all(isinstance(value, (int, float)) for value in values):
        return False
    low, high = _value_range(dtype)
    return dtype.kind == "f" or all(low <= value <= high for value in values if value is not None)


def _value_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Give the values that viewers map to black and full colour: those that an integer can have, else 0 and 1."""
    if dtype.kind not in "iu":
        return 0, 1
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)
