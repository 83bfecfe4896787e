"""One series of one TIFF file: its header, and the voxels of one of its levels."""

from __future__ import annotations

import logging
import math
import struct
import threading
import weakref
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.chunk_cache import FileState, Key, fits
from dacapo_like.endless import refuse_endless
from dacapo_like.errors import MissingExtraError, ReadError, SourceError, did_you_mean
from dacapo_like.geometry import Box
from dacapo_like.sources._chunk_files import cells_touched
from dacapo_like.sources._chunks import Index, fill_keeping
from dacapo_like.sources._runs import fill
from dacapo_like.sources._tiff_metadata import Declared, declared, other_files


class Pixels:
    """The voxels of a level, as a Zarr array that tifffile decodes; files are open from the first read on.

    Attributes
    ----------
    shape, chunk_shape : tuple of int
        Of the axes that are kept.
    dtype : dtype
        In the byte order of this machine.
    """

    def __init__(
        self, series: Any, index: int, level: int, kept: Sequence[int], where: str
    ) -> None:
        import zarr  # heavy

        _check_codec(series.levels[level], where)
        try:
            store = series.aszarr(level=level, squeeze=False)
        except (ArithmeticError, ValueError, NotImplementedError) as error:
            raise SourceError(
                "the pages of the TIFF are not one array", got=error, where=where
            ) from error
        weakref.finalize(self, store.close)
        self._store = store
        self._array = zarr.open_array(store, mode="r")
        stored = series.levels[level]
        self._is_many_files = bool(stored.is_multifile)
        self._start: int | None = None if self._is_many_files else stored.dataoffset
        self._of = (where, index, level, tuple(kept))
        self._order = series.keyframe.parent.byteorder
        self._kept = tuple(kept)
        self._where = where
        self.shape = tuple(self._array.shape[i] for i in kept)
        self.chunk_shape = tuple(self._array.chunks[i] for i in kept)
        self.dtype = np.dtype(series.dtype).newbyteorder("=")

    def read(self, box: Box, source: str, state: FileState | None) -> NDArray[Any]:
        """Read a box of the axes that are kept; what is packed, or in pieces, is decoded piece by piece and kept.

        Parameters
        ----------
        box : Box
            Of the axes that are kept.
        source : str
            What the file belongs to.
        state : FileState or None
            Of the file; ``None`` where nothing of it is to be kept.

        Raises
        ------
        ReadError
            What is stored cannot be decoded.
        """
        if self._start is not None:
            return self._read_as_stored(box, self._start)
        chunk_bytes = math.prod(self.chunk_shape) * self.dtype.itemsize
        if state is None or self._is_many_files or not fits(chunk_bytes):
            return self._decoded(box)

        def key(index: Index) -> Key:
            return source, state, (*self._of, index)

        block = np.empty(box.shape, self.dtype)
        fill_keeping(block, box, self.chunk_shape, self.shape, key, self._decoded)
        return block

    def absent(self, box: Box) -> Index | None:
        """Give the first tile or strip of a box that is not there, in which sparse files leave out what is empty."""
        if self._start is not None:
            return None
        found = cells_touched(box, self.chunk_shape)
        return next((index for index in found if not self._exists(index)), None)

    def _exists(self, index: Index) -> bool:
        place = [0] * self._array.ndim
        for axis, number in zip(self._kept, index, strict=True):
            place[axis] = number
        question = self._store.exists(".".join(map(str, place)))
        try:
            question.send(None)  # it is asynchronous in name only: nothing in it waits
        except StopIteration as answer:
            return bool(answer.value)
        raise RuntimeError("tifffile's store waits for something")

    def _decoded(self, box: Box) -> NDArray[Any]:
        place: list[int | slice] = [0] * self._array.ndim
        for axis, part in zip(self._kept, box.slices, strict=True):
            place[axis] = part
        try:
            return np.asarray(self._array[tuple(place)], self.dtype)
        except Exception as error:  # codecs come from many libraries and raise whatever those raise
            raise self._failure(box, error) from error

    def _read_as_stored(self, box: Box, start: int) -> NDArray[Any]:
        """Read what is neither compressed nor in pieces without the rest of its pages."""
        block = np.empty(box.shape, self.dtype)
        if block.size:
            try:
                with Path(self._where).open("rb") as file:
                    fill(block, file, start, self.shape, self.dtype.newbyteorder(self._order), box)
            except (OSError, EOFError) as error:
                raise self._failure(box, error) from error
        return block

    def _failure(self, box: Box, error: Exception) -> ReadError:
        where = f"{self._where}, voxels {box.offset} to {box.end}"
        return ReadError("voxels cannot be read", got=error, where=where)


@attrs.frozen(eq=False)
class Series:
    """A series of a file that is open.

    Attributes
    ----------
    letters : str
        tifffile's, one per axis that is kept.
    level_shapes : tuple of tuple of int
        Of these axes, level by level.
    declared : Declared
        By the file's metadata.
    """

    letters: str
    level_shapes: tuple[tuple[int, ...], ...]
    declared: Declared
    _series: Any
    _index: int
    _kept: tuple[int, ...]
    _where: str

    def pixels(self, level: int) -> Pixels:
        """Open the voxels of a level, which may be read when the file is closed."""
        return Pixels(self._series, self._index, level, self._kept, self._where)


