"""A store in MongoDB: DaCapo's collection ``arrays``, with its unique index.

What DaCapo put there is read as it is. What is put from here has its document as text beside its name, because BSON has neither
integers beyond 63 bits nor exact decimals of any length.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dacapo_like.config.document import write_document
from dacapo_like.config.project import project_of
from dacapo_like.errors import ConfigError, MissingExtraError, StoreError
from dacapo_like.stores.backend import Backend
from dacapo_like.stores.names import folded, in_the_way

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.collection import Collection

COLLECTION = "arrays"
_DOCUMENT, _FOLDED = "document", "folded"
_OURS = frozenset({"_id", _FOLDED})
_PATIENCE: dict[str, Any] = {"serverSelectionTimeoutMS": 5000}  # then no answer is an error
_ROUNDS = 10  # writers that overwrite one array at once may be in each other's way


class MongoBackend(Backend):
    """A collection of documents by name.

    Parameters
    ----------
    url : str
        ``mongodb://HOST/DATABASE``, with all that pymongo understands.
    relative_to : Path
        Where the settings for file names are looked for.

    Raises
    ------
    MissingExtraError
        pymongo is not installed.
    ConfigError
        The URL names no database.
    """

    def __init__(self, url: str, relative_to: Path) -> None:
        try:
            import pymongo  # noqa: F401  # whether it is there
        except ImportError as error:
            raise MissingExtraError(
                "stores in MongoDB need pymongo", hint="pip install 'dacapo_like[mongo]'"
            ) from error
        parts = urlsplit(url)
        self._database = parts.path.strip("/")
        hosts = parts.netloc.rpartition("@")[2]
        self.url = f"{parts.scheme}://{hosts}/{self._database}"
        if not self._database:
            raise ConfigError(
                "the URL of the store names no database",
                got=self.url,
                expected=f"{parts.scheme}://{hosts}/dacapo",
            )
        self.directory = project_of(relative_to).directory or relative_to
        self._reduced = (url, relative_to)
        self._connected: MongoClient[dict[str, Any]] | None = None
        self._process = 0

    def names(self) -> list[str]:
        """Give all names, sorted."""
        with self._arrays() as arrays:
            return _names(arrays)

    def text(self, name: str) -> str | None:
        """Give a document, one of DaCapo's in its own spelling; ``None``: there is none of this name."""
        with self._arrays() as arrays:
            found = arrays.find_one({"name": name})
        if found is None:
            return None
        document = found.get(_DOCUMENT)
        if isinstance(document, str):
            return document
        theirs = {key: _plain(value) for key, value in found.items() if key not in _OURS}
        return write_document(theirs, "yaml")

    def put(self, name: str, text: str, *, overwrite: bool) -> None:
        """Insert a document, or replace one."""
        from pymongo.errors import DuplicateKeyError

        new = {"name": name, _FOLDED: folded(name), _DOCUMENT: text}
        with self._arrays() as arrays:
            arrays.create_index([("name", 1)], name="name", unique=True)
            arrays.create_index([(_FOLDED, 1)], name=_FOLDED, unique=True, sparse=True)
            for _ in range(_ROUNDS):
                there = _names(arrays)
                other = in_the_way(name, there) or (
                    None if overwrite or name not in there else name
                )
                if other is not None:
                    raise self.taken(name, other)
                try:
                    if overwrite:
                        arrays.replace_one({"name": name}, new, upsert=True)
                    else:
                        arrays.insert_one(dict(new))
                except DuplicateKeyError:  # somebody was faster
                    continue
                return
        raise StoreError("others are in the way again and again", where=self.url)

    def delete(self, name: str) -> None:
        """Delete a document."""
        with self._arrays() as arrays:
            if not arrays.delete_one({"name": name}).deleted_count:
                raise self.absent(name, _names(arrays))

    def rename(self, old: str, new: str) -> None:
        """Change the name of a document."""
        from pymongo.errors import DuplicateKeyError

        with self._arrays() as arrays:
            there = _names(arrays)
            if old not in there:
                raise self.absent(old, there)
            other = in_the_way(new, (name for name in there if name != old))
            if other is not None:
                raise self.taken(new, other)
            change = {"$set": {"name": new, _FOLDED: folded(new)}}
            try:
                matched = arrays.update_one({"name": old}, change).matched_count
            except DuplicateKeyError:
                raise self.taken(new, new) from None
            if not matched:
                raise self.absent(old, _names(arrays))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._reduced

    @contextmanager
    def _arrays(self) -> Iterator[Collection[dict[str, Any]]]:
        """Give the collection; what goes wrong with it is said with the URL."""
        from pymongo import WriteConcern
        from pymongo.errors import PyMongoError

        safely = WriteConcern("majority", j=True)
        try:
            database = self._client().get_database(self._database, write_concern=safely)
            yield database[COLLECTION]
        except PyMongoError as error:
            reason = str(error).partition(", Timeout:")[0]
            raise StoreError(f"MongoDB refuses: {reason}", where=self.url) from error

    def _client(self) -> MongoClient[dict[str, Any]]:
        """Give the client of this very process; none outlives a fork."""
        from pymongo import MongoClient

        if self._connected is None or self._process != os.getpid():
            url = self._reduced[0]
            client: MongoClient[dict[str, Any]]
            client = MongoClient(url, **({} if "serverSelectionTimeoutMS" in url else _PATIENCE))
            self._connected, self._process = client, os.getpid()
            weakref.finalize(self, _let_go, client, self._process)
        return self._connected


def _let_go(client: MongoClient[dict[str, Any]], process: int) -> None:
    """Close connections, except those that a forked process has of its parent."""
    if process == os.getpid():
        client.close()


def _names(arrays: Collection[dict[str, Any]]) -> list[str]:
    named = arrays.find({"name": {"$exists": True}}, {"name": True})
    return sorted(str(found["name"]) for found in named)


def _plain(value: Any) -> Any:
    """Give what a value of BSON is in documents; whatever has no counterpart is left for the writer to refuse."""
    from bson import Decimal128, Int64

    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Int64):
        return int(value)
    return value.to_decimal() if isinstance(value, Decimal128) else value
