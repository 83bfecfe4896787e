"""Which levels a pyramid gets: chosen, counted, listed, or as another OME-Zarr has them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from dacapo_like.errors import ConfigError, SourceError
from dacapo_like.pyramids import MOST_JOINED, Factors, halvings
from dacapo_like.spec import ArraySpec

Levels = int | Literal["auto"]

_SMALLEST_EXTENT = 64  # a level that fits on a thumbnail needs no coarser one
_ROUNDING = (
    0.05  # of a factor: some writers divide the shapes of levels, the last part-voxel included
)


def level_factors(
    spec: ArraySpec,
    chunks: Sequence[int],
    levels: Levels,
    factors: Sequence[int | Sequence[int]] | None,
    like: str | os.PathLike[str] | None,
) -> list[Factors]:
    """Give, per level and spatial axis, how many voxels of the level before become one.

    Parameters
    ----------
    spec : ArraySpec
        Of the finest level.
    chunks : sequence of int
        Along all its axes: the last chosen level is about as long as one of them.
    levels : int or "auto"
        How many, the finest included, chosen by voxel size; ``"auto"`` for as many as it takes.
    factors : sequence, optional
        Levels instead, each relative to the finest: numbers for all spatial axes, or one number each.
    like : path, optional
        Of an OME-Zarr that has the wanted factors.

    Raises
    ------
    ConfigError, SpecError
        There can be no such levels, or more than one of these says which.
    SourceError
        There is no such OME-Zarr.
    """
    if (levels != "auto") + (factors is not None) + (like is not None) > 1:
        raise ConfigError(
            "levels are said twice",
            expected="one of `levels`, `factors` and `match_scale_factors_from`",
            key=("levels",),
        )
    if like is not None:
        factors = _factors_of(like, spec.spatial_axes)
    if factors is not None:
        return _relative([_per_axis(f, spec) for f in factors])
    if levels != "auto" and (type(levels) is not int or levels < 1):
        raise ConfigError(
            "not a number of levels", got=levels, expected="1 or more, or auto", key=("levels",)
        )
    extent = max(_SMALLEST_EXTENT, *chunks[len(spec.leading_axes) :])
    return halvings(spec, extent, None if levels == "auto" else levels - 1)


def _per_axis(factors: int | Sequence[int], spec: ArraySpec) -> Factors:
    """Repeat one number for all axes, except for those of a single voxel."""
    if isinstance(factors, int):
        return tuple(factors if n > 1 else 1 for n in spec.spatial_shape)
    found = tuple(factors)
    if len(found) != spec.dims:
        raise ConfigError(
            "factors do not fit the axes",
            got=found,
            expected=f"{spec.dims}, one per spatial axis {' '.join(spec.spatial_axes)}",
            key=("factors",),
        )
    return found


def _relative(factors: Sequence[Factors]) -> list[Factors]:
    found, before = [], (1,) * len(factors[0]) if factors else ()
    for level in factors:
        if any(f < b or f % b for f, b in zip(level, before, strict=True)) or level == before:
            raise ConfigError(
                "not the factors of a coarser level",
                got=level,
                expected=f"multiples of {before}, which the level before has",
                hint="factors are relative to the finest level",
                key=("factors",),
            )
        relative = tuple(f // b for f, b in zip(level, before, strict=True))
        if math.prod(relative) > MOST_JOINED:
            raise ConfigError(
                "too many voxels would become one",
                got=f"{relative} of the level before",
                expected=f"at most {MOST_JOINED} in all",
                hint="put a level between",
                key=("factors",),
            )
        found.append(relative)
        before = level
    return found


def _factors_of(path: str | os.PathLike[str], axes: Sequence[str]) -> list[Factors]:
    """Read the factors of another pyramid; an axis that it lacks has none."""
    import zarr  # heavy

    where = os.fspath(path)
    try:
        attributes: dict[str, Any] = zarr.open_group(where, mode="r").attrs.asdict()
    except (OSError, ValueError, KeyError) as error:
        raise SourceError("not an OME-Zarr group", got=error, where=where) from error
    ome = attributes.get("ome", attributes)
    try:
        image = ome["multiscales"][0]
        names = [axis["name"] for axis in image["axes"]]
        scales = [_scale(dataset, names) for dataset in image["datasets"]]
        ratios = [[scale.get(a, 1) / scales[0].get(a, 1) for a in axes] for scale in scales[1:]]
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError) as error:
        raise SourceError(
            "not an OME-Zarr image with voxel sizes", got=error, where=where
        ) from error
    return [tuple(_whole(ratio, where) for ratio in level) for level in ratios]


def _scale(dataset: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    steps = dataset["coordinateTransformations"]
    (scale,) = (step["scale"] for step in steps if step["type"] == "scale")
    return dict(zip(names, scale, strict=True))


def _whole(ratio: float, where: str) -> int:
    if ratio < 1 / 2 or abs(ratio - round(ratio)) > _ROUNDING * ratio:
        raise ConfigError(
            "levels whose voxels are no multiples of each other",
            got=f"{ratio:g} times as large",
            expected="whole factors",
            where=where,
            key=("match_scale_factors_from",),
        )
    return round(ratio)
