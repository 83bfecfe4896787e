"""OME-TIFF, hyperstacks of ImageJ, and bare TIFF, page after page."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import ConfigError
from dacapo_like.spec import ArraySpec
from dacapo_like.writers import imagej, ome_xml
from dacapo_like.writers.base import writes
from dacapo_like.writers.checks import (
    check_axes,
    check_dtype,
    check_voxels,
    choice,
    warn_of_losses,
)
from dacapo_like.writers.streams import StreamWriter

_CLASSIC = 2**32 - 2**25  # bytes that classic TIFF has offsets for, less some for metadata
_PER_PAGE = 2**10  # bytes at most that the tags of a page take
_TILE = 16  # bytes that sizes of tiles are multiples of

Metadata = Literal["ome", "imagej"] | None
Compression = Literal["zlib"] | None
COMPRESSIONS = ("zlib", None)

_KINDS: dict[Metadata, tuple[str, Mapping[str, str | None]]] = {
    "ome": ("OME-TIFF", ome_xml.LACKING),
    "imagej": ("ImageJ", imagej.LACKING),
    None: ("TIFF", {"bool": "uint8"}),
}
"""What they are called, and the types of voxels that they lack."""


@writes(".tif", ".tiff")
class TiffWriter(StreamWriter):
    """Writes one array as OME-TIFF, or as a hyperstack of ImageJ, one page for each plane.

    OME's metadata, which plain TIFF readers pass over, say axes, voxel size, units and names of channels, and where the first voxel's
    centre is. What OME has no word for, such as oblique directions, is in an annotation in the namespace ``dacapo_like``.

    Parameters
    ----------
    path : str or Path
        Of the file.
    spec : ArraySpec
        Of the array. Voxels are neither rescaled nor converted.
    metadata : {"ome", "imagej", None}
        ``imagej`` writes what ImageJ itself saves: planes that are neither compressed nor in tiles, channels fastest, then z, then time;
        voxel size, origin and unit; the names of channels as labels of planes. Beyond about 4 GB only the first of them is
        a page, as ImageJ has it, which few others read. A `DataWarning` names what is lost. ``None`` writes pages that say nothing of what they are, of any type that TIFF has; a `DataWarning` names what is lost.
    compression : {"zlib", None}, optional
        Lossless; by default zlib, but of ImageJ, which has none.
    tile : (int, int), optional
        Height and width of tiles, multiples of 16; by default pages are stored in strips.
    bigtiff : bool, optional
        By default where the voxels take about 4 GB or more; not of ImageJ.
    **options
        As of every `Writer`.

    Raises
    ------
    SpecError
        OME, ImageJ or TIFF has no place for such axes or voxels.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import tifffile
    >>> from dacapo_like.spec import from_shape
    >>> spec = from_shape((2, 3, 8, 8), axes="czyx", voxel_size=(2, 0.5, 0.5), units="um")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with TiffWriter(f"{folder}/a.ome.tif", spec) as writer:
    ...         for box in writer.boxes():
    ...             writer.write(box, np.ones(box.shape, spec.dtype))
    ...     with tifffile.TiffFile(f"{folder}/a.ome.tif") as file:
    ...         file.series[0].axes, file.series[0].shape
    ('CZYX', (2, 3, 8, 8))
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        spec: ArraySpec,
        *,
        metadata: Metadata = "ome",
        compression: Compression | Literal["auto"] = "auto",
        tile: Sequence[int] | None = None,
        bigtiff: bool | None = None,
        **options: Any,
    ) -> None:
        choice("metadata", metadata, tuple(_KINDS))
        kind, lacking = _KINDS[metadata]
        check_voxels(spec)
        check_axes(spec, "tc", (2, 3), kind)
        check_dtype(spec, lacking, kind)
        choice("compression", compression, ("auto", *COMPRESSIONS))
        choice("bigtiff", bigtiff, (None, True, False))
        if metadata == "imagej":
            _check_imagej(spec, compression=compression, tile=tile, bigtiff=bigtiff)
        super().__init__(path, spec, **options)
        in_order = imagej.hyperstack_order(spec) if metadata == "imagej" else range(spec.ndim)
        self._plan(in_order, whole=2)
        if compression == "auto":
            compression = None if metadata == "imagej" else "zlib"
        self._options = page_options(compression, tile)
        self._first = self._first_page(metadata)
        large = spec.nbytes + math.prod(spec.shape[:-2]) * _PER_PAGE > _CLASSIC
        self._file: Any
        try:
            if metadata == "imagej":
                self._file = _Hyperstack(self._partial, spec.dtype, one_page=large)
            else:
                self._file = _pages(self._partial, bigtiff=large if bigtiff is None else bigtiff)
        except OSError as error:
            raise self._failure("cannot write here", error) from error

    def _first_page(self, metadata: Metadata) -> dict[str, Any]:
        """Say what is written with the first page only."""
        if metadata == "ome":
            return {"description": ome_xml.ome_xml(self.spec, self.name, self.attributes)}
        if metadata == "imagej":
            return imagej.first_page(self.spec, str(self.path))
        warn_of_losses(self.spec, "bare TIFF", str(self.path))
        return {}

    def _append(self, data: NDArray[Any]) -> None:
        for page in data.reshape(-1, *data.shape[-2:]):
            self._file.write(page, **self._options, **self._first)
            self._first = {}

    def _close(self, *, complete: bool) -> None:  # noqa: ARG002  # the pages are written
        self._file.close()


