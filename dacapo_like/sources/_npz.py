"""Members of numpy's ``.npz``: zip files of ``.npy``, stored or deflated, of which a region is read without the rest.

What is deflated is unpacked up to the region's end, a piece at a time, and let go.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from tokenize import TokenError
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.chunk_cache import CACHE, fits, settled_state
from dacapo_like.errors import ReadError, SourceError, did_you_mean
from dacapo_like.geometry import Box
from dacapo_like.sources._runs import fill

_SUFFIX = ".npy"
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError)
_BAD_HEADER = (ValueError, TypeError, OverflowError, SyntaxError, TokenError)  # they are literals


@attrs.frozen
class Member:
    """An array in an ``.npz``.

    Attributes
    ----------
    file_name, name : str
        Of the zip file, and of the member in it.
    shape : tuple of int
        Of the array.
    dtype : dtype
        As stored.
    in_fortran_order : bool
        Whether the first axis is the fastest.
    start : int
        Where in the member the voxels begin, in bytes.
    is_packed : bool
        Whether the member is compressed.
    """

    file_name: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    in_fortran_order: bool
    start: int
    is_packed: bool

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box.

        Raises
        ------
        ReadError
            The file is not what it was, or damaged.
        """
        turn = slice(None, None, -1 if self.in_fortran_order else 1)
        block = np.empty(box.shape[turn], self.dtype.newbyteorder("="))
        if block.size:
            stored = Box(box.offset[turn], box.shape[turn])
            try:
                whole = self._whole()
                if whole is None:
                    self._fill(block, stored)
                else:
                    block[...] = whole[stored.slices]
            except (*_UNREADABLE, KeyError) as error:
                where = f"{self.file_name}/{self.name}, voxels {box.offset} to {box.end}"
                raise ReadError("voxels cannot be read", got=error, where=where) from error
        return block.T if self.in_fortran_order else block

    def _whole(self) -> NDArray[Any] | None:
        """Give all voxels in the order of the file, of a deflated member that is small enough to be kept."""
        if not self.is_packed or not fits(math.prod(self.shape) * self.dtype.itemsize):
            return None
        state = settled_state(self.file_name)
        return state and CACHE.chunk(f"{self.file_name}/{self.name}", state, None, self._unpacked)

    def _unpacked(self) -> NDArray[Any]:
        shape = self.shape[:: -1 if self.in_fortran_order else 1]
        whole = np.empty(shape, self.dtype.newbyteorder("="))
        self._fill(whole, Box((0,) * len(shape), shape))
        return whole

    def _fill(self, block: NDArray[Any], box: Box) -> None:
        shape = self.shape[:: -1 if self.in_fortran_order else 1]
        with zipfile.ZipFile(self.file_name) as zipped, zipped.open(self.name) as file:
            fill(block, file, self.start, shape, self.dtype, box)


def open_member(file_name: str, wanted: str | None) -> Member:
    """Read the header of a member.

    Parameters
    ----------
    file_name : str
        Of the zip file.
    wanted : str, optional
        The name that the array was saved under; by default the only one.

    Raises
    ------
    SourceError
        The file is damaged, has no such member, or several of which none is named; or that is no array of numbers.
    """
    try:
        with zipfile.ZipFile(file_name) as zipped:
            name = _chosen(zipped.namelist(), wanted, file_name)
            with zipped.open(name) as file:
                shape, in_fortran_order, dtype = _header(file)
                start = file.tell()
            info = zipped.getinfo(name)
            missing = start + math.prod(shape) * dtype.itemsize - info.file_size
    except SourceError:
        raise
    except (*_UNREADABLE, *_BAD_HEADER) as error:
        raise SourceError(
            "not a .npz file that can be read",
            got=" ".join(str(error).split()),
            where=file_name,
            key=("file_name",),
        ) from error
    if missing > 0 and not dtype.hasobject:
        raise SourceError(
            "an array is cut off", got=f"{missing} bytes too few", where=f"{file_name}/{name}"
        )
    is_packed = info.compress_type != zipfile.ZIP_STORED
    return Member(file_name, name, shape, dtype, in_fortran_order, start, is_packed)


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"version {version} of .npy, which is not one of arrays of numbers")


def _chosen(names: list[str], wanted: str | None, file_name: str) -> str:
    arrays = [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)]
    if wanted is None and len(arrays) == 1:
        return arrays[0] + _SUFFIX
    if wanted is not None and wanted.removesuffix(_SUFFIX) in arrays:
        return wanted.removesuffix(_SUFFIX) + _SUFFIX
    listed = ", ".join(arrays[:10]) + (f" and {len(arrays) - 10} more" if len(arrays) > 10 else "")
    raise SourceError(
        "no such dataset"
        if wanted is not None
        else "several arrays here"
        if arrays
        else "no array here",
        got=wanted if wanted is not None else listed or None,
        expected=(f"one of {listed}" if wanted is not None else "`dataset` to name one of them")
        if arrays
        else None,
        where=file_name,
        hint=None if wanted is None else did_you_mean(wanted, arrays),
        key=("dataset",),
    )
