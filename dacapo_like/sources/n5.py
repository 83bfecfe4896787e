"""N5: arrays, and pyramids as N5 viewers and the COSEM project store them.

N5 counts axes from the fastest one, x first; what its attributes list per axis is turned round here.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import attrs
import numpy as np

from dacapo_like import tensorstores
from dacapo_like.core import Reader, about
from dacapo_like.errors import DacapoLikeError, SourceError
from dacapo_like.geometry import exact
from dacapo_like.registry import register
from dacapo_like.sources._blosc import blosc_guard
from dacapo_like.sources._chunk_files import Files
from dacapo_like.sources._kept import KeptReader, LeveledArrayConfig, choose_level
from dacapo_like.sources._stores import Store, inside, open_store
from dacapo_like.sources._tensorstore_voxels import TensorStoreVoxels
from dacapo_like.sources._zarr_nodes import (
    ArrayMetadata,
    ArrayNode,
    Format,
    Node,
    find,
    integers,
    plain_json,
    read_json,
    understand,
)
from dacapo_like.sources.layout import Stored, lay_out, stored_from_attributes, timepoint_field

_FILE = "attributes.json"
_STRUCTURE = ("dimensions", "blockSize", "dataType", "compression", "n5")
_FOR_WRITERS = "nthreads"  # of blosc, as z5 and Java's n5-blosc store it; TensorStore refuses it
_COMPRESSIONS = ("raw", "gzip", "bzip2", "xz", "blosc", "zstd")  # that TensorStore decodes
_NUMBERS = frozenset(
    ["float32", "float64"] + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)
_PER_AXIS = ("axes", "axis_names", "types", "resolution", "voxel_size", "offset", "units")
_OF_GROUP = ("resolution", "pixelResolution", "offset", "units", "axes")
_LEVEL_NAME = re.compile(r"s(\d+)")


@register("n5")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class N5ArrayConfig(LeveledArrayConfig):
    """An array, or one level of a pyramid, in an N5 container: a folder, or on a server.

    Examples
    --------
    >>> N5ArrayConfig(file_name="fly.n5", dataset="volumes/raw", level=1).describe()
    'n5'
    """

    dataset: str | None = attrs.field(
        default=None,
        metadata=about("Array, or group of a pyramid, in it; by default the only one there is."),
    )
    timepoint: int | None = timepoint_field()

    def open(self) -> Reader:
        """Read the attributes; no block is looked for.

        Raises
        ------
        SourceError
            The container or dataset is not there, cannot be reached, or is not what N5 says it should be.
        """
        where = self.whereabouts(self.dataset)
        try:
            return self._open(where)
        except DacapoLikeError as error:
            error.where = error.where or where
            raise

    def _open(self, where: str) -> Reader:
        store, root = open_store(self.file_name, self.storage_options, (_FILE,))
        key = inside(root, self.dataset or "", where, "dataset")
        node = find(store, key, _N5, lambda node: isinstance(node, (ArrayNode, _Pyramid)), where)
        if isinstance(node, _Pyramid):
            levels = [_stored(level, node.attributes, where) for level in node.levels]
            at = choose_level(self, [level.voxel_size for level in levels], where)
            array, stored = node.levels[at], levels[at]
        else:
            assert isinstance(node, ArrayNode)  # noqa: S101  # for mypy: `find` was told so
            array, stored = node, _stored(node, _group_above(store, node), where)
            if self.level:
                raise SourceError(
                    "an array has no levels", got=f"level {self.level}", key=("level",)
                )
        place = store.place(array.key)
        opening = partial(_open_tensorstore, place.kvstore, _as_tensorstore_knows(array))
        layout = lay_out(stored, self, where, timepoint=self.timepoint)
        guard = blosc_guard(array.metadata, place, lead=4 + 4 * len(array.metadata.shape))
        return KeptReader(
            layout, TensorStoreVoxels(opening, self.missing, where, guard, remote=place.remote)
        )


def _as_tensorstore_knows(array: ArrayNode) -> Mapping[str, Any]:
    """Give what TensorStore is told instead of the stored attributes, where it would refuse these."""
    compression = array.attributes["compression"]
    if _FOR_WRITERS not in compression:
        return {}
    metadata = {key: array.attributes[key] for key in _STRUCTURE if key in array.attributes}
    metadata["compression"] = {k: v for k, v in compression.items() if k != _FOR_WRITERS}
    metadata.pop("n5", None)
    return {"metadata": metadata, "assume_metadata": True}


def _open_tensorstore(kvstore: Mapping[str, Any], instead: Mapping[str, Any], *, fill: bool) -> Any:
    return tensorstores.open_array("n5", kvstore, fill=fill, **instead).T


# Nodes


@attrs.frozen(kw_only=True)
class _Pyramid(Node):
    levels: tuple[ArrayNode, ...]


def _read_node(store: Store, key: str) -> Node | None:
    attributes = read_json(store, posixpath.join(key, _FILE))
    array = _array(store, key, attributes)
    if array is not None:
        return array
    levels = []
    for path in _level_paths(attributes or {}, store.locate(key)):
        below = inside(key, path, store.locate(key))
        level = _array(store, below, read_json(store, posixpath.join(below, _FILE)))
        if level is None:
            break
        levels.append(level)
    known = attributes or {}
    if levels:
        return _Pyramid(key=key, zarr_format=0, attributes=known, levels=tuple(levels))
    return None if attributes is None else Node(key=key, zarr_format=0, attributes=known)


def _array(store: Store, key: str, attributes: Mapping[str, Any] | None) -> ArrayNode | None:
    if attributes is None or "dimensions" not in attributes:
        return None
    metadata = understand(_metadata, attributes, store.locate(key))
    return ArrayNode(key=key, zarr_format=0, attributes=attributes, metadata=metadata)


_N5 = Format("N5", _FILE, _read_node)
_MOST_LEVELS = 64


def _level_paths(attributes: Mapping[str, Any], where: str) -> list[str]:
    """Give the paths of the levels, the finest first: those that COSEM's attributes list, else s0, s1, … as far as they go."""
    listed = attributes.get("multiscales")
    if not listed:
        return [f"s{i}" for i in range(_MOST_LEVELS)]
    try:
        return [str(dataset["path"]) for dataset in listed[0]["datasets"]]
    except (KeyError, TypeError, IndexError) as error:
        raise SourceError("multiscales are corrupt", got=repr(error), where=where) from error


