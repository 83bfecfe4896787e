"""CZI, Zeiss' format: one scene of a file, whose mosaic pylibCZIrw stitches; a read decodes only the tiles that it touches."""

from __future__ import annotations

import math
import os
import re
import threading
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from pathlib import Path
from typing import Any, Literal, get_args
from xml.etree import ElementTree as ET

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.bridges import importing
from dacapo_like.chunk_cache import FileState, Key, file_state, fits, settled_state
from dacapo_like.core import Reader, about
from dacapo_like.errors import ConfigError, ReadError, SourceError, check_choice, did_you_mean
from dacapo_like.geometry import Box, Coordinate, Exact, exact
from dacapo_like.registry import register
from dacapo_like.sources._chunks import Index, fill_keeping
from dacapo_like.sources._handles import Slot
from dacapo_like.sources.layout import Layout, Stored, StoredArrayConfig, axis_name, lay_out

DepthAxis = Literal["none", "Z", "T"]

_DIMENSIONS = "TRIHVBCZ"
"""Of CZI, in the order in which they come before y and x; S, the scenes, and M, the tiles, are no axes."""

_PIXELS = {
    "Gray8": ("uint8", 1),
    "Gray16": ("uint16", 1),
    "Gray32Float": ("float32", 1),
    "Bgr24": ("uint8", 3),
    "Bgr48": ("uint16", 3),
    "Bgr96Float": ("float32", 3),
}
"""Type and samples of CZI's types of pixel."""

_MICROMETERS = 10**6  # in a metre, which is the unit of the file


@register("czi")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class CziArrayConfig(StoredArrayConfig):
    """A scene of a CZI file.

    A scene lies where the file says: its first corner is that of its bounding rectangle, and of its first plane, in the
    coordinates of the file times the voxel size, so that the scenes of a file lie beside each other as they were taken.

    Examples
    --------
    >>> CziArrayConfig(file_name="slides.czi", scene=1, depth_axis="Z").describe()
    'czi'
    """

    file_name: str = attrs.field(
        converter=os.fspath,
        metadata=about("The file; `a.czi@1` is scene 1 of `a.czi`.", path=True),
    )
    scene: int | None = attrs.field(
        default=None, metadata=about("Which scene, where the file has several.")
    )
    depth_axis: DepthAxis | None = attrs.field(
        default=None,
        metadata=about(
            "Which dimension of the file is the axis z, or `none`; by default Z, if it has planes or a size."
        ),
    )

    def __attrs_post_init__(self) -> None:
        check_choice("depth_axis", self.depth_axis, (None, *get_args(DepthAxis)))
        _, named = _scene_in(self.file_name)
        if None not in (named, self.scene) and named != self.scene:
            raise ConfigError(
                "file_name and scene name different scenes",
                got=f"{self.file_name} and {self.scene}",
                key=("scene",),
            )

    def open(self) -> Reader:
        """Read the directory of the file, and its metadata.

        Raises
        ------
        SourceError
            The file is not there, is no CZI, has several scenes of which none is named, or not the one that is.
        MissingExtraError
            The package pylibCZIrw is not installed.
        """
        where, named = _scene_in(self.file_name)
        file = _File(where)
        tiles = _tiles(file, where)
        scene = _chosen(tiles, named if self.scene is None else self.scene, where)
        names = None if self.axes is None else tuple(map(axis_name, self.axes))
        said = _declared(file, where)
        image = _image([tile for tile in tiles if tile.scene == scene], scene, where)
        axes = _axes(image, said, self.depth_axis, names)
        stored = _stored(image, axes, said, self.voxel_size)
        return _CziReader(lay_out(stored, self, self.file_name), file, image, axes, stored)


def _scene_in(file_name: str) -> tuple[str, int | None]:
    """Split the number of a scene from a file name.

    Examples
    --------
    >>> _scene_in("a.czi@1"), _scene_in("me@home/a.czi")
    (('a.czi', 1), ('me@home/a.czi', None))
    """
    match = re.fullmatch(r"(.+\.czi)@(\d+)", file_name, re.IGNORECASE | re.ASCII)
    return (file_name, None) if match is None else (match[1], int(match[2]))


