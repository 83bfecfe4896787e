"""OME-Zarr 0.5 and 0.4: written block by block beside its place, with its pyramid, and moved there when it is complete."""

from __future__ import annotations

import itertools
import math
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from dacapo_like import tensorstores
from dacapo_like.errors import ConfigError, DacapoLikeError, SourceError
from dacapo_like.geometry import Box, blocks_of
from dacapo_like.manifest import FILE_NAME, Manifest
from dacapo_like.pyramids import coarser, pooling_method, read_pooled
from dacapo_like.replacing import sync_tree
from dacapo_like.spec import ArraySpec
from dacapo_like.writers.base import Writer, writes
from dacapo_like.writers.chunking import chunk_shape, shard_shape
from dacapo_like.writers.label_groups import SOURCE, ZARR_FILES, LabelGroup, others_in
from dacapo_like.writers.levels import Levels, level_factors
from dacapo_like.writers.ngff import (
    Version,
    check_axes,
    dimension_names,
    format_order,
    image_attributes,
    level_path,
)
from dacapo_like.writers.zarr_metadata import Compression, ZarrFormat, write_array, write_group
from dacapo_like.writers.zipping import zip_folder

T = TypeVar("T")

_LOCK = ".__lock"
_MOST_THREADS = 8  # each holds a block and the finer voxels that it is made of


