"""Chunks of Blosc that claim to unpack to far more than a chunk holds, found before anything is unpacked.

How long such a chunk is when unpacked stands in its first 16 bytes, and decoders make room for that before they look at the rest.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING

from dacapo_like.errors import ReadError
from dacapo_like.sources._chunk_files import Files

if TYPE_CHECKING:
    from dacapo_like.sources._place import Place
    from dacapo_like.sources._zarr_nodes import ArrayMetadata

_HEADER = struct.Struct("<4xI8x")
_MOST = 16  # bytes that a filter may make of one byte of voxels

Index = tuple[int, ...]


def packs_last(codecs: Sequence[str]) -> bool:
    """Whether a chunk's first bytes are Blosc's: what follows it in the list of codecs only appends.

    Examples
    --------
    >>> packs_last(["bytes", "blosc", "crc32c"]), packs_last(["bytes", "numcodecs.blosc"])
    (True, True)
    >>> packs_last(["bytes", "blosc", "gzip"]), packs_last(["bytes"])
    (False, False)
    """
    last = [name for name in codecs if name != "crc32c"][-1:]
    return last in (["blosc"], ["numcodecs.blosc"])


def blosc_guard(metadata: ArrayMetadata, place: Place, lead: int = 0) -> BloscGuard | None:
    """Guard an array, if it is packed so, and to look at its chunks costs no request.

    Parameters
    ----------
    metadata : ArrayMetadata
        Of the array.
    place : Place
        Of the array.
    lead : int
        Bytes of a chunk that come before those of Blosc.
    """
    if not metadata.blosc or metadata.files is None or place.open_file is None:
        return None
    itemsize = metadata.dtype.itemsize
    return BloscGuard(metadata.files, metadata.chunk_shape, itemsize, place.open_file, lead)


class BloscGuard:
    """Looks at the headers of chunks before they are read.

    Parameters
    ----------
    files : Files
        Of the array.
    chunk_shape : tuple of int
        Of the array, in voxels.
    itemsize : int
        Bytes of a voxel.
    open_file : callable
        Opens a file by its name.
    lead : int
        Bytes of a chunk that come before those of Blosc.
    """

    def __init__(
        self,
        files: Files,
        chunk_shape: tuple[int, ...],
        itemsize: int,
        open_file: Callable[[str], IO[bytes]],
        lead: int = 0,
    ) -> None:
        self._files = files
        self.chunk_shape = chunk_shape
        self._nbytes = math.prod(chunk_shape) * itemsize
        self._open_file = open_file
        self._lead = lead

    def check(self, chunks: Sequence[Index]) -> None:
        """Look at some chunks; of what else is wrong with one, whoever reads it says it.

        Raises
        ------
        ReadError
            One claims far more bytes than its voxels take.
        """
        for name, inside in self._by_file(chunks).items():
            try:
                with self._open_file(name) as file:
                    claimed = max([self._claimed(file, index) for index in inside])
            except (OSError, EOFError, zlib.error):
                continue
            if claimed > _MOST * self._nbytes:
                raise ReadError(
                    "a chunk claims to unpack to far more than its voxels take",
                    got=f"{claimed} bytes in {name}",
                    expected=f"{self._nbytes} bytes",
                )

    def _by_file(self, chunks: Sequence[Index]) -> dict[str, list[Index]]:
        """Give the chunks of each file, by their indices in it."""
        shards = self._files.shards
        if shards is None:
            return {self._files.name(chunk): [chunk] for chunk in chunks}
        found = defaultdict(list)
        for chunk in chunks:
            file, inside = zip(*map(divmod, chunk, shards.counts), strict=True)
            found[self._files.name(file)].append(inside)
        return found

    def _claimed(self, file: IO[bytes], inside: Index) -> int:
        """Read how long a chunk says it is when unpacked; 0 where there is none."""
        shards = self._files.shards
        start = 0 if shards is None else shards.start(file, inside)
        if start is None:
            return 0
        if start + self._lead or shards is not None:
            file.seek(start + self._lead)
        header = file.read(_HEADER.size)
        return int(_HEADER.unpack(header)[0]) if len(header) == _HEADER.size else 0