@attrs.frozen(eq=False)
class _Handle:
    """A file that is open.

    Attributes
    ----------
    reader : CziReader
        It is closed when nobody holds the handle any more.
    lock : Lock
        Held while it reads.
    """

    reader: Any
    lock: threading.Lock = attrs.field(factory=threading.Lock)

    def __attrs_post_init__(self) -> None:
        weakref.finalize(self, self.reader.close)


class _File:
    """A file; in a process that was forked, and when too many others were read since, it opens anew."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.state = self._found()
        self._slot: Slot[_Handle] = Slot()
        self.handle()

    def _found(self) -> FileState:
        try:
            return file_state(self.where)
        except OSError as error:
            folder = Path(self.where).parent
            names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
            hint = did_you_mean(Path(self.where).name, names)
            raise SourceError(
                "file does not exist", where=self.where, hint=hint, key=("file_name",)
            ) from error

    def handle(self) -> _Handle:
        """Give what reads the file, in this process."""
        handle = self._slot.get()
        if handle is None:
            handle = self._opened()
            self._slot.put(handle)
        return handle

    def _opened(self) -> _Handle:
        with importing("pylibCZIrw", extra="czi"):
            from pylibCZIrw.czi import CziReader  # heavy, and an extra

        if self._found() != self.state:
            raise ReadError(
                "the file has changed since it was opened",
                where=self.where,
                hint="open the array again",
            )
        try:
            return _Handle(CziReader(self.where))
        except (OSError, RuntimeError, ValueError) as error:
            raise SourceError(
                "not a CZI file that can be read", got=error, where=self.where, key=("file_name",)
            ) from error


@attrs.frozen
class _Tile:
    """A tile of a plane: in which scene, which plane, and its first and last corner in pixels of the file, y and x."""

    scene: int | None
    plane: Mapping[str, int]
    start: tuple[int, int]
    end: tuple[int, int]
    pixel_type: str


def _tiles(file: _File, where: str) -> list[_Tile]:
    """List the tiles of full resolution: the library's own summaries hide where indices start."""
    handle = file.handle()
    tiles: list[_Tile] = []

    def add(_: int, info: Any) -> bool:
        plane, rectangle = info.coordinate.to_dict(), info.logicalRect
        start = (rectangle.y, rectangle.x)
        end = (rectangle.y + rectangle.h, rectangle.x + rectangle.w)
        tiles.append(_Tile(plane.pop("S", None), plane, start, end, info.pixelType.name))
        return True

    handle.reader.enumerate_subblocks_subset(add, only_layer0=True)
    if not tiles:
        raise SourceError("an image without voxels", where=where)
    return tiles


def _chosen(tiles: Sequence[_Tile], scene: int | None, where: str) -> int | None:
    """Choose the scene; ``None`` of a file that has none."""
    scenes: dict[int | None, list[_Tile]] = {}
    for tile in tiles:
        scenes.setdefault(tile.scene, []).append(tile)
    if scene is None and len(scenes) == 1:
        return next(iter(scenes))
    if scene is not None and scene in scenes:
        return scene
    listed = [f"{key} ({_size(scenes[key])})" for key in sorted(scenes, key=lambda key: key or 0)]
    raise SourceError(
        "no such scene" if scene is not None else "the file has several scenes",
        got=scene,
        expected=f"one of {', '.join(listed)}" if None not in scenes else "no scene: it has none",
        where=where,
        hint="give `scene`, or the file name as in a.czi@1" if scene is None else None,
        key=("scene",),
    )


def _size(tiles: Sequence[_Tile]) -> str:
    start, end = _rectangle(tiles)
    return f"{end[0] - start[0]} x {end[1] - start[1]}"


def _rectangle(tiles: Sequence[_Tile]) -> tuple[tuple[int, int], tuple[int, int]]:
    starts, ends = zip(*((tile.start, tile.end) for tile in tiles), strict=True)
    (y, x), (bottom, right) = map(min, zip(*starts, strict=True)), map(max, zip(*ends, strict=True))
    return (y, x), (bottom, right)


@attrs.frozen(eq=False)
class _Image:
    """A scene.

    Attributes
    ----------
    indices : mapping of str to range
        Of each dimension, y and x among them.
    planes : frozenset
        Those that are there, by their index of each dimension but y and x, in the order of `indices`.
    """

    scene: int | None
    indices: Mapping[str, range]
    planes: frozenset[tuple[int, ...]]
    pixel_types: Mapping[int, str]
    dtype: np.dtype[Any]
    samples: int
    tile: tuple[int, ...]


