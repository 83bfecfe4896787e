"""The files that the chunks of a Zarr array are in: what they are called, and where in them a chunk begins."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from operator import floordiv
from typing import IO, Any

import attrs

from dacapo_like.geometry import Box

_MOST_SEEN = 2**20
_USUAL_INDEX = ({"name": "bytes"}, {"name": "crc32c"})


def cells_touched(box: Box, shape: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Give the index of each cell of a grid that a box touches; `shape` is that of a cell.

    Examples
    --------
    >>> list(cells_touched(Box((3, 0), (2, 4)), (4, 4)))
    [(0, 0), (1, 0)]
    """
    return product(*map(cells_along, box.offset, box.shape, shape))


def cells_along(start: int, length: int, cell: int) -> range:
    """Give the index of each cell along an axis that an interval touches."""
    return range(start // cell, -(-(start + length) // cell))


class Seen:
    """Cells of a grid that were looked at; most reads touch only such, and that is found out fast.

    Parameters
    ----------
    shape : tuple of int
        Of a cell.

    Examples
    --------
    >>> seen = Seen((4, 4))
    >>> seen.add([(0, 0)])
    >>> seen.others(Box((3, 0), (2, 4)))
    [(1, 0)]
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self._shape = tuple(shape)
        self._cells: set[tuple[int, ...]] = set()

    def others(self, box: Box) -> list[tuple[int, ...]]:
        """Give the cells that a box touches and that were not looked at."""
        cells = self._cells
        if cells.issuperset(cells_touched(box, self._shape)):
            return []
        return [cell for cell in cells_touched(box, self._shape) if cell not in cells]

    def add(self, cells: Iterable[tuple[int, ...]]) -> None:
        """Remember cells, but not without bound."""
        if len(self._cells) > _MOST_SEEN:
            self._cells = set()
        self._cells.update(cells)


@attrs.frozen(kw_only=True)
class Shards:
    """How the chunks in a file are found: by an index of their offsets and lengths.

    Attributes
    ----------
    counts : tuple of int
        Chunks in a file, along each axis.
    entry : Struct
        Of a chunk in the index.
    index_bytes : int
        Length of the index, checksum included.
    at_end : bool
        Whether the index ends the file; else it begins it.
    """

    counts: tuple[int, ...]
    entry: struct.Struct
    index_bytes: int
    at_end: bool

    @classmethod
    def of(cls, shape: Sequence[int], configuration: Mapping[str, Any]) -> Shards:
        """Read the configuration of Zarr's codec; `shape` is that of a shard, in voxels."""
        chunk = configuration["chunk_shape"]
        if len(chunk) != len(shape) or any(n % c for n, c in zip(shape, chunk, strict=True)):
            raise ValueError(f"chunks {chunk} in shards {list(shape)}, which they do not divide")
        counts = tuple(n // c for n, c in zip(shape, chunk, strict=True))
        listed = configuration.get("index_codecs", _USUAL_INDEX)
        codecs = {codec["name"]: codec.get("configuration", {}) for codec in listed}
        entry = struct.Struct(">QQ" if codecs.get("bytes", {}).get("endian") == "big" else "<QQ")
        return cls(
            counts=counts,
            entry=entry,
            index_bytes=entry.size * math.prod(counts) + 4 * ("crc32c" in codecs),
            at_end=configuration.get("index_location", "end") == "end",
        )

    def start(self, file: IO[bytes], inner: Sequence[int]) -> int | None:
        """Give where a chunk begins in an open file; ``None`` where the index, or the file, has none such."""
        size = file.seek(0, 2)
        row = 0
        for i, n in zip(inner, self.counts, strict=True):
            row = row * n + i
        file.seek(max(size - self.index_bytes, 0) * self.at_end + self.entry.size * row)
        found = file.read(self.entry.size)
        if len(found) < self.entry.size:
            return None
        start = int(self.entry.unpack(found)[0])
        return start if start < size else None


@attrs.frozen
class Files:
    """The files of an array: `shape` in voxels, and how their names are made of their indices.

    Examples
    --------
    >>> Files((64, 64), prefix="c", separator="/").name((0, 3))
    'c/0/3'
    """

    shape: tuple[int, ...]
    prefix: str
    separator: str
    shards: Shards | None = None

    def name(self, index: Iterable[int]) -> str:
        """Give the name of a file, as a path from the array's folder."""
        parts = [*([self.prefix] if self.prefix else []), *map(str, index)]
        return self.separator.join(parts)

    def file_of(self, chunk: tuple[int, ...]) -> tuple[int, ...]:
        """Give the index of the file that a chunk is in."""
        if self.shards is None:
            return chunk
        return tuple(map(floordiv, chunk, self.shards.counts))

    def of(self, chunks: Iterable[tuple[int, ...]]) -> Iterable[tuple[int, ...]]:
        """Give the indices of the files that some chunks are in."""
        return chunks if self.shards is None else dict.fromkeys(map(self.file_of, chunks))
