"""HDF5: a chunked dataset, with the attributes that DaCapo, funlib, CREMI and BiaPy read."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Literal

from numpy.typing import NDArray

from dacapo_like.errors import ConfigError
from dacapo_like.geometry import Box
from dacapo_like.record import NAMESPACE
from dacapo_like.spec import ArraySpec
from dacapo_like.writers.attributes import array_attributes
from dacapo_like.writers.base import Writer, writes
from dacapo_like.writers.checks import check_dtype, check_voxels, choice
from dacapo_like.writers.chunking import chunk_shape
from dacapo_like.writers.h5_chunks import write_chunks

_GZIP_LEVEL = 3


@writes(".h5", ".hdf5", ".hdf")
class HDF5Writer(Writer):
    """Writes one array as a dataset of a new HDF5 file.

    Its attributes ``voxel_size``, ``resolution`` (the same, as CREMI calls it), ``offset``, ``axis_names`` and ``units`` say where it
    lies; ``dacapo_like`` is JSON text of what these cannot say.

    Parameters
    ----------
    path : str or Path
        Of the file.
    spec : ArraySpec
        Of the array.
    dataset : str
        Path of the dataset in the file; groups on the way are made.
    chunks : sequence of int, optional
        Along every axis; by default those that the array has, or cubes of about a megabyte.
    compression : {"gzip", "lzf", None}
        Both behind HDF5's shuffle filter.
    **options
        As of every `Writer`.

    Examples
    --------
    >>> import tempfile
    >>> import h5py
    >>> import numpy as np
    >>> from dacapo_like.spec import from_shape
    >>> spec = from_shape((4, 6), voxel_size=(9.8, 4), units="nm")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with HDF5Writer(f"{folder}/a.h5", spec, dataset="volumes/raw") as writer:
    ...         writer.write(spec.box, np.ones(spec.shape, spec.dtype))
    ...     with h5py.File(f"{folder}/a.h5") as file:
    ...         file["volumes/raw"].attrs["resolution"].tolist()
    [9.8, 4.0]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        spec: ArraySpec,
        *,
        dataset: str = "data",
        chunks: Sequence[int] | None = None,
        compression: Literal["gzip", "lzf"] | None = "gzip",
        **options: Any,
    ) -> None:
        check_voxels(spec)
        check_dtype(spec, {}, "HDF5")
        choice("compression", compression, ("gzip", "lzf", None))
        super().__init__(path, spec, **options)
        wanted = zip(chunk_shape(spec, chunks), spec.shape, strict=True)
        self.block_shape = tuple(min(chunk, n) for chunk, n in wanted)
        filters = {
            "compression": compression,
            "compression_opts": _GZIP_LEVEL if compression == "gzip" else None,
            "shuffle": compression is not None,
        }
        self._compression = compression
        name, attributes = _name(dataset), _attributes(spec, self.attributes)
        import h5py  # heavy

        try:
            self._file: Any = h5py.File(self._partial, "x")
        except OSError as error:
            raise self._failure("cannot write here", error) from error
        try:
            self._dataset = self._file.create_dataset(
                name, spec.shape, spec.dtype, chunks=self.block_shape, **filters
            )
            self._dataset.attrs.update(attributes)
        except (OSError, ValueError) as error:
            self.abort()
            raise self._failure("cannot make the dataset", error) from error

    def _write(self, box: Box, data: NDArray[Any]) -> None:
        try:
            if self._compression == "lzf":  # only HDF5 itself has it
                self._dataset[box.slices] = data
            else:
                level = _GZIP_LEVEL if self._compression == "gzip" else None
                write_chunks(self._dataset, box.offset, data, level)
        except (OSError, RuntimeError) as error:
            raise self._failure(f"cannot write voxels {box.offset} to {box.end}", error) from error

    def _close(self, *, complete: bool) -> None:
        try:
            if complete:
                self._file.flush()
            self._file.close()
        except RuntimeError as error:  # so h5py calls a disk that refuses, at times
            raise OSError(*error.args) from error


def _name(dataset: str) -> str:
    names = [name for name in str(dataset).split("/") if name]
    if not names or {".", ".."} & set(names) or any("\0" in name for name in names):
        raise ConfigError(
            "not a path of a dataset",
            got=repr(dataset),
            expected="names joined by /",
            key=("dataset",),
        )
    return "/".join(names)


def _attributes(spec: ArraySpec, kept: dict[str, Any]) -> dict[str, Any]:
    made = array_attributes(spec, kept)
    try:
        record = json.dumps(made.pop(NAMESPACE), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError("attributes to keep are not JSON", got=error) from error
    return made | {"resolution": made["voxel_size"], NAMESPACE: record}
