"""Which patches of a run are done, in a file that outlives the process."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dacapo_like.errors import SourceError
from dacapo_like.replacing import replace_file

_FORMAT = 1


class Journal:
    """A file with a line of JSON that says which run it is of, and a line with the number of each patch that is done.

    A record is on disk when `note` returns. A last line without an end is one that a killed process did not finish: it is forgotten.

    Parameters
    ----------
    path : path
        Made where there is none, in a folder that is there.
    run : mapping
        JSON that tells this run from others.
    count : int
        Numbers of patches are below this.

    Raises
    ------
    SourceError
        The file is no journal, or that of another run.

    Attributes
    ----------
    done : set of int
        Numbers of the patches that were done when the journal was opened.
    """

    def __init__(self, path: str | os.PathLike[str], run: Mapping[str, Any], count: int) -> None:
        self.path = Path(path)
        run = json.loads(json.dumps(run))
        if not self.path.exists():
            self._begin({"format": _FORMAT, "key": _key(run), "run": run})
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        header_line, *lines = content[:whole].split(b"\n")[:-1] or [b""]
        self._check(header_line, run)
        self.done = self._numbers(lines, count)
        self._lock = threading.Lock()
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        if whole < len(content):
            os.ftruncate(self._file, whole)

    def note(self, number: int) -> None:
        """Record that a patch is done: what it wrote is on disk already."""
        with self._lock:
            os.write(self._file, b"%d\n" % number)
            os.fsync(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def _begin(self, header: Mapping[str, Any]) -> None:
        try:
            replace_file(self.path, json.dumps(header, sort_keys=True) + "\n")
            _sync_folder(self.path.parent)
        except OSError as error:
            raise SourceError(
                "the journal cannot be written", got=error.strerror, where=str(self.path)
            ) from error

    def _check(self, line: bytes, run: Mapping[str, Any]) -> None:
        try:
            header = json.loads(line)
            key, theirs = header["key"], dict(header["run"])
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(
                "not a journal of a blockwise run", where=str(self.path), hint="name another file"
            ) from error
        if key != _key(run):
            differing = [name for name in run if theirs.get(name) != run[name]]
            raise SourceError(
                "the journal is of another run",
                got=f"another {' and '.join(differing) or 'version'}",
                where=str(self.path),
                hint="name another file; or remove this one, to do all of it again",
            )

    def _numbers(self, lines: list[bytes], count: int) -> set[int]:
        wrong = next((line for line in lines if not line.isdigit() or int(line) >= count), None)
        if wrong is not None:
            raise SourceError(
                "the journal is corrupt",
                got=repr(wrong[:50]),
                expected=f"numbers below {count}",
                where=str(self.path),
                hint="remove it, to do all of the run again",
            )
        return set(map(int, lines))


def _key(run: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
