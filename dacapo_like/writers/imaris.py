"""Imaris 5.5 (``.ims``): every level, time point and channel is a dataset of an HDF5 file."""

from __future__ import annotations

import json
import math
import os
import threading
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import ConfigError, DataWarning, SpecError
from dacapo_like.geometry import Box, Coordinate, Exact, plain_number
from dacapo_like.pyramids import pooling_method
from dacapo_like.record import NAMESPACE, stored_number, write_record
from dacapo_like.spec import ArraySpec
from dacapo_like.units import length_factor, length_name
from dacapo_like.writers import _imaris_levels as levels
from dacapo_like.writers.base import Writer, writes
from dacapo_like.writers.checks import check_dtype, check_voxels, choice
from dacapo_like.writers.chunking import chunk_shape
from dacapo_like.writers.h5_chunks import write_chunks

_AXES = ("t", "c", "z", "y", "x")
_LACKING = {
    "bool": "uint8",
    "int8": "float32",
    "int16": "float32",
    "int32": None,
    "int64": None,
    "uint64": None,
    "float16": "float32",
    "float64": None,
}
_UNITS = {"meter": "m", "millimeter": "mm", "micrometer": "um", "nanometer": "nm"}
_UNNAMED = "(name not specified)"
_COLORS = ("FF0000", "00FF00", "0000FF", "FF00FF", "00FFFF", "FFFF00", "FFFFFF")
_LONGEST_ATTRIBUTE = 1024  # a longer text is a dataset, as in Imaris


