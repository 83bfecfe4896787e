"""Zarr: versions 2 and 3, sharded too; plain arrays with DaCapo's attributes, and OME-NGFF pyramids."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import attrs
from numpy.typing import NDArray

from dacapo_like.core import Reader, about
from dacapo_like.engine import Through
from dacapo_like.errors import DacapoLikeError, SourceError
from dacapo_like.geometry import Box, Coordinate
from dacapo_like.manifest import FILE_NAME, Manifest
from dacapo_like.registry import register
from dacapo_like.sources import ngff
from dacapo_like.sources._coarser import CoarserVoxels, cells_of, coarsened
from dacapo_like.sources._kept import KeptArrayConfig
from dacapo_like.sources._place import Place
from dacapo_like.sources._stores import Store, inside, open_store
from dacapo_like.sources._zarr_nodes import ArrayNode, Node, find_node, plain_json, read_node
from dacapo_like.sources._zarr_voxels import ZarrVoxels
from dacapo_like.sources.layout import (
    Layout,
    Stored,
    lay_out,
    stored_from_attributes,
    timepoint_field,
)


@register("zarr")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class ZarrArrayConfig(KeptArrayConfig):
    """An array, or one level of an OME-NGFF pyramid, in a Zarr store: a folder, a zip file, or on a server.

    Examples
    --------
    >>> ZarrArrayConfig(file_name="fly.zarr", dataset="em", level=1).describe()
    'zarr'
    """

    dataset: str | None = attrs.field(
        default=None,
        metadata=about("Array, or OME-NGFF group, in the store; by default the only one there is."),
    )
    level: int | None = attrs.field(
        default=None,
        metadata=about(
            "Level of a pyramid, 0 the finest; by default 0. Beyond the last stored one, voxels are halved in reading."
        ),
    )
    voxel_size: Coordinate | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(Coordinate),
        metadata=about(
            "Of a pyramid without `level`, chooses the level that has it; else replaces what the file says."
        ),
    )
    timepoint: int | None = timepoint_field()
    anchor: Literal["auto", "center", "corner"] = attrs.field(
        default="auto",
        metadata=about("Which point of the first voxel a stored OME-NGFF translation names."),
    )
    mode: Literal["r", "r+", "a"] = attrs.field(
        default="r",
        metadata=about(
            "Whether regions can be assigned to: not with `r`; `a` is `r+`, for a config makes no array."
        ),
    )

    def open(self) -> Reader:
        """Read the metadata and give a reader; no chunk is looked for."""
        where = self.whereabouts(self.dataset)
        try:
            return self._open(where)
        except DacapoLikeError as error:
            error.where = error.where or where
            raise

    def _open(self, where: str) -> Reader:
        store, root = open_store(self.file_name, self.storage_options)
        key = inside(root, self.dataset or "", where, "dataset")
        node = find_node(store, key, ngff.is_wanted_image, where)
        array, stored, halvings = self._stored(store, node, where)
        place = store.place(array.key)
        manifest = _manifest(store, place, array, where)
        voxels = ZarrVoxels(
            place,
            array.zarr_format,
            array.metadata,
            self.missing,
            where,
            manifest,
            partial(_read_manifest, store, array, where) if place.remote else None,
        )
        layout = lay_out(
            coarsened(stored, halvings, self.level or 0) if halvings else stored,
            self,
            where,
            timepoint=self.timepoint,
        )
        voxels.check()
        if halvings:
            return _CoarserReader(layout, voxels, cells_of(stored, halvings))
        return _ZarrReader(layout, voxels, self._read_only(store, layout))

    def _read_only(self, store: Store, layout: Layout) -> str | None:
        opened = "it was opened with mode r, not r+" if self.mode == "r" else None
        return store.read_only or opened or layout.read_only

    def _stored(self, store: Store, node: Node, where: str) -> tuple[ArrayNode, Stored, int]:
        """Find the array, say what its metadata, or those of its pyramid, say of it, and how often it is to be halved."""
        if not isinstance(node, ArrayNode):
            pyramid = ngff.read_pyramid(node.attributes, where)
            wanted = self._level(pyramid, where)
            level = min(wanted, len(pyramid.levels) - 1)
            array = _array_of(store, node, pyramid.levels[level], where)
            attributes = {**node.attributes, **array.attributes}
            stored = self._stored_level(pyramid, level, array, attributes, where)
            return array, stored, wanted - level
        if self.level:
            raise SourceError(
                "an array has no levels",
                got=f"level {self.level}",
                where=where,
                hint="`dataset` may name the multiscale group that the array is in",
                key=("level",),
            )
        above = _pyramid_above(store, node)
        if above is None:
            return node, self._stored_plain(node, where), 0
        return node, self._stored_level(*above, node, node.attributes, where), 0

    def _level(self, pyramid: ngff.Pyramid, where: str) -> int:
        if self.level is None and self.voxel_size is not None:
            return pyramid.level_of(self.voxel_size, where)
        level = self.level or 0
        if level < 0:
            raise SourceError(
                "no such level", got=level, expected="0 or more", where=where, key=("level",)
            )
        return level

    def _stored_level(
        self,
        pyramid: ngff.Pyramid,
        level: int,
        array: ArrayNode,
        attributes: Mapping[str, Any],
        where: str,
    ) -> Stored:
        metadata = array.metadata
        if len(pyramid.axes) != len(metadata.shape):
            raise SourceError(
                "the axes of the multiscale group do not fit its array",
                got=f"{' '.join(pyramid.axes)} for shape {metadata.shape}",
                expected=f"{len(metadata.shape)} axes",
                where=where,
            )
        anchor = pyramid.anchor if self.anchor == "auto" else self.anchor
        count = metadata.shape[pyramid.axes.index("c")] if "c" in pyramid.axes else 0
        return Stored(
            shape=metadata.shape,
            dtype=metadata.dtype,
            chunk_shape=metadata.chunk_shape,
            axes=pyramid.axes,
            voxel_size=pyramid.voxel_size(level),
            offset=pyramid.offset(level, anchor),
            units=pyramid.units,
            channels=pyramid.channels if len(pyramid.channels or ()) == count else None,
            kind=pyramid.kind,
            directions=pyramid.directions,
            anchor=anchor,
            attrs=plain_json(pyramid.remembered(attributes)),
        )

    def _stored_plain(self, node: ArrayNode, where: str) -> Stored:
        if self.anchor == "center":
            raise SourceError(
                "`anchor` says what OME-NGFF translations name, and this array has none",
                got=self.anchor,
                expected="a multiscale group, or one of its arrays",
                where=where,
                hint="the offset of a plain array is a corner; give `offset` to correct it",
                key=("anchor",),
            )
        metadata, attributes = node.metadata, dict(node.attributes)
        if metadata.dimension_names and None not in metadata.dimension_names:
            attributes = {"axis_names": metadata.dimension_names, **attributes}
        stored = stored_from_attributes(
            attributes, metadata.shape, metadata.dtype, metadata.chunk_shape, where
        )
        return attrs.evolve(stored, attrs=plain_json(node.attributes))


def _manifest(store: Store, place: Place, array: ArrayNode, where: str) -> Manifest | None:
    """Read the list of chunk files that our own writer left, where to look for it costs no request."""
    if place.has is None or not place.has(FILE_NAME):
        return None
    return _read_manifest(store, array, where)


def _read_manifest(store: Store, array: ArrayNode, where: str) -> Manifest | None:
    text = store.read(posixpath.join(array.key, FILE_NAME))
    return None if text is None else Manifest.parse(text, array.metadata.shape, where)


def _array_of(store: Store, group: Node, level: ngff.Level, where: str) -> ArrayNode:
    node = read_node(store, inside(group.key, level.path, where))
    if not isinstance(node, ArrayNode):
        raise SourceError(
            "the array of a level is not there",
            got=level.path,
            expected="the path of an array in the multiscale group",
            where=where,
        )
    return node


def _pyramid_above(store: Store, node: ArrayNode) -> tuple[ngff.Pyramid, int] | None:
    """Find the multiscale group that lists an array, and the array's level in it."""
    key = node.key
    while key:
        key = posixpath.dirname(key)
        group = read_node(store, key)
        if group is not None and ngff.is_image(group.attributes):
            pyramid = ngff.read_pyramid(group.attributes, store.locate(key))
            level = pyramid.level_at(posixpath.relpath(node.key, key or "."))
            if level is not None:
                return pyramid, level
    return None


