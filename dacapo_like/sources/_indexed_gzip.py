"""Streams of gzip that are read from anywhere, where the package indexed_gzip is installed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dacapo_like.chunk_cache import CACHE, FileState, file_state

_SPACING = 2**20  # bytes
_READ = 2**16  # bytes that are read at once: several times for one seek
_MOST_POINTS = 1000  # each keeps 32 kB

PIECE = 2**18
"""Bytes that are decompressed, and kept, at a time."""


def indexed_stream(file_name: str, length: int) -> IndexedStream | None:
    """Give the stream of a ``.gz`` of some length, not compressed; ``None`` of others, and without indexed_gzip."""
    usable = file_name.lower().endswith(".gz") and find_spec("indexed_gzip") is not None
    return IndexedStream(file_name, length) if usable else None


class IndexedStream:
    """A ``.gz`` that remembers places to decompress from, at most 32 MB of them; between reads its file is closed.

    The checksum is verified by the first read that reaches the end.
    """

    def __init__(self, file_name: str, length: int) -> None:
        self._file_name, self._length = file_name, length
        self._spacing = max(_SPACING, length // _MOST_POINTS)
        self._forget()

    def _forget(self) -> None:
        self._lock, self._pid = threading.Lock(), os.getpid()
        self._kept: tuple[Any, Any] = (None, None)

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """Give the stream to one reader at a time."""
        from indexed_gzip import IndexedGzipFile  # an extra

        if self._pid != os.getpid():  # a lock from before a fork may never be released
            self._forget()
        with self._lock:
            state = file_state(self._file_name)
            (known, file), self._kept = self._kept, (None, None)
            if known != state:  # the places are those of another content
                file = IndexedGzipFile(self._file_name, spacing=self._spacing, readbuf_size=_READ)
            yield file
            self._kept = (state, file)  # not after an error, so that it comes again

    def pieces(self, state: FileState) -> Pieces:
        """Give the stream as a file of which pieces are kept; `state` is that of the file."""
        return Pieces(self, state)

    def piece(self, index: int) -> NDArray[np.uint8]:
        """Decompress a piece; the last one is verified."""
        start = index * PIECE
        buffer = np.empty(min(PIECE, self._length - start), np.uint8)
        with self.opened() as file:
            file.seek(start)
            found = file.readinto(buffer)
            if start + len(buffer) == self._length:
                while file.read(_READ):  # to the end, where the checksum is
                    pass
        return buffer[:found]

    @property
    def name(self) -> str:
        """Of the file."""
        return self._file_name


class Pieces:
    """A stream as a file to read from; what it was decompressed to is kept piece by piece.

    Parameters
    ----------
    stream : IndexedStream
        The stream.
    state : FileState
        Of its file.
    """

    def __init__(self, stream: IndexedStream, state: FileState) -> None:
        self._stream, self._state, self._at = stream, state, 0

    def seek(self, position: int) -> None:
        """Go to a byte of the decompressed stream."""
        self._at = position

    def readinto(self, buffer: NDArray[np.uint8]) -> int:
        """Fill a buffer from here on; give how many bytes there were."""
        done = 0
        while done < len(buffer):
            index, skipped = divmod(self._at, PIECE)
            decompress = partial(self._stream.piece, index)
            piece = CACHE.chunk(self._stream.name, self._state, index, decompress)
            part = piece[skipped : skipped + len(buffer) - done]
            if not len(part):
                break
            buffer[done : done + len(part)] = part
            done, self._at = done + len(part), self._at + len(part)
        return done

    def read(self, _: int) -> bytes:
        """Give nothing: the end was verified when it was decompressed."""
        return b""
