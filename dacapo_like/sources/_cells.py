"""Decoded chunks of arrays in folders of this machine: those that are kept are put together here, the others are decoded.

TensorStore keeps chunks too, but to find one there, and to copy from it, takes it several times as long.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections.abc import Callable, Hashable, Sequence
from functools import cache
from itertools import product
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from dacapo_like import settings
from dacapo_like.chunk_cache import CACHE, FileState, Key, file_state, fits, is_settled
from dacapo_like.engine import Through
from dacapo_like.geometry import Box
from dacapo_like.kernels.gathering import Chunk, gather, spans_along
from dacapo_like.sources._chunk_files import Files, cells_along

Finish: TypeAlias = Callable[[], NDArray[Any]]
Index: TypeAlias = tuple[int, ...]
Place: TypeAlias = tuple[slice, ...]

_numbers = itertools.count()
_NAMES = 2**16  # of files are remembered
_SHARE = 4  # of the cache a single read takes at most one such part: else it would push out what others need


class _Coming:
    """A chunk that is being decoded, for all who wait for it."""

    def __init__(self, key: Key, finish: Finish) -> None:
        self._key = key
        self._finish = finish
        self._lock = threading.Lock()
        self._chunk: NDArray[Any] | None = None
        self._kept: Chunk | None = None

    def chunk(self) -> NDArray[Any]:
        """Give it to who makes something else of it."""
        with self._lock:
            if self._chunk is None:
                self._chunk = self._finish()
            return self._chunk

    def kept(self) -> Chunk:
        """Give it, and keep it from now on."""
        voxels = self.chunk()
        with self._lock:
            if self._kept is None:
                self._kept = CACHE.keep(self._key, Chunk(voxels))
            return self._kept


class Cells:
    """The chunks of an array.

    Parameters
    ----------
    folder : str
        That the files are in; ends with a separator.
    files : Files
        What they are called.
    shape, chunk_shape : tuple of int
        Of the array, and of what is decoded at a time.
    dtype : numpy.dtype
        Of the voxels.
    version : hashable
        Of the metadata: what was decoded by others is not the same chunk.
    decode : callable
        Begins to read a box from the files, in stored order.
    """

    def __init__(
        self,
        folder: str,
        files: Files,
        shape: tuple[int, ...],
        chunk_shape: tuple[int, ...],
        dtype: np.dtype[Any],
        version: Hashable,
        decode: Callable[[Box], Finish],
    ) -> None:
        self._folder = folder
        self._files = files
        self._shape = shape
        self._chunk_shape = chunk_shape
        self._dtype = dtype
        self._version = version
        self._decode = decode
        self._chunk_bytes = math.prod(chunk_shape) * dtype.itemsize
        self._names: dict[Index, str] = {}
        self._process = os.getpid()
        self._coming: WeakValueDictionary[Key, _Coming] = WeakValueDictionary()

    def keeps(self, shape: Sequence[int] | None = None) -> bool:
        """Whether chunks are kept, by the settings that hold here; of boxes of any shape, or of some, wherever they are."""
        if shape is None:
            return fits(self._chunk_bytes)
        touched = math.prod(
            (n + c - 2) // c + 1 for n, c in zip(shape, self._chunk_shape, strict=True)
        )
        return self.keeps() and touched * self._chunk_bytes <= _most()

    def start(self, box: Box, through: Through | None = None) -> Finish | None:
        """Begin to read a box, in stored order; ``None`` where no chunk of it is, or is to be, kept.

        Parameters
        ----------
        box : Box
            Inside the array.
        through : Through, optional
            A function of single voxels: what it gives is read, and kept in the place of chunks.
        """
        touched = list(product(*map(cells_along, box.offset, box.shape, self._chunk_shape)))
        if len(touched) * self._chunk_bytes > _most():
            return None
        states = self._states(touched)
        if not any(states):
            return None
        kind = _number((self._version, through))
        keys = [
            None if state is None else (self._folder, state, (kind, index))
            for index, state in zip(touched, states, strict=True)
        ]
        chunks: list[Chunk | _Coming | None] = CACHE.find(keys)
        alone: list[tuple[Place, Finish]] = []
        for number, (index, state, key) in enumerate(zip(touched, states, keys, strict=True)):
            if chunks[number] is not None:
                continue
            if key is not None and state is not None and is_settled(state):
                chunks[number] = self._begun(index, key, through)
            else:
                alone.append(self._alone(number, index, box, through))
        dtype = self._dtype if through is None else through.dtype

        def finish() -> NDArray[Any]:
            result = np.empty(box.shape, dtype)
            ready = [c.kept() if isinstance(c, _Coming) else c for c in chunks]
            gather(ready, box.offset, self._chunk_shape, self._shape, result)
            for place, read in alone:
                result[place] = read()
            return result

        return finish

    def _states(self, indices: Sequence[Index]) -> list[FileState | None]:
        """Give the state of the file of each chunk; ``None`` where there is none."""
        if self._files.shards is None:
            return list(map(self._state, indices))
        files = list(map(self._files.file_of, indices))
        known = {file: self._state(file) for file in set(files)}
        return [known[file] for file in files]

    def _state(self, file: Index) -> FileState | None:
        name = self._names.get(file)
        if name is None:
            if len(self._names) > _NAMES:
                self._names.clear()
            name = self._names[file] = self._folder + self._files.name(file)
        try:
            return file_state(name)
        except OSError:  # whether that is an error is known to those who decode
            return None

    def _alone(
        self, number: int, index: Index, box: Box, through: Through | None
    ) -> tuple[Place, Finish]:
        """Begin to decode what a box shows of a chunk that is not to be kept; also say where that is in the box."""
        spans = list(product(*map(spans_along, box.offset, box.shape, self._chunk_shape)))[number]
        corners = zip(index, self._chunk_shape, spans, strict=True)
        offset = tuple(i * n + span.start for i, n, span in corners)
        finish = self._decode(Box(offset, tuple(span.length for span in spans)))
        place = tuple(span.placed for span in spans)
        return place, finish if through is None else lambda: through(finish())

    def _begun(self, index: Index, key: Key, through: Through | None) -> _Coming:
        """Begin to decode a chunk, unless somebody has; of what a function gives of it, it is not kept itself."""
        if self._process != os.getpid():  # what a parent has begun, nobody finishes here
            self._process, self._coming = os.getpid(), WeakValueDictionary()
        coming = self._coming.get(key)
        if coming is None:
            finish = self._decoded(index) if through is None else self._made(index, key, through)
            coming = self._coming[key] = _Coming(key, finish)
        return coming

    def _decoded(self, index: Index) -> Finish:
        """Begin to decode a chunk."""
        offset = tuple(i * n for i, n in zip(index, self._chunk_shape, strict=True))
        ends = zip(offset, self._chunk_shape, self._shape, strict=True)
        finish = self._decode(Box(offset, tuple(min(n, end - o) for o, n, end in ends)))

        def voxels() -> NDArray[Any]:
            found = np.ascontiguousarray(finish(), self._dtype)
            is_part = isinstance(found.base, np.ndarray)  # what is kept holds no memory but its own
            return found.copy() if is_part else found

        return voxels

    def _made(self, index: Index, key: Key, through: Through) -> Finish:
        """Begin to make something of a chunk."""
        plain = key[0], key[1], (_number((self._version, None)), index)
        (known,) = CACHE.find([plain])
        if known is not None:
            return lambda: through(known.voxels)
        coming = self._begun(index, plain, None)
        return lambda: through(coming.chunk())


@cache
def _number(_: Hashable) -> int:
    """Give a number for what chunks are of: it is hashed and compared faster, with every chunk of every read."""
    return next(_numbers)


def _most() -> int:
    """Give the bytes of chunks that a single read may keep."""
    return settings.current().cache_bytes // _SHARE
