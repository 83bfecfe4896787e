"""Settings of a project: the file ``dacapo-like.toml`` beside its documents, or above them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from dacapo_like.config.document import Document, read_document
from dacapo_like.config.scalars import shorten
from dacapo_like.errors import ConfigError, KeyPath, did_you_mean, format_key

FILE_NAME = "dacapo-like.toml"
_KEYS = ("store", "roots")


@attrs.frozen(kw_only=True)
class Project:
    """What a project says of where things are.

    Attributes
    ----------
    file : Path or None
        Where it stands; ``None``: there is no such file.
    store : str or None
        The store of arrays by name: a folder or a URL.
    roots : mapping of str to str
        Folders and URLs, absolute, for which ``${root:NAME}`` stands in the file names of documents.
    """

    file: Path | None = None
    store: str | None = None
    roots: Mapping[str, str] = attrs.field(factory=lambda: MappingProxyType({}))

    @property
    def directory(self) -> Path | None:
        """Where relative names in the file start."""
        return None if self.file is None else self.file.parent

    def root(self, name: str) -> str:
        """Give the folder or URL that a name stands for.

        Raises
        ------
        ConfigError
            There is none.
        """
        if name not in self.roots:
            raise ConfigError(
                "no root of this name",
                got=repr(name),
                expected=f"one of {', '.join(self.roots)}"
                if self.roots
                else f"an entry of [roots] in {self.file or FILE_NAME}",
                hint=did_you_mean(name, self.roots),
                code="DL134",
            )
        return self.roots[name]


def project_of(directory: Path) -> Project:
    """Read the nearest ``dacapo-like.toml``: in a directory, or in one above it.

    Raises
    ------
    DocumentError
        It is no TOML.
    ConfigError
        It says what it cannot say; ``where`` tells the place.

    Examples
    --------
    >>> project_of(Path("/")).store is None
    True
    """
    folder = directory.absolute()
    for above in (folder, *folder.parents):
        file = above / FILE_NAME
        if file.is_file():
            return _read(file)
    return Project()


def _read(file: Path) -> Project:
    document = read_document(file)
    data: dict[str, Any] = document.data
    for problem in document.problems:
        raise ConfigError(
            problem.message, where=f"{file}:{problem.line}:{problem.column}", code=problem.code
        )
    for key in data:
        if key not in _KEYS:
            raise _refused(
                document,
                (key,),
                "unknown key",
                got=repr(key),
                expected=f"one of {', '.join(_KEYS)}",
                hint=did_you_mean(key, _KEYS),
                code="DL105",
            )
    roots = data.get("roots", {})
    if not isinstance(roots, dict):
        raise _not_text(document, ("roots",), "a table of folders by name")
    for name, root in roots.items():
        if not isinstance(root, str) or not root:
            raise _not_text(document, ("roots", name), "a folder or URL, as text")
    store = data.get("store")
    if store is not None and (not isinstance(store, str) or not store):
        raise _not_text(document, ("store",), "a folder or URL, as text")
    return Project(
        file=file,
        store=store,
        roots=MappingProxyType({name: _root(document, name) for name in roots}),
    )


def _root(document: Document, name: str) -> str:
    root: str = document.data["roots"][name]
    try:
        return located(root.rstrip("/") if "://" in root else root, document.directory)
    except ConfigError as error:
        raise _refused(
            document, ("roots", name), error.what, got=error.got, hint=error.hint, code=error.code
        ) from error


def located(name: str, folder: Path) -> str:
    """Give a file name with the folder where it starts, if it is relative; URLs stay.

    Raises
    ------
    ConfigError
        It names no file: a NUL is in it, or ``~`` stands before nobody's name.

    Examples
    --------
    >>> located("fly.zarr", Path("/data")), located("https://example.org/fly.zarr", Path("/data"))
    ('/data/fly.zarr', 'https://example.org/fly.zarr')
    """
    if "\0" in name:
        raise ConfigError("not a file name", got=shorten(name), expected="no NUL in it")
    if "://" in name:
        return name
    try:
        return str(folder / Path(name).expanduser())
    except (RuntimeError, ValueError) as error:  # the latter: it cannot be written as bytes
        raise ConfigError(
            "no home folder of this user",
            got=shorten(name),
            hint="write the folder out, or `./` before a name that begins with ~",
        ) from error


def _not_text(document: Document, key: KeyPath, expected: str) -> ConfigError:
    what = f"`{format_key(key)}` is not what it can be"
    return _refused(document, key, what, expected=expected, code="DL103")


def _refused(document: Document, key: KeyPath, what: str, **parts: Any) -> ConfigError:
    position = document.position(key, of_key=parts["code"] == "DL105")
    place = f":{position.line}:{position.column}" if position else ""
    return ConfigError(what, where=f"{document.path}{place}", **parts)
