"""What formats have no place for: refused, or where that is only metadata, said."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TypeVar

from dacapo_like.errors import ConfigError, DataWarning, SpecError
from dacapo_like.geometry import format_number
from dacapo_like.spec import ArraySpec

T = TypeVar("T")


def check_voxels(spec: ArraySpec) -> None:
    """Refuse an array without voxels.

    Raises
    ------
    SpecError
        One of its axes is empty.
    """
    if min(spec.shape, default=0) < 1:
        raise SpecError("an array without voxels", got=spec.shape, expected="at least one voxel")


def check_axes(spec: ArraySpec, leading: Sequence[str], dims: Sequence[int], kind: str) -> None:
    """Refuse axes that a format has no place for.

    Raises
    ------
    SpecError
        There are others than z, y, x, and before them the leading ones that it has.
    """
    spatial = ("z", "y", "x")[3 - spec.dims :]
    if (
        spec.dims in dims
        and spec.spatial_axes == spatial
        and set(spec.leading_axes) <= set(leading)
    ):
        return
    raise SpecError(
        f"{kind} has no place for these axes",
        got=" ".join(spec.axes),
        expected=f"{' and '.join(leading)} before {' or '.join(' '.join('zyx'[3 - n :]) for n in dims)}",
        hint=f"`transpose` puts them into the order {' '.join(spatial)}"
        if set(spec.spatial_axes) == set(spatial)
        and spec.dims in dims
        and set(spec.leading_axes) <= set(leading)
        else "write one file per index of the other axes",
    )


def check_dtype(spec: ArraySpec, nearest: Mapping[str, str | None], kind: str) -> None:
    """Refuse voxels that a format has no type for.

    Parameters
    ----------
    spec : ArraySpec
        Of the array.
    nearest : mapping
        By numpy's names of the types that the format lacks: the nearest one that it has and that holds all their values.
    kind : str
        What the format is called.

    Raises
    ------
    SpecError
        The type is one of them, and the hint the way out.
    """
    name = spec.dtype.name
    if name not in nearest and spec.dtype.itemsize <= 8:
        return
    fits = nearest.get(name)
    raise SpecError(
        f"{kind} has no such voxels",
        got=name,
        hint=f"the nearest type that holds all of them is {fits}"
        if fits
        else "none of its types holds all of them: write OME-Zarr, HDF5 or .npy",
    )


def choice(option: str, value: T, choices: Sequence[T]) -> T:
    """Give an option back that is one of some values.

    Raises
    ------
    ConfigError
        It is not.
    """
    if value not in choices:
        shown = ", ".join("null" if item is None else str(item) for item in choices)
        raise ConfigError(f"no such {option}", got=value, expected=f"one of {shown}", key=(option,))
    return value


def warn_of_losses(spec: ArraySpec, kind: str, where: str) -> None:
    """Say what a file that holds nothing but voxels does not keep, as the config that reads it can say it."""
    lost = [f"axes: [{', '.join(spec.axes)}]"]
    if set(spec.voxel_size) != {1}:
        lost.append(f"voxel_size: [{', '.join(map(format_number, spec.voxel_size))}]")
    if any(spec.offset):
        lost.append(f"offset: [{', '.join(map(format_number, spec.offset))}]")
    if any(spec.units):
        lost.append(f"units: [{', '.join(unit or '' for unit in spec.units)}]")
    if spec.channels is not None:
        lost.append(f"channels {', '.join(spec.channels)}")
    if spec.directions is not None:
        lost.append(f"directions {spec.directions}")
    if len(lost) == 1 and spec.axes == ("z", "y", "x")[3 - spec.dims :]:
        return
    warnings.warn(
        f"{where}: {kind} keeps voxels only; what reads it has to be told {'; '.join(lost)}",
        DataWarning,
        stacklevel=2,
    )
