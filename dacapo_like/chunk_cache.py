"""Decoded chunks that a process keeps, within a number of bytes, of all formats but those that TensorStore reads.

A chunk is known by the source that it belongs to, the state of the file that it was decoded from, and its index; so one of a
file that was written anew is never found. A child that is forked starts with its parent's chunks, in the same memory.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like import settings

ENTRY_BYTES = 512
"""What a chunk takes besides its voxels, roughly; it is counted, so that many tiny chunks are bounded too."""

_SHARE = 4  # of the cache a single chunk takes at most one such part
_UNSETTLED = 10**8  # nanoseconds in which a file may be written twice and keep its time

Chunk = NDArray[Any]
Key = tuple[str, Hashable, Hashable]


class FileState(NamedTuple):
    """What tells the contents of a file from earlier ones."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int


def file_state(file_name: str) -> FileState:
    """Ask for the state of a file.

    Raises
    ------
    OSError
        It is not there.
    """
    found = os.stat(file_name)  # noqa: PTH116  # a Path takes longer than the question
    return FileState(
        found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    )


def is_settled(state: FileState) -> bool:
    """Whether a file was not written just now: else it may be written again and look the same."""
    return abs(time.time_ns() - state.modified) > _UNSETTLED


class Counts(NamedTuple):
    """What was asked for.

    Attributes
    ----------
    hits : int
        Chunks that were there.
    misses : int
        Chunks that were decoded.
    bytes_decoded : int
        Of those chunks.
    bytes_held : int
        What is kept now.
    """

    hits: int = 0
    misses: int = 0
    bytes_decoded: int = 0
    bytes_held: int = 0


@attrs.define
class _Coming:
    """A chunk that some thread decodes."""

    done: threading.Event = attrs.field(factory=threading.Event)
    chunk: Chunk | None = None


class ChunkCache:
    """Keeps the chunks that were used last; any number of threads may ask.

    Examples
    --------
    >>> cache = ChunkCache()
    >>> for _ in range(2):
    ...     chunk = cache.chunk("a.h5", "as of today", (0, 0), lambda: np.ones((4, 4)))
    >>> cache.counts()["a.h5"][:2]
    (1, 1)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, Chunk] = OrderedDict()
        self._coming: dict[Key, _Coming] = {}
        self._held = 0
        self._counts: dict[str, list[int]] = {}  # hits, misses, bytes decoded

    def chunk(
        self, source: str, state: Hashable, index: Hashable, decode: Callable[[], Chunk]
    ) -> Chunk:
        """Give a chunk, decoded now or before. Threads that want the same wait for the one that decodes it.

        Parameters
        ----------
        source : str
            What it belongs to; statistics are kept by it.
        state : hashable
            Of what it is stored in.
        index : hashable
            Which one of the source.
        decode : callable
            Makes it.

        Returns
        -------
        ndarray
            Read-only.
        """
        if not settings.current().cache_bytes:
            return decode()
        key = (source, state, index)
        while True:
            with self._lock:
                found = self._found(key)
                coming = self._coming.get(key)
                if found is None and coming is None:
                    mine = self._coming[key] = _Coming()
                    break
            if found is not None:
                return found
            assert coming is not None  # noqa: S101  # else it is decoded here
            coming.done.wait()
            if coming.chunk is not None:
                self._count(source, hits=1)
                return coming.chunk
        try:
            mine.chunk = _owned(decode())
        finally:
            with self._lock:
                del self._coming[key]
                if mine.chunk is not None:
                    self._keep(key, mine.chunk)
            mine.done.set()
        self._count(source, misses=1, decoded=mine.chunk.nbytes)
        return mine.chunk

    def counts(self) -> dict[str, Counts]:
        """Give what was asked for, source by source."""
        with self._lock:
            held = dict.fromkeys(self._counts, 0)
            for (source, _, _), chunk in self._kept.items():
                held[source] = held.get(source, 0) + _size(chunk)
            return {source: Counts(*self._counts.get(source, (0, 0, 0)), held[source]) for source in held}

    @property
    def bytes_held(self) -> int:
        """What is kept now."""
        return self._held

    def trim(self, to: settings.Settings) -> None:
        """Let go what is beyond some settings."""
        with self._lock:
            self._make_room(to.cache_bytes)

    def forget(self, source: str | None = None) -> None:
        """Let go the chunks, and the counts, of a source, or of all."""
        with self._lock:
            for key in [key for key in self._kept if source in (None, key[0])]:
                self._held -= _size(self._kept.pop(key))
            for name in [name for name in self._counts if source in (None, name)]:
                del self._counts[name]

    def _found(self, key: Key) -> Chunk | None:
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            self._counted(key[0])[0] += 1
        return found

    def _keep(self, key: Key, chunk: Chunk) -> None:
        limit, size = settings.current().cache_bytes, _size(chunk)
        if not fits(chunk.nbytes):
            return
        self._make_room(limit - size)
        self._kept[key] = chunk
        self._held += size

    def _make_room(self, most: int) -> None:
        while self._held > most:
            _, chunk = self._kept.popitem(last=False)
            self._held -= _size(chunk)

    def _count(self, source: str, *, hits: int = 0, misses: int = 0, decoded: int = 0) -> None:
        with self._lock:
            counted = self._counted(source)
            counted[0] += hits
            counted[1] += misses
            counted[2] += decoded

    def _counted(self, source: str) -> list[int]:
        return self._counts.setdefault(source, [0, 0, 0])

    # a fork waits until no thread is in the middle of anything here

    def before_fork(self) -> None:
        """Let no other thread in until the fork is over."""
        self._lock.acquire()

    def after_fork(self, *, in_child: bool) -> None:
        """Let them in again; in the child nobody decodes what other threads had begun to."""
        if in_child:
            self._coming = {}
        self._lock.release()


def fits(nbytes: int) -> bool:
    """Whether so many bytes of voxels may be kept as one chunk: not if that would push out most of what else is kept."""
    return nbytes + ENTRY_BYTES <= settings.current().cache_bytes // _SHARE


def _size(chunk: Chunk) -> int:
    return chunk.nbytes + ENTRY_BYTES


def _owned(chunk: Chunk) -> Chunk:
    """Give a chunk that holds no more memory than its own, read-only."""
    owner = chunk
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    held = len(owner.base) if isinstance(owner.base, bytes) else owner.nbytes
    if held != chunk.nbytes or not isinstance(owner.base, (bytes, type(None))):
        chunk = chunk.copy()
    chunk.setflags(write=False)
    return chunk


CACHE = ChunkCache()
"""Of this process."""

settings.watch(CACHE.trim)
os.register_at_fork(
    before=CACHE.before_fork,
    after_in_parent=lambda: CACHE.after_fork(in_child=False),
    after_in_child=lambda: CACHE.after_fork(in_child=True),
)
