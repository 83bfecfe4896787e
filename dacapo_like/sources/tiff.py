"""TIFF: one series of a file, OME-TIFF and ImageJ hyperstacks among them; a read decodes only the tiles that it touches."""

from __future__ import annotations

import logging
import os
import struct
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Reader, about
from dacapo_like.errors import MissingExtraError, ReadError, SourceError, did_you_mean
from dacapo_like.geometry import Box
from dacapo_like.registry import register
from dacapo_like.sources.layout import Layout, Stored, StoredArrayConfig, lay_out


@register("tiff")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class TiffArrayConfig(StoredArrayConfig):
    """A series of a TIFF file: the pages that are one image.

    The metadata of OME-TIFF and ImageJ say what its axes and its voxel size are; what they do not say, the config does.

    Examples
    --------
    >>> TiffArrayConfig(file_name="stack.tif", voxel_size=(2, 0.5, 0.5), units="um").voxel_size
    Coordinate(2, 0.5, 0.5)
    """

    series: int = attrs.field(
        default=0, metadata=about("Which series, counted from 0, as tifffile finds them.")
    )

    def open(self) -> Reader:
        """Read the headers.

        Raises
        ------
        SourceError
            The file is not there or no TIFF, has no such series, or its axes are not known.
        MissingExtraError
            Its compression needs the package imagecodecs.
        """
        from dacapo_like.sources._tiff_metadata import stored_axes, stored_grid  # parses XML

        where = self.file_name
        with _reported(where), _open_file(where) as file:
            series = _series(file, self.series, where)
            _check_codec(series, where)
            pixels = _Pixels(series, where)
            stored = Stored(
                shape=series.shape,
                dtype=np.dtype(series.dtype),
                chunk_shape=pixels.array.chunks,
                axes=stored_axes(series.axes),
                **stored_grid(file, self.series, where),
            )
        return _TiffReader(lay_out(_fitting(stored), self, where), pixels, self)

    def pixels(self) -> _Pixels:
        """Open the voxels, in another process than the one that read the headers."""
        with _open_file(self.file_name) as file:
            return _Pixels(_series(file, self.series, self.file_name), self.file_name)


def _open_file(file_name: str) -> Any:
    import tifffile  # heavy

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
    """Raise what tifffile only logs: without it, a file that was cut off opens as a shorter one."""
    said: list[str] = []
    thread = threading.get_ident()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                said.append(record.getMessage())

    listener, logger = Listener(logging.ERROR), logging.getLogger("tifffile")
    logger.addHandler(listener)
    try:
        yield
    finally:
        logger.removeHandler(listener)
    if said:
        raise SourceError("the TIFF is corrupt", got="; ".join(said), where=where)


def _series(file: Any, index: int, where: str) -> Any:
    count = len(file.series)
    if not 0 <= index < count:
        raise SourceError(
            "no such series",
            got=index,
            expected=f"0 to {count - 1}" if count else "a file with images",
            where=where,
            key=("series",),
        )
    return file.series[index]


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


def _fitting(stored: Stored) -> Stored:
    """Leave out names of channels that do not fit: samples of a pixel have none."""
    axes = stored.axes or ()
    count = stored.shape[axes.index("c")] if "c" in axes else 0
    fits = len(stored.channels or ()) == count
    return stored if fits else attrs.evolve(stored, channels=None)


class _Pixels:
    """The voxels of a series, as a Zarr array that tifffile decodes; the file is open from the first read on."""

    def __init__(self, series: Any, where: str) -> None:
        import zarr  # heavy

        try:
            store = series.aszarr(level=0)
        except (ValueError, NotImplementedError) as error:
            raise SourceError(
                "the pages of the TIFF are not one array", got=error, where=where
            ) from error
        weakref.finalize(self, store.close)
        self.array = zarr.open_array(store, mode="r")
        self.pid = os.getpid()


class _TiffReader(Reader):
    def __init__(self, layout: Layout, pixels: _Pixels, config: TiffArrayConfig) -> None:
        self.spec = layout.spec
        self._layout = layout
        self._pixels = pixels
        self._config = config

    def read(self, box: Box, out: NDArray[Any] | None = None) -> NDArray[Any]:
        if self._pixels.pid != os.getpid():  # a file from before a fork is shared with the parent
            self._pixels = self._config.pixels()
        array = self._pixels.array

        def start(stored: Box) -> Callable[[], NDArray[Any]]:
            return lambda: self._read(array, stored)

        return self._layout.start(box, start, out)()

    def _read(self, array: Any, box: Box) -> NDArray[Any]:
        try:
            return np.asarray(array[box.slices])
        except Exception as error:  # codecs come from many libraries and raise whatever those raise
            raise ReadError(
                "voxels cannot be read",
                got=error,
                where=f"{self._config.file_name}, voxels {box.offset} to {box.end}",
            ) from error