@contextmanager
def open_series(where: str, index: int, names: Sequence[str] | None = None) -> Iterator[Series]:
    """Read the header of a file.

    Parameters
    ----------
    where : str
        The file's name.
    index : int
        Which of its series.
    names : sequence of str, optional
        What the config calls the axes of the file, in its order.

    Raises
    ------
    SourceError
        The file is not there, is no TIFF or corrupt, or has no such series.
    MissingExtraError
        Its compression needs the package imagecodecs.
    """
    with _reported(where), _open_file(where) as file:
        _check_other_files(file, where)
        series = _series(file, index, where)
        said = declared(file, index, where)
        kept = _kept(series, said, names)
        levels = series.levels
        if any(_letters(level) != _letters(series) for level in levels):
            levels = levels[:1]  # reduced images of another kind are no levels
        shapes = [_shape(level) for level in levels]
        yield Series(
            letters="".join(_letters(series)[i] for i in kept),
            level_shapes=tuple(tuple(shape[i] for i in kept) for shape in shapes),
            declared=said,
            series=series,
            index=index,
            kept=kept,
            where=where,
        )


def _open_file(file_name: str) -> Any:
    import tifffile  # heavy

    refuse_endless(file_name)
    try:
        return tifffile.TiffFile(file_name)
    except FileNotFoundError as error:
        folder = Path(file_name).parent
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        raise SourceError(
            "file does not exist",
            where=file_name,
            hint=did_you_mean(Path(file_name).name, names),
            key=("file_name",),
        ) from error
    except (OSError, ValueError, struct.error, tifffile.TiffFileError) as error:
        raise SourceError(
            "not a TIFF file", got=error, where=file_name, key=("file_name",)
        ) from error


@contextmanager
def _reported(where: str) -> Iterator[None]:
    """Raise what tifffile only logs: without it, a file that was cut off opens as a shorter one, or with zeros."""
    said: list[str] = []
    thread = threading.get_ident()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            message = record.getMessage()
            fault = record.levelno >= logging.ERROR or "data are zeroed" in message
            if record.thread == thread and fault:
                said.append(message)

    listener, logger = Listener(logging.WARNING), logging.getLogger("tifffile")
    logger.addHandler(listener)
    try:
        yield
    finally:
        logger.removeHandler(listener)
    if said:
        raise SourceError("the TIFF is corrupt", got="; ".join(said), where=where)


def _check_other_files(file: Any, where: str) -> None:
    folder = Path(where).parent
    for name in other_files(file, where):
        if name.lower() != Path(where).name.lower() and not (folder / name).is_file():
            raise SourceError("a file that the OME metadata name is missing", got=name, where=where)


def _series(file: Any, index: int, where: str) -> Any:
    try:
        found = file.series
        # since version 2026.5.2 they are asked for with all their axes
        found = list(found(squeeze=False) if callable(found) else found)
    except (
        ArithmeticError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        struct.error,
    ) as error:
        raise SourceError("the TIFF is corrupt", got=error, where=where) from error
    if not 0 <= index < len(found):
        raise SourceError(
            "no such series",
            got=index,
            expected=f"0 to {len(found) - 1}" if found else "a file with images",
            where=where,
            key=("series",),
        )
    return found[index]


def _shape(series: Any) -> tuple[int, ...]:
    """Give the lengths of all axes, which newer versions of tifffile call the shape itself."""
    found: tuple[int, ...] = (
        series.get_shape(squeeze=False) if hasattr(series, "get_shape") else series.shape
    )
    return found


def _letters(series: Any) -> str:
    """Give the letters of all axes."""
    return str(series.get_axes(squeeze=False) if hasattr(series, "get_axes") else series.axes)


def _kept(series: Any, said: Declared, names: Sequence[str] | None) -> tuple[int, ...]:
    """Choose the axes: OME and ImageJ give every image all of theirs, so that a length of 1 alone says nothing."""
    shape, letters = _shape(series), _letters(series).lower()
    if series.kind == "shaped":  # tifffile's own: whoever wrote it chose the axes
        return tuple(range(len(shape)))

    def longer_or_in(axes: Collection[str]) -> tuple[int, ...]:
        return tuple(i for i, axis in enumerate(letters) if shape[i] > 1 or axis in axes)

    kept = longer_or_in({"y", "x", *said.described})
    return kept if names is None or len(names) == len(kept) else longer_or_in({"y", "x", *names})


def _check_codec(series: Any, where: str) -> None:
    """Find out now whether the voxels can be decoded."""
    import tifffile  # heavy

    page = series.keyframe
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
        tifffile.TIFF.UNPREDICTORS[page.predictor]
    except KeyError as error:
        raise MissingExtraError(
            "the compression of the TIFF needs imagecodecs",
            got=error.args[0],
            where=where,
            hint="pip install 'dacapo_like[tiff]'",
        ) from error
