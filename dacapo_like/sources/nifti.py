"""NIfTI-1 and NIfTI-2: ``.nii``, ``.nii.gz`` and ``.hdr`` / ``.img`` pairs.

nibabel understands the header and opens the file; the voxels of a box are then read run by run, so that a read costs what
its box costs and not what the volume does.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.chunk_cache import CACHE, fits, settled_state
from dacapo_like.core import Reader, about
from dacapo_like.errors import ReadError, SourceError
from dacapo_like.geometry import Box, Coordinate, Exact, exact
from dacapo_like.registry import register
from dacapo_like.sources._indexed_gzip import PIECE, indexed_stream
from dacapo_like.sources._runs import fill
from dacapo_like.sources.layout import Layout, Stored, StoredArrayConfig, axis_name, lay_out
from dacapo_like.spec import Directions, is_leading_axis

_COMPRESSED = (".gz", ".bz2")
_DIMENSIONS = (
    "c",
    "t",
    "z",
    "y",
    "x",
)  # of NIfTI, the slowest first: 5 vector, 4 time, 3, 2, 1 space
_UNITS = {1: "m", 2: "mm", 3: "um"}
_INTENT_LABEL = 1002
_LABELS_ECODE = (
    1  # of extensions that nobody has registered: ZarrNii keeps the names of channels in one
)
_SAME_SIZE = 1e-5  # pixdim and affine are both float32, the affine often a product of rotations
_ROUNDING = 1e-7  # of a float32 beside 1
_DOUBLE_ROUNDING = 1e-14  # of some operations on float64
_TAIL = 2**22  # bytes
_SLAB = 2**20  # bytes


@register("nifti")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class NiftiArrayConfig(StoredArrayConfig):
    """A NIfTI image, its axes named as the format does: ``z y x``, ``t z y x`` or ``c t z y x``.

    That is the reverse of nibabel's ``i, j, k, t, u``. The world is the file's own, right-anterior-superior: what nibabel's
    affine says, from the sform if there is one, else the qform, else the voxel size alone. Voxels stay in file order;
    where the axes are not the world's own, the spec has their directions. A `voxel_size` of the config leaves the first
    voxel's centre, which is what the file names, where it is.

    Voxels keep their stored type. Where the header scales them they are float32 if 8- or 16-bit integers stay distinct in
    it, else float64.

    Names of channels are read from the header extension in which ZarrNii, and this package, write them; the fourth dimension of
    an image that has them is ``c``. The time of length 1 that an image of vectors has to have is left out, unless `axes` names
    it.

    A ``.nii.gz`` is one compressed stream: every read decompresses it up to the end of its box, and one that reaches the
    last voxel verifies its checksum. Where many boxes are to be read, install the extra ``nifti``: what was decompressed once is
    then read again from near the box. Or decompress the file first, or materialize it.

    Examples
    --------
    >>> from nibabel.testing import data_path
    >>> array = NiftiArrayConfig(file_name=f"{data_path}/anatomical.nii").array()
    >>> array
    <Array nifti: z 25, y 41, x 33; int16 image; voxel (2, 2, 2) mm; offset (-17, -41, -33), shape (50, 82, 66)>
    >>> array.attrs["nifti"]["orientation"]
    'LAS'
    """

    file_name: str = attrs.field(
        converter=os.fspath,
        metadata=about("The file; of a pair, the header or the image.", path=True),
    )
    axes: tuple[str, ...] | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(tuple),
        metadata=about(
            "Names of all axes in array order, which is the reverse of nibabel's, where dimensions "
            "before z are no time: for example [c, z, y, x]."
        ),
    )

    def open(self) -> Reader:
        """Read the header.

        Raises
        ------
        SourceError
            The file is not there, no NIfTI, shorter than its header says, or its affine cannot be inverted.
        """
        image = _load(self.file_name)
        proxy, header = image.dataobj, image.header
        shape = proxy.shape[::-1]
        if not shape or min(shape) < 1:
            raise SourceError("an image without voxels", got=proxy.shape, where=self.file_name)
        _check_length(proxy, self.file_name)
        channels = _channel_labels(header)
        if _has_forced_time(shape, self.axes):
            shape = (shape[0], *shape[2:])
        axes = _axes(
            self.axes or _channel_axes(proxy.shape[::-1], shape, channels), shape, self.file_name
        )
        dims = sum(not is_leading_axis(axis) for axis in axes)
        grid = _grid(image.affine, header.get_zooms(), dims, self.file_name)
        dtype = _scaled_dtype(proxy.dtype, proxy.slope, proxy.inter)
        labels = int(header["intent_code"]) == _INTENT_LABEL and dtype.kind in "iu"
        stored = Stored(
            shape=shape,
            dtype=dtype,
            chunk_shape=_chunk_shape(proxy, shape, dims),
            axes=axes,
            voxel_size=grid.voxel_size,
            offset=grid.offset(self.voxel_size),
            units=(_UNITS.get(int(header["xyzt_units"]) % 8),) * dims,
            channels=_fitting(channels, axes, shape),
            kind="labels" if labels else None,
            directions=grid.directions,
            attrs={"nifti": _remembered(image)},
        )
        return _NiftiReader(lay_out(stored, self, self.file_name), proxy, shape)


def _load(file_name: str) -> Any:
    """Give nibabel's image; no voxels are read."""
    if not _without_compression(file_name).endswith((".nii", ".hdr", ".img")):
        raise SourceError(
            "not the name of a NIfTI file",
            expected=".nii, .nii.gz, .hdr or .img",
            where=file_name,
            key=("file_name",),
        )
    import nibabel  # heavy
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    try:
        Path(file_name).open("rb").close()  # nibabel says less of why it cannot
    except OSError as error:
        raise SourceError(
            "cannot open the file", got=error.strerror, where=file_name, key=("file_name",)
        ) from error
    try:
        image = nibabel.load(file_name)
    except (
        OSError,
        EOFError,
        ValueError,
        OverflowError,
        zlib.error,
        ImageFileError,
        HeaderDataError,
        WrapStructError,
    ) as error:
        raise SourceError(
            "not a NIfTI file that can be read",
            got=_one_line(error),
            where=file_name,
            key=("file_name",),
        ) from error
    if not isinstance(image, nibabel.nifti1.Nifti1Pair):  # the base of all four kinds
        raise SourceError(
            "not a NIfTI file",
            got=type(image).__name__,
            expected="NIfTI-1 or NIfTI-2",
            where=file_name,
            key=("file_name",),
        )
    return image


