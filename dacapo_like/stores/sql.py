"""A store in a database, through SQLAlchemy: SQLite in a file, or PostgreSQL.

One table has the documents as text. Every change is one transaction; the database sees to it that it is whole.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from dacapo_like.config.project import project_of
from dacapo_like.errors import ConfigError, MissingExtraError, StoreError
from dacapo_like.stores.backend import Backend
from dacapo_like.stores.names import folded

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

TABLE = "dacapo_like_arrays"
_DRIVERS = ("psycopg", "psycopg2", "pg8000")
_PATIENCE = 60  # seconds that writers of one SQLite file wait for each other
_ROUNDS = 10  # an array that is overwritten may be deleted, and put anew, by others meanwhile


class SQLBackend(Backend):
    """A table of documents by name.

    Parameters
    ----------
    url : str
        Of SQLAlchemy: ``sqlite:///FILE``, ``postgresql://USER@HOST/DATABASE``.
    relative_to : Path
        Where the file of SQLite starts, where it is relative.

    Raises
    ------
    MissingExtraError
        SQLAlchemy, or a driver, is not installed.
    ConfigError
        The URL is none of SQLAlchemy's.
    """

    def __init__(self, url: str, relative_to: Path) -> None:
        try:
            from sqlalchemy.engine import make_url
            from sqlalchemy.exc import ArgumentError
        except ImportError as error:
            raise _missing("SQLAlchemy") from error
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError) as error:
            raise ConfigError(
                "the URL of the store is none of SQLAlchemy's",
                expected="sqlite:///FILE or postgresql://USER@HOST/DATABASE",
            ) from error
        self._reduced = (url, relative_to)
        self.directory = project_of(relative_to).directory or relative_to
        self._seen = False
        self._connected: Engine | None = None
        self._process = 0
        self._file: Path | None = None
        if parsed.get_backend_name() == "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                what = "a store in memory would be forgotten at once"
                raise ConfigError(what, expected="sqlite:///FILE")
            self._file = relative_to / Path(parsed.database).expanduser()
            parsed = parsed.set(database=str(self._file))
        elif parsed.drivername == "postgresql":
            parsed = parsed.set(drivername=f"postgresql+{_installed_driver()}")
        self._url = parsed
        self.url = parsed.set(drivername=parsed.get_backend_name()).render_as_string(
            hide_password=True
        )

    def names(self) -> list[str]:
        """Give all names, sorted."""
        from sqlalchemy import select

        rows = self._read(lambda connection: connection.scalars(select(self._table.c.name)).all())
        return sorted(rows or ())

    def text(self, name: str) -> str | None:
        """Give a document; ``None``: there is none of this name."""
        from sqlalchemy import select

        wanted = select(self._table.c.document).where(self._table.c.name == name)
        found: str | None = self._read(lambda connection: connection.scalar(wanted))
        return found

    def put(self, name: str, text: str, *, overwrite: bool) -> None:
        """Insert a row; or change it, where it is to be overwritten."""
        from sqlalchemy.exc import IntegrityError

        table = self._table
        self._make_table()
        change = table.update().where(table.c.name == name).values(document=text)
        insert = table.insert().values(name=name, folded=folded(name), document=text)
        for _ in range(_ROUNDS):
            try:
                with self._writing() as connection:
                    if not (overwrite and connection.execute(change).rowcount):
                        connection.execute(insert)
                    return
            except IntegrityError:
                there = self._named_alike(name)
                if there is not None and not (overwrite and there == name):
                    raise self.taken(name, there) from None
        self._give_up()

    def delete(self, name: str) -> None:
        """Delete a row."""
        table = self._table
        if self._there():
            with self._writing() as connection:
                if connection.execute(table.delete().where(table.c.name == name)).rowcount:
                    return
        raise self.absent(name)

    def rename(self, old: str, new: str) -> None:
        """Change the name of a row."""
        from sqlalchemy.exc import IntegrityError

        table = self._table
        change = table.update().where(table.c.name == old).values(name=new, folded=folded(new))
        try:
            if self._there():
                with self._writing() as connection:
                    if connection.execute(change).rowcount:
                        return
        except IntegrityError:
            raise self.taken(new, self._named_alike(new) or new) from None
        raise self.absent(old)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._reduced

    @cached_property
    def _table(self) -> Table:
        from sqlalchemy import Column, MetaData, Table, Text

        return Table(
            TABLE,
            MetaData(),
            Column("name", Text, primary_key=True),
            Column("folded", Text, nullable=False, unique=True),
            Column("document", Text, nullable=False),
        )

    @property
    def _engine(self) -> Engine:
        """Give what connects this very process: connections to a server are kept, but none outlives a fork."""
        from sqlalchemy import NullPool, create_engine
        from sqlalchemy.exc import NoSuchModuleError

        if self._connected is None or self._process != os.getpid():
            options: dict[str, Any] = {"pool_pre_ping": True}
            if self._file is not None:
                options = {"poolclass": NullPool, "connect_args": {"timeout": _PATIENCE}}
            try:
                engine = create_engine(self._url, **options)
            except (ImportError, NoSuchModuleError) as error:
                raise _missing(f"the driver of {self._url.drivername}") from error
            self._connected, self._process = engine, os.getpid()
            weakref.finalize(self, _let_go, engine, self._process)
        return self._connected

    def _read(self, query: Callable[[Connection], Any]) -> Any:
        """Ask the database; ``None`` where it has no table yet."""
        if not self._there():
            return None
        with self._errors(), self._engine.connect() as connection:
            return query(connection)

    def _there(self) -> bool:
        """Whether there is a table; to look makes no file."""
        from sqlalchemy import inspect

        if self._file is not None and not self._file.exists():
            return False
        if not self._seen:
            with self._errors():
                self._seen = bool(inspect(self._engine).has_table(TABLE))
        return self._seen

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Give a connection in a transaction."""
        with self._errors(), self._engine.begin() as connection:
            yield connection

    def _make_table(self) -> None:
        from sqlalchemy.exc import DBAPIError

        if self._file is not None:
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"the store cannot be written: {error.strerror}", where=self.url
                ) from error
        if self._there():
            return
        try:
            self._table.metadata.create_all(self._engine)
        except DBAPIError as error:
            if not self._there():  # nobody else has made it just now
                raise self._failed(error) from error

    def _named_alike(self, name: str) -> str | None:
        from sqlalchemy import select

        columns = self._table.c
        wanted = select(columns.name).where(columns.folded == folded(name))
        found: str | None = self._read(lambda connection: connection.scalar(wanted))
        return found

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say where errors of the database come from; those of uniqueness are answers."""
        from sqlalchemy.exc import IntegrityError, SQLAlchemyError

        try:
            yield
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StoreError:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()
        reason = said[0] if said else type(error).__name__
        return StoreError(f"the database refuses: {reason}", where=self.url)

    def _give_up(self) -> NoReturn:
        raise StoreError(
            "others delete and put the array again and again", where=self.url, hint="try once more"
        )


def _let_go(engine: Engine, process: int) -> None:
    """Close connections; in a forked process they are its parent's, and stay open."""
    engine.dispose(close=process == os.getpid())


def _installed_driver() -> str:
    """Give the first driver of PostgreSQL that is installed."""
    from importlib.util import find_spec

    for driver in _DRIVERS:
        if find_spec(driver) is not None:
            return driver
    raise _missing("a driver of PostgreSQL")


def _missing(package: str) -> MissingExtraError:
    return MissingExtraError(
        f"stores in databases need {package}",
        hint="pip install 'dacapo_like[sql]'",
    )
