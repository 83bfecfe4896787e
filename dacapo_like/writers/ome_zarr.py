"""OME-Zarr 0.5: written block by block beside its place, and moved there when it is complete."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from numpy.typing import NDArray

from dacapo_like import tensorstores
from dacapo_like.errors import ConfigError, RegionError, SourceError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.replacing import beside, replace_folder
from dacapo_like.spec import ArraySpec
from dacapo_like.writers.chunking import chunk_shape, shard_shape
from dacapo_like.writers.ngff import (
    check_axes,
    dimension_names,
    format_order,
    image_attributes,
    level_path,
)

T = TypeVar("T")

_COMPRESSION_LEVEL = 3
_ZARR_FILES = ("zarr.json", ".zgroup", ".zarray")


class OmeZarrWriter:
    """Writes one array as an OME-Zarr 0.5 group.

    Blocks are written in any order and from any number of threads; blocks that are never written, or hold nothing but zeros,
    are not stored. Boxes and chunks are in the array's order of axes; the format's has time first. Until `commit` the target is not touched: the group grows beside it, under a hidden name. As a context
    manager it commits at the end, and removes what it wrote after an error.

    Parameters
    ----------
    path : str or Path
        Of the group.
    spec : ArraySpec
        Of the array.
    name : str, optional
        Of the image; by default that of the file.
    chunks : sequence of int, optional
        Along every axis; by default those that the array has, or cubes of about a megabyte.
    shards : sequence of int, optional
        Files of chunks, multiples of `chunks`; by default every chunk is a file.
    overwrite : bool
        Replace a Zarr store that is there. Nothing else is ever replaced.
    attributes : mapping, optional
        JSON to keep beside the metadata, see `dacapo_like.record`.

    Attributes
    ----------
    chunk_shape : tuple of int
        Of the chunks.
    block_shape : tuple of int
        Of the blocks that may be written independently: shards, or chunks.

    Raises
    ------
    SourceError
        Something is in the way.
    SpecError
        The format has no place for such an array.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from dacapo_like.geometry import blocks_of
    >>> from dacapo_like.spec import from_shape
    >>> spec = from_shape((4, 6), voxel_size=(9.8, 4), units="nm")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with OmeZarrWriter(f"{folder}/a.zarr", spec, chunks=(2, 4)) as writer:
    ...         for box in blocks_of(spec.shape, writer.block_shape):
    ...             writer.write(box, np.ones(box.shape, spec.dtype))
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        spec: ArraySpec,
        *,
        name: str | None = None,
        chunks: Sequence[int] | None = None,
        shards: Sequence[int] | None = None,
        overwrite: bool = False,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self._order = format_order(spec)
        stored = spec.transposed(self._order)
        check_axes(stored)
        self.path = Path(path).resolve()
        self.spec = spec
        self.chunk_shape = chunk_shape(spec, chunks)
        self.block_shape = shard_shape(self.chunk_shape, shards)
        self._overwrite = overwrite
        self._check_target()
        self._partial = beside(self.path)
        stem = self.path.name.removesuffix(".zarr").removesuffix(".ome")
        group = _group_document([stored], name or stem, attributes)
        array = _array_document(
            stored, self._stored_axes(self.chunk_shape), self._stored_axes(self.block_shape)
        )
        folder = self._partial / level_path(0)
        try:
            folder.mkdir(parents=True)
            (self._partial / "zarr.json").write_text(group)
            (folder / "zarr.json").write_text(array)
        except OSError as error:
            raise self._failure("cannot write here", error) from error
        self._array: Any = _open_for_writing(folder)

    def write(self, box: Box, data: NDArray[Any]) -> None:
        """Write a block, or several that make up a box.

        Parameters
        ----------
        box : Box
            Its ends lie on multiples of `block_shape`, or at the end of the array.
        data : ndarray
            Of the box's shape and the array's dtype.

        Raises
        ------
        RegionError
            The box is no such box, or the data do not fit it.
        SourceError
            The voxels cannot be written.
        """
        if self._array is None:
            raise SourceError("the writer is closed", where=str(self.path))
        self._check_box(box)
        if data.shape != box.shape or data.dtype != self.spec.dtype:
            raise RegionError(
                "data do not fit the block",
                got=f"{data.dtype} {data.shape}",
                expected=f"{self.spec.dtype} {box.shape}",
                where=str(self.path),
            )
        try:
            self._array[self._stored_axes(box.slices)] = data.transpose(self._order)
        except tensorstores.ERRORS as error:
            raise self._failure(f"cannot write voxels {box.offset} to {box.end}", error) from error

    def commit(self) -> None:
        """Move what was written into its place.

        Raises
        ------
        SourceError
            Something has come into the way since.
        """
        self._check_target()
        self._array = None
        try:
            replace_folder(self._partial, self.path)
        except OSError as error:
            raise self._failure("cannot move the finished store into place", error) from error

    def abort(self) -> None:
        """Remove what was written; the target stays as it was."""
        self._array = None
        shutil.rmtree(self._partial)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._array is None:
            return
        if kind is None:
            self.commit()
        else:
            self.abort()

    def _check_target(self) -> None:
        folder = self.path
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return
        if not any((folder / name).is_file() for name in _ZARR_FILES):
            raise SourceError(
                "something that is no Zarr store is in the way",
                where=str(folder),
                hint="it is never replaced: choose another path, or remove it yourself",
            )
        if not self._overwrite:
            raise SourceError(
                "the output exists already",
                where=str(folder),
                hint="overwrite=True (--overwrite) replaces it",
            )

    def _stored_axes(self, values: tuple[T, ...]) -> tuple[T, ...]:
        """Put one value per axis into the order of the format."""
        return tuple(values[i] for i in self._order)

    def _check_box(self, box: Box) -> None:
        def on_grid(position: int, block: int, n: int) -> bool:
            return position % block == 0 or position == n

        if not self.spec.box.contains(box) or not all(
            on_grid(start, block, n) and on_grid(stop, block, n)
            for start, stop, block, n in zip(
                box.offset, box.end, self.block_shape, self.spec.shape, strict=True
            )
        ):
            raise RegionError(
                "not a box of whole blocks",
                got=f"{box.offset} to {box.end}",
                expected=f"multiples of {self.block_shape} inside {self.spec.shape}",
                where=str(self.path),
            )

    def _failure(self, what: str, error: Exception) -> SourceError:
        return SourceError(what, got=error, where=str(self.path))


