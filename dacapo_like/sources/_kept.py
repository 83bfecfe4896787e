"""What the configs of arrays have in common that are kept in folders, zip files, buckets, and behind web servers."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from numpy.typing import NDArray

from dacapo_like.core import Named, Reader, about, as_named
from dacapo_like.errors import SourceError
from dacapo_like.geometry import Box, Coordinate, format_numbers
from dacapo_like.sources._missing import Missing
from dacapo_like.sources._tensorstore_voxels import TensorStoreVoxels
from dacapo_like.sources._urls import check_options, refuse_user, shown
from dacapo_like.sources.layout import Layout, StoredArrayConfig


def _fit(config: Any, _: Any, options: Any) -> None:
    refuse_user(config.file_name)
    check_options(config.file_name, options)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class KeptArrayConfig(StoredArrayConfig):
    """An array of many files below one name."""

    file_name: str = attrs.field(
        converter=os.fspath,
        metadata=about(
            "The store: a folder, a zip file, or a URL `s3://`, `gs://`, `http://`, `https://`.",
            path=True,
        ),
    )
    missing: Missing = attrs.field(
        default="fill", metadata=about("What to do about chunks that are not there.")
    )
    storage_options: Named[str | int | bool] = attrs.field(
        default=Named(),
        converter=as_named,
        validator=_fit,
        metadata=about(
            "How to get at a URL: `anon`, `endpoint_url`, `region`, `profile`, `requester_pays` of s3, `anon`, `user_project` of gs."
        ),
    )

    def whereabouts(self, dataset: str | None = None) -> str:
        """Say where the array is, for messages."""
        return posixpath.join(shown(self.file_name), (dataset or "").strip("/")).rstrip("/")


@attrs.frozen(kw_only=True, eq=False, repr=False)
class LeveledArrayConfig(KeptArrayConfig):
    """An array that may be a level of a pyramid."""

    level: int | None = attrs.field(
        default=None, metadata=about("Level of a pyramid, 0 the finest; by default 0.")
    )
    voxel_size: Coordinate | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(Coordinate),
        metadata=about(
            "Of a pyramid without `level`, chooses the level that has it; else replaces what the file says."
        ),
    )


def choose_level(config: LeveledArrayConfig, sizes: Sequence[Coordinate | None], where: str) -> int:
    """Give the level that a config asks for, by its number or its voxel size.

    Parameters
    ----------
    config : LeveledArrayConfig
        With `level`, `voxel_size`, both or neither.
    sizes : sequence of (Coordinate or None)
        Voxel size of every level, the finest first.
    where : str
        For errors.

    Raises
    ------
    SourceError
        There is no such level.
    """
    if config.level is None and config.voxel_size is not None:
        if config.voxel_size in sizes:
            return sizes.index(config.voxel_size)
        listed = ", ".join(format_numbers(size) for size in sizes if size is not None)
        raise SourceError(
            "no level has this voxel size",
            got=format_numbers(config.voxel_size),
            expected=f"one of {listed}" if listed else None,
            where=where,
            hint="give `level` too, to override the voxel size of that level",
            key=("voxel_size",),
        )
    level = config.level or 0
    if not 0 <= level < len(sizes):
        raise SourceError(
            "no such level",
            got=level,
            expected=f"0 to {len(sizes) - 1}",
            where=where,
            key=("level",),
        )
    return level


class KeptReader(Reader):
    """Reads a stored array through TensorStore."""

    def __init__(self, layout: Layout, voxels: TensorStoreVoxels) -> None:
        self.spec = layout.spec
        self._layout = layout
        self._voxels = voxels

    def read(self, box: Box, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a box."""
        return self.start(box, out)()

    def start(self, box: Box, out: NDArray[Any] | None = None) -> Callable[[], NDArray[Any]]:
        """Begin to read a box."""
        return self._layout.start(box, self._voxels.start, out)
