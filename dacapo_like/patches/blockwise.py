"""A function applied to a whole array patch by patch, and taken up again where it was interrupted."""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array
from dacapo_like.errors import ConfigError, RegionError
from dacapo_like.geometry import Box, format_numbers
from dacapo_like.patches._journal import Journal
from dacapo_like.patches._placing import describe_patch, spatial
from dacapo_like.patches._sinks import written_region
from dacapo_like.patches.extract import PatchPad, check_pad, extract, insert
from dacapo_like.patches.grid import Patch, PatchGrid

Arrays: TypeAlias = "Array | Mapping[str, Array]"
Blocks: TypeAlias = "NDArray[Any] | Mapping[str, NDArray[Any]]"
Function: TypeAlias = "Callable[[Any, Patch], Blocks]"
Progress: TypeAlias = "Callable[[int, int], object]"

_TASKS_PER_THREAD = 2


def run_blockwise(
    grid: PatchGrid,
    function: Function,
    read: Arrays,
    write: Arrays,
    journal: str | os.PathLike[str] | None = None,
    *,
    pad: PatchPad = "error",
    threads: int = 1,
    name: str | None = None,
    progress: Progress | None = None,
) -> int:
    """Read each patch of a grid with its context, call a function, and write what the patch is responsible for.

    No chunk of what is written is written by two at the same time, nor by two shards of a grid: patches that share one are done one
    after another. So the borders between what patches write have to be borders of chunks, or the grid ordered by these.

    Parameters
    ----------
    grid : PatchGrid
        Or a shard of one, ``grid.shard(rank, n, by="chunks", chunks=…)``, where several processes work; each with a journal of its own.
    function : callable
        Called with the voxels that were read, an ndarray or a dict of them as `read` is, and the `Patch`. What it returns, of the same form
        as `write`, has all axes of the array and the shape of the patch with its context, without it, or of what it writes.
    read, write : Array or mapping of str to Array
        From where, and to where. What is written is in the voxels of the grid; what is read may have others.
    journal : path, optional
        A file that records what is done: if it is there already, only the rest is done. A patch is recorded when what it wrote is on
        disk, so that nothing is lost when the process or the machine dies, and at most the patches under way are done twice. It is refused where
        `name`, `pad`, the grid or the arrays' shapes, dtypes and places are others. Remove it together with what was written.
    pad : "error", "edge", "reflect", "median" or {"constant": value}
        What stands outside of the arrays that are read, as `extract` takes it.
    threads : int
        How many patches may be under way; each of them holds what it reads and returns.
    name : str, optional
        Of what is done, such as that of a trained model, to tell its journal from others.
    progress : callable, optional
        Called with (patches done, patches in all) after every patch, by one thread at a time.

    Returns
    -------
    int
        How many patches were done now.

    Raises
    ------
    ConfigError
        Patches share chunks and the grid is not ordered, or options make no sense.
    RegionError, WriteError
        An array does not hold what the grid covers, or cannot be written; or what the function returns does not fit.
    SourceError
        The journal is another's.

    Notes
    -----
    Exceptions of the function, and of reading and writing, are raised as they are, with a note that names the patch. Those under way are then finished
    and recorded; the same is done when the run is interrupted. Of a sharded array, order the grid by its shards, or each is written many times.

    Examples
    --------
    >>> import dacapo_like
    >>> raw = dacapo_like.from_numpy(np.arange(6.0))
    >>> smooth = dacapo_like.from_numpy(np.zeros(6), mode="r+")
    >>> grid = PatchGrid(raw, (3,), context=1)
    >>> run_blockwise(grid, lambda x, patch: (x[:-2] + x[1:-1] + x[2:]) / 3, raw, smooth, pad="edge")
    2
    >>> smooth.read().round(2)
    array([0.33, 1.  , 2.  , 3.  , 4.  , 4.67])
    """
    sources, targets = _by_name(read), _by_name(write)
    if threads < 1:
        raise ConfigError("nobody would work", got=f"threads={threads}", expected="1 or more")
    for array in sources.values():
        check_pad(pad, array)
    grouped = _shares_chunks(grid, targets)
    book = (
        nullcontext()
        if journal is None
        else Journal(journal, _run(grid, sources, targets, pad, name), math.prod(grid.counts))
    )
    with book as opened:
        run = _Run(grid, function, read, write, pad, opened, progress)
        tasks = _tasks(grid, grouped=grouped)
        if threads == 1:
            for task in tasks:
                run.do(task)
        else:
            _in_threads(run, tasks, threads)
    return run.count