def _image(tiles: Sequence[_Tile], scene: int | None, where: str) -> _Image:
    """Say what the tiles of a scene are together."""
    start, end = _rectangle(tiles)
    dimensions = [d for d in _DIMENSIONS if d in "TCZ" or any(d in tile.plane for tile in tiles)]
    found = {d: [tile.plane.get(d, 0) for tile in tiles] for d in dimensions}
    indices = {d: range(min(values), max(values) + 1) for d, values in found.items()}
    indices |= {d: range(*span) for d, span in zip("YX", zip(start, end, strict=True), strict=True)}
    pixel_types = {tile.plane.get("C", 0): tile.pixel_type for tile in tiles}
    unknown = set(pixel_types.values()) - set(_PIXELS)
    samples = {_PIXELS[name][1] for name in pixel_types.values() if name in _PIXELS}
    if unknown or len(samples) > 1:
        raise SourceError(
            "pixels of a type that is not known" if unknown else "channels of grey and of colour",
            got=", ".join(sorted(unknown or set(pixel_types.values()))),
            expected=f"of {', '.join(_PIXELS)}" if unknown else "one kind",
            where=where,
        )
    dtypes = [np.dtype(_PIXELS[name][0]) for name in pixel_types.values()]
    return _Image(
        scene=scene,
        indices=indices,
        planes=frozenset(zip(*found.values(), strict=True)),
        pixel_types=pixel_types,
        dtype=reduce(np.promote_types, dtypes),
        samples=samples.pop(),
        tile=tuple(max(tile.end[i] - tile.start[i] for tile in tiles) for i in (0, 1)),
    )


@attrs.frozen
class _Declared:
    """What the metadata declare: sizes in micrometres by dimension, and names of channels."""

    sizes: Mapping[str, Exact]
    channels: tuple[str, ...] | None


def _declared(file: _File, where: str) -> _Declared:
    handle = file.handle()
    try:
        root = ET.fromstring(_metadata(handle.reader))  # noqa: S314  # expat itself stops entities that explode
        sizes: dict[str, Exact] = {}
        for distance in root.iterfind("Metadata/Scaling/Items/Distance"):
            metres = Fraction(exact(Decimal((distance.findtext("Value") or "0").strip())))
            if metres > 0:  # 0 stands where nobody measured
                sizes[distance.get("Id", "")] = exact(metres * _MICROMETERS)
    except (ET.ParseError, ConfigError, ValueError, ArithmeticError, RuntimeError) as error:
        raise SourceError("the metadata of the CZI are corrupt", got=error, where=where) from error
    channels = root.iterfind("Metadata/Information/Image/Dimensions/Channels/Channel")
    names = [channel.get("Name") for channel in channels]
    return _Declared(sizes, tuple(map(str, names)) if names and None not in names else None)


def _metadata(reader: Any) -> str:
    try:
        return str(reader.raw_metadata)
    except RuntimeError as error:
        if "No metadata-segment" in str(error):  # nothing else tells it from a corrupt one
            return "<ImageDocument/>"
        raise


def _axes(
    image: _Image, said: _Declared, depth_axis: DepthAxis | None, names: Collection[str] | None
) -> dict[str, str]:
    """Name the dimensions that become axes: those longer than 1, and those of length 1 that somebody says something of."""
    depth = depth_axis or "Z"
    axes = {dimension: f"{dimension.lower()}^" for dimension in image.indices}
    axes |= {"T": "t", "C": "c", "Y": "y", "X": "x"}
    axes |= {depth: "z"} if depth != "none" else {}
    described = {"Y", "X", *([depth] if depth_axis else [])}
    described |= {"Z"} & set(said.sizes) if depth == "Z" else set()
    described |= {"C"} if said.channels is not None and image.samples == 1 else set()

    def longer_or_in(dimensions: Collection[str]) -> dict[str, str]:
        kept = {d: axes[d] for d, n in image.indices.items() if len(n) > 1 or d in dimensions}
        samples = {"S": "s^" if "C" in kept else "c"} if image.samples > 1 else {}
        return kept | samples

    kept = longer_or_in(described)
    if names is None or len(names) == len(kept):
        return kept
    return longer_or_in({"Y", "X", *(d for d, axis in axes.items() if axis in names)})