@writes(".ims")
class ImarisWriter(Writer):
    """Writes one array as an Imaris 5.5 file with its pyramid, histograms and thumbnail.

    Blocks are written in any order and from any number of threads; those that are never written are zeros. Levels, histograms
    and the thumbnail are made at the end, block by block. Labels and masks are never averaged.

    Parameters
    ----------
    path : str or Path
        Of the file.
    spec : ArraySpec
        Of the array, whose axes are of ``t c z y x``, in any order. A plane is one voxel thick, of size 1.
    chunks : sequence of int, optional
        Along every axis, at all levels; by default near to cubes of a megabyte. Along t and c they are always of one.
    compression_level : int
        Of gzip, from 0 to 9.
    colors : sequence of str, optional
        Of the channels, as ``RRGGBB`` in hexadecimal digits.
    **options
        As of every `Writer`.

    Raises
    ------
    ConfigError
        An option is none of the format's.
    SourceError
        Something is in the way.
    SpecError
        The format has no place for such an array.

    Warns
    -----
    DataWarning
        The axes are not those of the world. Only this package reads their directions again.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from dacapo_like.spec import from_shape
    >>> spec = from_shape((4, 6, 5), "uint16", voxel_size=(2, 0.5, 0.5), units="um")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with ImarisWriter(f"{folder}/a.ims", spec) as writer:
    ...         writer.write(spec.box, np.ones(spec.shape, spec.dtype))
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        spec: ArraySpec,
        *,
        chunks: Sequence[int] | None = None,
        compression_level: int = 2,
        colors: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        _check(spec)
        choice("compression_level", compression_level, range(10))
        self._order = tuple(sorted(range(spec.ndim), key=lambda i: _AXES.index(spec.axes[i])))
        self._image = _Image.of(spec, self._order)
        self._colors = _colors(len(self._image.names), colors)
        super().__init__(path, spec, **options)
        image = self._image
        self._record = _record_text(image, self.attributes)
        self._sizes = levels.level_sizes(image.size, spec.dtype.itemsize)
        self._chunks = [levels.chunk_shape(size, spec.dtype.itemsize) for size in self._sizes]
        if chunks is not None:
            wanted = dict(zip(spec.axes, chunk_shape(spec, chunks), strict=True))
            self._chunks = [tuple(wanted.get(axis, 1) for axis in "zyx")] * len(self._sizes)
        by_axis = dict(zip(_AXES, (1, 1, *self._chunks[0]), strict=True))
        self.block_shape = tuple(by_axis[axis] for axis in spec.axes)
        self._lock = threading.Lock()
        self._ranges = [(math.inf, -math.inf)] * len(image.names)
        self._unwritten = math.prod(spec.shape)
        self._compression_level = compression_level
        self._file: Any = self._create()

    def _create(self) -> Any:
        """Make the file with all its datasets, which hold nothing yet."""
        import h5py  # heavy

        try:
            file = h5py.File(self._partial, "w-", libver=("v108", "v108"))
        except OSError as error:
            raise self._failure("cannot write here", error) from error
        zipped = {"compression": "gzip", "compression_opts": self._compression_level}
        for level, (size, chunk) in enumerate(zip(self._sizes, self._chunks, strict=True)):
            full = tuple(-(-n // c) * c for n, c in zip(size, chunk, strict=True))
            for t in range(self._image.times):
                for c in range(len(self._image.names)):
                    group = file.create_group(_place(level, t, c))
                    for axis, n in zip("ZYX", size, strict=True):
                        _write_text(group, f"ImageSize{axis}", str(n))
                    group.create_dataset("Data", full, self.spec.dtype, chunks=chunk, **zipped)
        return file

    def _write(self, box: Box, data: NDArray[Any]) -> None:
        offset, shape = (
            tuple(
                dict(zip(self.spec.axes, values, strict=True)).get(axis, default) for axis in _AXES
            )
            for values, default in ((box.offset, 0), (box.shape, 1))
        )
        block = data.transpose(self._order).reshape(shape)
        try:
            for t, c in np.ndindex(*shape[:2]):
                self._note_range(offset[1] + c, block[t, c])
                dataset = self._file[_place(0, offset[0] + t, offset[1] + c)]["Data"]
                write_chunks(dataset, offset[2:], block[t, c], self._compression_level)
        except (OSError, RuntimeError) as error:  # h5py raises either
            raise self._failure(f"cannot write voxels {box.offset} to {box.end}", error) from error

    def _note_range(self, channel: int, data: NDArray[Any]) -> None:
        finite = data if data.dtype.kind == "u" else data[np.isfinite(data)]
        with self._lock:
            self._unwritten -= data.size
            if finite.size:
                low, high = self._ranges[channel]
                self._ranges[channel] = (
                    min(low, float(finite.min())),
                    max(high, float(finite.max())),
                )

    def _close(self, *, complete: bool) -> None:
        file, self._file = self._file, None
        if file is None:  # it could not be completed
            return
        try:
            if complete:
                self._complete(file)
                file.close()
                with self._partial.open("rb") as written:
                    os.fsync(written.fileno())
        except (OSError, RuntimeError) as error:  # h5py raises either
            raise self._failure("cannot complete the file", error) from error
        finally:
            with suppress(OSError, RuntimeError):  # it is to be removed, and its disk may be full
                file.close()

    def _complete(self, file: Any) -> None:
        ranges = [self._shown_range(*found) for found in self._ranges]
        for t in range(self._image.times):
            for c in range(len(self._image.names)):
                self._write_levels(file, t, c, *ranges[c])
        last = len(self._sizes) - 1
        planes = [
            levels.projection(file[_place(last, 0, c)]["Data"], self._sizes[last])
            for c in range(len(ranges))
        ]
        y, x = ((b - a) for a, b in list(zip(*self._image.extent, strict=True))[1:])
        picture = levels.thumbnail(planes, ranges, self._colors, (float(y), float(x)))
        file.create_dataset("Thumbnail/Data", data=picture)
        self._write_info(file, ranges)

    def _shown_range(self, low: float, high: float) -> tuple[float, float]:
        """Give the range of a channel's values, as one that is not empty."""
        if low > high or self._unwritten > 0:
            low, high = min(low, 0), max(high, 0)
        return (low, high) if low < high else (low, low + max(1, abs(low)))

    def _write_levels(self, file: Any, t: int, c: int, low: float, high: float) -> None:
        method = pooling_method(self.spec.kind)
        for level, size in enumerate(self._sizes):
            group = file[_place(level, t, c)]
            if level:
                finer = file[_place(level - 1, t, c)]["Data"]
                sizes = (self._sizes[level - 1], size)
                levels.write_coarser(finer, group["Data"], sizes, method, self._compression_level)
            group["Histogram"] = levels.histogram(group["Data"], size, low, high)
            _write_text(group, "HistogramMin", str(low))
            _write_text(group, "HistogramMax", str(high))

    def _write_info(self, file: Any, ranges: Sequence[tuple[float, float]]) -> None:
        for name, text in _ROOT.items():
            _write_text(file, name, text)
        file.attrs["NumberOfDataSets"] = np.array([1], np.uint32)
        sections = _sections(self._image, self.name)
        for c, (color, (low, high)) in enumerate(zip(self._colors, ranges, strict=True)):
            sections[f"Channel {c}"] |= {
                "Color": " ".join(f"{part:.3f}" for part in color),
                "ColorRange": f"{low} {high}",
            }
        sections[NAMESPACE] = {"Record": self._record}
        for section, texts in sections.items():
            group = file.create_group(f"DataSetInfo/{section}")
            for name, text in texts.items():
                _write_text(group, name, text)


