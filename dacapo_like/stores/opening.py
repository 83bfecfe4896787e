"""Which store is meant: by its URL, by the environment, or by the settings of a project."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dacapo_like.config.project import FILE_NAME, Project, project_of
from dacapo_like.errors import ConfigError, did_you_mean
from dacapo_like.stores.backend import Backend
from dacapo_like.stores.directory import DirectoryBackend

VARIABLE = "DACAPO_LIKE_STORE"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?=//)|(dir):")
_SQL = ("sqlite", "postgresql")
_MONGO = ("mongodb", "mongodb+srv")


def is_url(text: str) -> bool:
    """Whether something is, by its form, the URL of a store rather than a path.

    Examples
    --------
    >>> is_url("sqlite:///arrays.db"), is_url("dir:arrays"), is_url("arrays")
    (True, True, False)
    """
    return _SCHEME.match(text) is not None


def chosen_url(directory: Path | None = None) -> tuple[str, Path] | None:
    """Give the store that is chosen by ``DACAPO_LIKE_STORE``, else by the nearest ``dacapo-like.toml``.

    Parameters
    ----------
    directory : Path, optional
        Where the settings are looked for, and above; by default the working directory.

    Returns
    -------
    tuple of str and Path or None
        URL or folder, and the directory that it is relative to; ``None``: none is chosen.
    """
    variable = os.environ.get(VARIABLE)
    if variable:
        return variable, Path.cwd()
    project = project_of(directory or Path.cwd())
    if project.store is None or project.directory is None:
        return None
    return project.store, project.directory


def open_backend(url: str | Path | None) -> Backend:
    """Give the backend of a store; nothing is made or reached yet.

    Parameters
    ----------
    url : str, Path or None
        A folder, ``dir:FOLDER``, ``sqlite:///FILE``, ``postgresql://…`` or ``mongodb://…``; ``None``: the chosen one.

    Raises
    ------
    ConfigError
        None is chosen, or there are no such stores.
    MissingExtraError
        A package is needed that is not installed.
    """
    if isinstance(url, Path):
        return DirectoryBackend(url)
    relative_to = Path.cwd()
    if url is None:
        chosen = chosen_url()
        if chosen is None:
            raise no_store()
        url, relative_to = chosen
    return backend_of(url, relative_to)


def backend_of(url: str, relative_to: Path) -> Backend:
    """Give the backend of a URL or folder, which may be relative to a directory."""
    found = _SCHEME.match(url)
    scheme = (found[1] or found[2]) if found else None
    if scheme is None or found is None:
        return DirectoryBackend(relative_to / Path(url).expanduser())
    if scheme == "dir":
        return DirectoryBackend(relative_to / Path(_local(url[4:])).expanduser())
    if scheme.split("+")[0] in _SQL:
        from dacapo_like.stores.sql import SQLBackend

        return SQLBackend(url, relative_to)
    if scheme in _MONGO:
        from dacapo_like.stores.mongo import MongoBackend

        return MongoBackend(url, relative_to)
    known = ("dir", *_SQL, *_MONGO)
    raise ConfigError(
        "no store has such a URL",
        got=f"{scheme}:",
        expected=f"a folder, or one of {', '.join(f'{name}:' for name in known)}",
        hint=did_you_mean(scheme, known),
    )


def project_for(backend: Backend) -> Project:
    """Give the settings that hold for the file names of a store."""
    return project_of(backend.directory)


def no_store() -> ConfigError:
    """Make the error for a store that nobody chose."""
    return ConfigError(
        "no store is chosen",
        expected="a folder or a URL",
        hint=f'name one (--store), set {VARIABLE}, or write store = "arrays" into {FILE_NAME}',
    )


def _local(path: str) -> str:
    return path.removeprefix("//") if path.startswith("///") else path
