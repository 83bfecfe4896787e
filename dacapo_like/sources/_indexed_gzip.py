"""Streams of gzip that are read from anywhere, where the package indexed_gzip is installed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_SPACING = 2**20  # bytes
_READ = 2**16  # bytes that are read at once: several times for one seek
_MOST_POINTS = 1000  # each keeps 32 kB


def indexed_stream(file_name: str, length: int) -> IndexedStream | None:
    """Give the stream of a ``.gz`` of some length, not compressed; ``None`` of others, and without indexed_gzip."""
    usable = file_name.lower().endswith(".gz") and find_spec("indexed_gzip") is not None
    return IndexedStream(file_name, length) if usable else None


class IndexedStream:
    """A ``.gz`` that remembers places to decompress from, at most 32 MB of them; between reads its file is closed.

    The checksum is verified by the first read that reaches the end.
    """

    def __init__(self, file_name: str, length: int) -> None:
        self._file_name = file_name
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
            status = Path(self._file_name).stat()
            state = (status.st_ino, status.st_mtime_ns, status.st_size)
            (known, file), self._kept = self._kept, (None, None)
            if known != state:  # the places are those of another content
                file = IndexedGzipFile(self._file_name, spacing=self._spacing, readbuf_size=_READ)
            yield file
            self._kept = (state, file)  # not after an error, so that it comes again
