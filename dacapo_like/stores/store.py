"""`ConfigStore`: arrays by name."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dacapo_like.config.document import Document, write_document
from dacapo_like.config.loading import Loaded, document_of, load_document, whole
from dacapo_like.config.parameters import escaped
from dacapo_like.config.unstructuring import unstructure
from dacapo_like.config.verify import Stored, verify_all
from dacapo_like.core import Array, ArrayConfig
from dacapo_like.errors import ConfigError, DocumentError, InvalidDocumentError, Problem
from dacapo_like.stores.backend import Backend
from dacapo_like.stores.names import check_name, in_the_way
from dacapo_like.stores.opening import open_backend, project_for


class ConfigStore:
    """Arrays by name, in a folder of YAML files or in a database.

    Everything is found by whoever opens the same store. A change is whole: what others read is the array from before it or from
    after it, also where the process that makes it is killed. Arrays of a store may refer to each other by name, and documents to
    them, see ``store=`` of `load`.

    Parameters
    ----------
    url : str, Path or Backend, optional
        A folder, ``sqlite:///FILE`` (one more slash before an absolute path), ``postgresql://…`` or ``mongodb://…/DATABASE``. By default
        what the environment variable ``DACAPO_LIKE_STORE`` names, else ``store`` in the nearest ``dacapo-like.toml``.

    Raises
    ------
    ConfigError
        No store is chosen, or there are no such stores.
    MissingExtraError
        The store needs a package that is not installed.

    Examples
    --------
    >>> import tempfile
    >>> store = ConfigStore(tempfile.mkdtemp())
    >>> store.put("raw", {"type": "zarr", "file_name": "/data/fly.zarr", "dataset": "em"})
    >>> store.put("scaled", {"type": "intensities", "source": "raw", "min": 0, "max": 255})
    >>> store.names()
    ('raw', 'scaled')
    >>> store.config("scaled").source_array_config.dataset
    'em'
    >>> store.search("FLY")
    ('raw',)
    """

    def __init__(self, url: str | Path | Backend | None = None) -> None:
        self._backend = url if isinstance(url, Backend) else open_backend(url)

    @property
    def url(self) -> str:
        """Where it is, for people: without a password."""
        return self._backend.url

    def names(self) -> tuple[str, ...]:
        """Give the names of all arrays, sorted.

        Raises
        ------
        StoreError
            The store cannot be read.
        """
        return tuple(self._backend.names())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and unicodedata.normalize("NFC", name) in self.names()

    def config(self, name: str) -> ArrayConfig:
        """Give the config of an array, with those that it refers to.

        Raises
        ------
        ConfigError
            There is no array of this name.
        DocumentError, InvalidDocumentError
            Its document cannot be read, or has problems.
        """
        config = whole(self.loaded(name))
        assert isinstance(config, ArrayConfig)  # noqa: S101  # what is stored as a name is one
        return config

    def array(self, name: str) -> Array:
        """Open an array: headers are read, no voxels.

        Raises
        ------
        ConfigError, DocumentError, InvalidDocumentError
            As `config`.
        SourceError, SpecError
            The tree cannot be opened.
        """
        return self.config(name).array()

    def verify(self, *, deep: bool = False) -> list[Problem]:
        """Find every problem of all arrays, as `dacapo_like.verify` of a document.

        Parameters
        ----------
        deep : bool
            Also read every chunk of every source, and look at the voxels.

        Returns
        -------
        list of Problem
            Array by array in the order of their names; the path of each says which, see `place`.

        Raises
        ------
        StoreError
            The store cannot be read.
        """
        targets = [Stored(name, self) for name in self.names()]
        return [problem for each in verify_all(targets, deep=deep) for problem in each]

    def put(
        self,
        name: str,
        config: ArrayConfig | Mapping[str, Any] | Document,
        *,
        overwrite: bool = False,
    ) -> None:
        """Keep an array under a name.

        Parameters
        ----------
        name : str
            Without separators, a leading dot or what cannot be seen, and of at most 200 bytes; kept in Unicode's normal form C. A
            store has no two names that differ in case only.
        config : ArrayConfig, mapping or Document
            What is kept. A mapping is what a document says: it is checked, relative file names start at the working directory, and
            references by name to arrays of the store stay such. So it is with a `Document`, whose file names start where it says.
        overwrite : bool
            Replace the array of this name, if there is one.

        Raises
        ------
        ConfigError
            The name is none, or taken; or the tree holds an array in memory.
        InvalidDocumentError
            The mapping has problems.
        StoreError
            The store cannot be written.
        """
        name = check_name(name)
        names: dict[ArrayConfig, str] = {}
        if not isinstance(config, ArrayConfig):
            document = config if isinstance(config, Document) else document_of(config)
            loaded = load_document(document, store=self, stored_as=name)
            config, names = _array_of(loaded), loaded.references()
        self._write(name, config, names, overwrite=overwrite)

    def put_all(
        self, configs: Mapping[str, ArrayConfig], *, overwrite: bool = False
    ) -> tuple[str, ...]:
        """Keep several arrays; where one is an input of another, that becomes a reference by name.

        Those that others need are written first. Nothing is written where a name is none, or taken.

        Returns
        -------
        tuple of str
            The names, as they were written.

        Raises
        ------
        ConfigError, StoreError
            As `put`.
        """
        named: dict[str, ArrayConfig] = {}
        there = set(self.names())
        for name, config in configs.items():
            normal = check_name(name)
            other = in_the_way(normal, there | named.keys())
            if normal in named or (normal in there and not overwrite):
                other = normal
            if other is not None:
                raise self._backend.taken(normal, other)
            named[normal] = config
        names = {config: name for name, config in named.items()}
        heights: dict[ArrayConfig, int] = {}
        for name in sorted(named, key=lambda name: _height(named[name], heights)):
            self._write(name, named[name], names, overwrite=overwrite)
        return tuple(named)

    def delete(self, name: str, *, force: bool = False) -> None:
        """Let go of an array.

        Parameters
        ----------
        name : str
            Of an array that no other of the store refers to.
        force : bool
            Let go of it also where others refer to it; these are broken then.

        Raises
        ------
        ConfigError
            There is no array of this name, or others refer to it.
        """
        name = check_name(name)
        if not force:
            self._check_unused(name)
        self._backend.delete(name)

    def rename(self, old: str, new: str, *, force: bool = False) -> None:
        """Give an array another name.

        Parameters
        ----------
        old, new : str
            As for `put`; other arrays of the store must not refer to `old`.
        force : bool
            Rename it also where others refer to it; these are broken then.

        Raises
        ------
        ConfigError
            There is no array of the old name, one of the new name, or others refer to it.
        """
        old, new = check_name(old), check_name(new)
        if not force:
            self._check_unused(old)
        self._backend.rename(old, new)

    def search(self, text: str) -> tuple[str, ...]:
        """Give the names of arrays of which the name, or the document, contains a text, in whichever case."""
        wanted = text.casefold()
        return tuple(
            name
            for name in self.names()
            if wanted in name.casefold() or wanted in (self._text(name) or "").casefold()
        )

    def users(self, name: str) -> tuple[str, ...]:
        """Give the names of the arrays that refer to one by its name."""
        return tuple(
            other
            for other in self.names()
            if name in (self._text(other) or "") and name in self._references(other)
        )

    def text(self, name: str) -> str | None:
        """Give the document of an array as it is kept, without what the store put above it; ``None``: there is none."""
        return self._text(check_name(name))

    def place(self, name: str) -> str:
        """Say where the document of an array is: a path, or the URL of the store and the name."""
        return self._backend.place(name)

    def document(self, name: str) -> Document | None:
        """Read the document of an array; ``None``: there is none of this name.

        Raises
        ------
        DocumentError
            It cannot be read.
        """
        try:
            name = check_name(name)
        except ConfigError:
            return None
        return self._backend.document(name)

    def loaded(self, name: str) -> Loaded:
        """Structure the document of an array, and keep what is wrong with it.

        Raises
        ------
        ConfigError
            There is no array of this name.
        DocumentError
            It cannot be read.
        """
        name = check_name(name)
        document = self._backend.document(name)
        if document is None:
            raise self._backend.absent(name)
        return load_document(document, store=self, stored_as=name)

    def _write(
        self,
        name: str,
        config: ArrayConfig,
        names: Mapping[ArrayConfig, str],
        *,
        overwrite: bool,
    ) -> None:
        backend = self._backend
        data = unstructure(
            config,
            relative_to=backend.directory,
            roots=project_for(backend).roots,
            names={other: called for other, called in names.items() if called != name},
        )
        if data.get("name") == name:
            del data["name"]
        text = backend.heading + write_document(escaped(data), "yaml")
        backend.put(name, text, overwrite=overwrite)

    def _text(self, name: str) -> str | None:
        """As `text`, also of what others have put into a database under what is no name."""
        text = self._backend.text(name)
        return None if text is None else text.removeprefix(self._backend.heading)

    def _references(self, name: str) -> set[str]:
        try:
            return self.loaded(name).structuring.references
        except (ConfigError, DocumentError):  # what is gone, or cannot be read, refers to nothing
            return set()

    def _check_unused(self, name: str) -> None:
        users = self.users(name)
        if users:
            raise ConfigError(
                "other arrays of the store refer to this one",
                got=repr(name),
                expected=f"no reference, as in {', '.join(users)}",
                where=self.url,
                hint="force=True (--force) breaks them",
                code="DL135",
            )

    def __repr__(self) -> str:
        return f"ConfigStore({self.url!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConfigStore) and self.url == other.url

    def __hash__(self) -> int:
        return hash(self.url)


def _array_of(loaded: Loaded) -> ArrayConfig:
    config = whole(loaded)
    if not isinstance(config, ArrayConfig):
        raise InvalidDocumentError("an experiment is no array", problems=loaded.problems)
    return config


def _height(config: ArrayConfig, known: dict[ArrayConfig, int]) -> int:
    """Give how many configs are below each other: that of an input is less than that of its consumer."""
    if config not in known:
        below = (_height(child, known) for _, child in config.children())
        known[config] = 1 + max(below, default=0)
    return known[config]