def page_options(compression: Compression, tile: Sequence[int] | None = None) -> dict[str, Any]:
    """Say how tifffile writes a page of one sample per voxel.

    Raises
    ------
    ConfigError
        The tile is no size that TIFF has.
    """
    if tile is not None and not _is_tile(tile):
        raise ConfigError(
            "no size of tiles",
            got=tile,
            expected="height and width, multiples of 16",
            key=("tile",),
        )
    return {
        "compression": compression,
        "tile": None if tile is None else tuple(tile),
        "photometric": "minisblack",
        "metadata": None,
        "software": "dacapo_like",
    }


def _is_tile(tile: Any) -> bool:
    is_pair = isinstance(tile, Sequence) and len(tile) == 2
    return is_pair and all(isinstance(n, int) and n >= _TILE and n % _TILE == 0 for n in tile)


def _pages(path: Path, **options: Any) -> Any:
    import tifffile  # heavy

    return tifffile.TiffWriter(path, **options)


def _check_imagej(spec: ArraySpec, **options: object) -> None:
    """Refuse what ImageJ does not read as its own."""
    for option, value in options.items():
        if value not in (None, False, "auto"):
            raise ConfigError(
                f"hyperstacks of ImageJ have no {option}",
                got=value,
                hint="write OME-TIFF, which ImageJ opens through Bio-Formats",
                key=(option,),
            )
    imagej.check_plane(spec)


class _Hyperstack:
    """Writes the voxels of all planes one after the other, as ImageJ looks for them, and the other pages behind them.

    Parameters
    ----------
    path : Path
        Of the file.
    dtype : dtype
        Of the voxels.
    one_page : bool
        Whether there is no room for offsets of further pages.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], *, one_page: bool) -> None:
        self._path = path
        self._dtype = dtype.newbyteorder(">")
        self._one_page = one_page
        self._pages: Any = _pages(path, byteorder=">")
        self._rest: BinaryIO | None = None

    def write(self, page: NDArray[Any], **options: Any) -> None:
        if self._rest is not None:
            self._rest.write(np.ascontiguousarray(page, self._dtype).data)
            return
        self._pages.write(page, contiguous=True, **options)
        if self._one_page:
            self._pages.close()
            self._rest = self._path.open("ab")

    def close(self) -> None:
        self._pages.close()
        if self._rest is not None:
            self._rest.close()
