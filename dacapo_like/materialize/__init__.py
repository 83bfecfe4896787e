"""Write a tree to disk in any format that has a writer, block by block, in threads or on a cluster."""

from __future__ import annotations

import json
import os
import tempfile
from functools import partial
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dacapo_like.concealed import without_queries
from dacapo_like.core import Array
from dacapo_like.errors import ConfigError, did_you_mean
from dacapo_like.materialize.identity import is_described
from dacapo_like.materialize.plain import write_plain
from dacapo_like.materialize.planning import Means, Plan
from dacapo_like.materialize.running import Progress, Wishes, plan_pyramid, write_pyramid
from dacapo_like.materialize.workspace import Workspace
from dacapo_like.registry import discover
from dacapo_like.writers.base import Writer, writer_of
from dacapo_like.writers.ome_zarr import OmeZarrWriter
from dacapo_like.writers.tiff_stack import TiffStackWriter, folder_of, is_pattern

if TYPE_CHECKING:
    import distributed

__all__ = ["Plan", "materialize", "plan"]

_NOT_OPTIONS = frozenset(
    {"self", "path", "spec", "args", "kwargs", "options", "name", "attributes", "partial", "make"}
)


def materialize(
    array: Array,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    threads: int | None = None,
    workers: int | None = None,
    scheduler: str | distributed.Client | None = None,
    memory: int | str | None = None,
    restart: bool = False,
    check: bool = False,
    break_lock: bool = False,
    **options: Any,
) -> Path:
    """Write an array to a file or folder; the suffix says in which format.

    The target appears when it is complete: until then it grows in a hidden folder beside it, ``.NAME.partial``, and nobody else can
    write it. An OME-Zarr of an array that a document describes is gone on with where an earlier call was stopped, by whatever;
    of anything else nothing is left behind then.

    Parameters
    ----------
    array : Array
        To be written.
    path : path
        Of what is to be made. A pattern such as ``out/z{z:04d}.tif`` makes a folder of single pages.
    overwrite : bool
        Replace what is there already, if it is of the same format; by default that is an error.
    progress : callable, optional
        Called with (blocks done, blocks in all) after every block, from one thread.
    threads : int, optional
        That work in every process; by default as many as there are processors, and one in each of the `workers`.
    workers : int, optional
        Processes to start on this machine and end again; by default this one does the work. OME-Zarr only, as all that follows.
    scheduler : str or distributed.Client, optional
        Of a dask cluster to do the work, such as ``tcp://host:8786``. Its workers share the disk of the target.
    memory : int or str, optional
        Bytes that each process may take, or a text such as ``"4GiB"``; blocks are chosen to fit.
    restart : bool
        Throw away what an earlier call has done, instead of going on with it.
    check : bool
        Read again what an earlier call has done, before going on; what is damaged is done again.
    break_lock : bool
        Take the place of somebody who writes the target, by another host's word, and of whom you know that they do not any more.
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
        The target is there already, somebody else writes it, it cannot be written, or an earlier call was to write something else.
    ReadError
        A source cannot give its voxels.
    MissingExtraError
        dask.distributed is not installed.
    """
    means = Means.of(threads, workers, memory)
    kind = _writer_class(path, options)
    more = {"overwrite": overwrite, **_described(array), **options}
    target = _target(path)
    if issubclass(kind, OmeZarrWriter):
        wishes = Wishes(
            means=means,
            restart=restart,
            check=check,
            break_lock=break_lock,
            progress=progress,
            scheduler=scheduler,
        )
        write_pyramid(array, partial(kind, path, array.spec, **more), target, wishes)
        return Path(path)
    if workers is not None or scheduler is not None:
        raise ConfigError(
            "the format is written by one process",
            got=target.name,
            expected="an OME-Zarr",
            hint="leave out `workers` and `scheduler`",
        )
    with Workspace(target, parents=False, break_lock=break_lock) as space:
        space.clear()
        with kind(path, array.spec, partial=space.data, **more) as writer:
            write_plain(array, writer, means.threads, progress)
    return Path(path)


def plan(
    array: Array,
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    workers: int | None = None,
    memory: int | str | None = None,
    **options: Any,
) -> Plan:
    """Say what `materialize` would do, and write nothing: blocks, files, bytes, and the memory of every process.

    Parameters
    ----------
    array, path, threads, workers, memory, **options
        As `materialize` takes them; the path is that of an OME-Zarr.

    Raises
    ------
    ConfigError
        It is that of another format; or as of `materialize`.

    Examples
    --------
    >>> import numpy as np, dacapo_like
    >>> array = dacapo_like.from_numpy(np.zeros((64, 64, 64), "uint8"))
    >>> plan(array, "a.zarr", chunks=(16, 16, 16), levels=3, threads=1).sweeps[0].block_shape
    (32, 32, 32)
    """
    means = Means.of(threads, workers, memory)
    kind = _writer_class(path, options)
    if not issubclass(kind, OmeZarrWriter):
        raise ConfigError(
            "only an OME-Zarr is planned", got=str(path), expected="a name such as out.zarr"
        )
    with tempfile.TemporaryDirectory() as folder:
        nowhere = Path(folder, Path(path).name)
        writer = kind(nowhere, array.spec, make=False, **options)
        return plan_pyramid(array, writer, means)


def _target(path: str | os.PathLike[str]) -> Path:
    return (folder_of(path) if is_pattern(path) else Path(path)).resolve()


def _writer_class(path: str | os.PathLike[str], options: dict[str, Any]) -> type[Writer]:
    discover("dacapo_like.writers")
    writer = TiffStackWriter if is_pattern(path) else writer_of(path)
    known = {name for kind in writer.__mro__ for name in signature(kind).parameters} - _NOT_OPTIONS
    unknown = next((name for name in options if name not in known), None)
    if unknown is not None:
        raise ConfigError(
            "the format has no such option",
            got=unknown,
            expected=", ".join(sorted(known)),
            hint=did_you_mean(unknown, known),
            where=str(path),
        )
    return writer


def _described(array: Array) -> dict[str, Any]:
    """Give the array's name, and the document that describes what is written; an array in memory has none."""
    attributes = {}
    if is_described(array):
        from dacapo_like.config.loading import dump

        attributes = {"config": without_queries(json.loads(dump(array.config, "json")))}
    return {"name": array.name, "attributes": attributes}