@attrs.frozen
class _Blocks(Files):
    """Files whose names list x first."""

    def name(self, index: Iterable[int]) -> str:
        return super().name(reversed(tuple(index)))


def _group_above(store: Store, node: ArrayNode) -> Mapping[str, Any]:
    """Give the attributes of the pyramid's group that an array is a level of."""
    group, name = posixpath.split(node.key)
    if not node.key or not _LEVEL_NAME.fullmatch(name):
        return {}
    return read_json(store, posixpath.join(group, _FILE)) or {}


def _metadata(attributes: Mapping[str, Any]) -> ArrayMetadata:
    compression, dtype = attributes["compression"]["type"], attributes["dataType"]
    if compression not in _COMPRESSIONS:
        raise SourceError(
            "unknown compression", got=compression, expected=f"one of {', '.join(_COMPRESSIONS)}"
        )
    if dtype not in _NUMBERS:
        raise SourceError("voxels of a type that is no number", got=dtype)
    block_shape = integers(attributes["blockSize"], least=1)[::-1]
    return ArrayMetadata(
        shape=integers(attributes["dimensions"], least=0)[::-1],
        dtype=np.dtype(dtype),
        chunk_shape=block_shape,
        codecs=frozenset([compression]),
        blosc=compression == "blosc",
        files=_Blocks(block_shape, prefix="", separator="/"),
    )


# Where an array lies


def _stored(node: ArrayNode, group: Mapping[str, Any], where: str) -> Stored:
    metadata = node.metadata
    try:
        attributes = _in_c_order(node, group)
    except (KeyError, TypeError, ValueError, AttributeError, DacapoLikeError) as error:
        raise SourceError("attributes are corrupt", got=error, where=where) from error
    stored = stored_from_attributes(
        attributes, metadata.shape, metadata.dtype, metadata.chunk_shape, where
    )
    kept = {key: value for key, value in node.attributes.items() if key not in _STRUCTURE}
    return attrs.evolve(stored, attrs=plain_json(kept))


def _in_c_order(node: ArrayNode, group: Mapping[str, Any]) -> dict[str, Any]:
    """Give the attributes that say where an array lies as plain Zarr arrays have them."""
    shared = {key: group[key] for key in _OF_GROUP if key in group}
    if "resolution" in node.attributes or "pixelResolution" in node.attributes:
        shared = {k: v for k, v in shared.items() if k not in ("resolution", "pixelResolution")}
    attributes = {**shared, **node.attributes}
    transform = _transform(node, group)
    if transform is not None:
        return transform
    found = {
        key: list(reversed(value)) if isinstance(value, list) else value
        for key, value in attributes.items()
        if key in _PER_AXIS
    }
    pixel = attributes.get("pixelResolution")
    if pixel is not None and not {"resolution", "voxel_size"} & found.keys():
        sizes = pixel["dimensions"] if isinstance(pixel, Mapping) else pixel
        found["resolution"] = list(reversed(sizes))
        if isinstance(pixel, Mapping) and pixel.get("unit"):
            found["units"] = pixel["unit"]
    factors = _factors(node, group)
    if factors is not None:
        key = "voxel_size" if "voxel_size" in found else "resolution"
        finest = found.get(key, [1] * len(factors))
        found[key] = [
            Fraction(exact(size)) * Fraction(exact(factor))
            for size, factor in zip(finest, factors, strict=True)
        ]
    return found


def _factors(node: ArrayNode, group: Mapping[str, Any]) -> list[Any] | None:
    """Give how many of the finest voxels one is long along each axis, z first."""
    own = node.attributes.get("downsamplingFactors")
    name = _LEVEL_NAME.fullmatch(posixpath.basename(node.key))
    if own is None and name is not None and "scales" in group:
        own = group["scales"][int(name[1])]
    return None if own is None else list(reversed(own))


def _transform(node: ArrayNode, group: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read COSEM's transform, which lists z first, and translates to the centre of the first voxel."""
    transform = node.attributes.get("transform")
    if transform is None:
        listed: Sequence[Mapping[str, Any]] = (group.get("multiscales") or [{}])[0].get(
            "datasets", []
        )
        names = (posixpath.basename(node.key),)
        transform = next((d.get("transform") for d in listed if d["path"] in names), None)
    if transform is None:
        return None
    scale = [Fraction(exact(value)) for value in transform["scale"]]
    centre = [Fraction(exact(value)) for value in transform.get("translate", [0] * len(scale))]
    return {
        "axes": transform["axes"],
        "resolution": scale,
        "offset": [at - size / 2 for at, size in zip(centre, scale, strict=True)],
        "units": transform.get("units"),
    }
