"""`Transform`: one transform of a chain, as documents name it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, TypeAlias, get_args

import attrs
import numpy as np
from numpy.typing import ArrayLike

from dacapo_like.core import Array, ArrayConfig, about
from dacapo_like.errors import ConfigError, check_choice, did_you_mean
from dacapo_like.geometry import Coordinate
from dacapo_like.registry import array_type
from dacapo_like.transforms.files import Convention, FileAffine, read_affine
from dacapo_like.transforms.matrix import matrix_of
from dacapo_like.units import length_name

_FIELDS = (".nii", ".nii.gz")
_OF_A_MATRIX = 2  # axes


def _rows(value: Any) -> tuple[Coordinate, ...]:
    try:
        shape = np.shape(value)
    except ValueError:  # rows of different lengths, which are told below, or what are no rows
        shape = (len(value), 0) if all(isinstance(row, (list, tuple)) for row in value) else (0,)
    if len(shape) != 2:
        raise ConfigError(
            "not a transform",
            got=f"an array of shape {shape}" if shape else repr(value),
            expected="a Transform, the name of a file, a field, or a homogeneous matrix",
            key=("affine",),
        )
    rows = tuple(Coordinate(row) for row in value)
    size = len(rows)
    last = (0,) * (size - 1) + (1,)
    if size < 2 or any(len(row) != size for row in rows) or tuple(rows[-1]) != last:
        raise ConfigError(
            "not a homogeneous matrix",
            got=f"rows of {', '.join(str(len(row)) for row in rows) or 'nothing'} numbers"
            + (f", the last of them {list(map(str, rows[-1]))}" if rows else ""),
            expected="one row and one column more than spatial axes, the last row zeros and 1",
            key=("affine",),
        )
    return rows


@attrs.frozen(kw_only=True)
class Transform:
    """One transform of a chain: an affine, or a displacement field.

    It takes a world point on the side of the output to one on the side of the source, as the files of ITK and ANTs mean it
    (fixed to moving); exactly one of `affine`, `file_name` and `field` says how.

    Attributes
    ----------
    affine : tuple of Coordinate, optional
        A homogeneous matrix, ``(dims + 1, dims + 1)``, in the world units of the output and the order of its spatial axes.
    file_name : str, optional
        An affine (ITK's text and ``.mat``, a plain matrix), or a displacement field as ANTs writes it (``.nii``, ``.nii.gz``).
    field : ArrayConfig, optional
        A displacement field of any format: an array with a leading axis ``c`` of vectors, in its own units.
    invert : bool
        Turn it around.
    axes : tuple of str, optional
        Order of the components; by default that of the spatial axes for `affine`, ``x y z`` otherwise.
    convention : {"ras", "lps", "fsl"}, optional
        How points and vectors are written: ``ras`` as the world of the arrays is, ``lps`` with x and y negated, ``fsl`` as flirt does. By
        default what the file's format means, and ``ras`` for `affine`.
    units : str, optional
        Unit of length of the numbers; by default mm for files.

    Examples
    --------
    >>> Transform(affine=[[1, 0, 5], [0, 1, 0], [0, 0, 1]], invert=True).is_field
    False
    """

    affine: tuple[Coordinate, ...] | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(_rows),
        metadata=about(
            "A homogeneous matrix, in the world units of the output and the order of its spatial axes."
        ),
    )
    file_name: str | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(os.fspath),
        metadata=about(
            "An affine (ITK's text and .mat, a plain matrix), or a displacement field (.nii, .nii.gz).",
            path=True,
        ),
    )
    field: ArrayConfig | None = attrs.field(
        default=None,
        metadata=about(
            "A displacement field of any format: vectors along axis `c`, in its own units."
        ),
    )
    invert: bool = attrs.field(
        default=False,
        metadata=about("Turn it around; of a field the inverse is found by iteration."),
    )
    axes: tuple[str, ...] | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(tuple),
        metadata=about(
            "Order of the components; by default that of the spatial axes for `affine`, x y z otherwise."
        ),
    )
    convention: Convention | None = attrs.field(
        default=None,
        metadata=about(
            "How points and vectors are written: `ras` as the arrays' world is, `lps` with x and y negated, `fsl` as flirt does; "
            "by default what the file's format means, and `ras` for `affine`."
        ),
    )
    units: str | None = attrs.field(
        default=None,
        metadata=about(
            "Unit of length of the numbers; by default mm for files, the output's for `affine`, the field's own for `field`."
        ),
    )

    def __attrs_post_init__(self) -> None:
        given = [k for k in ("affine", "file_name", "field") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ConfigError(
                "a transform is an affine, a file or a field",
                got=" and ".join(f"`{key}`" for key in given) or "none of them",
                expected="exactly one of `affine`, `file_name` and `field`",
            )
        check_choice("convention", self.convention, (None, *get_args(Convention)))
        if self.convention == "fsl" and (self.is_field or self.axes is not None):
            raise ConfigError(
                "FSL's convention is one of affines along x y z",
                got="a displacement field"
                if self.is_field
                else f"axes {' '.join(self.axes or ())}",
                expected="ras or lps, or no `axes`",
                key=("convention",),
            )
        if self.units is not None:
            try:
                length_name(self.units)
            except ConfigError as error:
                error.key = ("units",)
                raise

    @property
    def is_field(self) -> bool:
        """Whether it is a displacement field, going by the name of a file."""
        return self.field is not None or (self.file_name or "").lower().endswith(_FIELDS)

    @cached_property
    def field_config(self) -> ArrayConfig | None:
        """The array that holds the displacements; ``None`` for an affine."""
        if self.field is not None or not self.is_field:
            return self.field
        return array_type("nifti")(file_name=self.file_name)  # type: ignore[call-arg]  # a type of its own

    @cached_property
    def numbers(self) -> FileAffine | None:
        """What the matrix or the file says; ``None`` for a field. The file is read once.

        Raises
        ------
        SourceError
            The file cannot be read, or holds no affine.
        """
        if self.affine is not None:
            return FileAffine(matrix_of(self.affine), "ras")
        return None if self.is_field else read_affine(str(self.file_name))


TransformLike: TypeAlias = (
    "Transform | Mapping[str, Any] | str | os.PathLike[str] | Array | ArrayLike"
)


def as_transform(value: TransformLike) -> Transform:
    """Give the transform that a value stands for: itself, its fields, a file's name, a field's array, or a matrix.

    Examples
    --------
    >>> as_transform(np.eye(3)).affine
    (Coordinate(1, 0, 0), Coordinate(0, 1, 0), Coordinate(0, 0, 1))
    """
    if isinstance(value, Transform):
        return value
    if isinstance(value, Mapping):
        keys = [field.name for field in attrs.fields(Transform)]
        unknown = next((key for key in value if key not in keys), None)
        if unknown is not None:
            raise ConfigError(
                "no such field of a transform",
                got=repr(unknown),
                expected=f"one of {', '.join(keys)}",
                hint=did_you_mean(str(unknown), keys),
            )
        return Transform(**value)
    if isinstance(value, (str, os.PathLike)):
        return Transform(file_name=value)  # type: ignore[arg-type]  # the field's converter takes both
    if isinstance(value, Array):
        return Transform(field=value.config)
    return Transform(affine=value)


def as_transforms(values: Iterable[TransformLike]) -> tuple[Transform, ...]:
    """Give the chain that a list of values stands for, as `as_transform` does each.

    Raises
    ------
    ConfigError
        It is a single transform: what a list of its parts would be is something else.
    """
    single = (Transform, str, os.PathLike, Mapping, Array)
    if isinstance(values, single) or getattr(values, "ndim", 1) == _OF_A_MATRIX:
        raise ConfigError(
            "transforms are a list",
            got=type(values).__name__,
            expected="a list, of one transform too",
            key=("transforms",),
        )
    return tuple(map(as_transform, values))
