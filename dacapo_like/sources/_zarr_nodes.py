"""The nodes of a Zarr hierarchy: arrays and groups, found and understood from their metadata files alone."""

from __future__ import annotations

import json
import posixpath
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from dacapo_like.errors import SourceError, did_you_mean

MAX_SEARCHED_FOLDERS = 10_000
_METADATA_FILES = ("zarr.json", ".zarray", ".zgroup")
_V3_NUMBERS = frozenset(
    ["bool", "float16", "float32", "float64"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)


@attrs.frozen
class LocalStore:
    """Reads metadata of a hierarchy on a local disk; keys are paths from its root, with ``/``."""

    root: Path

    def read(self, key: str) -> bytes | None:
        """Give the contents of a file; ``None`` where there is none."""
        try:
            return (self.root / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise SourceError("cannot read", got=error.strerror, where=self.locate(key)) from error

    def folders(self, key: str) -> list[str]:
        """Give the keys of the folders in a folder, sorted; hidden ones are left out."""
        try:
            names = [path.name for path in (self.root / key).iterdir() if path.is_dir()]
        except OSError as error:
            raise SourceError("cannot read", got=error.strerror, where=self.locate(key)) from error
        return [posixpath.join(key, name) for name in sorted(names) if not name.startswith(".")]

    def locate(self, key: str) -> str:
        """Say where a key is, for messages."""
        return str(self.root / key)


@attrs.frozen(kw_only=True)
class ArrayMetadata:
    """What the metadata say of the voxels of an array.

    `chunk_shape` is what is decoded at a time: of a sharded array, the chunks in its shards. `codecs` are the names of all
    codecs and filters.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_shape: tuple[int, ...]
    codecs: frozenset[str]
    dimension_names: tuple[str | None, ...] | None = None


@attrs.frozen(kw_only=True)
class Node:
    """An array or a group; decimals in its attributes are exact, as `Decimal`."""

    key: str
    zarr_format: int
    attributes: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class ArrayNode(Node):
    """An array."""

    metadata: ArrayMetadata


def open_local(file_name: str) -> tuple[LocalStore, str]:
    """Find the root of the hierarchy that a folder belongs to, and the folder's key in it.

    An array means the same whether it is named by file and dataset, or by a file name that leads into the hierarchy.

    Raises
    ------
    SourceError
        There is no such folder.
    """
    if "://" in file_name:
        raise SourceError(
            "cannot read over a network",
            got=file_name,
            expected="a folder on a local disk",
            key=("file_name",),
        )
    folder = Path(file_name).absolute()
    if not folder.is_dir():
        _refuse_folder(folder, file_name)
    root = folder
    while root.parent != root and any(
        (root.parent / name).exists() for name in ("zarr.json", ".zgroup")
    ):
        root = root.parent
    key = folder.relative_to(root).as_posix()
    return LocalStore(root), "" if key == "." else key


def _refuse_folder(folder: Path, file_name: str) -> None:
    if folder.exists():
        raise SourceError(
            "not a Zarr store",
            got="a file",
            expected="a folder",
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


# Metadata documents


def read_node(store: LocalStore, key: str) -> Node | None:
    """Read the metadata of one node; ``None`` where there is none.

    Raises
    ------
    SourceError
        The metadata are corrupt.
    """
    where = store.locate(key)
    document = _read_json(store, posixpath.join(key, "zarr.json"))
    if document is not None:
        attributes = _mapping(document.get("attributes", {}), where)
        if _node_type(document, where) == "group":
            return Node(key=key, zarr_format=3, attributes=attributes)
        metadata = _understand(_array_v3, document, where)
        return ArrayNode(key=key, zarr_format=3, attributes=attributes, metadata=metadata)
    array = _read_json(store, posixpath.join(key, ".zarray"))
    stored = _read_json(store, posixpath.join(key, ".zattrs"))
    if array is not None:
        metadata = _understand(_array_v2, array, where)
        return ArrayNode(key=key, zarr_format=2, attributes=stored or {}, metadata=metadata)
    if stored is None and _read_json(store, posixpath.join(key, ".zgroup")) is None:
        return None
    return Node(key=key, zarr_format=2, attributes=stored or {})


def _read_json(store: LocalStore, key: str) -> Mapping[str, Any] | None:
    text = store.read(key)
    if text is None:
        return None
    try:
        document = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise SourceError("metadata are not JSON", got=error, where=store.locate(key)) from error
    return _mapping(document, store.locate(key))


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SourceError(
            "metadata are corrupt", got=type(value).__name__, expected="a JSON object", where=where
        )
    return value


def _node_type(document: Mapping[str, Any], where: str) -> str:
    kind = document.get("node_type")
    if kind not in ("array", "group") or document.get("zarr_format") != 3:
        raise SourceError(
            "metadata are corrupt",
            got=f"zarr_format {document.get('zarr_format')!r}, node_type {kind!r}",
            expected="zarr_format 3, node_type 'array' or 'group'",
            where=where,
        )
    return str(kind)


def _understand(
    parse: Callable[[Mapping[str, Any]], ArrayMetadata], document: Mapping[str, Any], where: str
) -> ArrayMetadata:
    try:
        metadata = parse(document)
        if len(metadata.chunk_shape) != len(metadata.shape):
            raise ValueError(f"chunks {metadata.chunk_shape} for shape {metadata.shape}")  # noqa: TRY301  # wrapped below
    except KeyError as error:
        raise SourceError(
            "metadata of the array are incomplete", expected=f"a key {error}", where=where
        ) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise SourceError("metadata of the array are corrupt", got=error, where=where) from error
    except SourceError as error:
        error.where = where
        raise
    return metadata


def _array_v3(document: Mapping[str, Any]) -> ArrayMetadata:
    grid, codecs = document["chunk_grid"], document["codecs"]
    if grid["name"] != "regular":
        raise SourceError("unknown chunk grid", got=grid["name"], expected="regular")
    if not codecs:
        raise ValueError("no codecs")
    chunk_shape = grid["configuration"]["chunk_shape"]
    if codecs[0]["name"] == "sharding_indexed":
        chunk_shape = codecs[0]["configuration"]["chunk_shape"]
    names = document.get("dimension_names")
    return ArrayMetadata(
        shape=_integers(document["shape"], least=0),
        dtype=_dtype_v3(document["data_type"]),
        chunk_shape=_integers(chunk_shape, least=1),
        codecs=frozenset(_codec_names(codecs)),
        dimension_names=None if names is None else tuple(names),
    )


def _codec_names(codecs: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for codec in codecs:
        yield codec["name"]
        if codec["name"] == "sharding_indexed":
            yield from _codec_names(codec["configuration"]["codecs"])


def _array_v2(document: Mapping[str, Any]) -> ArrayMetadata:
    if document["zarr_format"] != 2:
        raise ValueError(f"zarr_format {document['zarr_format']!r} in .zarray")
    filters = document.get("filters") or []
    compressor = document["compressor"]
    return ArrayMetadata(
        shape=_integers(document["shape"], least=0),
        dtype=_dtype_v2(document["dtype"]),
        chunk_shape=_integers(document["chunks"], least=1),
        codecs=frozenset(
            codec["id"] for codec in [*filters, *([compressor] if compressor else [])]
        ),
    )


def _integers(values: Any, *, least: int) -> tuple[int, ...]:
    if any(isinstance(n, bool) or not isinstance(n, int) or n < least for n in values):
        raise ValueError(f"{values} where integers of at least {least} are expected")
    return tuple(values)


def _dtype_v3(name: Any) -> np.dtype[Any]:
    if not isinstance(name, str) or name not in _V3_NUMBERS:
        raise _not_a_number(name)
    return np.dtype(name)


def _dtype_v2(name: Any) -> np.dtype[Any]:
    try:
        dtype = np.dtype(name) if isinstance(name, str) else None
    except TypeError:
        dtype = None
    if dtype is None or dtype.kind not in "biuf":
        raise _not_a_number(name)
    return dtype


def _not_a_number(name: Any) -> SourceError:
    return SourceError(
        "voxels of a type that is no number",
        got=name if isinstance(name, str) else json.dumps(name, default=str),
        expected="bool, integer or float",
    )


# Which node is meant


def find_node(
    store: LocalStore, key: str, is_image: Callable[[Mapping[str, Any]], bool], where: str
) -> Node:
    """Give the array or multiscale group at a key, or the only one below it.

    Parameters
    ----------
    store : LocalStore
        The hierarchy.
    key : str
        Where to look.
    is_image : callable
        Whether attributes are those of a multiscale group.
    where : str
        For errors.

    Raises
    ------
    SourceError
        There is nothing, or no array, or several.
    """

    def opens(node: Node) -> bool:
        return isinstance(node, ArrayNode) or is_image(node.attributes)

    node = read_node(store, key)
    if node is not None and opens(node):
        return node
    if node is None and not (store.root / key).is_dir():
        raise _missing_dataset(store, key, where)
    found = list(_search(store, key, opens, where))
    if len(found) == 1:
        return found[0]
    if not found:
        raise SourceError(
            "no Zarr array here" if node else "not a Zarr store",
            expected="zarr.json, .zarray or .zgroup" if node is None else None,
            where=where,
        )
    names = [posixpath.relpath(node.key, key or ".") for node in found]
    listed = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    raise SourceError(
        "several arrays here",
        got=listed,
        expected="`dataset` to name one of them",
        where=where,
        key=("dataset",),
    )


def _search(
    store: LocalStore, key: str, opens: Callable[[Node], bool], where: str
) -> Iterator[Node]:
    folders = deque(store.folders(key))
    searched = 0
    while folders:
        searched += 1
        if searched > MAX_SEARCHED_FOLDERS:
            raise SourceError(
                f"more than {MAX_SEARCHED_FOLDERS} folders here",
                where=where,
                hint="name the array with `dataset`",
                key=("dataset",),
            )
        below = folders.popleft()
        node = read_node(store, below)
        if node is not None and opens(node):
            yield node
        else:
            folders.extend(store.folders(below))


def _missing_dataset(store: LocalStore, key: str, where: str) -> SourceError:
    parent, name = posixpath.split(key)
    while parent and not (store.root / parent).is_dir():
        parent, name = posixpath.split(parent)
    siblings = [posixpath.basename(folder) for folder in store.folders(parent)]
    return SourceError(
        "no such dataset",
        got=repr(name),
        expected=f"one of {', '.join(siblings[:10])}" if siblings else None,
        where=where,
        hint=did_you_mean(name, siblings),
        key=("dataset",),
    )
