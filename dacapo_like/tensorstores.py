"""TensorStore for a whole process: one cache of decoded chunks, and none of it behind a fork.

TensorStore works with threads of its own, which a forked child does not have: it aborts the child that uses it. So a child
whose parent had loaded TensorStore must not touch it; `usable` says so, and readers and writers turn to zarr-python.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from pathlib import Path
from typing import Any

CACHE_BYTES = 256 * 2**20
"""Decoded chunks that all arrays of a process keep together."""

ERRORS = (ValueError, IndexError, NotImplementedError, OSError, RuntimeError)
"""What TensorStore raises for the status codes that it has."""


_STATUS = re.compile(r"^[A-Z_]+: ")
_TRAILER = re.compile(r" \[\w+='.*", re.DOTALL)


def describe(error: Exception) -> str:
    """Give the message of an error of TensorStore without its status code and the dump of its own state.

    Examples
    --------
    >>> describe(ValueError("NOT_FOUND: chunk {0} is missing [tensorstore_spec='{}']"))
    'chunk {0} is missing'
    """
    return _STATUS.sub("", _TRAILER.sub("", str(error)))


class _Process:
    forked_from_tensorstore = False


def _note_fork() -> None:
    _Process.forked_from_tensorstore |= "tensorstore" in sys.modules


os.register_at_fork(after_in_child=_note_fork)


def usable() -> bool:
    """Whether this process may use TensorStore: it was not forked from one that had loaded it."""
    return not _Process.forked_from_tensorstore


@functools.cache
def _context() -> Any:
    import tensorstore as ts

    return ts.Context({"cache_pool": {"total_bytes_limit": CACHE_BYTES}})


def open_zarr(
    folder: Path,
    zarr_format: int,
    *,
    write: bool = False,
    fill: bool = True,
    store_fill: bool = False,
) -> Any:
    """Open a Zarr array.

    Parameters
    ----------
    folder : Path
        Where its metadata are.
    zarr_format : {2, 3}
        Version of the format.
    write : bool
        Also for writing.
    fill : bool
        Chunks that are not there read as the fill value; else they are an error.
    store_fill : bool
        Chunks of nothing but the fill value are written, too; else they are left out.

    Returns
    -------
    tensorstore.TensorStore

    Raises
    ------
    One of `ERRORS`
        TensorStore does not know, or does not accept, what is there.
    """
    import tensorstore as ts

    spec = {
        "driver": "zarr3" if zarr_format == 3 else "zarr",
        "kvstore": {"driver": "file", "path": f"{folder.absolute()}/"},
        "fill_missing_data_reads": fill,
        "store_data_equal_to_fill_value": store_fill,
    }
    return ts.open(spec, context=_context(), open=True, read=True, write=write).result()
