"""What is no file that ends: pipes, which whoever opens them waits for, and devices."""

from __future__ import annotations

import errno
import os
import stat

from dacapo_like.errors import SourceError

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_SAID_ELSEWHERE = (errno.ENOENT, errno.ENOTDIR)  # with the names that are there


def refuse_endless(file_name: str) -> None:
    """See that opening a file, or folder, will come to an end; that there is none is not said here.

    Raises
    ------
    SourceError
        It is a pipe, a device or a socket, or no name of a file.

    Examples
    --------
    >>> refuse_endless("/dev/zero")
    Traceback (most recent call last):
    ...
    dacapo_like.errors.SourceError: /dev/zero: not a file (got a device; expected a regular file or a folder)
    """
    try:
        kind = stat.S_IFMT(os.stat(file_name).st_mode)  # noqa: PTH116  # a Path takes longer than the question
    except ValueError as error:  # a NUL, or what cannot be written as bytes
        raise SourceError("not a file name", got=error, key=("file_name",)) from error
    except OSError as error:
        if error.errno in _SAID_ELSEWHERE:
            return
        raise SourceError(
            "cannot open the file",
            got=error.strerror,
            where=file_name if len(file_name) < 500 else f"{file_name[:500]}…",
            key=("file_name",),
        ) from error
    if kind in _KINDS:
        raise SourceError(
            "not a file",
            got=_KINDS[kind],
            expected="a regular file or a folder",
            where=file_name,
            key=("file_name",),
        )
