"""OME-Zarr 0.5: written block by block beside its place, and moved there when it is complete."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from dacapo_like import tensorstores
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.spec import ArraySpec
from dacapo_like.writers.base import Writer, writes
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


@writes(".zarr")
class OmeZarrWriter(Writer):
    """Writes one array as an OME-Zarr 0.5 group.

    Blocks are written in any order and from any number of threads; blocks that are never written, or hold nothing but zeros,
    are not stored. Boxes and chunks are in the array's order of axes; the format's has time first.

    Parameters
    ----------
    path : str or Path
        Of the group.
    spec : ArraySpec
        Of the array.
    chunks : sequence of int, optional
        Along every axis; by default those that the array has, or cubes of about a megabyte.
    shards : sequence of int, optional
        Files of chunks, multiples of `chunks`; by default every chunk is a file.
    **options
        As of every `Writer`.

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
        chunks: Sequence[int] | None = None,
        shards: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        self._order = format_order(spec)
        stored = spec.transposed(self._order)
        check_axes(stored)
        super().__init__(path, spec, **options)
        self.chunk_shape = chunk_shape(spec, chunks)
        self.block_shape = shard_shape(self.chunk_shape, shards)
        group = _group_document([stored], self.name, self.attributes)
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

    def _write(self, box: Box, data: NDArray[Any]) -> None:
        try:
            self._array[self._stored_axes(box.slices)] = data.transpose(self._order)
        except tensorstores.ERRORS as error:
            raise self._failure(f"cannot write voxels {box.offset} to {box.end}", error) from error

    def _close(self, *, complete: bool) -> None:  # noqa: ARG002  # written voxels are on disk
        self._array = None

    def _is_replaceable(self) -> bool:
        return any((self.path / name).is_file() for name in _ZARR_FILES)

    def _stored_axes(self, values: tuple[T, ...]) -> tuple[T, ...]:
        """Put one value per axis into the order of the format."""
        return tuple(values[i] for i in self._order)


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
