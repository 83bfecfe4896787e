"""Imaris 5.5 (``.ims``): an HDF5 file with one dataset per resolution level, time point and channel."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Reader, about
from dacapo_like.errors import ConfigError, ReadError, SourceError
from dacapo_like.geometry import Box, Coordinate, Exact, exact, format_numbers
from dacapo_like.record import NAMESPACE, Record, read_record
from dacapo_like.registry import register
from dacapo_like.sources._h5 import (
    LARGEST_ATTRIBUTE,
    PerProcess,
    check_storage,
    dataset_at,
    follow,
    named_faults,
    open_file,
    small_attribute,
)
from dacapo_like.sources._h5_voxels import DatasetVoxels
from dacapo_like.sources._missing import Absences, Missing
from dacapo_like.sources.layout import Layout, Stored, StoredArrayConfig, lay_out

UNNAMED = "(name not specified)"
"""How Imaris writes that a channel has no name."""

Texts = Mapping[str, str]
Places = dict[tuple[int, int], str]

_DATASETS_AT_ONCE = 64  # open ones: each has a cache of decoded chunks


@register("imaris")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class ImarisArrayConfig(StoredArrayConfig):
    """One resolution level of an Imaris file; its axes are ``t c z y x``, or ``c z y x`` of one time point.

    The extents of the file are corners, and those of all levels: a level's voxel size is the extent divided by its number of
    voxels. Voxels that only fill up chunks are not part of the array. A unit that the file does not name stays unknown.

    Examples
    --------
    >>> ImarisArrayConfig(file_name="brain.ims", level=1, channels=["DAPI"]).channels
    ('DAPI',)
    """

    level: int | None = attrs.field(
        default=None, metadata=about("Resolution level, 0 the finest; by default 0.")
    )
    timepoint: int | None = attrs.field(
        default=None,
        metadata=about(
            "One time point, counted from 0; by default all, along axis t where there are several."
        ),
    )
    voxel_size: Coordinate | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(Coordinate),
        metadata=about(
            "Without `level`, chooses the level that has it; else replaces what the file says."
        ),
    )
    missing: Missing = attrs.field(
        default="fill", metadata=about("What to do about chunks that are not there.")
    )

    def open(self) -> Reader:
        """Read what the file says of the level.

        Raises
        ------
        SourceError
            The file is not there or no Imaris file, has no such level or time point, leads to another file, or its channels
            differ in shape or dtype.
        """
        where = self.file_name
        with open_file(self.file_name) as file, named_faults(where):
            image = _Image(file, where)
            level = self._level(image, where)
            shape, dtype, chunks, places = image.voxels(level, self.timepoint)
            stored = Stored(
                shape=shape,
                dtype=dtype,
                chunk_shape=chunks,
                axes=("t", "c", "z", "y", "x")[-len(shape) :],
                voxel_size=image.voxel_size(level),
                offset=None if image.extent is None else image.extent[0],
                units=(image.unit,) * 3,
                channels=image.channels(shape[-4]),
                kind=image.record.kind,
                directions=image.record.directions,
                anchor=image.record.anchor or "center",
                attrs=image.attributes,
            )
        return _ImarisReader(
            lay_out(stored, self, where), self.file_name, places, stored, Absences(self.missing)
        )

    def _level(self, image: _Image, where: str) -> int:
        count = len(image.sizes)
        if self.level is not None and not 0 <= self.level < count:
            raise SourceError(
                "no such level",
                got=self.level,
                expected=f"0 to {count - 1}",
                where=where,
                key=("level",),
            )
        if self.level is not None or self.voxel_size is None or image.extent is None:
            return self.level or 0
        sizes = [image.voxel_size(level) for level in range(count)]
        if self.voxel_size in sizes:
            return sizes.index(self.voxel_size)
        raise SourceError(
            "no level has this voxel size",
            got=format_numbers(self.voxel_size),
            expected=f"one of {', '.join(format_numbers(size) for size in sizes if size)}",
            where=where,
            hint="give `level` too, to override the voxel size of that level",
            key=("voxel_size",),
        )


class _Image:
    """What the headers of an open Imaris file say.

    Attributes
    ----------
    sizes : list of tuple of int
        Voxels of each level along z, y, x.
    extent : tuple of Coordinate or None
        First and last corner along z, y, x.
    unit : str or None
        Of the extent.
    record : Record
        What this package wrote beside.
    attributes : dict
        The texts of ``DataSetInfo``, by section and name.
    """

    def __init__(self, file: Any, where: str) -> None:
        self._file, self._where = file, where
        root = _texts(file, "DataSetDirectoryName", "DataSetInfoDirectoryName")
        self._root = root.get("DataSetDirectoryName") or "DataSet"
        info = root.get("DataSetInfoDirectoryName") or "DataSetInfo"
        counted = self._count("", "ResolutionLevel")
        if not counted:
            raise SourceError(
                "not an Imaris file",
                got=f"an HDF5 file without {self._root}/ResolutionLevel 0",
                where=where,
                hint="the type hdf5 reads any dataset of an HDF5 file",
                key=("file_name",),
            )
        channels = self._count("/ResolutionLevel 0/TimePoint 0", "Channel")
        sections = ["Image", "TimeInfo", *(f"Channel {i}" for i in range(channels))]
        found = {name: _texts(follow(file, f"{info}/{name}")) for name in sections}
        self.attributes = {name: texts for name, texts in found.items() if texts}
        self.record = _record(_texts(follow(file, f"{info}/{NAMESPACE}")), where)
        self.unit = found["Image"].get("Unit") or None
        first = [self._place(level, 0, 0) for level in range(counted)]
        self.sizes = [self._size(follow(file, place), place) for place in first]
        self.extent = self._extent(found["Image"])

    def voxel_size(self, level: int) -> Coordinate | None:
        """Give that of a level: the extent divided by its number of voxels."""
        if self.extent is None:
            return None
        return (self.extent[1] - self.extent[0]) / self.sizes[level]

    def channels(self, count: int) -> tuple[str, ...] | None:
        """Give the names of the channels, where they have some."""
        texts = [self.attributes.get(f"Channel {i}", {}) for i in range(count)]
        names = tuple(text.get("Name", "") for text in texts)
        return names if all(names) and set(names) != {UNNAMED} else None

    def voxels(
        self, level: int, timepoint: int | None
    ) -> tuple[tuple[int, ...], np.dtype[Any], tuple[int, ...] | None, Places]:
        """Check all datasets of a level; give their shape with its leading axes, dtype, chunks, and paths by those axes."""
        path = f"/ResolutionLevel {level}"
        times = self._count(path, "TimePoint")
        channels = self._count(f"{path}/TimePoint 0", "Channel")
        if timepoint is not None and not 0 <= timepoint < times:
            raise SourceError(
                "no such time point",
                got=timepoint,
                expected=f"0 to {times - 1}",
                where=self._where,
                key=("timepoint",),
            )
        chosen = range(times) if timepoint is None else [timepoint]
        places: Places = {}
        found = {}
        for i, t in enumerate(chosen):
            group = follow(self._file, f"{self._root}{path}/TimePoint {t}")
            for c in range(channels):
                place = places[i, c] = self._place(level, t, c)
                found[place] = self._checked(follow(self._file, f"Channel {c}", group), place)
        first, (size, dtype, chunks) = next(iter(found.items()))
        for place, (other_size, other_dtype, _) in found.items():
            if (other_size, other_dtype) != (size, dtype):
                raise SourceError(
                    "the channels and time points of a level differ",
                    got=f"{other_dtype} {other_size} in {place}",
                    expected=f"{dtype} {size} as in {first}",
                    where=self._where,
                )
        leading = (len(chosen), channels) if len(chosen) > 1 else (channels,)
        ones = (1,) * len(leading)
        return (*leading, *size), dtype, None if chunks is None else (*ones, *chunks), places

    def _place(self, level: int, timepoint: int, channel: int) -> str:
        return f"{self._root}/ResolutionLevel {level}/TimePoint {timepoint}/Channel {channel}"

    def _count(self, path: str, name: str) -> int:
        """Count the groups ``name 0``, ``name 1`` and so on; none may be left out."""
        group = follow(self._file, f"{self._root}{path}")
        if not hasattr(group, "keys"):
            return 0
        numbers = {int(found[1]) for key in group if (found := re.fullmatch(rf"{name} (\d+)", key))}
        if numbers != set(range(len(numbers))):
            lost = min(set(range(max(numbers))) - numbers)
            raise SourceError(
                "a group of the Imaris file is not there",
                got=f"{name} {max(numbers)} without {name} {lost}",
                where=f"{self._where}/{self._root}{path}",
            )
        return len(numbers)

    def _size(self, group: Any, place: str) -> tuple[int, ...]:
        """Give the number of voxels along z, y, x; the dataset has more, to fill up its chunks."""
        names = [f"ImageSize{axis}" for axis in "ZYX"]
        texts = _texts(group, *names)
        try:
            return tuple(int(texts[name]) for name in names)
        except (KeyError, ValueError) as error:
            raise SourceError(
                "the file does not say how many voxels a channel has",
                got=f"ImageSizeZ, Y, X of {[texts.get(name) for name in names]}",
                expected="three numbers",
                where=f"{self._where}/{place}",
            ) from error

    def _checked(
        self, group: Any, place: str
    ) -> tuple[tuple[int, ...], np.dtype[Any], tuple[int, ...] | None]:
        """Give the size, dtype and chunks of a channel at a time point."""
        where = f"{self._where}/{place}"
        dataset: Any = None if group is None else follow(self._file, "Data", group)
        if not hasattr(dataset, "dtype"):
            raise SourceError("a channel of the Imaris file has no Data", where=where)
        check_storage(self._file, dataset, where)
        size = self._size(group, place)
        if len(dataset.shape) != 3 or any(
            not 0 < n <= held for n, held in zip(size, dataset.shape, strict=True)
        ):
            raise SourceError(
                "a channel has more voxels than its dataset",
                got=f"{size} in a dataset of {dataset.shape}",
                where=where,
            )
        return size, dataset.dtype, dataset.chunks

    def _extent(self, image: Texts) -> tuple[Coordinate, Coordinate] | None:
        corners = []
        for name in ("ExtMin", "ExtMax"):
            texts = [image.get(f"{name}{i}") for i in (2, 1, 0)]  # x first
            if not all(texts):
                return None
            numbers = [_number(text or "", name, self._where) for text in texts]
            corners.append(Coordinate(self.record.restore("", name, numbers)))
        first, last = corners
        if any(b <= a for a, b in zip(first, last, strict=True)):
            raise SourceError(
                "the extent of the Imaris file encloses nothing",
                got=f"{format_numbers(first)} to {format_numbers(last)} along z, y, x",
                expected="ExtMax greater than ExtMin",
                where=self._where,
            )
        return first, last


def _texts(group: Any, *names: str) -> dict[str, str]:
    """Give attributes of a group as text; where none is named all, and its long texts, which are datasets."""
    if group is None:
        return {}
    texts = {
        name: _text(small_attribute(group, name))
        for name in names or group.attrs
        if name in group.attrs
    }
    for name in () if names else group:
        found = follow(group.file, name, group)
        if getattr(found, "dtype", None) == "S1" and found.size <= LARGEST_ATTRIBUTE:
            texts[name] = _text(found[()])
    return texts


def _text(value: Any) -> str:
    """Put together what Imaris stores as an array of single characters.

    Examples
    --------
    >>> _text(np.array([b"u", b"m"], "S1")), _text("mm"), _text(np.int32(7))
    ('um', 'mm', '7')
    """
    if isinstance(value, np.ndarray) and value.dtype.kind == "S":
        value = b"".join(value.ravel().tolist())
    if isinstance(value, np.ndarray):
        value = " ".join(str(item) for item in value.ravel().tolist())
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:  # Imaris for Windows wrote µ so
            value = value.decode("latin-1")
    return str(value).strip("\0 ")


def _number(text: str, name: str, where: str) -> Exact:
    try:
        return exact(Decimal(text))
    except (InvalidOperation, ConfigError) as error:
        raise SourceError(
            f"{name} of the Imaris file is not a number", got=repr(text), where=where
        ) from error


def _record(texts: Texts, where: str) -> Record:
    try:
        return read_record({NAMESPACE: json.loads(texts["Record"])} if texts else {}, where)
    except (KeyError, ValueError) as error:
        raise SourceError(
            f"DataSetInfo/{NAMESPACE} is not what this package writes", got=error, where=where
        ) from error


class _ImarisReader(Reader):
    """Reads hyperslabs, one channel of one time point after the other."""

    in_threads = True

    def __init__(
        self,
        layout: Layout,
        file_name: str,
        places: Places,
        stored: Stored,
        absences: Absences,
    ) -> None:
        self.spec = layout.spec
        self._layout = layout
        self._as_stored = np.argsort(layout.order)
        self._file_name, self._places = file_name, places
        self._datasets = PerProcess(
            file_name, lambda file: _Datasets(file, stored.shape[-3:], stored.dtype, absences)
        )

    def read(self, box: Box, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a box."""
        target = np.empty(box.shape, self.spec.dtype) if out is None else out
        if not target.size:
            return target
        with named_faults(self._file_name, ReadError, "voxels cannot be read"):
            datasets, state = self._datasets()
        for stored, place in self._layout.parts(box):
            part = target[place].transpose(self._as_stored)
            space = Box(stored.offset[-3:], stored.shape[-3:])
            for index in np.ndindex(*stored.shape[:-3]):
                t, c = (0, *(i + first for i, first in zip(index, stored.offset, strict=False)))[
                    -2:
                ]
                where = (
                    f"{self._file_name}/{self._places[t, c]}, voxels {space.offset} to {space.end}"
                )
                with named_faults(where, ReadError, "voxels cannot be read"):
                    datasets(self._places[t, c]).fill(part[index], space, state)
        return target


class _Datasets:
    """Datasets of an open file; the last ones stay open."""

    def __init__(
        self, file: Any, size: tuple[int, ...], dtype: np.dtype[Any], absences: Absences
    ) -> None:
        self._file, self._size, self._dtype, self._absences = file, size, dtype, absences
        self._open: dict[str, DatasetVoxels] = {}

    def __call__(self, place: str) -> DatasetVoxels:
        found = self._open.get(place)
        if found is None:
            if len(self._open) >= _DATASETS_AT_ONCE:
                self._open.clear()
            found = self._open[place] = self._opened(place)
        return found

    def _opened(self, place: str) -> DatasetVoxels:
        where = f"{self._file.filename}/{place}"
        dataset = dataset_at(self._file, f"{place}/Data")
        check_storage(self._file, dataset, where)
        voxels = DatasetVoxels(dataset, where, self._absences)
        voxels.check_like(self._size, self._dtype)
        return voxels
