"""What tells one run from another: the document, the state of the files that its sources name, and how the target is written."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dacapo_like.chunk_cache import file_state
from dacapo_like.config.loading import dump
from dacapo_like.core import Array, tree_nodes
from dacapo_like.geometry import format_numbers
from dacapo_like.registry import document_types

FILE_KEYS = ("file_name", "pattern")
"""Keys of documents that name files."""

_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", "attributes.json", "info")
_FIELD = re.compile(r"\{[^{}]*\}")
_MOST_SHOWN = 3


def is_described(array: Array) -> bool:
    """Whether a document says what an array is: one in memory has none, nor has one of a type that nobody registered."""
    known = document_types()
    return all(known.get(node.config.tag) is type(node.config) for node in tree_nodes(array))


def document_of(array: Array) -> dict[str, Any]:
    """Give the document of an array, with absolute paths: it means the same in any folder."""
    found: dict[str, Any] = json.loads(dump(array.config, "json"))
    for place, key, name in _file_names(found):
        place[key] = str(Path(name).absolute())
    return found


def identity(array: Array, described: Mapping[str, Any]) -> dict[str, Any]:
    """Give, as JSON, what has to be the same for a run to be gone on with.

    Of a file that a source names it is the size and the time of its last change; of a folder, such as a Zarr's, those of its metadata
    and of the folders that these are in. What a server has is taken to stay as it is.

    Parameters
    ----------
    array : Array
        That is written; a document says what it is.
    described : mapping
        Options of the writer.
    """
    document = document_of(array)
    names = sorted({name for _, _, name in _file_names(document)})
    return {
        "version of dacapo_like": version("dacapo_like"),
        "document": document,
        "options": dict(described),
        "sources": {name: _state(name) for name in names},
        "opened": [_spec(node) for node in tree_nodes(array) if not node.inputs],
    }


def key_of(run: Mapping[str, Any]) -> str:
    """Give what tells a run from others in a few characters.

    Examples
    --------
    >>> key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 1})
    True
    """
    return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()


def differences(before: Any, now: Any, at: str = "") -> Iterator[str]:
    """Say where two JSON values differ.

    Examples
    --------
    >>> list(differences({"a": {"b": 1, "c": [2]}}, {"a": {"b": 1, "c": [3]}, "d": 4}))
    ['a.c[0]: 2 before, now 3', 'd: new']
    """
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in [*before, *(key for key in now if key not in before)]:
            place = f"{at}.{key}" if at else str(key)
            if key not in now:
                yield f"{place}: gone"
            elif key not in before:
                yield f"{place}: new"
            else:
                yield from differences(before[key], now[key], place)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for i, (old, new) in enumerate(zip(before, now, strict=True)):
            yield from differences(old, new, f"{at}[{i}]")
    elif before != now:
        yield f"{at}: {_short(before)} before, now {_short(now)}"


def described_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say, on one line, what differs between two runs."""
    found = list(differences(before, json.loads(json.dumps(now))))
    more = f"; and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
    return "; ".join(found[:_MOST_SHOWN]) + more


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _file_names(value: Any) -> Iterator[tuple[Any, str, str]]:
    """Find the paths of a document, each with the mapping and the key that it stands under."""
    if isinstance(value, dict):
        for key, below in value.items():
            if key in FILE_KEYS and isinstance(below, str) and "://" not in below:
                yield value, key, below
            else:
                yield from _file_names(below)
    elif isinstance(value, list):
        for below in value:
            yield from _file_names(below)


def _state(name: str) -> Any:
    """Give what tells the contents of a file, of the metadata of a folder, or of the files of a pattern from earlier ones."""
    path = Path(name)
    if path.is_dir():
        return {str(file.relative_to(path)): _file(file) for file in _metadata(path)}
    if path.is_file():
        return _file(path)
    found = hashlib.sha256()
    for match in sorted(glob.glob(_FIELD.sub("*", name))):  # noqa: PTH207  # of an absolute pattern
        found.update(repr((match, _file(Path(match)))).encode())
    return found.hexdigest()


def _file(path: Path) -> list[int]:
    state = file_state(str(path))
    return [state.size, state.modified]


def _metadata(folder: Path) -> Iterator[Path]:
    """Find the metadata of a hierarchy, and the folders that have some; folders of chunks are not looked into."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.isdigit() and name != "c")
        known = [name for name in _METADATA if name in names]
        if known:
            yield Path(parent)
        yield from (Path(parent, name) for name in known)
        folders += [
            entry.name  # of a level
            for entry in sorted(Path(parent).iterdir())
            if entry.name.isdigit() and any((entry / name).is_file() for name in _METADATA)
        ]


def _spec(node: Array) -> dict[str, Any]:
    spec = node.spec
    return {
        "shape": list(spec.shape),
        "dtype": spec.dtype.name,
        "axes": list(spec.axes),
        "voxel_size": format_numbers(spec.voxel_size),
        "offset": format_numbers(spec.offset),
    }