@writes(".zarr", ".zarr.zip", ".ozx")
class OmeZarrWriter(Writer):
    """Writes one array as an OME-Zarr group, a folder or a zip file, with a pyramid of coarser levels.

    Blocks are written in any order and from any number of threads; blocks that are never written, or hold nothing but zeros,
    are not stored. Boxes and chunks are in the array's order of axes; the format's has time first.

    The coarser levels are made by `commit`, each from the one before: means of images, integers rounded half to even, and the
    most frequent labels. All levels begin at the same corner; voxels at the far end that do not fill a coarser one are
    dropped.

    Labels may be written into the folder ``labels`` of an image, under any name; it lists them when they are complete.

    Parameters
    ----------
    path : str or Path
        Of the group: a folder, or a file where it ends in ``.zip`` or ``.ozx``.
    spec : ArraySpec
        Of the array.
    version : {"0.5", "0.4"}
        Of OME-NGFF; 0.4 is stored as Zarr 2.
    levels : int or "auto"
        Number of levels; 1 for no pyramid. The finest axes are halved until voxels are isotropic within a factor of 2, then
        all, by default until a level is about as long as a chunk.
    factors : sequence, optional
        Levels instead: per level how many voxels of the *finest* one become one, a number for all spatial axes or one each.
    match_scale_factors_from : path, optional
        Of another OME-Zarr, to have the same factors.
    chunks : sequence of int, optional
        Along every axis; by default those that the array has, or cubes of about a megabyte.
    shards : sequence of int, optional
        Files of chunks, multiples of `chunks`; by default every chunk is a file. Not in 0.4.
    compression : {"zstd", "blosc", "gzip"} or None
        Of chunks.
    compression_level : int, optional
        Of the codec; by default 3 for zstd, else 5.
    checksum : bool
        Whether damaged chunks are found in reading; Zarr 2 has no place for it.
    make : bool
        Make the metadata now, so that voxels can be written; else they are there, or `make` will do it.
    **options
        As of every `Writer`.

    Attributes
    ----------
    chunk_shape : tuple of int
        Of the chunks.
    block_shape : tuple of int
        Of the blocks that may be written independently: shards, or chunks.
    levels : list of ArraySpec
        Of all levels, the finest first, in the order of axes as stored.
    cells : list of tuple of int
        Per coarser level and stored axis, how many voxels of the level before become one.

    Raises
    ------
    SourceError
        Something is in the way.
    SpecError
        The format has no place for such an array, or for so many levels.
    ConfigError
        An option is none of the choices.

    Examples
    --------
    >>> import tempfile
    >>> from dacapo_like.spec import from_shape
    >>> spec = from_shape((4, 6), voxel_size=(9.8, 4), units="nm")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with OmeZarrWriter(f"{folder}/a.zarr", spec, chunks=(2, 4), levels=2) as writer:
    ...         for box in writer.boxes():
    ...             writer.write(box, np.ones(box.shape, spec.dtype))
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        spec: ArraySpec,
        *,
        version: Version = "0.5",
        levels: Levels = "auto",
        factors: Sequence[int | Sequence[int]] | None = None,
        match_scale_factors_from: str | os.PathLike[str] | None = None,
        chunks: Sequence[int] | None = None,
        shards: Sequence[int] | None = None,
        compression: str | None = "zstd",
        compression_level: int | None = None,
        checksum: bool = True,
        make: bool = True,
        **options: Any,
    ) -> None:
        self._order = format_order(spec)
        stored = spec.transposed(self._order)
        check_axes(stored)
        super().__init__(path, spec, **options)
        self._version = _checked_version(version, shards)
        self._labels = LabelGroup.around(self.path)
        if self._labels is not None:
            self._labels.check(spec, self._format)
        self.chunk_shape = chunk_shape(spec, chunks)
        self.block_shape = shard_shape(self.chunk_shape, shards)
        self._factors = level_factors(
            stored, self.stored_axes(self.chunk_shape), levels, factors, match_scale_factors_from
        )
        self.levels = list(itertools.accumulate(self._factors, coarser, initial=stored))
        self.cells = [(1,) * len(stored.leading_axes) + factors for factors in self._factors]
        self._compression = Compression.of(compression, compression_level, checksum=checksum)
        self._folder: Path | None = None  # of what is zipped
        self._built = 0  # the last level that is, or will be, written by somebody else
        self._arrays: dict[int, Any] = {}
        if make:
            self.make()

    def make(self) -> None:
        """Write all metadata.

        Raises
        ------
        SourceError
            Nothing can be written here.
        ConfigError
            The attributes are not JSON.
        """
        try:
            self._make()
        except (OSError, DacapoLikeError) as error:
            shutil.rmtree(self._partial, ignore_errors=True)  # it may not be there yet
            if isinstance(error, OSError):
                raise self._failure("cannot write here", error) from error
            raise

    @classmethod
    def takes(cls, path: Path) -> bool:
        """Whether a path leads into the labels of an image."""
        return LabelGroup.around(path) is not None

    def described(self) -> dict[str, Any]:
        """Give, as JSON, options that make the same of an array of this spec."""
        factors = list(
            itertools.accumulate(
                self._factors, lambda a, b: tuple(map(math.prod, zip(a, b, strict=True)))
            )
        )
        return {
            "name": self.name,
            "version": self._version,
            "factors": [list(level) for level in factors],
            "chunks": list(self.chunk_shape),
            "shards": list(self.block_shape) if self.block_shape != self.chunk_shape else None,
            "compression": self._compression.codec,
            "compression_level": self._compression.level if self._compression.codec else None,
            "checksum": self._compression.checksum,
        }

    def _make(self) -> None:
        attributes = image_attributes(
            self.levels,
            name=self.name,
            attributes=self.attributes,
            version=self._version,
            source=None if self._labels is None else SOURCE,
        )
        write_group(self._partial, self._format, attributes)
        chunks, files = self.stored_axes(self.chunk_shape), self.file_shape
        for level, spec in enumerate(self.levels):
            names, folder = dimension_names(spec), self._partial / level_path(level)
            write_array(folder, self._format, spec, names, chunks, files, self._compression)

    @property
    def _format(self) -> ZarrFormat:
        return 2 if self._version == "0.4" else 3

    # Levels, in the order of axes as stored

    @property
    def folder(self) -> Path:
        """Where it grows."""
        return self._partial

    @property
    def file_shape(self) -> tuple[int, ...]:
        """Voxels of a file of any level: two writers never write to one at the same time."""
        return self.stored_axes(self.block_shape)

    def start_read(self, level: int, box: Box) -> Callable[[], NDArray[Any]]:
        """Begin to read what was written of a level; the function that is returned waits for it."""
        array = self._opened(level)
        if not tensorstores.usable():
            return lambda: np.asarray(array[box.slices])
        begun = tensorstores.Begun(array[box.slices].read())
        return lambda: np.asarray(begun.result())

    def start_write(self, level: int, box: Box, data: NDArray[Any]) -> Callable[[], object]:
        """Begin to write whole files of a level; the function that is returned waits for it. Until then `data` are not to be changed.

        The bytes are not brought to the disk: see `files`.
        """
        array = self._opened(level)
        if not tensorstores.usable():
            array[box.slices] = data
            return lambda: None
        return tensorstores.Begun(
            array[box.slices].write(data, can_reference_source_data_indefinitely=True)
        ).result

    def files(self, level: int, box: Box) -> Iterator[Path]:
        """Give the files that the voxels of a box are in; those of nothing but zeros are not there."""
        folder = self._chunk_folder(level)
        ranges = (
            range(start // size, -(-stop // size))
            for start, stop, size in zip(box.offset, box.end, self.file_shape, strict=True)
        )
        for index in itertools.product(*ranges):
            yield folder.joinpath(*map(str, index))

    def leave_levels(self) -> None:
        """Leave all levels to those who call `start_write`: `commit` makes none."""
        self._built = len(self.levels) - 1

    def _chunk_folder(self, level: int) -> Path:
        folder = self._partial / level_path(level)
        return folder / "c" if self._format == 3 else folder

    def _opened(self, level: int) -> Any:
        """Open through TensorStore, or in a forked child through zarr-python; voxels are assigned to either."""
        found = self._arrays.get(level)
        return self._arrays.setdefault(level, self._open(level)) if found is None else found

    def _open(self, level: int) -> Any:
        folder = self._partial / level_path(level)
        if not tensorstores.usable():
            import zarr

            return zarr.open_array(folder, mode="r+")
        return tensorstores.open_zarr(folder, self._format, write=True, sync=False, cached=False)

    def _write(self, box: Box, data: NDArray[Any]) -> None:
        try:
            stored = Box(self.stored_axes(box.offset), self.stored_axes(box.shape))
            self.start_write(0, stored, self.stored(data))()
        except tensorstores.ERRORS as error:
            raise self.not_written(0, box, error) from error

    def not_synced(self, error: OSError) -> SourceError:
        """Make the error for files that cannot be brought to the disk."""
        return self._failure("the disk does not take what was written", error)

    def not_written(self, level: int, box: Box, error: Exception) -> SourceError:
        """Make the error for voxels of a level that cannot be written."""
        what = f"cannot write voxels {box.offset} to {box.end}"
        return self._failure(f"{what} of level {level}" if level else what, error)

    def _close(self, *, complete: bool) -> None:
        if complete:
            for level in range(self._built + 1, len(self.levels)):
                self._build(level)
        self._arrays = {}
        if not complete:
            return
        for level in range(len(self.levels)):
            self._list_files(level)
        sync_tree(self._partial)
        if _is_zip_name(self.path):
            folder, self._partial = (
                self._partial,
                self._partial.with_name(f"{self._partial.name}.zip"),
            )
            self._folder = folder
            self._partial.unlink(missing_ok=True)
            zip_folder(folder, self._partial, self._version)

    def _remove(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        super()._remove()

    def _place(self) -> None:
        super()._place()
        if self._folder is not None:
            shutil.rmtree(self._folder)
        if self._is_ours:
            self.enlist()

    def enlist(self) -> None:
        """List labels that were written in the image that they belong to; whoever named `partial` does so when that is gone.

        Raises
        ------
        SourceError
            The metadata of the image cannot be written.
        """
        if self._labels is None:
            return
        try:
            self._labels.add(self.path.name)
        except OSError as error:
            raise self._failure("the labels cannot be listed", error) from error

    def _list_files(self, level: int) -> None:
        """Leave a list of the chunk files that there are, so that a lost one is told from one that was left out."""
        folder, root = self._partial / level_path(level), self._chunk_folder(level)
        indices = []
        for parent, _, names in os.walk(root):
            for path in (Path(parent, name) for name in names):
                if path.name.endswith(_LOCK):  # TensorStore's, of a process that was killed
                    path.unlink()
                elif all(map(str.isdigit, parts := path.relative_to(root).parts)):
                    indices.append(tuple(map(int, parts)))
        manifest = Manifest.of(self.levels[level].shape, self.file_shape, indices)
        (folder / FILE_NAME).write_text(manifest.dump())

    def _build(self, level: int) -> None:
        """Make a level from the one before, some blocks at a time."""
        spec, cells = self.levels[level], self.cells[level - 1]
        method = pooling_method(spec.kind)

        def build(box: Box) -> None:
            data = read_pooled(
                lambda part: self.start_read(level - 1, part)(), box, cells, method, spec.dtype
            )
            self.start_write(level, box, data)()

        threads = min(os.cpu_count() or 1, _MOST_THREADS)
        boxes = blocks_of(spec.shape, self.file_shape)
        try:
            with ThreadPoolExecutor(threads) as pool:
                while batch := list(itertools.islice(boxes, 4 * threads)):
                    list(pool.map(build, batch))
        except tensorstores.ERRORS as error:
            raise self._failure(f"cannot make level {level}", error) from error

    def _is_replaceable(self) -> bool:
        if _is_zip_name(self.path):
            return self.path.is_file() and zipfile.is_zipfile(self.path)
        return any((self.path / name).is_file() for name in ZARR_FILES)

    def _check_target(self) -> None:
        super()._check_target()
        others = others_in(self.path)
        if others:
            raise SourceError(
                "there is more in it than the image that would be replaced",
                got=", ".join(others),
                where=str(self.path),
                hint="it is never removed: choose another path, or remove it yourself",
            )

    def stored(self, data: NDArray[Any]) -> NDArray[Any]:
        """View voxels in the order of axes as stored."""
        return data.transpose(self._order)

    def array_axes(self, values: tuple[T, ...]) -> tuple[T, ...]:
        """Put one value per axis as stored into the order of the array's axes."""
        return tuple(values[self._order.index(i)] for i in range(len(values)))

    def stored_axes(self, values: tuple[T, ...]) -> tuple[T, ...]:
        """Put one value per axis of the array into the order of axes as stored."""
        return tuple(values[i] for i in self._order)


def _is_zip_name(path: Path) -> bool:
    return path.suffix.lower() in (".zip", ".ozx")


def _checked_version(version: Version | float, shards: Sequence[int] | None) -> Version:
    """Give the version's name; in YAML it is a number."""
    known = next((name for name in get_args(Version) if name == str(version)), None)
    if known is None:
        raise ConfigError(
            "OME-NGFF is not written in this version",
            got=version,
            expected=" or ".join(get_args(Version)),
            key=("version",),
        )
    if known == "0.4" and shards is not None:
        raise ConfigError(
            "OME-NGFF 0.4 has no shards", got=tuple(shards), expected="0.5", key=("shards",)
        )
    return known  # type: ignore[no-any-return]  # one of the choices
