"""Zip files that hold Zarr, which are never unpacked."""

from __future__ import annotations

import posixpath
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import attrs

from dacapo_like.errors import SourceError
from dacapo_like.sources._handles import Slot
from dacapo_like.sources._place import Place

if TYPE_CHECKING:
    import zipfile

MAX_METADATA_BYTES = 64 * 2**20
_MOST_TIMES = 1024  # of what unpacks to more, TensorStore says that it is not there


@attrs.frozen
class ZipStore:
    """A zip file, which is never unpacked.

    Attributes
    ----------
    path : Path
        Of the file.
    top : str
        The only folder at the top of the file, if that holds everything: the root is there. Else empty.
    names : frozenset of str
        All keys.
    file : _File
        Opened when it is read.
    """

    path: Path
    top: str
    names: frozenset[str]
    file: _File
    read_only: str | None = attrs.field(default="zip files are only read", init=False)
    lists: bool = attrs.field(default=True, init=False)

    @classmethod
    def open(cls, path: Path) -> ZipStore:
        """Read what is in a zip file.

        Raises
        ------
        SourceError
            It is no zip file, or damaged.
        """
        file = _File(path)
        listed = file.opened().namelist()
        top = top_folder(listed)
        start = f"{top}/" if top else ""
        names = (name for name in listed if name.startswith(start))
        return cls(path, top, frozenset(name[len(start) :] for name in names), file)

    def read(self, key: str) -> bytes | None:
        """Give the contents of a file; ``None`` where there is none."""
        if key not in self.names:
            return None
        from zipfile import BadZipFile

        name = posixpath.join(self.top, key)
        file = self.file.opened()
        size = file.getinfo(name).file_size
        if size > MAX_METADATA_BYTES:
            raise SourceError(
                "metadata are too large",
                got=f"{size} bytes",
                expected=f"at most {MAX_METADATA_BYTES}",
                where=self.locate(key),
            )
        try:
            return file.read(name)
        except (BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:
            raise SourceError("cannot read", got=error, where=self.locate(key)) from error

    def folders(self, key: str) -> list[str]:
        """Give the keys of the folders in a folder."""
        return folders_in(key, self.names)

    def has_folder(self, key: str) -> bool:
        """Whether there is a folder."""
        return not key or any(name.startswith(f"{key}/") for name in self.names)

    def locate(self, key: str) -> str:
        """Say where a key is."""
        return posixpath.join(str(self.path), key)

    def _refuse_bombs(self, folder: str) -> None:
        start = f"{folder}/" if folder else ""
        for info in self.file.opened().infolist():
            if info.file_size > _MOST_TIMES * info.compress_size and info.filename.startswith(
                start
            ):
                raise SourceError(
                    "a file in a zip file unpacks to far more than its size",
                    got=f"{info.file_size} bytes in {info.compress_size} of {info.filename}",
                    expected=f"at most {_MOST_TIMES} times as many",
                    where=self.locate(""),
                    hint="store the chunks in the zip file as they are (ZIP_STORED): their codecs compress them",
                )

    def place(self, key: str) -> Place:
        """Say how to get at the voxels in a folder.

        Raises
        ------
        SourceError
            A file in it unpacks to so many times its size that TensorStore leaves it out: it would read as the fill value.
        """
        self._refuse_bombs(posixpath.join(self.top, key).rstrip("/"))

        def for_zarr() -> tuple[Any, str]:
            from zarr.storage import ZipStore as ZarrZipStore  # heavy

            return ZarrZipStore(path, read_only=True), folder

        def open_file(name: str) -> IO[bytes]:
            from zipfile import BadZipFile

            try:
                return file.opened().open(posixpath.join(folder, name))
            except (BadZipFile, KeyError, RuntimeError) as error:
                raise OSError(str(error)) from error

        file, path, folder = self.file, self.path, posixpath.join(self.top, key).rstrip("/")
        base = {"driver": "file", "path": str(path)}
        return Place(
            kvstore={"driver": "zip", "base": base, "path": f"{folder}/" if folder else ""},
            for_zarr=for_zarr,
            has=lambda name: posixpath.join(key, name) in self.names,
            open_file=open_file,
        )


class _File:
    """A zip file; it is opened again in a forked child, which would share its parent's place in it, and when too many others were."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._slot: Slot[zipfile.ZipFile] = Slot()

    def opened(self) -> zipfile.ZipFile:
        """Give the file.

        Raises
        ------
        SourceError
            It is no zip file, or damaged.
        """
        found = self._slot.get()
        if found is None:
            from zipfile import BadZipFile, ZipFile

            try:
                found = ZipFile(self._path)
            except (BadZipFile, OSError) as error:
                raise SourceError(
                    "not a zip file that can be read", got=error, where=str(self._path)
                ) from error
            self._slot.put(found)
        return found


def top_folder(names: Iterable[str]) -> str:
    """Give the name of the only folder at the top of a zip file; empty where there is more."""
    tops = {name.partition("/")[0] for name in names if not name.startswith("__MACOSX/")}
    files = {name for name in names if "/" not in name}
    return tops.pop() if len(tops) == 1 and not files else ""


def folders_in(key: str, names: Iterable[str]) -> list[str]:
    """Give the keys of the folders that names of files in a folder lead through."""
    start = f"{key}/" if key else ""
    found = {
        name[len(start) :].partition("/")[0]
        for name in names
        if name.startswith(start) and "/" in name[len(start) :]
    }
    return [f"{start}{name}" for name in sorted(found) if name and not name.startswith(".")]
