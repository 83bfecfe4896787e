"""Write a tree to disk, block by block, on dask's threads."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dacapo_like.config.loading import dump
from dacapo_like.core import Array, tree_nodes
from dacapo_like.geometry import Box, blocks_of
from dacapo_like.writers.ome_zarr import OmeZarrWriter

Progress = Callable[[int, int], None]

_TASKS_AT_ONCE = 4096
"""Entries of a dask graph: it must not grow with the volume."""


def materialize(
    array: Array,
    path: str | Path,
    *,
    chunks: Sequence[int] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write an array as OME-Zarr 0.5.

    The target appears when it is complete: until then the voxels stand beside it.

    Parameters
    ----------
    array : Array
        To be written.
    path : path
        A directory that is to be made.
    chunks : sequence of int, optional
        Along every axis; by default the array's own, or about a megabyte each.
    overwrite : bool
        Replace a Zarr that is there already; by default that is an error.
    progress : callable, optional
        Called with (blocks done, blocks in all) after every block.

    Returns
    -------
    pathlib.Path
        Of what was written.

    Raises
    ------
    SourceError
        The target is there already, or cannot be written.
    ReadError
        A source cannot give its voxels; nothing is left behind.
    """
    import dask  # heavy

    with (
        OmeZarrWriter(
            path,
            array.spec,
            name=array.name,
            chunks=chunks,
            overwrite=overwrite,
            attributes=_provenance(array),
        ) as writer,
        ThreadPoolExecutor(
            os.cpu_count()
        ) as pool,  # left first: no task writes while all is removed
    ):
        total = math.prod(-(-n // b) for n, b in zip(array.shape, writer.block_shape, strict=True))
        finished = itertools.count(1)

        def write(box: Box) -> None:
            writer.write(box, array.read_box(box))
            if progress:
                progress(next(finished), total)

        for boxes in _batches(blocks_of(array.shape, writer.block_shape)):
            dask.compute(
                *(dask.delayed(write, pure=False)(box) for box in boxes),
                scheduler="threads",
                pool=pool,
            )
    return Path(path)


def _batches(boxes: Iterator[Box]) -> Iterator[list[Box]]:
    while batch := list(itertools.islice(boxes, _TASKS_AT_ONCE)):
        yield batch


def _provenance(array: Array) -> dict[str, object]:
    """Give the document that describes what was written; an array in memory has none."""
    if not all(node.config.in_documents for node in tree_nodes(array)):
        return {}
    return {"config": json.loads(dump(array.config, "json"))}