_ROOT = {
    "ImarisDataSet": "ImarisDataSet",
    "ImarisVersion": "5.5.0",
    "DataSetDirectoryName": "DataSet",
    "DataSetInfoDirectoryName": "DataSetInfo",
    "ThumbnailDirectoryName": "Thumbnail",
}


@attrs.frozen
class _Image:
    """What is written of an array, as Imaris has it.

    Attributes
    ----------
    spec : ArraySpec
        With its axes in the format's order, and in one unit.
    times : int
        Time points.
    size : tuple of int
        Voxels along z, y, x.
    extent : tuple of Coordinate
        First and last corner along z, y, x.
    names : tuple of str
        Of the channels.
    """

    spec: ArraySpec
    times: int
    size: tuple[int, ...]
    extent: tuple[Coordinate, Coordinate]
    names: tuple[str, ...]

    @classmethod
    def of(cls, spec: ArraySpec, order: Sequence[int]) -> _Image:
        stored = _in_one_unit(_transposed(spec, order))
        flat = 3 - stored.dims
        first = Coordinate((0,) * flat + tuple(stored.offset))
        last = Coordinate((1,) * flat + tuple(stored.roi.end))
        return cls(
            spec=stored,
            times=stored.shape[stored.axes.index("t")] if "t" in stored.axes else 1,
            size=(1,) * flat + stored.spatial_shape,
            extent=(first, last),
            names=stored.channels or (_UNNAMED,) * (stored.num_channels or 1),
        )


def _check(spec: ArraySpec) -> None:
    """Refuse what the format has no place for."""
    if not set(spec.leading_axes) <= {"t", "c"} or set(spec.spatial_axes) not in (
        {"z", "y", "x"},
        {"y", "x"},
    ):
        raise SpecError(
            "Imaris has no place for these axes",
            got=" ".join(spec.axes),
            expected="t c z y x, or some of them",
        )
    check_dtype(spec, _LACKING, "Imaris")
    check_voxels(spec)
    if spec.directions is not None:
        warnings.warn(
            "Imaris has no place for the directions of the axes: other programs will show them as those of the world",
            DataWarning,
            stacklevel=4,
        )


def _transposed(spec: ArraySpec, order: Sequence[int]) -> ArraySpec:
    """Put the axes into another order, those of space among themselves too."""
    lead = len(spec.leading_axes)
    space = [i - lead for i in order if i >= lead]
    vectors = spec.directions
    return spec.replace(
        axes=[spec.axes[i] for i in order],
        shape=[spec.shape[i] for i in order],
        chunk_shape=None,
        voxel_size=[spec.voxel_size[i] for i in space],
        offset=[spec.offset[i] for i in space],
        units=[spec.units[i] for i in space],
        directions=None if vectors is None else [[vectors[i][j] for j in space] for i in space],
    )


def _in_one_unit(spec: ArraySpec) -> ArraySpec:
    """Convert to the unit of the last axis; unknown ones stay unknown."""
    if len(set(spec.units)) == 1:
        return spec
    unit = spec.units[-1]
    known = [other for other in spec.units if other]
    if unit is None or len(known) < spec.dims:
        raise SpecError(
            "Imaris has one unit for all axes, and that of some is unknown",
            got=spec.describe_unit(),
            expected="a unit for each spatial axis, or for none",
            hint="say `units` where the array is defined",
        )
    factors = [length_factor(other, unit) for other in known]
    return spec.replace(
        voxel_size=spec.voxel_size * factors,
        offset=spec.offset * factors,
        units=(unit,) * spec.dims,
    )