def _without_compression(file_name: str) -> str:
    name = file_name.lower()
    for suffix in _COMPRESSED:
        name = name.removesuffix(suffix)
    return name


def _is_compressed(file_name: str) -> bool:
    return file_name.lower().endswith(_COMPRESSED)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _check_length(proxy: Any, where: str) -> None:
    """Refuse a file that is shorter than its header says; of a compressed one only reading tells."""
    if _is_compressed(proxy.file_like):
        return
    expected = proxy.offset + math.prod(proxy.shape) * proxy.dtype.itemsize
    try:
        found = Path(proxy.file_like).stat().st_size
    except OSError as error:
        raise SourceError(
            "cannot open the image of the pair",
            got=f"{proxy.file_like}: {error.strerror}",
            where=where,
        ) from error
    if found < expected:
        raise SourceError(
            "the file is truncated",
            got=f"{found} bytes in {proxy.file_like}",
            expected=f"{expected} bytes",
            where=where,
        )


def _axes(given: Sequence[str] | None, shape: Sequence[int], where: str) -> tuple[str, ...]:
    """Name all axes in array order; the spatial ones are the last, and their order is the file's."""
    rank = len(shape)
    if given is None:
        if rank <= len(_DIMENSIONS):
            return _DIMENSIONS[len(_DIMENSIONS) - rank :]
        hint = "give `axes` in the config, for example [s, c, t, z, y, x]"
        raise SourceError(
            "NIfTI does not name dimensions behind the fifth",
            got=f"an array of shape {tuple(shape)}",
            expected="names for all axes",
            where=where,
            hint=hint,
            key=("axes",),
        )
    axes = tuple(axis_name(axis) for axis in given)
    dims = sum(not is_leading_axis(axis) for axis in axes)
    fits = len(axes) == rank and 1 <= dims <= 3
    if not fits or axes[rank - dims :] != ("z", "y", "x")[3 - dims :]:
        raise SourceError(
            "axes do not fit the image",
            got=" ".join(given),
            expected=f"{rank} names for shape {tuple(shape)}, the spatial ones last, as z y x",
            where=where,
            hint="array order is the reverse of nibabel's i, j, k",
            key=("axes",),
        )
    return axes


