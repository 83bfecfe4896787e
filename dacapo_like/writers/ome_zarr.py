"""OME-Zarr 0.5 and 0.4: written block by block beside its place, with its pyramid, and moved there when it is complete."""

from __future__ import annotations

import itertools
import os
import shutil
import zipfile
from collections.abc import Sequence
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
from dacapo_like.replacing import beside
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
            stored, self._stored_axes(self.chunk_shape), levels, factors, match_scale_factors_from
        )
        self._levels = list(itertools.accumulate(self._factors, coarser, initial=stored))
        how = Compression.of(compression, compression_level, checksum=checksum)
        try:
            self._make(how)
        except (OSError, DacapoLikeError) as error:
            shutil.rmtree(self._partial, ignore_errors=True)  # it may not be there yet
            if isinstance(error, OSError):
                raise self._failure("cannot write here", error) from error
            raise
        self._arrays = [self._open(level) for level in range(len(self._levels))]

    @classmethod
    def takes(cls, path: Path) -> bool:
        """Whether a path leads into the labels of an image."""
        return LabelGroup.around(path) is not None

    def _make(self, compression: Compression) -> None:
        """Write all metadata."""
        attributes = image_attributes(
            self._levels,
            name=self.name,
            attributes=self.attributes,
            version=self._version,
            source=None if self._labels is None else SOURCE,
        )
        write_group(self._partial, self._format, attributes)
        chunks, blocks = self._stored_axes(self.chunk_shape), self._stored_axes(self.block_shape)
        for level, spec in enumerate(self._levels):
            names, folder = dimension_names(spec), self._partial / level_path(level)
            write_array(folder, self._format, spec, names, chunks, blocks, compression)

    @property
    def _format(self) -> ZarrFormat:
        return 2 if self._version == "0.4" else 3

    def _open(self, level: int) -> Any:
        """Open through TensorStore, or in a forked child through zarr-python; voxels are assigned to either."""
        folder = self._partial / level_path(level)
        if tensorstores.usable():
            return tensorstores.open_zarr(folder, self._format, write=True)
        import zarr

        return zarr.open_array(folder, mode="r+")

    def _write(self, box: Box, data: NDArray[Any]) -> None:
        try:
            self._arrays[0][self._stored_axes(box.slices)] = data.transpose(self._order)
        except tensorstores.ERRORS as error:
            raise self._failure(f"cannot write voxels {box.offset} to {box.end}", error) from error

    def _close(self, *, complete: bool) -> None:
        if complete:
            for level in range(1, len(self._levels)):
                self._build(level)
        self._arrays = []
        if complete:
            for level in range(len(self._levels)):
                self._list_files(level)
        if complete and _is_zip_name(self.path):
            folder, self._partial = self._partial, beside(self.path)
            try:
                zip_folder(folder, self._partial, self._version)
            finally:
                shutil.rmtree(folder)

    def _place(self) -> None:
        super()._place()
        if self._labels is None:
            return
        try:
            self._labels.add(self.path.name)
        except OSError as error:
            raise self._failure("the labels cannot be listed", error) from error

    def _list_files(self, level: int) -> None:
        """Leave a list of the chunk files that there are, so that a lost one is told from one that was left out."""
        folder = self._partial / level_path(level)
        root = folder / "c" if self._format == 3 else folder
        found = (path.relative_to(root).parts for path in root.rglob("*") if path.is_file())
        indices = (tuple(map(int, parts)) for parts in found if all(map(str.isdigit, parts)))
        shape = self._levels[level].shape
        manifest = Manifest.of(shape, self._stored_axes(self.block_shape), indices)
        (folder / FILE_NAME).write_text(manifest.dump())

    def _build(self, level: int) -> None:
        """Make a level from the one before, some blocks at a time."""
        spec, finer, coarse = self._levels[level], self._arrays[level - 1], self._arrays[level]
        cells = (1,) * len(spec.leading_axes) + self._factors[level - 1]
        method = pooling_method(spec.kind)

        def build(box: Box) -> None:
            coarse[box.slices] = read_pooled(
                lambda part: np.asarray(finer[part.slices]), box, cells, method, spec.dtype
            )

        threads = min(os.cpu_count() or 1, _MOST_THREADS)
        boxes = blocks_of(spec.shape, self._stored_axes(self.block_shape))
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

    def _stored_axes(self, values: tuple[T, ...]) -> tuple[T, ...]:
        """Put one value per axis into the order of the format."""
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
