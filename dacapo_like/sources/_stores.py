"""Where Zarr, N5 and Neuroglancer volumes are kept: folders, zip files, buckets and web servers.

A `Store` reads metadata; a `Place` in it says how TensorStore and zarr-python get at the voxels there. Only folders are
written to.
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Mapping
from functools import cached_property, lru_cache
from io import FileIO
from pathlib import Path
from typing import Any, Protocol

import attrs

from dacapo_like import tensorstores
from dacapo_like.bridges import importing
from dacapo_like.concealed import reveal
from dacapo_like.errors import SourceError, did_you_mean
from dacapo_like.sources._place import Place
from dacapo_like.sources._urls import Option, Url, parse_url
from dacapo_like.sources._zip_store import ZipStore, folders_in, top_folder
from dacapo_like.tensorstores import DeniedError, KeyValues

ZIP_SUFFIXES = (".zip", ".ozx")
ZARR_GROUPS = ("zarr.json", ".zgroup")
_MOST_FOLDERS = 2**16  # of which is remembered whether they are in the store


class Store(Protocol):
    """Reads the metadata of a hierarchy; keys are paths from its root, with ``/``.

    Attributes
    ----------
    read_only : str or None
        Why nothing can be written to it; ``None`` where it can.
    lists : bool
        Whether it can say what is in a folder.
    """

    @property
    def read_only(self) -> str | None: ...

    @property
    def lists(self) -> bool: ...

    def read(self, key: str) -> bytes | None:
        """Give the contents of a file; ``None`` where there is none."""

    def folders(self, key: str) -> list[str]:
        """Give the keys of the folders in a folder, sorted; hidden ones are left out."""

    def has_folder(self, key: str) -> bool:
        """Whether there is a folder."""

    def locate(self, key: str) -> str:
        """Say where a key is, for messages."""

    def place(self, key: str) -> Place:
        """Say how to get at the voxels in a folder."""


def open_store(
    file_name: str, options: Mapping[str, Option], groups: tuple[str, ...] = ZARR_GROUPS
) -> tuple[Store, str]:
    """Find the root of the hierarchy that a file name leads into, and the key in it that the name leads to.

    An array means the same whether it is named by file and dataset, or by a file name that leads into the hierarchy.

    Parameters
    ----------
    file_name : str
        A folder, a zip file, or a URL ``s3://``, ``gs://``, ``http://`` or ``https://``.
    options : mapping
        ``storage_options`` of the config.
    groups : tuple of str
        Names of the files that make a folder a group.

    Raises
    ------
    SourceError
        It is not there, or cannot be reached.
    """
    if "://" in file_name:
        url = parse_url(reveal(file_name), options)
        url.check_server()
        return _open_remote(url, groups)
    path = Path(file_name).absolute()
    if path.is_file() and path.name.lower().endswith(ZIP_SUFFIXES):
        return ZipStore.open(path), ""
    if not path.is_dir():
        _refuse_folder(path, file_name)
    root = path
    while root.parent != root and any((root.parent / name).exists() for name in groups):
        root = root.parent
    return LocalStore(root), _key(path.relative_to(root).as_posix())


def inside(root: str, path: str, where: str, field: str | None = None) -> str:
    """Give the key of a path below a key.

    Raises
    ------
    SourceError
        The path leads out of the store.
    """
    key = posixpath.normpath(posixpath.join(root, path.strip("/")))
    if key == ".." or key.startswith("../"):
        raise SourceError(
            "a path leads out of the store",
            got=path,
            expected="a path inside of it",
            where=where,
            hint="name the other store in `file_name`",
            key=() if field is None else (field,),
        )
    return _key(key)


def _key(path: str) -> str:
    return "" if path == "." else path


def _refuse_folder(folder: Path, file_name: str) -> None:
    if folder.exists():
        raise SourceError(
            "not a Zarr store",
            got="a file",
            expected=f"a folder, or a file whose name ends in {' or '.join(ZIP_SUFFIXES)}",
            where=file_name,
            hint="other formats have types of their own, such as hdf5 and nifti",
            key=("file_name",),
        )
    siblings = [path.name for path in folder.parent.iterdir()] if folder.parent.is_dir() else []
    raise SourceError(
        "file does not exist",
        where=file_name,
        hint=did_you_mean(folder.name, siblings),
        key=("file_name",),
    )


# Folders


@attrs.frozen
class LocalStore:
    """A folder on a local disk."""

    root: Path
    read_only: str | None = attrs.field(default=None, init=False)
    lists: bool = attrs.field(default=True, init=False)

    def read(self, key: str) -> bytes | None:
        """Give the contents of a file; ``None`` where there is none."""
        path = self.root / key
        try:
            contents = path.read_bytes()
            real, real_root = path.resolve(), self.root.resolve()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise SourceError("cannot read", got=error.strerror, where=self.locate(key)) from error
        if not real.is_relative_to(real_root):
            raise SourceError(
                "a symbolic link leads out of the store",
                got=real,
                expected=f"a file in {real_root}",
                where=self.locate(key),
                hint="name the folder that it leads to in `file_name`",
            )
        return contents

    def folders(self, key: str) -> list[str]:
        """Give the keys of the folders in a folder."""
        try:
            names = [path.name for path in (self.root / key).iterdir() if path.is_dir()]
        except OSError as error:
            raise SourceError("cannot read", got=error.strerror, where=self.locate(key)) from error
        return [posixpath.join(key, name) for name in sorted(names) if not name.startswith(".")]

    def has_folder(self, key: str) -> bool:
        """Whether there is a folder."""
        return (self.root / key).is_dir()

    def locate(self, key: str) -> str:
        """Say where a key is."""
        return str(self.root / key)

    def place(self, key: str) -> Place:
        """Say how to get at the voxels in a folder."""
        folder = self.root / key
        inside = os.path.join(os.path.realpath(self.root), "")  # noqa: PTH118  # Path drops the last slash
        start = f"{folder.absolute()}/"

        @lru_cache(_MOST_FOLDERS)
        def stays(folder: str) -> bool:
            above = os.path.dirname(folder)  # noqa: PTH120  # as below
            if len(folder) >= len(start) and stays(above) and not os.path.islink(folder):  # noqa: PTH114  # as below
                return True
            return f"{os.path.realpath(folder)}/".startswith(inside)

        def leaves(name: str) -> bool:
            path = start + name
            if not os.path.islink(path) and stays(os.path.dirname(path)):  # noqa: PTH114, PTH120  # a Path takes longer than both
                return False
            return not os.path.realpath(path).startswith(inside)

        return Place(
            kvstore={"driver": "file", "path": start},
            folder=folder,
            for_zarr=lambda: (folder, ""),
            has=lambda name: (folder / name).is_file(),
            open_file=lambda name: FileIO(start + name),
            leaves=leaves,
        )


# Buckets and web servers


@attrs.frozen
class RemoteStore:
    """What a URL leads to. A web server lists no folders: there, what consolidated metadata say has to do."""

    url: Url
    values: KeyValues
    is_zip: bool = False
    read_only: str | None = attrs.field(
        default="what is read over a network is only read", init=False
    )
    _denials: list[DeniedError] = attrs.field(factory=list, init=False)

    @classmethod
    def at(cls, url: Url) -> RemoteStore:
        """Give the store at a URL; nothing is asked for yet."""
        if url.parts.path.lower().endswith(ZIP_SUFFIXES):
            spec = {"driver": "zip", "base": url.kvstore(folder=False)}
            return cls(url, KeyValues(spec, str(url)), is_zip=True)
        return cls(url, KeyValues(url.kvstore(folder=True), str(url)))

    def below_top(self) -> RemoteStore:
        """Give the store whose root is the only folder at the top of a zip file, if there is one."""
        if not tensorstores.usable():
            raise self._only_tensorstore()
        names = self.values.names()
        if not names:
            raise SourceError(
                "no zip file that holds anything", where=str(self.url), key=("file_name",)
            )
        top = top_folder(names)
        spec = {**self.values.spec, "path": f"{top}/" if top else ""}
        return attrs.evolve(self, values=KeyValues(spec, str(self.url)))

    def read(self, key: str) -> bytes | None:
        """Give the contents of a file; ``None`` where there is none."""
        try:
            usable = tensorstores.usable()
            contents = self.values.read(key) if usable else self._read_through_fsspec(key)
        except DeniedError as error:  # buckets that nobody may list say so of what is not there
            self._denials.append(error)
            return None
        if contents is not None:
            self._denials.clear()
        return contents

    def _only_tensorstore(self) -> SourceError:
        return SourceError(
            "a zip file on a server is read through TensorStore only",
            where=str(self.url),
            hint="start workers with the method `spawn` or `forkserver`",
        )

    def _read_through_fsspec(self, key: str) -> bytes | None:
        with importing("fsspec and its file systems", extra="remote"):
            import fsspec  # heavy

            url, options = self.url.for_fsspec()
            files = fsspec.filesystem(self.url.parts.scheme, **options)
        try:
            return bytes(files.cat_file(f"{url}/{key}"))
        except FileNotFoundError:
            return None
        except Exception as error:  # every file system has its own
            raise SourceError("cannot read", got=error, where=self.locate(key)) from error

    @property
    def lists(self) -> bool:
        """Whether it can say what is in a folder."""
        self._require_access()
        return self._names is not None

    def _require_access(self) -> None:
        if self._denials:
            raise self._denials[0]

    def folders(self, key: str) -> list[str]:
        """Give the keys of the folders in a folder."""
        return folders_in(key, self._names or ())

    def has_folder(self, key: str) -> bool:
        """Whether there is a folder."""
        self._require_access()
        return not key or any(name.startswith(f"{key}/") for name in self._names or ())

    @cached_property
    def _names(self) -> frozenset[str] | None:
        consolidated = _consolidated(self)
        if consolidated or not (self.url.lists or self.is_zip) or not tensorstores.usable():
            return consolidated
        return self.values.names()

    def locate(self, key: str) -> str:
        """Say where a key is."""
        return posixpath.join(str(self.url), key)

    def place(self, key: str) -> Place:
        """Say how to get at the voxels in a folder."""

        def for_zarr() -> tuple[Any, str]:
            if self.is_zip:
                raise self._only_tensorstore()
            with importing("fsspec and its file systems", extra="remote"):
                from zarr.storage import FsspecStore  # heavy

                url, options = self.url.for_fsspec()
                return FsspecStore.from_url(url, storage_options=options, read_only=True), key

        spec = dict(self.values.spec)
        spec["path"] = f"{spec.get('path', '')}{key}/" if key else spec.get("path", "")
        return Place(kvstore=spec, for_zarr=for_zarr, remote=True)


def _consolidated(store: RemoteStore) -> frozenset[str] | None:
    """Give the names of metadata files that the root's consolidated metadata speak of."""
    names: set[str] = set()
    for key in ("zarr.json", ".zmetadata"):
        try:
            document = json.loads(store.read(key) or b"{}")
            if key == "zarr.json":
                document = document.get("consolidated_metadata") or {}
            found = document.get("metadata") or {}
            names |= {f"{name}/zarr.json" if key == "zarr.json" else name for name in found}
        except (ValueError, AttributeError, TypeError) as error:
            raise SourceError("metadata are corrupt", got=error, where=store.locate(key)) from error
    return frozenset(names) or None


def _open_remote(url: Url, groups: tuple[str, ...]) -> tuple[Store, str]:
    """Climb from a URL to the root of its hierarchy; servers may refuse to say what is above."""
    store = RemoteStore.at(url)
    if store.is_zip:
        return store.below_top(), ""
    key = ""
    for above, name in url.parents():
        parent = RemoteStore.at(above)
        if not _is_group(parent, groups):
            break
        store, key = parent, posixpath.join(name, key).rstrip("/")
    return store, key


def _is_group(store: RemoteStore, groups: tuple[str, ...]) -> bool:
    for name in groups:
        try:
            document = json.loads(store.read(name) or b"null")
        except ValueError:  # a page for people
            return False
        if isinstance(document, dict) and ("zarr_format" in document or groups != ZARR_GROUPS):
            return True
    return False