class _ZarrReader(Reader):
    def __init__(self, layout: Layout, voxels: ZarrVoxels, read_only: str | None) -> None:
        self.spec = layout.spec
        self.read_only = read_only
        self._layout = layout
        self._voxels = voxels

    def read(self, box: Box, out: NDArray[Any] | None = None) -> NDArray[Any]:
        return self.start(box, out)()

    def start(self, box: Box, out: NDArray[Any] | None = None) -> Callable[[], NDArray[Any]]:
        return self._layout.start(box, self._voxels.start, out)

    def keeps(self, shape: Sequence[int] | None = None) -> bool:
        return self._voxels.keeps(None if shape is None else self._layout.shape_as_stored(shape))

    def start_through(self, box: Box, through: Through) -> Callable[[], NDArray[Any]]:
        start = partial(self._voxels.start, through=through)
        return self._layout.start(box, start, dtype=through.dtype)

    def write(self, box: Box, data: NDArray[Any]) -> None:
        self._layout.write(box, data, self._voxels.write)

    def write_attributes(self, attributes: Mapping[str, Any]) -> None:
        self._voxels.write_attributes(attributes)


class _CoarserReader(Reader):
    """Of a level beyond the stored ones."""

    read_only = "a level beyond the stored ones is computed when it is read"

    def __init__(self, layout: Layout, voxels: ZarrVoxels, cells: tuple[int, ...]) -> None:
        self.spec = layout.spec
        self._layout = layout
        self._voxels = CoarserVoxels(voxels.start, cells, layout.spec)

    def read(self, box: Box, out: NDArray[Any] | None = None) -> NDArray[Any]:
        return self.start(box, out)()

    def start(self, box: Box, out: NDArray[Any] | None = None) -> Callable[[], NDArray[Any]]:
        return self._layout.start(box, self._voxels.start, out)
