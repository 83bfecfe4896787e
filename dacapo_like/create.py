"""New arrays to write to."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dacapo_like.core import Array
from dacapo_like.errors import SpecError
from dacapo_like.geometry import Coordinate, RoiLike, as_roi
from dacapo_like.sources.zarr import ZarrArrayConfig
from dacapo_like.spec import ArraySpec, Kind, infer_kind
from dacapo_like.writers.plain_zarr import ZarrFormat, make_array


def create_array(
    store: str | os.PathLike[str],
    dataset: str | None,
    axes: Sequence[str],
    roi: RoiLike,
    voxel_size: Sequence[Any],
    dtype: Any,
    num_channels: int | None = None,
    chunks: Sequence[int] | None = None,
    *,
    lengths: Mapping[str, int] | None = None,
    shards: Sequence[int] | None = None,
    units: str | Sequence[str | None] | None = None,
    channels: Sequence[str] | None = None,
    kind: Kind | None = None,
    fill_value: float = 0,
    attributes: Mapping[str, Any] | None = None,
    zarr_format: ZarrFormat | None = None,
    overwrite: bool = False,
    name: str | None = None,
) -> Array:
    """Make an array in a Zarr store and open it for writing.

    Its attributes are those that DaCapo and funlib.persistence read. It appears as a whole; voxels that are never written
    read as the fill value.

    Parameters
    ----------
    store : path
        Of the Zarr hierarchy: a folder, made where there is none.
    dataset : str or None
        Path of the array in the store; its groups are made where there are none. ``None``: the store is the array.
    axes : sequence of str
        Names in array order: time, samples and channels first, then the spatial ones.
    roi : Roi
        What it covers, in world units; a whole number of voxels.
    voxel_size : sequence of numbers
        Per spatial axis, in world units.
    dtype : dtype
        Of the voxels.
    num_channels : int, optional
        Length of axis ``c``.
    chunks : sequence of int, optional
        Along every axis; by default cubes of about a megabyte, one per leading index.
    lengths : mapping of str to int, optional
        Of further axes that are not spatial, such as ``t``.
    shards : sequence of int, optional
        Files of chunks, multiples of `chunks`; by default every chunk is a file.
    units : str or sequence, optional
        Of the spatial axes; unknown by default.
    channels : sequence of str, optional
        Names along axis ``c``, whose number `num_channels` then need not repeat.
    kind : {"image", "labels", "mask"}, optional
        By default what the dtype suggests.
    fill_value : number
        Of voxels that were never written.
    attributes : mapping, optional
        Further JSON to keep beside the voxels.
    zarr_format : {2, 3}, optional
        By default that of the store, or 3.
    overwrite : bool
        Replace an array that is there; by default that is an error. Nothing but an array is ever replaced.
    name : str, optional
        For people.

    Returns
    -------
    Array
        Writable.

    Raises
    ------
    SourceError
        Something is in the way, or nothing can be written there.
    SpecError, ConfigError
        Axes, region, voxel size, lengths, chunks or attributes do not fit each other.

    Examples
    --------
    >>> import tempfile
    >>> from dacapo_like import Roi
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     array = create_array(
    ...         f"{folder}/a.zarr", "pred", "czyx", Roi((0, 0, 0), (80, 40, 40)), (40, 4, 4), "uint8", 2, units="nm"
    ...     )
    ...     array[Roi((40, 0, 0), (40, 4, 4))] = 7
    ...     array[:, 1, 0, 0]
    array([7, 7], dtype=uint8)
    """
    spec = _spec(
        tuple(axes),
        roi,
        Coordinate(voxel_size),
        dtype,
        {**(lengths or {}), **_channel_length(num_channels, channels)},
        units=units,
        channels=channels,
        kind=kind,
    )
    make_array(
        Path(store),
        dataset or "",
        spec,
        chunks=chunks,
        shards=shards,
        fill_value=fill_value,
        attributes=attributes,
        zarr_format=zarr_format,
        overwrite=overwrite,
    )
    return ZarrArrayConfig(
        name=name, file_name=os.fspath(store), dataset=dataset or None, mode="r+"
    ).array()


def _channel_length(num_channels: int | None, channels: Sequence[str] | None) -> dict[str, int]:
    if num_channels is None and channels is not None:
        num_channels = len(channels)
    return {} if num_channels is None else {"c": num_channels}


def _spec(
    axes: tuple[str, ...],
    roi: RoiLike,
    voxel_size: Coordinate,
    dtype: Any,
    lengths: Mapping[str, int],
    *,
    units: str | Sequence[str | None] | None,
    channels: Sequence[str] | None,
    kind: Kind | None,
) -> ArraySpec:
    """Put the parts together, and say which of them do not fit."""
    region, dims = as_roi(roi), len(voxel_size)
    leading = axes[: max(len(axes) - dims, 0)]
    if region.dims != dims or len(axes) < dims or set(leading) != set(lengths):
        raise SpecError(
            "axes, region, voxel size and lengths do not fit each other",
            got=f"axes {' '.join(axes)}, {region}, voxel size {voxel_size}, lengths {dict(lengths)}",
            expected="a number in region and voxel size per spatial axis, and a length for every other one",
            hint="num_channels is the length of axis c; `lengths` gives those of others, such as {'t': 5}",
        )
    sizes = list(zip(region.shape, voxel_size, strict=True))
    if any(step <= 0 or size < 0 or size % step for size, step in sizes):
        raise SpecError(
            "the region is not a whole number of voxels",
            got=f"{region} of voxel size {voxel_size}",
            expected="a shape that is a multiple of a positive voxel size",
            key=("roi",),
        )
    found = ArraySpec(
        axes=axes,
        shape=[*(lengths[axis] for axis in leading), *(int(size // step) for size, step in sizes)],
        dtype=dtype,
        voxel_size=voxel_size,
        offset=region.offset,
        units=[units] * dims if units is None or isinstance(units, str) else units,
        channels=channels,
    )
    return found.replace(kind=kind or infer_kind(found.dtype))
