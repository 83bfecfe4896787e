"""The voxels of one Zarr array: through TensorStore, or through zarr-python what TensorStore does not know.

Both write a chunk by replacing it. Of writers that share chunks, in any threads and processes, TensorStore's lose nothing: it
looks again before it replaces. Those of zarr-python wait for each other, but do not know of TensorStore's.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dacapo_like import tensorstores
from dacapo_like.chunk_cache import file_state
from dacapo_like.consolidated import refresh_consolidated
from dacapo_like.engine import Through
from dacapo_like.errors import ConfigError, DacapoLikeError, ReadError, SourceError, WriteError
from dacapo_like.geometry import Box
from dacapo_like.manifest import FILE_NAME, Manifest
from dacapo_like.replacing import locked, replace_file
from dacapo_like.sources._blosc import blosc_guard
from dacapo_like.sources._cells import Cells
from dacapo_like.sources._chunk_files import Seen
from dacapo_like.sources._missing import Missing
from dacapo_like.sources._place import Place
from dacapo_like.sources._tensorstore_voxels import TensorStoreVoxels
from dacapo_like.sources._zarr_nodes import ArrayMetadata
from dacapo_like.sources.layout import GEOMETRY_KEYS

_LOG = logging.getLogger(__name__)
_EVERYDAY_CODECS = frozenset(
    ["blosc", "bytes", "bz2", "crc32c", "gzip", "sharding_indexed", "transpose", "zlib", "zstd"]
)
_DOCUMENTS = {2: ".zarray", 3: "zarr.json"}


class ZarrVoxels(TensorStoreVoxels):
    """Reads and writes boxes of a stored array, in stored order. Nothing is opened before the first of them.

    Parameters
    ----------
    place : Place
        Of the array; only a folder is written to.
    zarr_format : {2, 3}
        Version of the format.
    metadata : ArrayMetadata
        What the array is.
    missing : {"fill", "warn", "error"}
        What is done about chunks that are not there.
    where : str
        For errors.
    manifest : Manifest, optional
        Which files our own writer listed: these have to be there.
    find_manifest : callable, optional
        Looks for it, where that costs a request: once a chunk is not there.
    """

    def __init__(
        self,
        place: Place,
        zarr_format: int,
        metadata: ArrayMetadata,
        missing: Missing,
        where: str,
        manifest: Manifest | None = None,
        find_manifest: Callable[[], Manifest | None] | None = None,
    ) -> None:
        guard = blosc_guard(metadata, place)
        super().__init__(self._open_tensorstore, missing, where, guard, remote=place.remote)
        self._manifest = manifest
        self._find_manifest = find_manifest
        self._there: set[str] = set()  # files that were looked for, and found
        self._is_strict = find_manifest is not None
        if place.leaves is not None and metadata.files is not None:
            self._seen = Seen(metadata.chunk_shape)
        self._place_of_array = place
        self._zarr_format = zarr_format
        self._metadata = metadata
        # what is left out would be missing
        self._store_fill = missing != "fill" or manifest is not None
        self._cells = self._cells_in_files()
        self._target: Any = None
        self._filling = tensorstores.Opened(lambda: self._open_tensorstore(fill=True))
        self._refusal: str | None = None  # why TensorStore does not open the array
        self._zarr: tuple[int, Any] | None = None  # with the process that opened it

    @property
    def _folder(self) -> Path:
        folder = self._place_of_array.folder
        assert folder is not None  # noqa: S101  # the reader of any other place is read-only
        return folder

    def _cells_in_files(self) -> Cells | None:
        """Give the chunks, where each is in a file whose state can be asked for."""
        place, metadata = self._place_of_array, self._metadata
        if place.kvstore.get("driver") != "file" or metadata.files is None:
            return None
        return Cells(
            place.kvstore["path"],
            metadata.files,
            metadata.shape,
            metadata.chunk_shape,
            metadata.dtype,
            file_state(place.kvstore["path"] + _DOCUMENTS[self._zarr_format]),
            self._decode,
        )

    def check(self) -> None:
        """Open an array of rare codecs now: whether anything decodes them must not come out with the first voxels."""
        if not self._metadata.codecs <= _EVERYDAY_CODECS and self._in_tensorstore() is None:
            self._open_zarr(SourceError)

    def keeps(self, shape: Sequence[int] | None = None) -> bool:
        """Whether chunks are kept, of boxes of any shape, or of some."""
        return self._cells is not None and self._cells.keeps(shape)

    def start(self, box: Box, through: Through | None = None) -> Callable[[], NDArray[Any]]:
        """Begin to read a box, or what a function of single voxels makes of it; the function that is returned waits for it."""
        if self._cells is not None and self._cells.keeps():
            kept = self._cells.start(box, through)
            if kept is not None:
                return kept
        finish = self._decode(box)
        return finish if through is None else lambda: through(finish())

    def _decode(self, box: Box) -> Callable[[], NDArray[Any]]:
        read = super().start(box)
        if self._manifest is None or self._place_of_array.has is None:
            return read

        def wait() -> NDArray[Any]:
            data = read()
            self._check_written(box)
            return data

        return wait

    def _check_chunks(self, chunks: Sequence[tuple[int, ...]]) -> None:
        self._check_links(chunks)
        super()._check_chunks(chunks)

    def _check_links(self, chunks: Sequence[tuple[int, ...]]) -> None:
        """Raise where the file of a chunk is a link that leads out of the store."""
        leaves, files = self._place_of_array.leaves, self._metadata.files
        if leaves is None or files is None:
            return
        for index in files.of(chunks):
            name = files.name(index)
            if name and leaves(name):
                raise ReadError(
                    "a symbolic link leads out of the store",
                    got=name,
                    hint="copy the chunk to its place, or name the store that it is in",
                )

    def _check_written(self, box: Box) -> None:
        """Raise where a file is gone that was written: it was read as the fill value."""
        has, files = self._place_of_array.has, self._metadata.files
        assert self._manifest is not None and has is not None and files is not None  # noqa: S101, PT018  # it was found there
        for index in self._manifest.files_written(box):
            name = files.name(index)
            if not has(name):
                raise self._lost(name, box)

    def _lost(self, name: str, box: Box) -> ReadError:
        return ReadError(
            "a chunk that was written is lost",
            got=f"no file {name}",
            expected=f"all files that {FILE_NAME} lists",
            where=self._place(box),
            hint=f"restore it from a copy; without {FILE_NAME} it is read as the fill value",
        )

    def _absent(self, box: Box, missing: str) -> NDArray[Any]:
        if self._find_manifest is not None:
            self._manifest, self._find_manifest = self._find_manifest(), None
            self._is_strict = self._manifest is not None
        if not self._is_strict:
            return super()._absent(box, missing)
        self._look_for_files(box)
        self._absences.found(missing, self._place(box))
        return self._waited(self._filling, box)

    def _look_for_files(self, box: Box) -> None:
        """Raise where a file is gone that was written; to ask costs a request for each, once."""
        files = self._metadata.files
        assert self._manifest is not None and files is not None  # noqa: S101, PT018  # it is read of arrays with known files
        values = tensorstores.KeyValues(self._place_of_array.kvstore, self._where)
        for index in self._manifest.files_written(box):
            name = files.name(index)
            if name not in self._there:
                if not values.has(name):
                    raise self._lost(name, box)
                self._there.add(name)

    def write(self, box: Box, data: NDArray[Any]) -> None:
        """Replace the voxels of a box; they are on disk when this returns."""
        self._look_at_chunks(box)  # those that are written in part are read
        try:
            if self._in_tensorstore() is not None:
                self._write_tensorstore(box, data)
            else:
                with locked(self._folder):
                    self._open_zarr_to_write()[box.slices] = data
        except tensorstores.ERRORS as error:
            raise WriteError(
                "voxels cannot be written",
                got=tensorstores.describe(error),
                where=self._place(box),
            ) from error

    def write_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Add to the attributes in the array's metadata, or replace some."""
        taken = next((key for key in attributes if key in GEOMETRY_KEYS), None)
        if taken is not None:
            raise ConfigError(
                "an attribute that says what the array is", got=taken, where=self._where
            )
        try:
            json.dumps(attributes, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigError("attributes are not JSON", got=error, where=self._where) from error
        path = self._folder / ("zarr.json" if self._zarr_format == 3 else ".zattrs")
        try:
            with locked(self._folder):
                document = json.loads(path.read_text()) if path.exists() else {}
                if self._zarr_format == 3:
                    document["attributes"] = {**document.get("attributes", {}), **attributes}
                else:
                    document.update(attributes)
                replace_file(path, json.dumps(document, indent=2))
            refresh_consolidated(self._folder)
        except OSError as error:
            raise WriteError("metadata cannot be written", got=error, where=self._where) from error

    # TensorStore

    def _write_tensorstore(self, box: Box, data: NDArray[Any]) -> None:
        if self._target is None:
            self._target = tensorstores.open_zarr(
                self._folder, self._zarr_format, write=True, store_fill=self._store_fill
            )
        self._target[box.slices].write(data).result()

    def _in_tensorstore(self) -> Any:
        if not tensorstores.usable() or self._refusal is not None:
            return None
        try:
            return self._tensorstore()
        except tensorstores.ERRORS as error:
            if self._place_of_array.remote and self._metadata.codecs <= _EVERYDAY_CODECS:
                raise self._not_opened(tensorstores.describe(error)) from tensorstores.cause(error)
            self._refusal = tensorstores.describe(error)
            _LOG.info("%s is read through zarr-python: %s", self._where, self._refusal)
            return None

    def _open_tensorstore(self, *, fill: bool) -> Any:
        driver = "zarr3" if self._zarr_format == 3 else "zarr"
        kvstore = self._place_of_array.kvstore
        return tensorstores.open_array(driver, kvstore, fill=fill, cached=not self.keeps())

    # zarr-python: its codecs come from many libraries and raise whatever those raise

    def _open_zarr(self, failure: type[SourceError] = ReadError) -> Any:
        if self._zarr is None or self._zarr[0] != os.getpid():  # forks would share files
            import zarr

            try:
                store, path = self._place_of_array.for_zarr()
                array = zarr.open_array(
                    store, path=path, mode="r", zarr_format=3 if self._zarr_format == 3 else 2
                )
            except DacapoLikeError as error:
                error.where = error.where or self._where
                if self._refusal is not None:
                    error.add_note(f"TensorStore does not open it: {self._refusal}")
                raise
            except Exception as error:
                raise failure(
                    "the array cannot be opened", got=self._refusal or error, where=self._where
                ) from error
            self._zarr = os.getpid(), array
        return self._zarr[1]

    def _open_zarr_to_write(self) -> Any:
        import zarr

        array = zarr.open_array(
            self._folder, mode="r+", zarr_format=3 if self._zarr_format == 3 else 2
        )
        return array.with_config({"write_empty_chunks": self._store_fill})

    def _read_otherwise(self, box: Box) -> NDArray[Any]:
        array = self._open_zarr()
        try:
            data = np.asarray(array[box.slices])
            absent = self._first_absent(array, box) if self._absences.matter else None
        except Exception as error:
            raise self._error(box, str(error)) from error
        if absent is not None:
            self._absences.found(f"chunk {absent} is missing", self._place(box))
        return data

    def _first_absent(self, array: Any, box: Box) -> tuple[int, ...] | None:
        """Find a chunk that is not there: its voxels are whatever the fill value is said to be."""
        import zarr

        metadata = array.metadata.to_dict()
        zero, one = (
            zarr.Array.from_dict(array.store_path, {**metadata, "fill_value": value})[box.slices]
            for value in (0, 1)
        )
        absent = np.argwhere((np.asarray(zero) == 0) & (np.asarray(one) == 1))
        if not len(absent):
            return None
        first = absent[0] + box.offset
        return tuple(int(i) for i in first // self._metadata.chunk_shape)
