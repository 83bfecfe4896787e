"""TIFF and OME-TIFF, page after page."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any, Literal

from numpy.typing import NDArray

from dacapo_like.errors import ConfigError
from dacapo_like.spec import ArraySpec
from dacapo_like.writers.base import writes
from dacapo_like.writers.checks import (
    check_axes,
    check_dtype,
    check_voxels,
    choice,
    warn_of_losses,
)
from dacapo_like.writers.ome_xml import LACKING, ome_xml
from dacapo_like.writers.streams import StreamWriter

_CLASSIC = 2**32 - 2**25  # bytes that classic TIFF has offsets for, less some for metadata
_PER_PAGE = 2**10  # bytes at most that the tags of a page take
_TILE = 16  # bytes that sizes of tiles are multiples of

Compression = Literal["zlib"] | None
COMPRESSIONS = ("zlib", None)


@writes(".tif", ".tiff")
class TiffWriter(StreamWriter):
    """Writes one array as OME-TIFF, one page for each plane.

    OME's metadata, which plain TIFF readers pass over, say axes, voxel size, units and names of channels, and where the first voxel's
    centre is. What OME has no word for, such as oblique directions, is in an annotation in the namespace ``dacapo_like``.

    Parameters
    ----------
    path : str or Path
        Of the file.
    spec : ArraySpec
        Of the array. Voxels are neither rescaled nor converted.
    metadata : {"ome", None}
        ``None`` writes pages that say nothing of what they are, of any type that TIFF has; a `DataWarning` names what is lost.
    compression : {"zlib", None}
        Lossless.
    tile : (int, int), optional
        Height and width of tiles, multiples of 16; by default pages are stored in strips.
    bigtiff : bool, optional
        By default where the voxels take about 4 GB or more.
    **options
        As of every `Writer`.

    Raises
    ------
    SpecError
        OME or TIFF has no place for such axes or voxels.

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
        metadata: Literal["ome"] | None = "ome",
        compression: Compression = "zlib",
        tile: Sequence[int] | None = None,
        bigtiff: bool | None = None,
        **options: Any,
    ) -> None:
        choice("metadata", metadata, ("ome", None))
        check_voxels(spec)
        check_axes(spec, "tc", (2, 3), "TIFF")
        check_dtype(spec, LACKING if metadata == "ome" else {"bool": "uint8"}, _kind(metadata))
        choice("compression", compression, COMPRESSIONS)
        choice("bigtiff", bigtiff, (None, True, False))
        super().__init__(path, spec, **options)
        self._plan(range(spec.ndim), whole=2)
        self._description: str | None = None
        if metadata == "ome":
            self._description = ome_xml(spec, self.name, self.attributes)
        else:
            warn_of_losses(spec, "bare TIFF", str(self.path))
        self._options = page_options(compression, tile)
        if bigtiff is None:
            pages = math.prod(spec.shape[:-2])
            bigtiff = spec.nbytes + pages * _PER_PAGE > _CLASSIC
        import tifffile  # heavy

        try:
            self._file: Any = tifffile.TiffWriter(self._partial, bigtiff=bigtiff)
        except OSError as error:
            raise self._failure("cannot write here", error) from error

    def _append(self, data: NDArray[Any]) -> None:
        for page in data.reshape(-1, *data.shape[-2:]):
            self._file.write(page, description=self._description, **self._options)
            self._description = None  # of the first page only

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


def _kind(metadata: str | None) -> str:
    return "OME-TIFF" if metadata == "ome" else "TIFF"
