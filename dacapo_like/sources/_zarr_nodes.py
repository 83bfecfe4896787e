"""The nodes of a Zarr hierarchy: arrays and groups, found and understood from their metadata files alone."""

from __future__ import annotations

import json
import posixpath
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import attrs
import numpy as np

from dacapo_like.errors import SourceError, did_you_mean
from dacapo_like.sources._blosc import packs_last
from dacapo_like.sources._chunk_files import Files, Shards
from dacapo_like.sources._stores import Store

MAX_SEARCHED_FOLDERS = 10_000
_METADATA_FILES = ("zarr.json", ".zarray", ".zgroup")
_USUAL_NAMES = {"name": "default"}
_V3_NUMBERS = frozenset(
    ["bool", "float16", "float32", "float64"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)


@attrs.frozen(kw_only=True)
class ArrayMetadata:
    """What the metadata say of the voxels of an array.

    `chunk_shape` is what is decoded at a time: of a sharded array, the chunks in its shards. `codecs` are the names of all
    codecs and filters, and `blosc`, whether a chunk begins with a header of Blosc's. `files` says how the array is cut into
    files, where that is known.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_shape: tuple[int, ...]
    codecs: frozenset[str]
    blosc: bool = False
    dimension_names: tuple[str | None, ...] | None = None
    files: Files | None = None


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


# Metadata documents


def read_node(store: Store, key: str) -> Node | None:
    """Read the metadata of one node; ``None`` where there is none.

    Raises
    ------
    SourceError
        The metadata are corrupt.
    """
    where = store.locate(key)
    document = read_json(store, posixpath.join(key, "zarr.json"))
    if document is not None:
        attributes = _mapping(document.get("attributes", {}), where)
        if _node_type(document, where) == "group":
            return Node(key=key, zarr_format=3, attributes=attributes)
        metadata = understand(_array_v3, document, where)
        return ArrayNode(key=key, zarr_format=3, attributes=attributes, metadata=metadata)
    array = read_json(store, posixpath.join(key, ".zarray"))
    stored = read_json(store, posixpath.join(key, ".zattrs"))
    if array is not None:
        metadata = understand(_array_v2, array, where)
        return ArrayNode(key=key, zarr_format=2, attributes=stored or {}, metadata=metadata)
    if stored is None and read_json(store, posixpath.join(key, ".zgroup")) is None:
        return None
    return Node(key=key, zarr_format=2, attributes=stored or {})


def read_json(store: Store, key: str) -> Mapping[str, Any] | None:
    """Read an object of JSON, its decimals exact; ``None`` where there is none."""
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


def understand(
    parse: Callable[[Mapping[str, Any]], ArrayMetadata], document: Mapping[str, Any], where: str
) -> ArrayMetadata:
    """Parse the metadata of an array; whatever is wrong with them is a `SourceError`."""
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
    file_shape = integers(grid["configuration"]["chunk_shape"], least=1)
    chunk_shape, packing, shards = file_shape, codecs, None
    if codecs[0]["name"] == "sharding_indexed":
        sharding = codecs[0]["configuration"]
        chunk_shape, packing = integers(sharding["chunk_shape"], least=1), sharding["codecs"]
        shards = Shards.of(file_shape, sharding) if len(codecs) == 1 else None
    begins = codecs is packing or shards is not None
    names = document.get("dimension_names")
    return ArrayMetadata(
        shape=integers(document["shape"], least=0),
        dtype=_dtype_v3(document["data_type"]),
        chunk_shape=chunk_shape,
        codecs=frozenset(_codec_names(codecs)),
        blosc=begins and packs_last([codec["name"] for codec in packing]),
        dimension_names=None if names is None else tuple(names),
        files=_files_v3(document.get("chunk_key_encoding", _USUAL_NAMES), file_shape, shards),
    )


def _files_v3(encoding: Mapping[str, Any], shape: tuple[int, ...], shards: Shards | None) -> Files:
    prefix, usual = ("c", "/") if encoding["name"] == "default" else ("", ".")
    separator = encoding.get("configuration", {}).get("separator", usual)
    return Files(shape, prefix, _separator(separator), shards)


def _separator(value: Any) -> str:
    if value not in ("/", "."):
        raise ValueError(f"separator {value!r} where / or . is expected")
    return str(value)


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
    chunk_shape = integers(document["chunks"], least=1)
    return ArrayMetadata(
        shape=integers(document["shape"], least=0),
        dtype=_dtype_v2(document["dtype"]),
        chunk_shape=chunk_shape,
        codecs=frozenset(
            codec["id"] for codec in [*filters, *([compressor] if compressor else [])]
        ),
        blosc=compressor is not None and compressor["id"] == "blosc",
        files=Files(chunk_shape, "", _separator(document.get("dimension_separator", "."))),
    )


def integers(values: Any, *, least: int) -> tuple[int, ...]:
    """Give a list of JSON as integers, or raise ValueError."""
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


def plain_json(value: Any) -> Any:
    """Give JSON with floats where exact decimals were parsed."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {key: plain_json(item) for key, item in value.items()}
    return [plain_json(item) for item in value] if isinstance(value, list) else value


# Which node is meant


def find_node(
    store: Store, key: str, is_image: Callable[[Mapping[str, Any]], bool], where: str
) -> Node:
    """Give the array or multiscale group at a key, or the only one below it.

    Parameters
    ----------
    store : Store
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

    return find(store, key, ZARR, opens, where)


@attrs.frozen
class Format:
    """How a format calls itself and its metadata files, and how a node is read."""

    name: str
    files: str
    read: Callable[[Store, str], Node | None]


ZARR = Format("Zarr", "zarr.json, .zarray or .zgroup", read_node)


def find(store: Store, key: str, kind: Format, opens: Callable[[Node], bool], where: str) -> Node:
    """Give the node at a key, or the only one below it that can be opened; otherwise as `find_node`."""
    node = kind.read(store, key)
    if node is not None and opens(node):
        return node
    if node is None and not store.has_folder(key):
        raise _missing_dataset(store, key, where)
    if not store.lists:
        raise SourceError(
            f"no {kind.name} metadata here" if node is None else "a group that cannot be searched",
            expected="`dataset` to name an array, or consolidated metadata",
            where=where,
            hint="the server does not say what is there",
            key=("dataset",),
        )
    found = list(_search(store, key, kind, opens, where))
    if len(found) == 1:
        return found[0]
    if not found:
        raise SourceError(
            f"no {kind.name} array here" if node else f"not a {kind.name} store",
            expected=kind.files if node is None else None,
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
    store: Store, key: str, kind: Format, opens: Callable[[Node], bool], where: str
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
        node = kind.read(store, below)
        if node is not None and opens(node):
            yield node
        else:
            folders.extend(store.folders(below))


def _missing_dataset(store: Store, key: str, where: str) -> SourceError:
    parent, name = posixpath.split(key)
    while parent and not store.has_folder(parent):
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
