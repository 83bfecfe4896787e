"""Blocks in the threads of this process."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context

from dacapo_like.materialize.blocks import Blocks, StoppedError
from dacapo_like.materialize.journal import Entry

_WAITING = 2  # blocks per thread that are submitted
_SYNC_AFTER = (
    1.0  # seconds that a block that is done waits for others, to be brought to the disk with them
)
_MOST_UNSYNCED = 64

Done = Callable[[list[Entry]], None]
"""Takes blocks whose files are on the disk."""


class Threads:
    """Does blocks in threads; a further one brings them to the disk.

    Parameters
    ----------
    blocks : Blocks
        Asks `stop` whether to give up.
    count : int
        Of the threads.
    stop : threading.Event
        Set where the run is to end.
    """

    def __init__(self, blocks: Blocks, count: int, stop: threading.Event) -> None:
        self._blocks = blocks
        self._count = count
        self._stop = stop

    def run(
        self, sweep: int, missing: Iterator[int], done: Done, finished: Callable[[], None]
    ) -> None:
        """Do blocks of a sweep.

        Parameters
        ----------
        sweep : int
            Its number.
        missing : iterator of int
            Of the blocks; a few are taken ahead.
        done : callable
            Records blocks that are on the disk; also those that were finished before an error, or an interrupt.
        finished : callable
            Called after every block, before it is on the disk.
        """
        syncing = _Syncing(self._blocks, sweep, done)
        waiting: set[Future[int]] = set()
        pool = ThreadPoolExecutor(self._count, thread_name_prefix="materialize")
        try:
            while True:
                room = self._count * _WAITING - len(waiting)
                waiting |= {
                    pool.submit(copy_context().run, self._do, sweep, i)  # settings hold there, too
                    for i in itertools.islice(missing, room)
                }
                if not waiting:
                    break
                ended, waiting = wait(waiting, timeout=_SYNC_AFTER, return_when=FIRST_COMPLETED)
                for future in ended:
                    syncing.add(future.result())
                    finished()
                syncing.start()
        except BaseException:
            self._stop.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            for future in waiting:
                if not future.cancelled() and future.exception() is None:
                    syncing.add(future.result())
            syncing.close()

    def _do(self, sweep: int, index: int) -> int:
        if self._stop.is_set():
            raise StoppedError
        self._blocks.do(sweep, index)
        return index


class _Syncing:
    """Brings blocks to the disk, some at a time, while others are done."""

    def __init__(self, blocks: Blocks, sweep: int, done: Done) -> None:
        self._blocks = blocks
        self._sweep = sweep
        self._done = done
        self._new: list[int] = []
        self._since = time.monotonic()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._running: Future[None] | None = None

    def add(self, index: int) -> None:
        if not self._new:
            self._since = time.monotonic()
        self._new.append(index)

    def start(self) -> None:
        """Begin with what there is, where it is time; wait where the disk is far behind."""
        full = len(self._new) >= _MOST_UNSYNCED
        if not self._new or not (full or time.monotonic() - self._since >= _SYNC_AFTER):
            return
        if self._running is not None:
            if not (full or self._running.done()):
                return
            self._running.result()
        new, self._new = self._new, []
        self._running = self._pool.submit(self._sync, new)

    def close(self) -> None:
        """Bring the rest to the disk."""
        try:
            if self._running is not None:
                self._running.result()
            self._sync(self._new)
        finally:
            self._pool.shutdown()

    def _sync(self, blocks: list[int]) -> None:
        if blocks:
            self._done(self._blocks.sync(self._sweep, blocks))
