"""Stores of every kind, each empty; the servers are real."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from dacapo_like import ConfigStore

KINDS = ["directory", "sqlite", "postgresql", "mongodb"]
MONGO = "DACAPO_LIKE_TEST_MONGODB"


@pytest.fixture(autouse=True)
def _no_store_is_chosen(monkeypatch):
    monkeypatch.delenv("DACAPO_LIKE_STORE", raising=False)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URL of an empty store."""
    kind = request.param
    if kind == "directory":
        yield str(tmp_path / "arrays")
    elif kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'arrays.db'}"
    elif kind == "postgresql":
        yield request.getfixturevalue("postgresql")()
    else:
        yield request.getfixturevalue("mongodb")


@pytest.fixture
def store(url: str) -> ConfigStore:
    """Give an empty store."""
    return ConfigStore(url)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """Start a server of PostgreSQL; give what makes an empty database and gives its URL."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="dacapo-like-postgresql-"))
    user = _somebody() if os.getuid() == 0 else None  # it does not run as root
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    port = _free_port()
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "tester", "--auth=trust", "-E", "UTF8", "-N"],
        check=True,
        user=user,
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    server = [programs / "pg_ctl", "-D", data, "-l", folder / "log", "-w"]
    options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off -c synchronous_commit=off"
    subprocess.run(
        [*server, "-o", options, "start"],
        check=True,
        user=user,
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    address = f"postgresql+pg8000://tester@127.0.0.1:{port}"

    def new_database() -> str:
        from sqlalchemy import NullPool, create_engine, text

        name = f"test_{uuid.uuid4().hex}"
        engine = create_engine(
            f"{address}/postgres", isolation_level="AUTOCOMMIT", poolclass=NullPool
        )
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return f"{address}/{name}"

    try:
        yield new_database
    finally:
        subprocess.run(
            [*server, "-m", "immediate", "stop"],
            check=True,
            user=user,
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        shutil.rmtree(folder)


def _programs() -> Path:
    """Find PostgreSQL's own programs, which Debian keeps away from the path."""
    found = shutil.which("initdb")
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not (newest or found):
        pytest.skip(
            "NOT TESTED WITH POSTGRESQL, which is not installed: apt-get install postgresql"
        )
    return (newest[-1] if newest else Path(str(found)).resolve()).parent


def _somebody() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="session")
def mongodb_server() -> Iterator[str]:
    """Give the URL of a server that speaks MongoDB's protocol: the one that the environment names, else NX-27017."""
    named = os.environ.get(MONGO)
    if named is not None:
        yield named.rstrip("/")
        return
    if find_spec("nx_27017") is None or find_spec("pymongo") is None:
        pytest.skip(
            "NOT TESTED WITH MONGODB'S PROTOCOL: pip install nx-27017 pymongo, "
            f"or name a server, mongodb://HOST:PORT, in {MONGO}"
        )
    folder = Path(tempfile.mkdtemp(prefix="dacapo-like-mongodb-"))
    port = _free_port()
    places = ["--data-dir", "memory", "--log-file", folder / "log", "--pid-file", folder / "pid"]
    program = [sys.executable, "-c", "from nx_27017.nx_27017 import main; main()"]
    with (folder / "output").open("wb") as output:
        server = subprocess.Popen(
            [*program, "-p", str(port), *places], cwd=folder, stdout=output, stderr=output
        )
    try:
        yield f"mongodb://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)


@pytest.fixture
def mongodb(mongodb_server: str) -> Iterator[str]:
    """Give the URL of an empty database of the server."""
    from pymongo import MongoClient

    database = f"test_{uuid.uuid4().hex}"
    yield f"{mongodb_server}/{database}"
    with MongoClient(mongodb_server) as client:
        client.drop_database(database)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