def _open_for_writing(folder: Path) -> Any:
    """Open through TensorStore, or in a forked child through zarr-python; voxels are assigned to either."""
    if tensorstores.usable():
        return tensorstores.open_zarr(folder, 3, write=True)
    import zarr

    return zarr.open_array(folder, mode="r+")


def _group_document(
    levels: Sequence[ArraySpec], name: str, attributes: Mapping[str, Any] | None
) -> str:
    made = image_attributes(levels, name=name, attributes=attributes)
    document = {"zarr_format": 3, "node_type": "group", "attributes": made}
    try:
        return json.dumps(document, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError("attributes to keep are not JSON", got=error) from error


def _array_document(spec: ArraySpec, chunks: tuple[int, ...], blocks: tuple[int, ...]) -> str:
    if spec.dtype.kind not in "biuf" or spec.dtype.itemsize > 8:
        raise SpecError(
            "Zarr has no such voxels", got=spec.dtype, expected="bool, integer or float"
        )
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    zstd = {
        "name": "zstd",
        "configuration": {"level": _COMPRESSION_LEVEL, "checksum": True},
    }
    sharding = {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": chunks,
            "codecs": [little, zstd],
            "index_codecs": [little, {"name": "crc32c"}],
            "index_location": "end",
        },
    }
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": spec.shape,
        "data_type": spec.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": blocks}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": False if spec.dtype.kind == "b" else 0,
        "codecs": [sharding] if blocks != chunks else [little, zstd],
        "dimension_names": dimension_names(spec),
        "attributes": {},
    }
    return json.dumps(document, indent=2)
