"""Decoded chunks that a process keeps, within a number of bytes; TensorStore has a cache of its own.

A chunk is known by the source that it belongs to, the state of the file that it was decoded from, and its index; so one of a
file that was written anew is never found. A child that is forked starts with its parent's chunks, in the same memory.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like import settings

ENTRY_BYTES = 512
"""What a chunk takes besides its voxels, roughly; it is counted, so that many tiny chunks are bounded too."""

UNSETTLED = 10**8
"""Nanoseconds in which a file may be written twice and keep its time."""

_SHARE = 4  # of the cache a single chunk takes at most one such part

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
    fields = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    return tuple.__new__(FileState, fields)


def is_settled(state: FileState) -> bool:
    """Whether a file was not written just now: else it may be written again and look the same."""
    return abs(time.time_ns() - state.modified) > UNSETTLED


def settled_state(file_name: str) -> FileState | None:
    """Give the state of a file; ``None`` of one that is gone, or was written just now, so that nothing of it is to be kept."""
    try:
        state = file_state(file_name)
    except OSError:  # which is said where it is opened
        return None
    return state if is_settled(state) else None


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
        with self._lock:
            found = self._found(key)
        return self._decoded(key, decode) if found is None else found

    def _decoded(self, key: Key, decode: Callable[[], Chunk]) -> Chunk:
        """Decode a chunk, or wait for the thread that does."""
        mine = _Coming()
        try:
            while True:
                with self._lock:
                    found = self._found(key)
                    coming = self._coming.setdefault(key, mine) if found is None else mine
                if found is not None:
                    return found
                if coming is mine:
                    break
                coming.done.wait()
                if coming.chunk is not None:
                    with self._lock:
                        self._counted(key[0])[0] += 1
                    return coming.chunk
            mine.chunk = _owned(decode())
            return mine.chunk
        finally:  # of an interrupt too, else others would wait for ever
            with self._lock:
                if self._coming.get(key) is mine:
                    del self._coming[key]
                    if mine.chunk is not None:
                        self._keep(key, mine.chunk)
            mine.done.set()

    def find(self, keys: Iterable[Key | None]) -> list[Any]:
        """Give those chunks that are kept, for readers that begin to decode all others before they wait for one.

        Parameters
        ----------
        keys : iterable of Key or None
            Source, the same for all, state and index, as of `chunk`; ``None`` for one that is not to be kept.
        """
        kept, found, hits = self._kept, [], 0
        with self._lock:
            for key in keys:
                chunk = None if key is None else kept.get(key)
                found.append(chunk)
                if key is not None and chunk is not None:
                    kept.move_to_end(key)
                    source, hits = key[0], hits + 1
            if hits:
                self._counted(source)[0] += hits
        return found

    def keep(self, key: Key, chunk: Any) -> Any:
        """Keep a chunk that was not found, and has been decoded; give it read-only.

        It is an ndarray, or anything that has `nbytes`; then that is what is found.
        """
        owned = _owned(chunk) if isinstance(chunk, np.ndarray) else chunk
        with self._lock:
            self._keep(key, owned)
        return owned

    def counts(self) -> dict[str, Counts]:
        """Give what was asked for, source by source."""
        with self._lock:
            held = dict.fromkeys(self._counts, 0)
            for (source, _, _), chunk in self._kept.items():
                held[source] = held.get(source, 0) + _size(chunk)
            counted = {source: self._counts.get(source, (0, 0, 0)) for source in held}
            return {
                source: Counts(hits, misses, decoded, held[source])
                for source, (hits, misses, decoded) in counted.items()
            }

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
        counted = self._counted(key[0])
        counted[1] += 1
        counted[2] += chunk.nbytes
        if key in self._kept or not fits(chunk.nbytes):
            return
        self._make_room(settings.current().cache_bytes - _size(chunk))
        self._kept[key] = chunk
        self._held += _size(chunk)

    def _make_room(self, most: int) -> None:
        while self._held > most:
            _, chunk = self._kept.popitem(last=False)
            self._held -= _size(chunk)

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
    owner: Any = chunk
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    held = len(owner.base) if isinstance(owner.base, bytes) else owner.nbytes
    if held != chunk.nbytes:
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
