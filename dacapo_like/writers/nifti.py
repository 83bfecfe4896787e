"""NIfTI-1 and NIfTI-2: ``.nii`` and ``.nii.gz``, slab after slab."""

from __future__ import annotations

import gzip
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import SpecError
from dacapo_like.spec import ArraySpec
from dacapo_like.units import LENGTH_UNITS, length_factor, length_name
from dacapo_like.writers.base import writes
from dacapo_like.writers.checks import check_axes, check_dtype, check_voxels, choice
from dacapo_like.writers.streams import StreamWriter, flush, little_endian

_AXES = "xyztc"  # of NIfTI, the fastest first
_UNITS = {"meter": 1, "millimeter": 2, "micrometer": 3}
_LACKING = {"bool": "uint8", "float16": "float32"}
_LARGEST = 2**15 - 1  # of NIfTI-1, along an axis
_MOST_SHIFT = 1e-3  # voxels that single precision may move a corner by
_APART = 1e-5  # of unit vectors
_ALIGNED = 2  # what nibabel says of a new affine: it is aligned with something
_INTENT_LABEL = 1002
_LONGEST_TEXT = 79  # bytes, and a NUL
_LABELS_ECODE = 1  # ZarrNii's
_GZIP_LEVEL = 6


@writes(".nii", ".nii.gz")
class NiftiWriter(StreamWriter):
    """Writes one array as NIfTI: space, then time, then channels.

    The affine is the array's own, oblique ones included, as sform and, unless it shears, as qform. An array that was read from
    NIfTI keeps the header's codes, intent, description and time step.

    Parameters
    ----------
    path : str or Path
        Of the file; ``.gz`` compresses it, always to the same bytes.
    spec : ArraySpec
        Of the array.
    units : {"m", "mm", "um"}, optional
        What lengths are converted to, exactly; by default they stay in these, and others go to the nearest of them that is
        not coarser. Unknown units stay unknown.
    version : {1, 2}, optional
        By default 1, and 2 where an axis is longer than 32,767 or single precision would move a voxel.
    compression_level : int
        Of gzip.
    **options
        As of every `Writer`.

    Raises
    ------
    SpecError
        NIfTI has no place for such axes, units or voxels.

    Examples
    --------
    >>> import tempfile
    >>> import nibabel
    >>> import numpy as np
    >>> from dacapo_like.spec import from_shape
    >>> spec = from_shape((2, 4, 6), "uint8", voxel_size=(9, 2, 2), units="mm")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with NiftiWriter(f"{folder}/a.nii.gz", spec) as writer:
    ...         for box in writer.boxes():
    ...             writer.write(box, np.ones(box.shape, spec.dtype))
    ...     nibabel.load(f"{folder}/a.nii.gz").shape
    (6, 4, 2)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        spec: ArraySpec,
        *,
        units: str | None = None,
        version: Literal[1, 2] | None = None,
        compression_level: int = _GZIP_LEVEL,
        **options: Any,
    ) -> None:
        check_voxels(spec)
        check_axes(spec, "tc", (1, 2, 3), "NIfTI")
        check_dtype(spec, _LACKING, "NIfTI")
        choice("version", version, (None, 1, 2))
        choice("compression_level", compression_level, range(10))
        super().__init__(path, spec, **options)
        self._plan(sorted(range(spec.ndim), key=lambda i: -_AXES.index(spec.axes[i])))
        header = _header(in_units(spec, units), version)
        self._files = ExitStack()
        try:
            self._raw = self._files.enter_context(self._partial.open("xb"))
            self._file: Any = self._raw
            if self.path.name.lower().endswith(".gz"):
                self._file = self._files.enter_context(
                    gzip.GzipFile("", "wb", compression_level, self._raw, mtime=0)
                )
            header.write_to(self._file)
        except OSError as error:
            self._files.close()
            self._partial.unlink(missing_ok=True)
            raise self._failure("cannot write here", error) from error

    def _append(self, data: NDArray[Any]) -> None:
        self._file.write(little_endian(data).data.cast("B"))

    def _close(self, *, complete: bool) -> None:
        if complete:
            if self._file is not self._raw:
                self._file.close()  # writes gzip's last bytes
            flush(self._raw)
        self._files.close()


def in_units(spec: ArraySpec, units: str | None) -> ArraySpec:
    """Give a spec in one of NIfTI's units, exactly; in none where none is known.

    Raises
    ------
    SpecError
        Some units are known and others not, or one is no length.

    Examples
    --------
    >>> from dacapo_like.spec import from_shape
    >>> made = in_units(from_shape((5, 5), voxel_size=(9.8, 4), units="nm"), None)
    >>> made.units, made.voxel_size
    (('micrometer', 'micrometer'), Coordinate(0.0098, 0.004))
    """
    if not any(spec.units):
        return spec
    names = [None if unit is None else _length(unit) for unit in spec.units]
    known = [name for name in names if name is not None]
    if len(known) < len(names):
        raise SpecError(
            "NIfTI has one unit for all axes, and that of some is unknown",
            got=spec.describe_unit(),
            hint="say `units` where the array is defined",
        )
    wanted = _nearest(known) if units is None else _length(str(units))
    if wanted not in _UNITS:
        raise SpecError("NIfTI has no such unit", got=units, expected="m, mm or um", key=("units",))
    factors = [length_factor(name, wanted) for name in known]
    return spec.replace(
        voxel_size=spec.voxel_size * factors,
        offset=spec.offset * factors,
        units=(wanted,) * spec.dims,
    )


def _length(unit: str) -> str:
    try:
        return length_name(unit)
    except ValueError as error:
        raise SpecError(
            "NIfTI has no such unit",
            got=unit,
            expected="a unit of length, to convert it to m, mm or um",
        ) from error


def _nearest(names: list[str]) -> str:
    """Give the coarsest of NIfTI's units that is not coarser than any of some; where none is, its finest."""
    finest = min(names, key=lambda name: length_factor(name, LENGTH_UNITS[0]))
    fitting = [unit for unit in _UNITS if length_factor(unit, finest) <= 1]
    return fitting[0] if fitting else "micrometer"


