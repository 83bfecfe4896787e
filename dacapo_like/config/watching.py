"""Which documents there are in a folder, and when they change."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from dacapo_like.errors import DocumentError

_SUFFIXES = frozenset({".yaml", ".yml", ".toml", ".json"})
_CONTAINERS = frozenset({"zarr.json", ".zgroup", ".zarray", "attributes.json", "info"})
_BEGINS = re.compile(
    rb"""(?:\A\xef\xbb\xbf|^)(?:\{\s*|\s*(?=")|\[)?["']?(?:arrays|type|__type__)\b""", re.MULTILINE
)
_LOOKED_AT = 2**16

State: TypeAlias = "dict[Path, tuple[int, int] | None]"


def documents_in(paths: Iterable[Path]) -> list[Path]:
    """Give the documents that paths name, and those in the folders among them.

    Parameters
    ----------
    paths : iterable of Path
        Files are taken as they are. In folders, and below them, documents are the YAML, TOML and JSON files that begin with
        ``arrays`` or a ``type`` at the left margin; what is hidden, and containers of voxels, are left out.

    Raises
    ------
    DocumentError
        There is none in a folder.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            found[path] = None
            continue
        inside = list(_below(path))
        if not inside:
            raise DocumentError(
                "there are no documents in the folder",
                expected=f"files with one of the suffixes {', '.join(sorted(_SUFFIXES))}",
                where=str(path),
            )
        found.update(dict.fromkeys(inside))
    return list(found)


def _below(folder: Path) -> Iterator[Path]:
    entries = sorted(folder.iterdir())
    if any(entry.name in _CONTAINERS for entry in entries):
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _below(entry)
        elif entry.suffix.lower() in _SUFFIXES and _speaks_of_arrays(entry):
            yield entry


def _speaks_of_arrays(path: Path) -> bool:
    """Whether a line begins with a key that documents begin with, at the left margin or, in JSON, anywhere."""
    try:
        with path.open("rb") as stream:
            start = stream.read(_LOOKED_AT)
    except OSError:
        return True  # verify says what is wrong with it
    return bool(_BEGINS.search(start))


def changes(documents: Callable[[], list[Path]], *, every: float = 0.5) -> Iterator[list[Path]]:
    """Give the documents there are, and again whenever one of them changes, appears or is gone; without end.

    Parameters
    ----------
    documents : callable
        Finds them.
    every : float
        Seconds between looks.
    """
    seen: State | None = None
    while True:
        now = documents()
        state = {path: _state(path) for path in now}
        if state != seen:
            seen = state
            yield now
        time.sleep(every)


def _state(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
