"""Write a tree to disk in any format that has a writer, block by block, on dask's threads."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from inspect import signature
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dacapo_like.config.loading import dump
from dacapo_like.core import Array, tree_nodes
from dacapo_like.errors import ConfigError, did_you_mean
from dacapo_like.geometry import Box
from dacapo_like.registry import discover
from dacapo_like.writers.base import Writer, writer_of
from dacapo_like.writers.tiff_stack import TiffStackWriter, is_pattern

Progress = Callable[[int, int], None]

_TASKS_AT_ONCE = 4096
"""Entries of a dask graph: it must not grow with the volume."""

_BLOCKS_AHEAD = 4
"""Blocks that are read before those in front of them are written, where the format wants an order."""

_NOT_OPTIONS = frozenset(
    {"self", "path", "spec", "args", "kwargs", "options", "name", "attributes"}
)


def materialize(
    array: Array,
    path: str | Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Path:
    """Write an array to a file or folder; the suffix says in which format.

    The target appears when it is complete: until then the voxels stand beside it.

    Parameters
    ----------
    array : Array
        To be written.
    path : path
        Of what is to be made. A pattern such as ``out/z{z:04d}.tif`` makes a folder of single pages.
    overwrite : bool
        Replace what is there already, if it is of the same format; by default that is an error.
    progress : callable, optional
        Called with (blocks done, blocks in all) after every block.
    **options
        Of the format, such as ``chunks`` of OME-Zarr and HDF5: see its writer.

    Returns
    -------
    pathlib.Path
        Of what was written.

    Raises
    ------
    ConfigError
        No format has this suffix, or it has no such option.
    SpecError
        The format has no place for such an array.
    SourceError
        The target is there already, or cannot be written.
    ReadError
        A source cannot give its voxels; nothing is left behind.
    """
    with (
        _open_writer(array, path, overwrite=overwrite, **options) as writer,
        ThreadPoolExecutor(
            os.cpu_count()
        ) as pool,  # left first: no task writes while all is removed
    ):
        total = math.prod(-(-n // b) for n, b in zip(array.shape, writer.block_shape, strict=True))
        finished = itertools.count(1)

        def note() -> None:
            if progress:
                progress(next(finished), total)

        write = _write_in_order if writer.in_order else _write
        write(array, writer, writer.boxes(), pool, note)
    return Path(path)


def _open_writer(array: Array, path: str | Path, **options: Any) -> Writer:
    discover("dacapo_like.writers")
    writer = TiffStackWriter if is_pattern(path) else writer_of(path)
    known = {name for kind in writer.__mro__ for name in signature(kind).parameters}
    unknown = next((name for name in options if name not in known), None)
    if unknown is not None:
        raise ConfigError(
            "the format has no such option",
            got=unknown,
            expected=", ".join(sorted(known - _NOT_OPTIONS)),
            hint=did_you_mean(unknown, known - _NOT_OPTIONS),
            where=str(path),
        )
    return writer(path, array.spec, name=array.name, attributes=_provenance(array), **options)


def _write(
    array: Array, writer: Writer, boxes: Iterator[Box], pool: Executor, note: Callable[[], None]
) -> None:
    """Read and write many blocks at a time."""
    import dask  # heavy

    def write(box: Box) -> None:
        writer.write(box, array.read_box(box))
        note()

    for batch in _batches(boxes):
        dask.compute(
            *(dask.delayed(write, pure=False)(box) for box in batch),
            scheduler="threads",
            pool=pool,
        )


def _write_in_order(
    array: Array, writer: Writer, boxes: Iterator[Box], pool: Executor, note: Callable[[], None]
) -> None:
    """Read some blocks ahead of the one that is written."""
    ahead: deque[tuple[Box, Future[NDArray[Any]]]] = deque()
    for box in itertools.chain(boxes, itertools.repeat(None)):
        if box is not None:
            ahead.append((box, pool.submit(array.read_box, box)))
            if len(ahead) <= _BLOCKS_AHEAD:
                continue
        if not ahead:
            return
        written, data = ahead.popleft()
        writer.write(written, data.result())
        note()


def _batches(boxes: Iterator[Box]) -> Iterator[list[Box]]:
    while batch := list(itertools.islice(boxes, _TASKS_AT_ONCE)):
        yield batch


def _provenance(array: Array) -> dict[str, object]:
    """Give the document that describes what was written; an array in memory has none."""
    if not all(node.config.in_documents for node in tree_nodes(array)):
        return {}
    return {"config": json.loads(dump(array.config, "json"))}
