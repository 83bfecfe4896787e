"""The files that the chunks of a Zarr array are in: what they are called, and where in them a chunk begins."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import IO, Any

import attrs

from dacapo_like.geometry import Box

_USUAL_INDEX = ({"name": "bytes"}, {"name": "crc32c"})


def cells_touched(box: Box, shape: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Give the index of each cell of a grid that a box touches; `shape` is that of a cell.

    Examples
    --------
    >>> list(cells_touched(Box((3, 0), (2, 4)), (4, 4)))
    [(0, 0), (1, 0)]
    """
    return product(
        *(range(a // n, -(-b // n)) for a, b, n in zip(box.offset, box.end, shape, strict=True))
    )


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
        counts = tuple(n // c for n, c in zip(shape, configuration["chunk_shape"], strict=True))
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

    def touched(self, box: Box) -> Iterator[tuple[int, ...]]:
        """Give the indices of the files that a box touches."""
        return cells_touched(box, self.shape)
