"""Files and folders that change as a whole: nobody ever meets them half-written."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def beside(path: Path) -> Path:
    """Give a hidden path beside another, on the same file system, that nobody else uses.

    Examples
    --------
    >>> str(beside(Path("data/a.zarr"))).startswith("data/.a.zarr.partial-")
    True
    """
    return path.with_name(f".{path.name}.partial-{uuid.uuid4().hex[:12]}")


def replace_file(path: Path, text: str) -> None:
    """Write a file that replaces another, or none, when all of it is on disk.

    Raises
    ------
    OSError
        It cannot be written; what was there is there still.
    """
    partial = beside(path)
    try:
        with partial.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Bring a file, or what a folder lists, to the disk.

    Raises
    ------
    OSError
        The disk refuses.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Bring all that was written on the file system of a folder to the disk: of thousands of files that is much sooner done than one by one.

    Where the system cannot do so, the files below the folder are brought there one by one.

    Raises
    ------
    OSError
        The disk refuses.
    """
    at_once = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if at_once is None:
        for parent, _, names in os.walk(folder):
            for name in names:
                sync(Path(parent, name))
            sync(Path(parent))
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        if at_once(handle):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(handle)


def replace_folder(partial: Path, path: Path) -> None:
    """Move a finished folder to its place; what was there is removed afterwards.

    Raises
    ------
    OSError
        It cannot be moved; what was there is there still.
    """
    old = partial.with_name(f"{partial.name}-replaced")
    replaced = path.exists()
    if replaced:
        path.replace(old)
    try:
        partial.replace(path)
    except OSError:
        if replaced:
            old.replace(path)
        raise
    sync(path.parent)
    if replaced:
        shutil.rmtree(old)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other threads and processes that ask for the same lock out, while a folder is changed.

    Examples
    --------
    >>> with locked(Path(".")):
    ...     pass
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