def _stored(
    image: _Image, axes: Mapping[str, str], said: _Declared, voxel_size: Coordinate | None
) -> Stored:
    spatial = [d for d, axis in axes.items() if axis in "zyx"]
    sizes = Coordinate(said.sizes.get(d, 1) if d in "ZYX" else 1 for d in spatial)
    starts = Coordinate(image.indices[d].start for d in spatial)
    if voxel_size is None or len(voxel_size) != len(spatial):  # which `lay_out` refuses
        voxel_size = sizes
    lengths = {d: len(n) for d, n in image.indices.items()} | {"S": image.samples}
    chunk = dict(zip("YX", image.tile, strict=True)) | {"S": image.samples}
    named = "C" in axes and len(said.channels or ()) == lengths["C"]
    return Stored(
        shape=tuple(lengths[d] for d in axes),
        dtype=image.dtype,
        chunk_shape=tuple(chunk.get(d, 1) for d in axes),
        axes=tuple(axes.values()),
        voxel_size=sizes,
        offset=starts * voxel_size,
        units=tuple("micrometer" if d in said.sizes else None for d in spatial),
        channels=said.channels if named else None,
    )


class _CziReader(Reader):
    in_threads = True

    def __init__(
        self,
        layout: Layout,
        file: _File,
        image: _Image,
        axes: Mapping[str, str],
        stored: Stored,
    ) -> None:
        self.spec = layout.spec
        self._shape, self._chunk_shape = stored.shape, stored.chunk_shape or stored.shape
        self._layout = layout
        self._file = file
        self._image = image
        self._axes = tuple(axes)

    def read(self, box: Box, out: NDArray[Any] | None = None) -> NDArray[Any]:
        def start(stored: Box) -> Callable[[], NDArray[Any]]:
            return lambda: self._read_tiles(stored)

        return self._layout.start(box, start, out)()

    def _read_tiles(self, box: Box) -> NDArray[Any]:
        """Read a box of the stored array, of whole tiles, which are kept."""
        state = settled_state(self._file.where)
        tile_bytes = math.prod(self._chunk_shape) * self._image.dtype.itemsize
        if state is None or state != self._file.state or not fits(tile_bytes):
            return self._read(box)

        def key(index: Index) -> Key:
            return self._file.where, state, (self._image.scene, self._axes, index)

        block = np.empty(box.shape, self._image.dtype)
        fill_keeping(block, box, self._chunk_shape, self._shape, key, self._read)
        return block

    def _read(self, box: Box) -> NDArray[Any]:
        """Read a box of the stored array plane by plane."""
        spans = {d: range(n.start, n.start + 1) for d, n in self._image.indices.items()}
        samples = slice(None)
        for d, part in zip(self._axes, box.slices, strict=True):
            if d == "S":
                samples = part
            else:
                spans[d] = self._image.indices[d][part]
        rows, columns = spans.pop("Y"), spans.pop("X")
        block = np.empty(
            (*map(len, spans.values()), len(rows), len(columns), self._image.samples),
            self._image.dtype,
        )
        for place in np.ndindex(block.shape[:-3]):
            plane = {d: span[i] for (d, span), i in zip(spans.items(), place, strict=True)}
            block[place] = self._plane(plane, rows, columns)
        return block[..., samples].reshape(box.shape)

    def _plane(self, plane: dict[str, int], rows: range, columns: range) -> NDArray[Any]:
        """Read a rectangle of a plane: y, x, samples, of which colours are in the order red, green, blue."""
        image, where = self._image, f"{self._file.where}, plane {plane}"
        if tuple(plane.values()) not in image.planes:
            raise ReadError("a plane is not in the file", where=where)
        rectangle = (columns.start, rows.start, len(columns), len(rows))
        handle = self._file.handle()
        pixel_type = image.pixel_types[plane["C"]]
        try:
            with handle.lock:
                pixels = handle.reader.read(rectangle, plane, image.scene, pixel_type=pixel_type)
        except (RuntimeError, ValueError) as error:
            raise ReadError("voxels cannot be read", got=error, where=where) from error
        return np.asarray(pixels)[..., ::-1]
