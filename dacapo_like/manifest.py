"""Which files of a Zarr array were written: of these, an absent one is a loss, and not a chunk of nothing but the fill value.

Zarr leaves out chunks that hold nothing but the fill value, so that a chunk that got lost looks like one that was never there.
Our writers list the files that there are when an array is complete, as one bit each, in a file beside them.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import SourceError
from dacapo_like.geometry import Box, box_between

FILE_NAME = "dacapo_like.manifest.json"
_FORMAT = 1
_MOST_FILES = 2**31


@attrs.frozen(eq=False)
class Manifest:
    """The files of an array, by index.

    Attributes
    ----------
    file_shape : tuple of int
        Voxels of a file, a chunk or a shard, along every stored axis.
    written : ndarray of bool
        For every file, along every stored axis, whether it was there when the array was complete.

    Examples
    --------
    >>> manifest = Manifest.of((5, 5), (2, 4), [(0, 0), (2, 1)])
    >>> manifest.written.astype(int)
    array([[1, 0],
           [0, 0],
           [0, 1]])
    >>> list(manifest.files_written(Box((3, 3), (2, 2))))
    [(2, 1)]
    """

    file_shape: tuple[int, ...]
    written: NDArray[np.bool_]

    @classmethod
    def of(
        cls, shape: tuple[int, ...], file_shape: tuple[int, ...], files: Iterable[tuple[int, ...]]
    ) -> Manifest:
        """Make the manifest of an array of a shape, of which some files are there."""
        counts = [-(-n // size) for n, size in zip(shape, file_shape, strict=True)]
        written = np.zeros(counts, bool)
        for index in files:
            written[index] = True
        return cls(file_shape, written)

    def files_written(self, box: Box) -> Iterator[tuple[int, ...]]:
        """Give the index of each file that was written and that a box touches."""
        touched = self._touched(box)
        for index in np.argwhere(self.written[touched.slices]):
            yield tuple(int(i) + first for i, first in zip(index, touched.offset, strict=True))

    def _touched(self, box: Box) -> Box:
        """Give the files that a box touches, as a box of their indices."""
        first = [a // n for a, n in zip(box.offset, self.file_shape, strict=True)]
        stop = [-(-b // n) for b, n in zip(box.end, self.file_shape, strict=True)]
        return box_between(first, stop)

    def dump(self) -> str:
        """Write it as JSON: one bit per file, packed and compressed."""
        bits = zlib.compress(np.packbits(self.written).tobytes(), 9)
        document = {
            "format": _FORMAT,
            "file_shape": self.file_shape,
            "files": self.written.shape,
            "written": base64.b64encode(bits).decode("ascii"),
        }
        return json.dumps(document)

    @classmethod
    def parse(cls, text: bytes | str, shape: tuple[int, ...], where: str) -> Manifest:
        """Read what `dump` wrote.

        Parameters
        ----------
        text : bytes or str
            Of the file.
        shape : tuple of int
            Of the array, along the stored axes.
        where : str
            For errors.

        Raises
        ------
        SourceError
            It is not what this package writes, or of another array.
        """
        try:
            document = json.loads(text)
            file_shape = tuple(document["file_shape"])
            counts = tuple(document["files"])
            expected = tuple(-(-n // size) for n, size in zip(shape, file_shape, strict=True))
            if document["format"] != _FORMAT or counts != expected or prod(counts) > _MOST_FILES:
                raise ValueError(f"files {counts} of {file_shape} voxels for an array of {shape}")  # noqa: TRY301  # wrapped below
            written = _bits(document["written"], prod(counts)).reshape(counts)
        except (KeyError, TypeError, ValueError, ZeroDivisionError, zlib.error) as error:
            raise SourceError(
                "the list of written chunks is corrupt",
                got=error,
                where=where,
                hint=f"remove {FILE_NAME} to do without it",
            ) from error
        return cls(file_shape, written)


def _bits(text: Any, count: int) -> NDArray[np.bool_]:
    packed = -(-count // 8)
    stream = zlib.decompressobj()
    data = stream.decompress(base64.b64decode(text, validate=True), packed + 1)
    if len(data) != packed:
        raise ValueError(f"{len(data)} bytes where {packed} were due")
    return np.unpackbits(np.frombuffer(data, np.uint8), count=count).astype(bool)
