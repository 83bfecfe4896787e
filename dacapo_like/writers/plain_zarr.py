"""Plain Zarr arrays with the attributes that DaCapo and funlib.persistence read: made empty, to be assigned to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from dacapo_like.consolidated import refresh_consolidated
from dacapo_like.errors import ConfigError, SourceError, SpecError
from dacapo_like.padding import fitting_value
from dacapo_like.replacing import beside, replace_folder
from dacapo_like.spec import ArraySpec
from dacapo_like.writers.attributes import array_attributes
from dacapo_like.writers.chunking import chunk_shape, shard_shape

ZarrFormat = Literal[2, 3]

_COMPRESSION_LEVEL = 3


def make_array(
    store: Path,
    dataset: str,
    spec: ArraySpec,
    *,
    chunks: Sequence[int] | None = None,
    shards: Sequence[int] | None = None,
    fill_value: float = 0,
    attributes: Mapping[str, Any] | None = None,
    zarr_format: ZarrFormat | None = None,
    overwrite: bool = False,
) -> None:
    """Make an array without voxels, and the groups that it stands in.

    It appears as a whole: what the store lacks is made beside its place, and moved there.

    Parameters
    ----------
    store : Path
        Of the hierarchy.
    dataset : str
        Path of the array in it; empty for the root.
    spec : ArraySpec
        Of the array.
    chunks, shards : sequence of int, optional
        Along every axis.
    fill_value : number
        Of voxels that were never written.
    attributes : mapping, optional
        Further JSON.
    zarr_format : {2, 3}, optional
        By default that of the store, or 3.
    overwrite : bool
        Replace an array that is there. Nothing else is ever replaced.

    Raises
    ------
    SourceError
        Something is in the way, or cannot be written.
    SpecError, ConfigError
        The format has no place for such an array.
    """
    folders = _folders(store, dataset)
    *groups, target = folders
    version = _version(groups, zarr_format)
    _check_target(target, overwrite=overwrite)
    options = _options(spec, chunks, shards, version)
    options["fill_value"] = fitting_value(fill_value, spec.dtype)
    options["attributes"] = _attributes(spec, attributes or {})
    top = next((folder for folder in groups if not _is_there(folder)), target)
    partial = beside(top)
    try:
        top.parent.mkdir(parents=True, exist_ok=True)
        _write(partial, target.relative_to(top).parts, version, options)
        replace_folder(partial, top)
        refresh_consolidated(target)
    except OSError as error:
        if partial.exists():
            shutil.rmtree(partial)
        raise SourceError("cannot write here", got=error, where=str(target)) from error


def _folders(store: Path, dataset: str) -> list[Path]:
    """Give the folders of the store, of the groups in it, and last of the array."""
    names = PurePosixPath(dataset.strip("/")).parts
    if any(name.startswith((".", "__")) for name in names):
        raise ConfigError(
            "not a path of an array in a store",
            got=repr(dataset),
            expected="names joined by /, none of them hidden",
            key=("dataset",),
        )
    root = store.absolute()
    return [root, *(root.joinpath(*names[: i + 1]) for i in range(len(names)))]


def _is_there(folder: Path) -> bool:
    return folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))


def _version(groups: Sequence[Path], wanted: ZarrFormat | None) -> ZarrFormat:
    """Give the version of the groups that are there, which are all to be groups of one version."""
    version = wanted
    for folder in filter(_is_there, groups):
        if (folder / "zarr.json").is_file():
            found: ZarrFormat = 3
            is_group = json.loads((folder / "zarr.json").read_text()).get("node_type") == "group"
        else:
            found = 2
            is_group = (folder / ".zgroup").is_file()
        if not is_group:
            raise SourceError(
                "something that is no Zarr group is in the way",
                where=str(folder),
                hint="choose another place; nothing but arrays is ever replaced",
            )
        if version is not None and version != found:
            raise ConfigError(
                "the store has another version of Zarr",
                got=version,
                expected=found,
                where=str(folder),
                key=("zarr_format",),
            )
        version = found
    return version or 3


def _check_target(folder: Path, *, overwrite: bool) -> None:
    if not _is_there(folder):
        return
    path = folder / "zarr.json"
    is_array = (folder / ".zarray").is_file() or (
        path.is_file() and json.loads(path.read_text()).get("node_type") == "array"
    )
    if not is_array:
        raise SourceError(
            "something that is no Zarr array is in the way",
            where=str(folder),
            hint="it is never replaced: choose another place, or remove it yourself",
        )
    if not overwrite:
        raise SourceError(
            "the array exists already",
            where=str(folder),
            hint="overwrite=True replaces it; open_array(…, mode='r+') opens it",
        )


def _options(
    spec: ArraySpec,
    chunks: Sequence[int] | None,
    shards: Sequence[int] | None,
    version: ZarrFormat,
) -> dict[str, Any]:
    """Give what zarr-python calls the parts of an array's metadata."""
    import numcodecs
    import zarr.codecs  # heavy

    if spec.dtype.itemsize > 8:
        raise SpecError("Zarr has no such voxels", got=spec.dtype, expected="at most 64 bits")
    shape = chunk_shape(spec, chunks)
    options: dict[str, Any] = {"shape": spec.shape, "dtype": spec.dtype, "chunks": shape}
    if version == 3:
        zstd = zarr.codecs.ZstdCodec(level=_COMPRESSION_LEVEL, checksum=True)
        return options | {
            "shards": None if shards is None else shard_shape(shape, shards),
            "compressors": zstd,
            "dimension_names": spec.axes,
        }
    if shards is not None:
        raise ConfigError("version 2 of Zarr has no shards", got=shards, key=("shards",))
    return options | {"compressors": numcodecs.Zstd(level=_COMPRESSION_LEVEL)}


def _attributes(spec: ArraySpec, attributes: Mapping[str, Any]) -> dict[str, Any]:
    made = array_attributes(spec)
    taken = next((key for key in attributes if key in {*made, "units"}), None)
    if taken is not None:
        raise ConfigError(
            "an attribute that says what the array is", got=taken, key=("attributes", taken)
        )
    made.update(attributes)
    try:
        json.dumps(made, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError("attributes are not JSON", got=error, key=("attributes",)) from error
    return made


def _write(
    partial: Path, names: Sequence[str], version: ZarrFormat, options: Mapping[str, Any]
) -> None:
    """Write the metadata of an array, and of the groups that its path leads through."""
    import zarr  # heavy

    for i in range(len(names)):
        zarr.create_group(str(partial.joinpath(*names[:i])), zarr_format=version)
    zarr.create_array(str(partial.joinpath(*names)), zarr_format=version, **options)
