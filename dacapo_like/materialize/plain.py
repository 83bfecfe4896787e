"""Runs that write formats whose blocks do not outlive their process: all of it is written, or nothing."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from typing import Any

from numpy.typing import NDArray

from dacapo_like.core import Array
from dacapo_like.geometry import Box
from dacapo_like.writers.base import Writer

_BLOCKS_AHEAD = 4
"""Blocks that are read before those in front of them are written, where the format wants an order."""

_WAITING = 2  # blocks per thread that are submitted


def write_plain(
    array: Array, writer: Writer, threads: int, progress: Callable[[int, int], None] | None
) -> None:
    """Write all blocks of an array, and no more.

    Parameters
    ----------
    array : Array
        To be written.
    writer : Writer
        Of its format.
    threads : int
        That read, and write where the format has no order.
    progress : callable, optional
        Called with (blocks done, blocks in all) after every block.
    """
    total = math.prod(-(-n // b) for n, b in zip(array.shape, writer.block_shape, strict=True))
    finished = itertools.count(1)

    def note() -> None:
        if progress:
            progress(next(finished), total)

    write = _write_in_order if writer.in_order else _write
    with ThreadPoolExecutor(threads) as pool:  # left before all is removed after an error
        write(array, writer, pool, threads, note)


def _write(
    array: Array, writer: Writer, pool: Executor, threads: int, note: Callable[[], None]
) -> None:
    """Read and write many blocks at a time."""

    def write(box: Box) -> None:
        writer.write(box, array.read_box(box))

    boxes = writer.boxes()
    waiting: set[Future[None]] = set()
    try:
        while True:
            room = threads * _WAITING - len(waiting)
            waiting |= {pool.submit(write, box) for box in itertools.islice(boxes, room)}
            if not waiting:
                return
            ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ended:
                future.result()
                note()
    finally:
        for future in waiting:
            future.cancel()


def _write_in_order(
    array: Array, writer: Writer, pool: Executor, threads: int, note: Callable[[], None]
) -> None:
    """Read some blocks ahead of the one that is written."""
    ahead: deque[tuple[Box, Future[NDArray[Any]]]] = deque()
    boxes: Iterator[Box | None] = itertools.chain(writer.boxes(), itertools.repeat(None))
    for box in boxes:
        if box is not None:
            ahead.append((box, pool.submit(array.read_box, box)))
            if len(ahead) <= max(_BLOCKS_AHEAD, threads):
                continue
        if not ahead:
            return
        written, data = ahead.popleft()
        writer.write(written, data.result())
        note()