def _has_forced_time(shape: Sequence[int], given: Sequence[str] | None) -> bool:
    """Whether an image has a time only because the format wants one before its fifth dimension."""
    return len(shape) == 5 and shape[1] == 1 and (given is None or len(given) == 4)


def _channel_axes(
    stored: Sequence[int], shape: Sequence[int], channels: Sequence[str]
) -> tuple[str, ...] | None:
    """Name the axes where the fourth is one of channels: a vector's, or that of an image whose header names them."""
    is_vector = len(shape) < len(stored)
    is_labelled = len(shape) == 4 and len(channels) == shape[0]
    return ("c", "z", "y", "x") if is_vector or is_labelled else None


def _channel_labels(header: Any) -> tuple[str, ...]:
    """Read the names of channels that ZarrNii keeps in an extension, as JSON; none where there is no such extension."""
    for extension in header.extensions:
        if extension.get_code() != _LABELS_ECODE:
            continue
        try:
            content = json.loads(extension.get_content().rstrip(b"\0"))
        except ValueError:  # not JSON: that of somebody else, for the code is anybody's
            continue
        labels = content.get("channel_labels") if isinstance(content, dict) else None
        if isinstance(labels, list) and all(isinstance(label, str) for label in labels):
            return tuple(labels)
    return ()


def _fitting(
    labels: tuple[str, ...], axes: Sequence[str], shape: Sequence[int]
) -> tuple[str, ...] | None:
    fits = "c" in axes and shape[axes.index("c")] == len(labels)
    return labels if fits else None


@attrs.frozen
class _Grid:
    """Where the voxels lie, per spatial axis of the array, components in the order of these axes."""

    voxel_size: Coordinate
    centre: Coordinate
    directions: Directions | None

    def offset(self, voxel_size: Coordinate | None) -> Coordinate:
        """Give the corner of the first voxel, whose centre is what the file says."""
        if voxel_size is None or len(voxel_size) != len(self.centre):  # which `lay_out` refuses
            voxel_size = self.voxel_size
        return self.centre - voxel_size / 2


def _grid(affine: NDArray[np.float64], zooms: Sequence[float], dims: int, where: str) -> _Grid:
    """Split nibabel's affine, from i, j, k to x, y, z of voxel centres, such that the parts multiply to it again.

    `zooms` are the header's voxel sizes along i, j, k.
    """
    limits = np.finfo(np.float32)
    if not np.abs(affine).max() < limits.max / 2:  # nor is it where it is not a number
        raise _unusable(affine, where)
    columns = affine[:dims, :dims][::-1, ::-1]
    sizes = np.linalg.norm(columns, axis=0)
    if sizes.min() < limits.tiny:
        raise _unusable(affine, where)
    if np.abs(affine[dims:3, :dims]).max(initial=0) > _SAME_SIZE * sizes.min():
        raise SourceError(
            f"an image of {dims} dimensions that is tilted out of them",
            got=f"affine {affine.tolist()}",
            where=where,
            hint="store it with three dimensions, one of length 1",
        )
    voxel_size = Coordinate(map(_voxel_size, sizes, reversed(zooms[:dims])))
    directions = _directions(columns, voxel_size)
    if abs(np.linalg.det(directions)) < _SAME_SIZE:
        raise _unusable(affine, where)
    centre = np.linalg.solve(directions, affine[:dims, 3][::-1])
    centre[np.abs(centre) < limits.tiny] = 0
    aligned = np.array_equal(directions, np.eye(dims))
    return _Grid(
        voxel_size=voxel_size,
        centre=Coordinate(map(_shortest, centre)),
        directions=None if aligned else tuple(map(tuple, directions.T.tolist())),
    )