class _Run:
    """Does patches, and counts them."""

    def __init__(
        self,
        grid: PatchGrid,
        function: Function,
        read: Arrays,
        write: Arrays,
        pad: PatchPad,
        journal: Journal | None,
        progress: Progress | None,
    ) -> None:
        self.count = 0
        self.stopped = False
        self._grid, self._function, self._read, self._write = grid, function, read, write
        self._pad, self._journal, self._progress = pad, journal, progress
        self._done = frozenset[int]() if journal is None else frozenset(journal.done)
        self._before = 0
        if self._done:
            self._before = sum(_number(grid, i) in self._done for i in range(len(grid)))
        self._lock = threading.Lock()

    def do(self, task: range) -> None:
        """Do patches one after another, those that are not done, unless the run is to stop."""
        for position in task:
            if self.stopped:
                return
            if _number(self._grid, position) in self._done:
                continue
            patch = self._grid[position]
            try:
                self._do(patch)
            except Exception as error:
                error.add_note(f"in {describe_patch(patch)}")
                raise

    def _do(self, patch: Patch) -> None:
        result = self._function(self._blocks(patch), patch)
        if isinstance(self._write, Mapping):
            _check_names(result, self._write)
            for name, array in self._write.items():
                insert(array, patch, np.asarray(result[name]))
        else:
            insert(self._write, patch, np.asarray(result))
        if self._journal is not None:
            self._journal.note(patch.index)
        with self._lock:
            self.count += 1
            if self._progress is not None:
                self._progress(self._before + self.count, len(self._grid))

    def _blocks(self, patch: Patch) -> Blocks:
        if isinstance(self._read, Mapping):
            return {name: extract(array, patch, self._pad) for name, array in self._read.items()}
        return extract(self._read, patch, self._pad)


def _in_threads(run: _Run, tasks: Iterator[range], threads: int) -> None:
    """Do tasks in threads; few wait, however many there are."""
    waiting: set[Future[None]] = set()
    with ThreadPoolExecutor(threads) as pool:
        try:
            while True:
                room = threads * _TASKS_PER_THREAD - len(waiting)
                waiting |= {pool.submit(run.do, task) for task in itertools.islice(tasks, room)}
                if not waiting:
                    return
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
        finally:
            run.stopped = True  # of no consequence where all is done


def _number(grid: PatchGrid, position: int) -> int:
    """Give the number of a patch without making it."""
    place = grid.positions[position]
    if grid.order is None:
        return place
    return int(np.ravel_multi_index(grid.order.indices(place), grid.counts))


def _tasks(grid: PatchGrid, *, grouped: bool) -> Iterator[range]:
    """Give runs of positions; patches of different runs share no chunk."""
    order = grid.order
    if not grouped or order is None:
        yield from (range(i, i + 1) for i in range(len(grid)))
        return
    places = enumerate(map(order.group_start, grid.positions))
    for _, run in itertools.groupby(places, key=lambda place: place[1]):
        group = [position for position, _ in run]
        yield range(group[0], group[-1] + 1)