def _unit(unit: str) -> str:
    """Give Imaris' word for a unit; of those that it does not know, OME-NGFF's, or the array's own."""
    try:
        name = length_name(unit)
    except ConfigError:
        return unit
    return _UNITS.get(name, name)


def _colors(count: int, given: Sequence[str] | None) -> list[tuple[float, float, float]]:
    if given is None:
        given = ["FFFFFF"] if count == 1 else [_COLORS[i % len(_COLORS)] for i in range(count)]
    try:
        found = [tuple(part / 255 for part in bytes.fromhex(color)) for color in given]
    except (TypeError, ValueError) as error:
        raise ConfigError(
            "colours are no hexadecimal numbers", got=tuple(given), key=("colors",)
        ) from error
    if len(found) != count or any(len(color) != 3 for color in found):
        raise ConfigError(
            "colours do not fit the channels",
            got=tuple(given),
            expected=f"{count} of the form RRGGBB",
            key=("colors",),
        )
    return [(color[0], color[1], color[2]) for color in found]


def _place(level: int, timepoint: int, channel: int) -> str:
    return f"DataSet/ResolutionLevel {level}/TimePoint {timepoint}/Channel {channel}"


def _record_text(image: _Image, attributes: Mapping[str, Any]) -> str:
    numbers = {"": dict(zip(("ExtMin", "ExtMax"), image.extent, strict=True))}
    record = write_record(image.spec, numbers, attributes)
    if "directions" in record and image.spec.dims < len(image.size):  # a plane is one of a volume
        record["directions"] = [[1, 0, 0], *([0, *vector] for vector in record["directions"])]
    try:
        return json.dumps(record, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError("attributes to keep are not JSON", got=error) from error


def _sections(image: _Image, name: str) -> dict[str, dict[str, str]]:
    """Give the texts of ``DataSetInfo``; dates, which nobody knows, are empty, as Imaris' own writer leaves them."""
    about = {"Name": name, "Description": "(description not specified)", "RecordingDate": ""}
    unit = image.spec.units[0]
    if unit is not None:
        about["Unit"] = _unit(unit)
    for i, (first, last, n) in enumerate(zip(*image.extent, image.size, strict=True)):
        axis = 2 - i
        about["XYZ"[axis]] = str(n)
        about[f"ExtMin{axis}"], about[f"ExtMax{axis}"] = _decimal(first), _decimal(last)
        about[f"ResampleDimension{'XYZ'[axis]}"] = "true"
    times = {"FileTimePoints": str(image.times), "DatasetTimePoints": str(image.times)}
    channel = {
        "Description": "(description not specified)",
        "ColorMode": "BaseColor",
        "ColorOpacity": "1.000",
        "GammaCorrection": "1.000",
    }
    return {
        "ImarisDataSet": {"NumberOfImages": "1", "Creator": "dacapo_like"},
        "Log": {"Entries": "0"},
        "Image": about,
        "TimeInfo": times | {f"TimePoint{t + 1}": "" for t in range(image.times)},
    } | {f"Channel {c}": {"Name": label} | channel for c, label in enumerate(image.names)}


def _decimal(value: Exact) -> str:
    """Write a number exactly where decimals can, else as the nearest double.

    Examples
    --------
    >>> from fractions import Fraction
    >>> _decimal(Fraction(49, 5)), _decimal(Fraction(10, 3))
    ('9.8', '3.3333333333333335')
    """
    text = str(plain_number(value))
    return str(stored_number(value)) if "/" in text else text


def _write_text(group: Any, name: str, text: str) -> None:
    """Write a text as Imaris does: single characters."""
    encoded = text.encode()
    characters = np.frombuffer(encoded or b"\0", "S1")
    if len(encoded) > _LONGEST_ATTRIBUTE:
        group[name] = characters
    else:
        group.attrs[name] = characters