def _directions(columns: NDArray[np.float64], voxel_size: Coordinate) -> NDArray[np.float64]:
    """Give unit vectors as columns; those of the world's own axes are whole, whatever the header's precision."""
    directions = columns / [float(size) for size in voxel_size]
    whole = np.rint(directions)
    is_whole = (np.abs(directions - whole) < _ROUNDING).all(axis=0)
    return np.where(is_whole, whole + 0.0, directions)  # + 0.0: no negative zeros


def _unusable(affine: NDArray[np.float64], where: str) -> SourceError:
    return SourceError(
        "the file's affine cannot be inverted",
        got=affine.tolist(),
        where=where,
        hint="repair its sform or qform",
    )


def _voxel_size(size: float, zoom: float) -> Exact:
    """Prefer the header's own number, which is the one that was meant, to the length of the affine's column."""
    return _shortest(zoom if abs(zoom - size) <= _SAME_SIZE * size else float(np.float32(size)))


def _shortest(value: float) -> Exact:
    """Give the shortest decimal that names a number: of single precision, if that is where it comes from.

    Examples
    --------
    >>> _shortest(float(np.float32(2.2))), _shortest(0.1 + 0.2), _shortest(1 / 3)
    (Fraction(11, 5), Fraction(3, 10), Fraction(3333333333333333, 10000000000000000))
    """
    single = np.float32(value)
    named = (float(single), float(str(single)))
    is_single = any(math.isclose(value, number, rel_tol=_DOUBLE_ROUNDING) for number in named)
    return exact(single if is_single else float(value))


def _scaled_dtype(stored: np.dtype[Any], slope: float, inter: float) -> np.dtype[Any]:
    """Give the type of the voxels: float32 where no two small integers become the same in it, else float64."""
    if not _scales(slope, inter):
        return stored
    if stored.kind in "iu" and stored.itemsize <= 2:
        limits = np.iinfo(stored)
        largest = max(abs(limit * slope + inter) for limit in (int(limits.min), int(limits.max)))
        with np.errstate(over="ignore", invalid="ignore"):
            if np.spacing(np.float32(largest)) < abs(slope):
                return np.dtype(np.float32)
    return np.dtype(np.float64) if stored.kind in "iuf" else stored


def _scales(slope: float, inter: float) -> bool:
    return (slope, inter) != (1, 0)


def _chunk_shape(proxy: Any, shape: tuple[int, ...], dims: int) -> tuple[int, ...]:
    """Give what is best read at once: about a megabyte that lies together, or the whole of a compressed stream."""
    if _is_compressed(proxy.file_like):
        return shape
    left = _SLAB // proxy.dtype.itemsize
    chunk: list[int] = []
    for n in reversed(shape[len(shape) - dims :]):
        chunk.append(min(n, max(left, 1)))
        left //= n
    return (1,) * (len(shape) - dims) + tuple(reversed(chunk))