def _shares_chunks(grid: PatchGrid, targets: Mapping[str, Array]) -> bool:
    """Whether patches share chunks, but only with others of their group; where that is not so, it is an error."""
    grouped = False
    for array in targets.values():
        source, whole = _stored(array, written_region(array, grid))
        if source.spec.chunk_shape is None:
            continue
        chunks = source.spec.chunk_shape[-len(grid.shape) :]
        box = spatial(whole, len(grid.shape))
        if all(map(_are_borders, _writes(grid, None), box.offset, chunks)):
            continue
        grouped = True
        if grid.order is None or not all(
            map(_are_borders, _writes(grid, grid.order.groups), box.offset, chunks)
        ):
            raise ConfigError(
                "patches would write to the same chunk",
                got=f"patches of {format_numbers([axis.size for axis in grid.axes])} voxels from {format_numbers(box.offset)} on",
                expected=f"borders between them at multiples of {format_numbers(chunks)}",
                where=array.describe(),
                hint=f"grid.ordered_by({tuple(chunks)}) makes those that share chunks follow each other, if the region begins at a chunk",
                key=("grid",),
            )
    if grouped:
        _check_whole_groups(grid)
    return grouped


def _stored(array: Array, box: Box) -> tuple[Array, Box]:
    """Give the source that is written to, and where a box of a writable array is in it."""
    while array.operation is not None:
        (below,) = array.inputs
        (need,) = array.operation.needs(box, below.spec)
        assert need is not None  # noqa: S101  # what is written through is read through
        array, box = below, need
    return array, box


def _writes(grid: PatchGrid, groups: tuple[tuple[int, ...], ...] | None) -> Iterator[Iterator[int]]:
    """Give, per axis, where patches begin to write, or those that are the first of a group."""
    for number, axis in enumerate(grid.axes):
        firsts = range(len(axis)) if groups is None else groups[number]
        yield (axis.write(index)[0] for index in firsts[1:])


def _are_borders(places: Iterator[int], offset: int, chunk: int) -> bool:
    return all((offset + place) % chunk == 0 for place in places)


def _check_whole_groups(grid: PatchGrid) -> None:
    """Refuse a part of a grid that shares chunks with another part."""
    order, run = grid.order, grid.positions
    assert order is not None  # noqa: S101  # there are groups
    total = math.prod(grid.counts)
    ends = (place for place in (run.start, run.stop) if 0 < place < total)
    if run and (run.step != 1 or any(order.group_start(place) != place for place in ends)):
        raise ConfigError(
            "patches of this part of the grid write to chunks of another part",
            got=f"{len(grid)} of {total} patches",
            hint="take parts of it with grid.shard(rank, n, by='chunks', chunks=…)",
            key=("grid",),
        )


def _by_name(arrays: Arrays) -> Mapping[str, Array]:
    return arrays if isinstance(arrays, Mapping) else {"": arrays}


def _check_names(result: Any, write: Mapping[str, Array]) -> None:
    names = sorted(result) if isinstance(result, Mapping) else type(result).__name__
    if names != sorted(write):
        raise RegionError(
            "the function did not return what is to be written",
            got=names,
            expected=f"a mapping with {', '.join(sorted(write))}",
        )


def _run(
    grid: PatchGrid,
    sources: Mapping[str, Array],
    targets: Mapping[str, Array],
    pad: PatchPad,
    name: str | None,
) -> dict[str, Any]:
    """Give what tells a run from others: not in which order it is done, or which part of it."""
    document = grid.to_dict()
    return {
        "name": name,
        "grid": {key: document[key] for key in ("lattice", "axes", "context")},
        "read": {key: _place(array) for key, array in sources.items()},
        "write": {key: _place(array) for key, array in targets.items()},
        "pad": repr(pad),
    }


def _place(array: Array) -> dict[str, Any]:
    spec = array.spec
    return {
        "axes": spec.axes,
        "shape": spec.shape,
        "dtype": spec.dtype.name,
        "voxel_size": format_numbers(spec.voxel_size),
        "offset": format_numbers(spec.offset),
    }
