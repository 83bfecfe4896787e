"""Reads again what was written: every file has to be there, and the checksums of its chunks to be right."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dacapo_like import settings
from dacapo_like.core import Array, open_tree
from dacapo_like.errors import ReadError, SourceError
from dacapo_like.geometry import Box, blocks_of
from dacapo_like.materialize.blocks import Blocks
from dacapo_like.materialize.journal import Entry
from dacapo_like.sources.zarr import ZarrArrayConfig

_AT_ONCE = 1024  # blocks that are looked at before the next ones are
_LEVEL = re.compile(r"(?:[^/]*/)?(\d+)/(?:zarr\.json|\.zarray)")


def damaged(blocks: Blocks, entries: Sequence[Entry], threads: int) -> list[Entry]:
    """Give those blocks of a run whose files are not as they were written."""
    with ThreadPoolExecutor(threads) as pool:
        found: list[Entry] = []
        for first in range(0, len(entries), _AT_ONCE):
            some = entries[first : first + _AT_ONCE]
            found += [
                e
                for e, whole in zip(some, pool.map(blocks.is_whole, some), strict=True)
                if not whole
            ]
        return found


def check_written(path: Path, threads: int) -> int:
    """Read every chunk of a finished OME-Zarr again; give how many voxels there are, in all levels.

    Raises
    ------
    ReadError
        Some cannot be read; it says how many blocks, and what is wrong with the first.
    SourceError
        It is no OME-Zarr.
    """
    if not path.exists():
        raise SourceError("there is nothing to check", where=str(path))
    voxels, failures = 0, list[ReadError]()
    for level in range(_levels(path)):
        array = open_tree(ZarrArrayConfig(file_name=str(path), level=level))
        voxels += array.spec.box.size
        failures += _unreadable(array, threads)
    if failures:
        raise ReadError(
            f"{len(failures)} blocks of chunks cannot be read",
            got=failures[0].message,
            where=failures[0].where or str(path),
            hint="write it anew with overwrite=True (--overwrite)",
        )
    return voxels


def _unreadable(array: Array, threads: int) -> Iterator[ReadError]:
    def read(box: Box) -> ReadError | None:
        with settings.using(cache_bytes=0):
            try:
                array.read_box(box)
            except ReadError as error:
                return error
            return None

    boxes = list(blocks_of(array.shape, array.spec.chunk_shape or array.shape))
    with ThreadPoolExecutor(threads) as pool:
        yield from filter(None, pool.map(read, boxes))


def _levels(path: Path) -> int:
    if path.is_file():
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    else:
        names = [
            file.relative_to(path).as_posix()
            for name in ("zarr.json", ".zarray")
            for file in path.glob(f"*/{name}")
        ]
    return len({found[1] for name in names if (found := _LEVEL.fullmatch(name))})
