"""A store that is a folder of YAML files, which people edit and git shows.

A document is written to a hidden file beside its place, flushed to the disk, and linked into place; an overwritten one is
replaced. So nobody meets a part of it, whenever the process, or the machine, ends. Writers take turns by a lock, which also
tells that hidden files found there are left over from processes that were killed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from dacapo_like.config.document import Document, read_document
from dacapo_like.config.schema import schema_files
from dacapo_like.errors import DocumentError, StoreError
from dacapo_like.replacing import beside, replace_file
from dacapo_like.stores.backend import Backend
from dacapo_like.stores.names import in_the_way, is_name

_SUFFIX = ".yaml"
_LOCK = ".lock"
_SCHEMA = ".array.schema.json"
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})


class DirectoryBackend(Backend):
    """A folder with a file ``NAME.yaml`` for every array.

    Parameters
    ----------
    folder : Path
        Made by the first put, if it is not there.
    """

    heading = f"# yaml-language-server: $schema={_SCHEMA}\n"

    def __init__(self, folder: Path) -> None:
        self.directory = folder.expanduser().absolute()
        self.url = str(self.directory)

    def names(self) -> list[str]:
        """Give all names, sorted: of files, no folders, whose name without ``.yaml`` is a name."""
        return sorted(self._files())

    def place(self, name: str) -> str:
        """Give the path of a document."""
        return str(self._file(name) or self._new_file(name))

    def text(self, name: str) -> str | None:
        """Give a document; ``None``: there is none of this name."""
        file = self._file(name)
        try:
            return None if file is None else file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed("read", error) from error

    def document(self, name: str) -> Document | None:
        """Read a document; ``None``: there is none of this name."""
        file = self._file(name)
        if file is None:
            return None
        try:
            return read_document(file)
        except DocumentError as error:
            if isinstance(error.__cause__, FileNotFoundError):  # it was there just now
                return None
            raise

    def put(self, name: str, text: str, *, overwrite: bool) -> None:
        """Write a document beside its place, and link it there."""
        with self._changing() as files:
            other = in_the_way(name, files)
            if other is not None:
                raise self.taken(name, other)
            if name in files and not overwrite:
                raise self.taken(name, name)
            self._keep_schema()
            file = files.get(name, self._new_file(name))
            if overwrite:
                replace_file(file, text)
                return
            try:
                create_file(file, text)
            except FileExistsError as error:  # somebody came who knows of no lock
                raise self.taken(name, name) from error

    def delete(self, name: str) -> None:
        """Remove the file of a document."""
        with self._changing() as files:
            if name not in files:
                raise self.absent(name, files)
            files[name].unlink()

    def rename(self, old: str, new: str) -> None:
        """Rename the file of a document."""
        with self._changing() as files:
            if old not in files:
                raise self.absent(old, files)
            others = files.keys() - {old}
            there = new if new in others else in_the_way(new, others)
            if there is not None:
                raise self.taken(new, there)
            files[old].rename(self._new_file(new))

    def _new_file(self, name: str) -> Path:
        return self.directory / f"{name}{_SUFFIX}"

    def _file(self, name: str) -> Path | None:
        """Give the file of a name, also where the file system, or another program, spells it in another normal form."""
        file = self._new_file(name)
        if file.is_file():
            return file
        return None if name.isascii() else self._files().get(name)

    def _files(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        try:
            with os.scandir(self.directory) as entries:
                for entry in entries:
                    name = unicodedata.normalize("NFC", entry.name.removesuffix(_SUFFIX))
                    if entry.name.endswith(_SUFFIX) and is_name(name) and entry.is_file():
                        found.setdefault(name, Path(entry.path))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._failed("read", error) from error
        return found

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Path]]:
        """Give the files by name, while nobody else changes them; then flush their names to the disk."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                for left_over in self.directory.glob(".*.partial-*"):
                    left_over.unlink(missing_ok=True)
                yield self._files()
                _sync(self.directory)
            finally:
                os.close(lock)
        except StoreError:
            raise
        except OSError as error:
            raise self._failed("written", error) from error

    def _keep_schema(self) -> None:
        """Put the schema there that the first line of every document names, for editors."""
        file, schema = self.directory / _SCHEMA, _schema()
        if not file.exists() or file.read_text(encoding="utf-8") != schema:
            replace_file(file, schema)

    def _failed(self, what: str, error: OSError) -> StoreError:
        return StoreError(f"the store cannot be {what}: {error.strerror}", where=self.url)


@cache
def _schema() -> str:
    return schema_files()["array.schema.json"]


def create_file(file: Path, text: str) -> None:
    """Write a file that is not there, or is there with all of its text.

    Raises
    ------
    FileExistsError
        There is one already.
    """
    partial = beside(file)
    try:
        with partial.open("x", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(partial, file)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            partial.rename(file)  # the file system has no links; the lock keeps others out
    finally:
        partial.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