def _remembered(image: Any) -> dict[str, Any]:
    """Give what the header says that a spec does not, in plain values."""
    import nibabel  # heavy

    header = image.header
    codes = nibabel.aff2axcodes(image.affine)  # type: ignore[no-untyped-call]  # nibabel has not typed it
    return {
        "orientation": "".join(code or "?" for code in codes),
        "sform_code": int(header["sform_code"]),
        "qform_code": int(header["qform_code"]),
        "xyzt_units": int(header["xyzt_units"]),
        "intent_code": int(header["intent_code"]),
        "pixdim": [float(str(zoom)) for zoom in header.get_zooms()],
        "descrip": header["descrip"].item().split(b"\0")[0].decode("utf-8", errors="replace"),
    }


def _verify(file: Any) -> None:
    """Read a compressed file to its end, where the checksum is."""
    while file.read(_TAIL):
        pass


class _NiftiReader(Reader):
    """Opens the file for every read, so that threads and forked processes do not meet; an index of a stream is kept."""

    in_threads = True

    def __init__(self, layout: Layout, proxy: Any, shape: tuple[int, ...]) -> None:
        self.spec = layout.spec
        self._layout = layout
        self._file_name: str = proxy.file_like
        self._start: int = proxy.offset
        self._shape = shape
        self._stored: np.dtype[Any] = proxy.dtype
        self._slope, self._inter = float(proxy.slope), float(proxy.inter)
        self._nbytes = math.prod(shape) * self._stored.itemsize
        self._stream = indexed_stream(self._file_name, self._start + self._nbytes)

    def read(self, box: Box, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a box; of a compressed file without an index that is too large to be kept, all before it is decompressed."""
        target = np.empty(box.shape, self.spec.dtype) if out is None else out
        if not target.size:
            return target
        try:
            whole = self._whole()
            if whole is not None:
                for stored, place in self._layout.parts(box):
                    self._scale_into(target[place], whole[stored.slices])
                return target
            with self._opened() as file:
                for stored, place in self._layout.parts(box):
                    self._fill(target[place], file, stored)
        except (OSError, EOFError, zlib.error) as error:
            raise ReadError(
                "voxels cannot be read",
                got=_one_line(error),
                where=self._file_name,
                hint="the file may be truncated or damaged: compare it with its original",
            ) from error
        return target

    def _opened(self) -> Any:
        """Open the file, or the stream in it of which there is an index."""
        from nibabel.openers import ImageOpener  # heavy

        if self._stream is None:
            return ImageOpener(self._file_name)
        state = settled_state(self._file_name) if fits(PIECE) else None
        return self._stream.opened() if state is None else nullcontext(self._stream.pieces(state))

    def _whole(self) -> NDArray[Any] | None:
        """Give all voxels as they are stored, of a compressed file that is small enough to be kept."""
        if (
            self._stream is not None
            or not _is_compressed(self._file_name)
            or not fits(self._nbytes)
        ):
            return None
        state = settled_state(self._file_name)
        return state and CACHE.chunk(self._file_name, state, None, self._unpacked)

    def _unpacked(self) -> NDArray[Any]:
        from nibabel.openers import ImageOpener  # heavy

        whole = np.empty(self._shape, self._stored)
        with ImageOpener(self._file_name) as file:
            fill(
                whole,
                file,
                self._start,
                self._shape,
                self._stored,
                Box((0,) * whole.ndim, self._shape),
            )
            _verify(file)
        return whole

    def _scale_into(self, target: NDArray[Any], stored: NDArray[Any]) -> None:
        if not _scales(self._slope, self._inter) or not target.ndim:
            target[...] = self._scale(stored)
            return
        for place, plane in zip(target, stored, strict=True):
            place[...] = self._scale(plane)

    def _fill(self, target: NDArray[Any], file: Any, box: Box) -> None:
        fill(target, file, self._start, self._shape, self._stored, box, self._scale)
        if box.end == self._shape and _is_compressed(self._file_name):
            _verify(file)

    def _scale(self, run: NDArray[Any]) -> NDArray[Any]:
        if not _scales(self._slope, self._inter):
            return run
        scaled: NDArray[Any] = np.multiply(run, self._slope, dtype=np.float64)
        scaled += self._inter
        return scaled