def _header(spec: ArraySpec, version: int | None) -> Any:
    """Make nibabel's header; `spec` is in a unit of NIfTI's."""
    import nibabel  # heavy

    affine = _affine(spec)
    shape = _shape(spec)
    if version is None:
        version = 1 if max(shape) <= _LARGEST and not _moves(affine, shape) else 2
    if version == 1 and max(shape) > _LARGEST:
        raise SpecError("too long for NIfTI-1", got=shape, hint="version=2", key=("version",))
    kinds: dict[int, Any] = {1: nibabel.Nifti1Header, 2: nibabel.Nifti2Header}
    header = kinds[version](endianness="<")
    header.set_data_dtype(spec.dtype)
    header.set_data_shape(shape)
    header.set_slope_inter(1, 0)
    _place(header, spec, affine)
    if spec.channels is not None:
        labels = json.dumps({"channel_labels": spec.channels}).encode()
        header.extensions.append(nibabel.nifti1.Nifti1Extension(_LABELS_ECODE, labels))
    return header


def _place(header: Any, spec: ArraySpec, affine: NDArray[np.float64]) -> None:
    """Say where the voxels lie, and what the header said that the array was read from."""
    kept = spec.attrs.get("nifti")
    kept = kept if isinstance(kept, Mapping) else {}
    code = _code(kept, "sform_code", 4) or _code(kept, "qform_code", 4) or _ALIGNED
    header.set_qform(affine, code=code)
    if not _is_told(header, affine):
        header["qform_code"] = 0
    header.set_sform(affine, code=code)
    header["xyzt_units"] = (
        _UNITS.get(str(spec.units[0]), 0) + _code(kept, "xyzt_units", 63) // 8 * 8
    )
    zooms = [float(size) for size in reversed(spec.voxel_size)] + [1.0] * 4
    zooms[3] = _time_step(kept) if "t" in spec.axes else 1.0
    header.set_zooms(zooms[: len(header.get_data_shape())])
    intent = _code(kept, "intent_code", _LARGEST)
    if spec.kind == "labels" and spec.dtype.kind in "iu":
        intent = _INTENT_LABEL
    elif intent == _INTENT_LABEL:
        intent = 0
    header["intent_code"] = intent
    header["descrip"] = str(kept.get("descrip", "")).encode(errors="replace")[:_LONGEST_TEXT]


def _code(kept: Mapping[str, Any], key: str, largest: int) -> int:
    """Give a number that a header may hold; 0 where nothing, or anything else, is remembered."""
    value = kept.get(key)
    return value if isinstance(value, int) and 0 <= value <= largest else 0


def _time_step(kept: Mapping[str, Any]) -> float:
    sizes: Any = kept.get("pixdim")
    is_known = isinstance(sizes, Sequence) and len(sizes) > 3 and isinstance(sizes[3], (int, float))
    return float(sizes[3]) if is_known and sizes[3] >= 0 else 1.0


def _shape(spec: ArraySpec) -> tuple[int, ...]:
    """Give NIfTI's shape: axes that the array lacks are of length 1, up to its last."""
    sizes = dict(zip(spec.axes, spec.shape, strict=True))
    last = max(_AXES.index(axis) for axis in spec.axes)
    return tuple(sizes.get(axis, 1) for axis in _AXES[: last + 1])


def _affine(spec: ArraySpec) -> NDArray[np.float64]:
    """Give the affine from i, j, k to x, y, z of voxel centres."""
    affine = np.eye(4)
    dims = spec.dims
    affine[:dims, :dims] = spec.voxel_to_world[:dims, :dims][::-1, ::-1]
    affine[:dims, 3] = spec.voxel_to_world[:dims, dims][::-1]
    if spec.directions is None:  # exact, where a product of doubles is not
        centre = spec.offset + spec.voxel_size * Fraction(1, 2)
        affine[:dims, 3] = [float(value) for value in reversed(centre)]
    return affine


def _moves(affine: NDArray[np.float64], shape: tuple[int, ...]) -> bool:
    """Whether a corner moves where the affine is kept in single precision."""
    ends = [(0, n - 1) for n in (*shape, 1, 1)[:3]]
    corners = np.array([(*corner, 1) for corner in itertools.product(*ends)], dtype=float)
    shift = corners @ (affine.astype(np.float32) - affine).T
    smallest = np.linalg.norm(affine[:3, :3], axis=0).min()
    return bool(np.abs(shift).max() > _MOST_SHIFT * smallest)


def _is_told(header: Any, affine: NDArray[np.float64]) -> bool:
    """Whether the quaternion of a header says the directions: not where they shear, nor those that single precision loses of nearly half a turn."""
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    apart = np.abs(header.get_qform()[:3, :3] - affine[:3, :3]) / sizes
    return bool(apart.max() <= _APART)
